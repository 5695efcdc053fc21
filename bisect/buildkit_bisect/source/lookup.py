"""Finds the commit that a user names in the mirror, and fetches it if it is not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import elsewhere, forms, github, names, upstream
from buildkit_bisect.source.commits import SEPARATOR, History, branch_name
from buildkit_bisect.source.github import Address
from buildkit_bisect.source.mirror import Unreachable
from buildkit_bisect.system.gitcmd import lines

#: A remote's branches may move; after this many seconds the mirror is fetched again.
STALE = 24 * 3600.0

#: Git's short name of HEAD.
_AT = re.compile(r"^@(?=$|[~^])")


@dataclass(kw_only=True)
class Lookup(History):
    """Names of commits in the mirror of one repository."""

    say: Callable[[str], None] = lambda _: None
    _fresh: bool = field(default=False, repr=False)
    _warned: set[str] = field(default_factory=set, repr=False)  # branches, and other names of refs
    _pulls: dict[Address, str] = field(default_factory=dict, repr=False)
    _ids: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def where(self) -> str:
        """The repository, for messages."""
        return self.mirror.repo

    def resolve(self, ref: str) -> Revision:
        """Return the commit of a tag, branch, id, ``master~3``, date, pull request or GitHub page.

        A ref that exists is that ref; else ``0.26.0``, ``main``, ``latest`` and ``v0.26.x`` name
        what they mean. The mirror is fetched if it does not have the ref, or if a branch may have
        moved. Raises `BadInput` with the nearest names, or with the candidates of an ambiguous id.
        """
        (found,) = self.resolve_all([ref])
        return found

    def resolve_all(self, refs: Sequence[str]) -> list[Revision]:
        """Return what `resolve` does for each of *refs*.

        All releases together take three git processes; any other ref takes four or more.
        """
        asked = [ref for ref in dict.fromkeys(refs) if names.is_release(ref) and ref == ref.strip()]
        # A branch with the name of a release may be behind its remote's.
        there = self.mirror.commits([*asked, *(f"refs/heads/{ref}" for ref in asked)])
        plain = [ref for ref in asked if ref in there and f"refs/heads/{ref}" not in there]
        found = dict(zip(plain, self.described([there[ref] for ref in plain]), strict=True))
        return [
            replace(found[ref], ref=ref) if ref in found else self._resolved(ref) for ref in refs
        ]

    def _resolved(self, ref: str) -> Revision:
        base, suffix = forms.split(ref.strip())
        address = github.address(base)
        if address and not self._is_branch(base):
            return self._before(self._at(address, base), suffix)
        ref = _AT.sub("HEAD", names.checked(ref))
        if names.is_date(ref):
            return self.revision(self._on_day(ref), ref=ref)
        name, sha = self._commit(ref)
        self._warn_if_behind(name)
        return self.revision(sha, ref=name)

    def known_id(self, commit: str) -> str:
        """Return the full id of a commit that a patch names; "" if the repository has none.

        It is looked up once: a table of patches asks for each revision and patch.
        """
        if commit not in self._ids:
            whole = names.is_full_sha(commit)
            try:
                self._ids[commit] = self._looked_up(commit) if whole else self.resolve(commit).sha
            except BisectError:
                self._ids[commit] = ""
        return self._ids[commit]

    def _before(self, revision: Revision, suffix: str) -> Revision:
        """Return the commit of *revision* with a suffix such as ``~1``."""
        if not suffix:
            return revision
        ref = f"{revision.ref}{suffix}"
        sha = self.mirror.commit(names.checked(f"{revision.sha}{suffix}"))
        if not sha:
            raise names.unknown(ref, (), where=self.where)
        return self.revision(sha, ref=ref)

    def _is_branch(self, name: str) -> bool:
        """Whether the repository has a branch of this name, its own or a remote's."""
        return any(self.mirror.commit(f"refs/{kind}/{name}") for kind in ("heads", "remotes"))

    def _at(self, address: Address, given: str) -> Revision:
        """Return the revision at an *address*; raises `BadInput` for a whole repository."""
        if address.pull:
            if address not in self._pulls:
                self._pulls[address] = elsewhere.pull(self.mirror, address, self.say)
            own = not address.repo or not elsewhere.is_elsewhere(self.mirror, address)
            ref = f"pull/{address.pull}" if own else f"{address.repo}#{address.pull}"
            return self.revision(self._pulls[address], ref=ref)
        if not (address.commit or address.ref):
            raise BadInput(
                f"{given[:100]!r} is a repository, not a revision", hint=words(Building, repo=given)
            )
        if not elsewhere.is_elsewhere(self.mirror, address):
            return self.resolve(address.commit or address.ref)
        sha = elsewhere.commit_of(self.mirror, address, self.say)
        name = address.commit[:12] or f"{address.repo.partition('/')[0]}/{address.ref}"
        return self.revision(sha, ref=name)

    def refresh(self, *, must: bool = True) -> None:
        """Fetch every branch and tag; raises `Unreachable`, or only warns unless *must*."""
        try:
            self.mirror.fetch(say=self.say)
            self._fresh = True
        except Unreachable as err:
            if must:
                raise
            self._fresh = True  # an immediate retry would fail too
            self.say(f"{err.message}; using the mirror as last fetched")

    def revision(self, sha: str, *, ref: str = "") -> Revision:
        """Return the revision of a commit in the mirror; *ref* is its name in reports."""
        (found,) = self.described([sha])
        return replace(found, ref=ref or found.ref)

    def described(self, shas: Sequence[str]) -> list[Revision]:
        """Return the revisions of *shas* with their `describe`; ref is the short id."""
        if not shas:
            return []
        described = self._git(
            *("describe", "--tags", "--always", "--abbrev=12", "--match=v[0-9]*", *shas)
        )
        return [
            replace(revision, describe=name)
            for revision, name in zip(self.revisions(shas), lines(described), strict=True)
        ]

    def releases(self) -> list[Revision]:
        """Return the final releases ``vX.Y.Z``, newest version first."""
        if self.mirror.local and not self._fresh:
            self.refresh(must=False)
        out = self._git(
            *("for-each-ref", "--format=%(refname:strip=2)%1f%(objectname)%1f%(*objectname)%1f"),
            "refs/tags/v*",
        )
        commits = {}
        for line in lines(out):
            tag, sha, peeled, _ = line.split(SEPARATOR)
            if names.is_release(tag):
                commits[tag] = peeled or sha
        order = names.newest_first(commits)
        found = self.revisions([commits[tag] for tag in order])
        return [replace(r, ref=tag, describe=tag) for tag, r in zip(order, found, strict=True)]

    def tags(self) -> list[str]:
        """Return every tag that is a version of BuildKit."""
        out = self._git("for-each-ref", "--format=%(refname:strip=2)", "refs/tags")
        return [tag for tag in lines(out) if names.version_key(tag)[0]]

    def release_branches(self) -> dict[tuple[int, int], str]:
        """Return minor version -> the name of upstream's release branch, oldest first."""
        out = self._git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
        found = upstream.release_branches(lines(out), upstream.remotes(self.mirror))
        return {minor: branch_name(ref) for minor, ref in found.items()}

    def default_branch(self) -> str:
        """Return the full name of upstream's main branch, on which dates are resolved."""
        # In the mirror a remote's HEAD is not symbolic: a fetch stores its commit.
        theirs = [
            f"refs/remotes/{remote}/{name}"
            for remote in self._remotes()
            for name in ("master", "main", "HEAD")
        ]
        head = self.mirror.query("rev-parse", "--symbolic-full-name", "HEAD")
        own = ("refs/heads/master", "refs/heads/main", head, "HEAD")
        there = [name for name in (*theirs, *own) if name and self.mirror.commit(name)]
        if not there:
            raise BadInput(f"{self.where} has no branch", hint=words(Building, repo="PATH_OR_URL"))
        # Not the clone's own branches: local work puts them ahead of upstream's.
        self._warn_if_stale(there[0], [name for name in there[1:] if name in theirs])
        return there[0]

    def _remotes(self) -> list[str]:
        """Return the remotes whose branches a ref without a remote's name may mean, in order."""
        return list(dict.fromkeys([*upstream.remotes(self.mirror), "origin"]))

    def _warn_if_stale(self, chosen: str, others: Iterable[str]) -> None:
        """Warn once if *chosen* is an ancestor of one of *others*: it was not fetched lately."""
        if not self.mirror.local or chosen in self._warned:
            return
        self._warned.add(chosen)
        for other in others:
            if (behind := self._behind(chosen, other)) and self.is_ancestor(chosen, other):
                name, newer = branch_name(chosen), branch_name(other)
                self.say(f"{name}, used as upstream's branch, is {_commits(behind)} behind {newer}")
                return

    def _warn_if_behind(self, ref: str) -> None:
        """Warn once for each of the clone's own branches that is behind its remote's.

        The user asked for the clone's own ``master``, which may be years behind upstream's.
        """
        name = (
            re.split(r"[~^]|@\{", ref, maxsplit=1)[0].removeprefix("refs/").removeprefix("heads/")
        )
        if not self.mirror.local or name in self._warned:
            return
        self._warned.add(name)
        own = self.mirror.commit(f"refs/heads/{name}")
        if not own or self.mirror.commit(name) != own:
            return
        for remote in self._remotes():
            theirs = f"refs/remotes/{remote}/{name}"
            if self.mirror.commit(theirs):
                if behind := self._behind(own, theirs):
                    what = f"{_commits(behind)} behind {remote}/{name}"
                    self.say(f"{name} is the clone's own branch and is {what}")
                return

    def _behind(self, one: str, other: str) -> int:
        """Return the number of commits in *other* that are not in *one*."""
        return int(self._git("rev-list", "--count", other, f"^{one}", "--"))

    def _commit(self, ref: str) -> tuple[str, str]:
        """Return the name that *ref* has in the repository, and its commit id."""
        name = ref if self._parse(ref) else self._synonym(ref)
        if name != ref and (found := self._looked_up(name)):
            self._say_synonym(ref, name)
            return name, found
        if found := self._looked_up(ref):
            return ref, found
        # The fetch may have brought it.
        name = self._synonym(ref)
        if name != ref and (found := self._parse(name)):
            self._say_synonym(ref, name)
            return name, found
        raise names.unknown(
            ref, self.tags(), self._branches(), where=self.where, local=self.mirror.local
        )

    def _synonym(self, ref: str) -> str:
        """Return the first other name of *ref* that exists; *ref* itself if none does."""

        def releases() -> list[str]:
            if not self._fresh and not self.mirror.local and self.mirror.age() > STALE:
                self.refresh(must=False)
            return [release.ref for release in self.releases()]

        other = (name for name in forms.synonyms(ref, releases) if self._parse(name))
        return next(other, ref)

    def _say_synonym(self, ref: str, name: str) -> None:
        # Not for 0.26.0: it cannot be anything else.
        if f"v{ref}" != name and ref not in self._warned:
            self._warned.add(ref)
            self.say(f"{ref} is {name}")

    def _branches(self) -> list[str]:
        out = self._git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
        return [branch_name(ref) for ref in lines(out) if not ref.endswith("/HEAD")]

    def _looked_up(self, ref: str) -> str:
        """Return the commit id of *ref*, fetched if it may have moved; "" if there is none."""
        if re.split("[~^]", ref, maxsplit=1)[0] == "HEAD":
            # The mirror's own HEAD is from the time of the clone.
            self._try_fetch(f"+HEAD:{elsewhere.OURS}/HEAD")
            ref = ref.replace("HEAD", f"{elsewhere.OURS}/HEAD", 1)
        found = self._parse(ref)
        if found and not self._may_have_moved(ref, found):
            return found
        if not self._fresh:
            self.refresh(must=False)
            found = self._parse(ref)
        if not found and self._fetch_special(ref):
            found = self._parse(_special_name(ref))
        return found

    def _parse(self, ref: str) -> str:
        """Return the commit id or ""; raises `BadInput` if an abbreviated id is ambiguous."""
        if found := self.mirror.commit(ref):
            return found
        if names.is_full_sha(ref):
            return ""  # nothing else is called that
        for remote in self._remotes():
            if found := self.mirror.commit(f"refs/remotes/{remote}/{ref}"):
                return found
        if names.is_hex(ref):
            some = self.mirror.query("rev-parse", f"--disambiguate={ref}").split()
            commits = [s for s in some if self.mirror.query("cat-file", "-t", s) == "commit"]
            if len(commits) > 1:
                raise BadInput(
                    f"{ref!r} is ambiguous: {len(commits)} commit ids start with it",
                    hint=f"one of {', '.join(c[:12] for c in commits[:5])}",
                )
        return ""

    def _may_have_moved(self, ref: str, sha: str) -> bool:
        if self._fresh or names.is_release(ref) or sha.startswith(ref):
            return False
        return self.mirror.local or self.mirror.age() > STALE

    def _fetch_special(self, ref: str) -> bool:
        """Fetch a single commit that no branch or tag contains, or ``pull/N/merge``."""
        if names.is_full_sha(ref):
            return self._try_fetch(f"+{ref}:{_special_name(ref)}")
        if ref.startswith("pull/"):
            return self._try_fetch(f"+refs/{ref}:refs/{ref}")
        return False

    def _try_fetch(self, refspec: str) -> bool:
        try:
            self.mirror.fetch(refspec, say=self.say)
        except Unreachable:
            return False
        return True

    def _on_day(self, day: str) -> str:
        if not self._fresh and (self.mirror.local or self.mirror.age() > STALE):
            self.refresh(must=False)
        branch = self.default_branch()
        sha = self._git(
            *("rev-list", "-1", "--first-parent", f"--before={day}T23:59:59Z", branch, "--")
        ).strip()
        if not sha:
            raise BadInput(
                f"{self.where} has no commit on or before {day}", hint="a later date, or a tag"
            )
        return sha


def _commits(count: int) -> str:
    return f"{count} commit" if count == 1 else f"{count} commits"


def _special_name(ref: str) -> str:
    return f"refs/{ref}" if ref.startswith("pull/") else f"{elsewhere.OURS}/{ref}"
