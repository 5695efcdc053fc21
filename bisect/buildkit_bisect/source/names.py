"""Rules for refs: which are safe for git, which are releases, which names are near. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from packaging.version import InvalidVersion, Version

from buildkit_bisect import nearest as words_near
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign

_RELEASE = re.compile(r"^v\d+\.\d+\.\d+$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_SHA = re.compile(r"^[0-9a-f]{40}$")
_HEX = re.compile(r"^[0-9a-f]{4,40}$")
_LONGEST = 250
_RANGE = re.compile(r"[\w/.~^@{}-]*[\w}~^]\.{2,3}[\w/.~^@{}-]*", re.ASCII)
_PATTERN = re.compile(r"[\w/.-]*[*?\[][\w/.*?\[\]!-]*", re.ASCII)
_IMAGE = re.compile(r"[\w./-]+/buildkit:(v?\d[\w.-]*|latest|master)", re.ASCII)

_BETWEEN = re.compile(r"(v?\d+\.\d+[\w.]*)-(v?\d+\.\d+[\w.]*)", re.ASCII)
_QUOTES = "'\"`\u2018\u2019\u201c\u201d,;"
_PATH = re.compile(r"(\.{1,2}|~)?/.*")
_FILE = re.compile(r".+\.(sh|bash|py|go)")

#: Abbreviated commit ids in BuildKit have at least this many digits.
_SHORTEST_ID = 7
_KINDS = "a tag, branch, commit id, pr/7107, master~3 or a date such as 2025-09-11"


def checked(ref: str) -> str:
    """Return *ref* without surrounding blanks.

    Raises `BadInput` if git could read it as an option, a range, several commits or a search in
    commit messages.
    """
    ref = ref.strip()
    if ref.startswith(":/") or "^{/" in ref:  # a regular expression, which may use all memory
        raise BadInput(
            f"{ref[:60]!r} is not a revision but a search in commit messages",
            hint="git log --grep TEXT, then the commit's id",
        )
    bad = (
        not ref
        or len(ref) > _LONGEST
        or ref.startswith(("-", ":", "^"))
        or ".." in ref
        or _PATH.fullmatch(ref)
        or any(c.isspace() or not c.isprintable() or c in "\\?*[:" for c in ref)
    )
    if bad:
        raise _not_one(ref)
    if is_date(ref):
        try:
            date.fromisoformat(ref)
        except ValueError as error:
            raise BadInput(f"invalid date {ref!r}: {error}", hint=_KINDS) from None
    return ref


def _not_one(ref: str) -> BadInput:
    """Return the error for a text that git cannot take for one commit, with what it may be."""
    shown = repr(ref[:60])
    if _RANGE.fullmatch(ref):
        return BadInput(
            f"{shown} is not a revision but a range; this takes one revision",
            hint=inv("bisect", ref) if len(ref) <= _LONGEST else _KINDS,
        )
    if _PATTERN.fullmatch(ref):
        return BadInput(
            f"{shown} is not a revision but a pattern; this takes one revision",
            hint=inv("matrix", revs=ref),
        )
    if _PATH.fullmatch(ref) and len(ref) <= _LONGEST:
        return BadInput(f"{shown} is not a revision but a path", hint=_of_path(ref))
    if image := _IMAGE.fullmatch(ref):
        return BadInput(f"{shown} is not a revision but an image", hint=f"{image[1]}")
    return BadInput(f"{shown} is not a revision", hint=_KINDS)


def _of_path(path: str) -> str:
    """Return the options that *path* may have been meant for."""
    return (
        f"{words(Campaign, script=path)}, if it is your test script,"
        f" or {words(Campaign, repo=path)}, if it is a clone"
    )


def is_release(tag: str) -> bool:
    """Whether *tag* is a final release of BuildKit, ``vX.Y.Z``."""
    return bool(_RELEASE.match(tag))


def is_date(ref: str) -> bool:
    """Whether *ref* has the form of a date, ``2025-09-11``."""
    return bool(_DATE.match(ref))


def is_full_sha(ref: str) -> bool:
    """Whether *ref* is a full commit id."""
    return bool(_SHA.match(ref))


def is_hex(ref: str) -> bool:
    """Whether *ref* may be an abbreviated commit id."""
    return bool(_HEX.match(ref))


def version_key(tag: str) -> tuple[int, Version]:
    """Return a key that sorts tags as versions; tags that are not versions come first."""
    try:
        return 1, Version(tag.removeprefix("v"))
    except InvalidVersion:
        return 0, Version("0")


def newest_first(tags: Iterable[str]) -> list[str]:
    """Return *tags* in order of version, newest first."""
    return sorted(tags, key=version_key, reverse=True)


def nearest(
    ref: str, tags: Iterable[str], branches: Iterable[str] = (), *, count: int = 5
) -> list[str]:
    """Return the tags and branches that an unknown *ref* most likely meant.

    Of a version they are those of the same minor release, else its neighbours in time.
    """
    known = newest_first(tags)
    plain = ref.strip(_QUOTES).casefold()
    if exact := [one for one in (*branches, *known) if one.casefold() == plain]:
        return exact
    kind, version = version_key(re.sub(r"\.[xX]$", "", ref))
    if kind:
        same = [t for t in known if version_key(t)[0] and _minor(t) == (*version.release, 0)[:2]]
        if same:
            return same[:count]
        versions = [t for t in known if is_release(t)]
        newer = sum(version_key(t)[1] > version for t in versions)
        around = sorted(range(len(versions)), key=lambda i: abs(i - newer + 0.5))
        return [versions[i] for i in sorted(around[:count])]
    heads = list(branches)
    return (
        words_near.nearest(ref, [*heads, *known])
        or words_near.nearest(ref.rpartition("/")[2], heads)  # another remote's name for it
        or [t for t in known if is_release(t)][:count]
    )


def _minor(tag: str) -> tuple[int, ...]:
    return version_key(tag)[1].release[:2]


def unknown(
    ref: str, tags: Iterable[str], branches: Iterable[str] = (), *, where: str, local: bool = False
) -> BadInput:
    """Return the error for a *ref* that does not exist in *where*, with the nearest names.

    For a commit id or a pull request's number there are none; *local*: *where* is a clone.
    """
    if ref.isdecimal() and len(ref) < _SHORTEST_ID:
        hint = f"pr/{ref}, if you mean the pull request"
    elif is_hex(ref):
        fetch = ["git fetch in the clone"] if local else []
        digits = [] if is_full_sha(ref) else ["all 40 digits of the commit id"]
        hint = ", or ".join([", ".join([*fetch, *digits]), "a tag"]).removeprefix(", or ")
    elif _FILE.fullmatch(ref):
        hint = words(Campaign, script=ref)
    elif two := _BETWEEN.fullmatch(ref):
        hint = f"{two[1]},{two[2]} for both, or {two[1]}..{two[2]} for a range"
    else:
        near = nearest(ref, tags, branches)
        hint = f"one of {', '.join(near)}" if len(near) > 1 else "".join(near)
    return BadInput(f"no revision {ref!r} in {where}", hint=hint)
