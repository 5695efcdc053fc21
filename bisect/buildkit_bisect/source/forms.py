"""Other ways to name a revision: 0.26.0, main, latest, v0.26.x, patterns and ranges. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import inv
from buildkit_bisect.source import github, names

#: The newest release.
LATEST = "latest"

#: A pattern that matches more tags than this is refused: each one is a build.
MOST = 40

_MAIN = ("master", "main")
_REMOTES = ("origin", "upstream")
_BARE_VERSION = re.compile(r"\d+\.\d+(?:\.\w[\w.-]*)?", re.ASCII)
_MINOR = re.compile(r"v?(\d+)\.(\d+)(?:\.[xX])?", re.ASCII)
_SUFFIX = re.compile(r"(?=[~^]|@\{)")
_ENDS = re.compile(r"(.+?)\.{2,3}(.*)")
_WILD = re.compile(r"[*?\[]|\.[xX]$")


def split(ref: str) -> tuple[str, str]:
    """Return *ref* without its suffix, and the suffix: ``~3``, ``^2`` or ``@{...}``; or ""."""
    base, *rest = _SUFFIX.split(ref, maxsplit=1)
    return base, "".join(rest)


def synonyms(ref: str, releases: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield other names for *ref*, for when it does not exist, likeliest first.

    *releases* returns final releases; a suffix such as ``~3`` stays.
    """
    base, suffix = split(ref)
    if base == "@":
        yield f"HEAD{suffix}"
    if _BARE_VERSION.fullmatch(base):
        yield f"v{base}{suffix}"
    if base in _MAIN:
        yield from (f"{name}{suffix}" for name in _MAIN if name != base)
    if base == LATEST or _MINOR.fullmatch(base):
        yield from (f"{tag}{suffix}" for tag in _newest(base, releases()))
    remote, _, branch = base.partition("/")
    if branch and remote in _REMOTES:
        yield f"{branch}{suffix}"


def _newest(base: str, releases: Iterable[str]) -> list[str]:
    """Return the newest release, of the minor release *base* unless it is ``latest``."""
    minor = _MINOR.fullmatch(base)
    tags = [tag for tag in releases if names.is_release(tag)]
    if minor:
        tags = [tag for tag in tags if tag.startswith(f"v{minor[1]}.{minor[2]}.")]
    return names.newest_first(tags)[:1]


def is_pattern(text: str) -> bool:
    """Whether *text* is a pattern for tags: ``v0.2[4-9].*``, or ``v0.2?.x``."""
    return bool(_WILD.search(text)) and "{" not in text and not text.startswith("-")


def matching(pattern: str, tags: Iterable[str]) -> list[str]:
    """Return the *tags* that match *pattern*, oldest first, as in ``git tag --list``.

    Only final releases, unless the pattern has a dash (``v0.26.0-rc*``); ``.x`` at the end means
    the newest patch release of each minor release. Raises `BadInput` for none, and for more than
    `MOST`.
    """
    known = list(tags)
    newest = re.search(r"\.[xX]$", pattern)
    plain = f"{pattern[:-2]}.*" if newest else pattern
    candidates = "-" in re.sub(r"\[[^]]*\]", "", pattern)
    plain = plain if plain.startswith(("v", "*", "[", "?")) else f"v{plain}"
    found = [
        tag
        for tag in reversed(names.newest_first(known))
        if fnmatch.fnmatchcase(tag, plain) and (candidates or names.is_release(tag))
    ]
    if newest:
        found = list({tag.rpartition(".")[0]: tag for tag in found}.values())
    if not found:
        newest_tags = [t for t in names.newest_first(known) if names.is_release(t)][:3]
        raise BadInput(
            f"no release matches {pattern!r}",
            hint=f"'v0.2[4-9].x'; the newest are {', '.join(newest_tags) or 'none'}",
        )
    if len(found) > MOST:
        raise BadInput(
            f"{len(found)} releases match {pattern!r}; at most {MOST} are taken",
            hint=f"{pattern.removesuffix('.*')}.x" if pattern.endswith(".*") else "'v0.2[4-9].x'",
        )
    return found


def expanded(ref: str, tags: Callable[[], Iterable[str]], say: Callable[[str], None]) -> list[str]:
    """Return *ref*, or the *tags* that it matches if it is a pattern; *say* then gets them.

    Raises `BadInput` as `matching`.
    """
    if not is_pattern(ref):
        return [ref]
    found = matching(ref, tags())
    say(f"{ref}: {', '.join(found)}")
    return found


def ends(text: str) -> tuple[str, str] | None:
    """Return both ends of ``A..B``, ``A...B`` or GitHub's compare page; None for anything else.

    Without B it is HEAD, as for git. Raises `BadInput` without A.
    """
    page = github.address(text) if "/compare/" in text else None
    text = page.ref if page else text.strip()
    found = _ENDS.fullmatch(text) if ".." in text and "../" not in text else None
    if text.startswith("..") and not text.startswith("../"):
        raise BadInput(f"the range {text!r} has no older end", hint=inv("bisect", f"v0.24.0{text}"))
    return (found[1], found[2] or "HEAD") if found else None
