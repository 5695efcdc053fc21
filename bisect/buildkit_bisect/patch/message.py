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

    A name without a dash may be a word of the text.
    """
    for name, title in titles.items():
        if "-" not in name:
            continue
        alone = rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)"
        quoted = f'"{title}"'.replace("\\", r"\\")  # as a template of re.sub
        body = re.sub(alone, quoted, body)
    return body


def _filled(paragraph: str) -> str:
    if any(_KEPT.match(line) for line in paragraph.splitlines()):
        return paragraph.rstrip()
    return textwrap.fill(
        " ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False
    )


def _references(meta: Metadata, body: str, author: Person) -> list[str]:
    """Return the issue and the credit, unless *body* has them, or *author* is who is credited."""
    found = []
    if meta.issue and not re.search(rf"#{meta.issue}\b", body):
        found.append(f"Relates to #{meta.issue}")
    if meta.author and meta.author != author.name:
        found.append(f"Originally by {meta.author}{f': {meta.source}' if meta.source else ''}")
    return found
