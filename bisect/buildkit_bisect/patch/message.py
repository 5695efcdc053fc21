"""Writes the message of a commit in upstream's form: subject, why, issue, trailers. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.patch.patches import Metadata

#: Characters in a line of a body.
WIDTH = 72

#: The beginning of a line that stays a line: of a list, or indented.
_KEPT = re.compile(r"[-*+>] |\d+[.)] |\s")

#: A line such as ``Fixes: #42``, in a paragraph of such lines.
_TRAILER = re.compile(r"[A-Za-z][\w-]*: \S")

#: A line at which ``git am`` takes the message of a mail to be over.
_ENDS = re.compile(r"^(?=---|diff -|Index: )", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who writes a commit."""

    name: str
    email: str

    def __str__(self) -> str:
        """Return ``Name <email>``, as in a trailer."""
        return f"{self.name} <{self.email}>"


def message(
    meta: Metadata,
    *,
    author: Person,
    titles: Mapping[str, str] | None = None,
    signoff: bool = False,
) -> str:
    """Return the message of the commit of a patch.

    *titles* has the other parts of its series by name: upstream knows a commit by its subject.
    Only with *signoff* there is a ``Signed-off-by``, of *author*.
    """
    paragraphs = [" ".join(meta.title.split())]
    body = _named(meta.message.strip() or meta.claim.strip(), titles or {})
    paragraphs += [_filled(part) for part in re.split(r"\n[ \t]*\n", body) if part.strip()]
    paragraphs += _references(meta, body, author)
    if signoff:
        paragraphs.append(f"Signed-off-by: {author}")
    return "\n\n".join(paragraphs) + "\n"


def _named(body: str, titles: Mapping[str, str]) -> str:
    """Return *body* with the quoted subject of each commit instead of its patch's name.

    A name without a dash may be a word of the text. Names in a subject stay.
    """
    named = [re.escape(name) for name in titles if "-" in name]
    if not named:
        return body
    alone = rf"(?<![\w./-])({'|'.join(named)})(?![\w/-]|\.\w)"
    return re.sub(alone, lambda found: f'"{titles[found[1]]}"', body)


def _filled(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if any(map(_KEPT.match, lines)) or all(map(_TRAILER.match, filter(None, lines))):
        filled = paragraph.strip("\n").rstrip()
    else:
        filled = textwrap.fill(
            " ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False
        )
    return _ENDS.sub(" ", filled)


def _references(meta: Metadata, body: str, author: Person) -> list[str]:
    """Return the issue and who is credited; not what *body* has, nor *author*."""
    found = []
    if meta.issue and not re.search(rf"#{meta.issue}\b", body):
        found.append(f"Relates to #{meta.issue}")
    if meta.author and meta.author != author.name:
        found.append(f"Originally by {meta.author}{f': {meta.source}' if meta.source else ''}")
    if meta.credit and meta.credit not in body:
        found.append(_filled(f"Based on the work of {meta.credit}"))
    return found
