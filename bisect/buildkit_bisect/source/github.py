"""Addresses on GitHub as people copy them: of repositories, pull requests, commits, tags. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import DEFAULT_REPO

_NAME = r"[A-Za-z0-9_][\w.-]*"
_REPO = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)
_SITE = re.compile(
    r"(?:(?:https?://|ssh://git@|git@)?(?:www\.)?github\.com[/:])(?P<path>[^?#]*)", re.IGNORECASE
)
_PULL = re.compile(r"pull/(\d{1,9})(?:\.diff|\.patch)?(?:/.*)?")
_COMMIT = re.compile(
    r"(?:pull/\d{1,9}/)?(?:commits?|changes)/([0-9a-f]{4,40})(?:\.diff|\.patch)?(?:/.*)?"
)
_REF = re.compile(r"(?:tree|commits|releases/tag)/(.+)")
_ISSUE = re.compile(r"issues/(\d{1,9})(?:/.*)?")
_MODULE = re.compile(
    rf"(?:github\.com/)?{_NAME}/{_NAME}@(v\d[\w.-]{{1,50}}|latest|master)", re.ASCII
)
_COMPARE = re.compile(r"compare/(.+)")
_SHORT = re.compile(
    rf"(?P<repo>{_NAME}/{_NAME})?(?:#(?P<pull>\d{{1,9}})|@(?P<sha>[0-9a-f]{{4,40}}))"
)
_BARE = re.compile(
    r"(?:refs/)?(?:origin/|upstream/)?(?:pr|pull|pulls)[/ ]#?(\d{1,9})(?:/head)?", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """What an address names; without a pull request, commit or ref it is a whole repository."""

    repo: str = ""  # OWNER/NAME; "": the repository in use
    pull: int = 0
    commit: str = ""  # id, perhaps abbreviated
    ref: str = ""  # a tag or branch, or A...B of a comparison


def address(text: str) -> Address | None:
    """Return what *text* names, None if it is not an address or a pull request.

    Pull requests are also ``pr/7107``, ``origin/pr/7107``, ``pull/7107/head``, ``#7107`` and
    ``moby/buildkit#7107``.
    Raises `BadInput` for a page of GitHub that is neither a revision nor a change, and for a
    version of a Go module.
    """
    text = text.strip()
    if bare := _BARE.fullmatch(text):
        return Address(pull=int(bare[1]))
    if short := _SHORT.fullmatch(text):
        if short["pull"]:
            return Address(repo=short["repo"] or "", pull=int(short["pull"]))
        return Address(repo=short["repo"], commit=short["sha"]) if short["repo"] else None
    if module := _MODULE.fullmatch(text):
        raise BadInput(f"{text!r} is not a revision but a version of a Go module", hint=module[1])
    site = _SITE.match(text)
    return _on_site(text, site["path"].strip("/")) if site else None


def _on_site(text: str, path: str) -> Address:
    owner, _, rest = path.partition("/")
    name, _, page = rest.partition("/")
    repo = f"{owner}/{name.removesuffix('.git')}"
    if not _REPO.fullmatch(repo):
        raise BadInput(f"{text[:100]!r} is not a repository on GitHub", hint=_EXAMPLE)
    if not page:
        return Address(repo=repo)
    if found := _COMMIT.fullmatch(page):
        return Address(repo=repo, commit=found[1])
    if found := _PULL.fullmatch(page):
        return Address(repo=repo, pull=int(found[1]))
    if found := _REF.fullmatch(page) or _COMPARE.fullmatch(page):
        return Address(repo=repo, ref=found[1])
    if found := _ISSUE.fullmatch(page):
        raise BadInput(
            f"{repo}#{found[1]} is linked as an issue, not as a pull request or commit",
            hint=f"https://github.com/{repo}/pull/N, or /commit/SHA",
        )
    raise BadInput(f"{text[:100]!r} is neither a pull request nor a commit", hint=_EXAMPLE)


_EXAMPLE = "https://github.com/moby/buildkit/pull/7107, or /commit/SHA"


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """An issue, or one comment of it."""

    repo: str  # OWNER/NAME
    number: int
    comment: int = 0

    @property
    def page(self) -> str:
        """The address of the issue's page."""
        return f"https://github.com/{self.repo}/issues/{self.number}"

    @property
    def data(self) -> str:
        """The address of the text, as JSON."""
        place = f"comments/{self.comment}" if self.comment else str(self.number)
        return f"{_API}/repos/{self.repo}/issues/{place}"


_API = "https://api.github.com"
_COMMENTED = re.compile(r"#issuecomment-(\d{1,19})")
_NUMBERED = re.compile(r"(?:issues|pull)/(\d{1,9})(?:/.*)?")
_SHORT_ISSUE = re.compile(rf"({_NAME}/{_NAME})#(\d{{1,9}})", re.ASCII)


def issue(text: str) -> Issue | None:
    """Return the issue, pull request or comment that *text* names; None if it names none.

    *text* is the address of its page, or ``moby/buildkit#6893``.
    """
    text = text.strip()
    if short := _SHORT_ISSUE.fullmatch(text):
        return Issue(repo=short[1], number=int(short[2]))
    site = _SITE.match(text)
    owner, _, rest = (site["path"] if site else "").partition("/")
    name, _, page = rest.partition("/")
    found = _NUMBERED.fullmatch(page.rstrip("/"))
    if not found or not _REPO.fullmatch(f"{owner}/{name}"):
        return None
    comment = _COMMENTED.search(text)
    return Issue(
        repo=f"{owner}/{name}", number=int(found[1]), comment=int(comment[1]) if comment else 0
    )


def is_repository(text: str) -> bool:
    """Whether *text* has the form ``OWNER/NAME``."""
    return bool(_REPO.fullmatch(text)) and not text.startswith(".")


def clone_url(repo: str) -> str:
    """Return the URL from which git clones ``OWNER/NAME``."""
    return f"https://github.com/{repo}.git"


def owner_and_name(url: str) -> str:
    """Return ``OWNER/NAME`` of a clone URL on GitHub; "" for any other repository."""
    site = _SITE.match(url)
    path = site["path"].strip("/").removesuffix(".git") if site else ""
    return path if _REPO.fullmatch(path) else ""


def is_upstream(repo: str) -> bool:
    """Whether *repo* is ``moby/buildkit``, on GitHub or in a mirror of it elsewhere."""
    return bool(_UPSTREAM.fullmatch(repo))


_UPSTREAM = re.compile(r"(?:.*[/:])?moby/buildkit(?:\.git)?/?", re.IGNORECASE)

#: The repository in which pull requests are made.
UPSTREAM = owner_and_name(DEFAULT_REPO)
