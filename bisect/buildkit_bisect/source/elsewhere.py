"""Fetches what no branch or tag of the repository has: pull requests, and commits of forks.

All of it goes into our mirror; the user's clone stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import github, names
from buildkit_bisect.source.github import Address
from buildkit_bisect.source.mirror import Mirror, NoSuchRef, Unreachable
from buildkit_bisect.system.gitcmd import git, lines

#: Our refs in the mirror.
OURS = "refs/bkbisect"

Say = Callable[[str], None]


def pull(mirror: Mirror, address: Address, say: Say) -> str:
    """Return the newest commit of a pull request.

    It is fetched from the repository, or for a clone without it from GitHub. If that fails, the
    commit fetched before is used, with a warning. Raises `BadInput` if there is no such pull
    request, `InfraFailed` if it cannot be fetched.
    """
    number = address.pull
    if not _is_own(mirror, address.repo):
        return _fetched(mirror, address.repo, number, say)
    ref = f"refs/pull/{number}/head"
    try:
        mirror.fetch(f"+{ref}:{ref}", say=say)
    except NoSuchRef:
        if not mirror.local:
            raise _no_pull(number, mirror.repo) from None
        # A clone whose configuration fetches pull requests has them among a remote's branches.
        return _of_remotes(mirror, number) or _fetched(mirror, github.UPSTREAM, number, say)
    except Unreachable as error:
        return _as_before(mirror, ref, number, error, say)
    return mirror.commit(ref)


def commit_of(mirror: Mirror, address: Address, say: Say) -> str:
    """Return the commit of an *address* in another repository on GitHub: an id or a branch.

    Raises `BadInput` if it does not exist there, `InfraFailed` if it cannot be fetched.
    """
    if address.commit and (known := mirror.commit(address.commit)):
        return known
    if address.commit and not names.is_full_sha(address.commit):
        raise BadInput(
            f"no commit {address.commit} in {mirror.repo}",
            hint="all 40 digits of the commit id, to fetch it from GitHub",
        )
    url = github.clone_url(address.repo)
    ref = names.checked(address.commit or address.ref)
    target = f"{OURS}/{address.repo}/{ref}"
    wanted = [ref] if address.commit else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    say(f"fetching {ref[:40]} from {url}")
    for name in wanted:
        try:
            mirror.fetch(f"+{name}:{target}", url=url, say=say)
        except NoSuchRef:
            continue
        except Unreachable as error:
            raise _not_fetched(ref[:40], error) from None
        return mirror.commit(target)
    raise BadInput(f"no revision {ref[:60]!r} in {url}", hint="a branch, tag or full commit id")


def is_elsewhere(mirror: Mirror, address: Address) -> bool:
    """Whether *address* is in another repository than the mirror's and upstream."""
    return not _is_own(mirror, address.repo)


def _is_own(mirror: Mirror, repo: str) -> bool:
    """Whether *repo* is the mirror's own repository; a clone's is upstream."""
    own = github.owner_and_name(mirror.repo) or github.UPSTREAM
    return not repo or repo.lower() == own.lower()


def _fetched(mirror: Mirror, repo: str, number: int, say: Say) -> str:
    """Return a pull request's commit, fetched from *repo* on GitHub."""
    url = github.clone_url(repo)
    target = f"{OURS}/{repo}/pull/{number}"
    say(f"fetching pull request {number} from {url}")
    try:
        mirror.fetch(f"+refs/pull/{number}/head:{target}", url=url, say=say)
    except NoSuchRef:
        raise _no_pull(number, url) from None
    except Unreachable as error:
        return _as_before(mirror, target, number, error, say)
    return mirror.commit(target)


def _as_before(mirror: Mirror, ref: str, number: int, error: Unreachable, say: Say) -> str:
    known = mirror.commit(ref)
    if not known:
        raise _not_fetched(f"pull request {number}", error, number=number, mirror=mirror) from None
    say(f"{error.message}; using pull request {number} as last fetched, {known[:12]}")
    return known


def _of_remotes(mirror: Mirror, number: int) -> str:
    """Return the commit of ``refs/remotes/REMOTE/pr/N``, or ``pull/N``; "" if there is none."""
    out = git(
        mirror.path,
        *("for-each-ref", "--sort=-committerdate", "--format=%(objectname)"),
        *(f"refs/remotes/*/{name}/{number}" for name in ("pr", "pull")),
        f"refs/remotes/*/pull/{number}/head",
    ).stdout
    return next(iter(lines(out)), "")


def _no_pull(number: int, where: str) -> BadInput:
    repo = github.owner_and_name(where)
    also = f"; if {number} is an issue: gh issue view {number} -R {repo}" if repo else ""
    return BadInput(
        f"no pull request {number} in {where}",
        hint=f"the number of a pull request of that repository{also}",
    )


def _not_fetched(
    what: str, error: Unreachable, *, number: int = 0, mirror: Mirror | None = None
) -> InfraFailed:
    fetch = f"git fetch origin pull/{number}/head:pr-{number}"
    hint = (
        f"{fetch} in the clone, then pr-{number} instead"
        if number and mirror and mirror.local
        else f"the same again with a network, or {words(Building, repo='PATH')} of a clone"
    )
    return InfraFailed(f"{what}: {error.message}", hint=hint)
