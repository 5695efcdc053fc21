"""The commit graph of a mirror: revisions, ancestry, and the tags and branches of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import inv
from buildkit_bisect.source import names
from buildkit_bisect.source.changes import MARK, Changes, parse_files, parse_functions
from buildkit_bisect.source.mirror import Mirror
from buildkit_bisect.system.gitcmd import git, hermetic_env, lines, patch_ids
from buildkit_bisect.system.process import ProcessError

if TYPE_CHECKING:
    from git import Repo

#: Separates the fields in git's output.
SEPARATOR = "\x1f"

_FORMAT = SEPARATOR.join(("%H", "%cI", "%aN", "%s"))
_BATCH = 500

#: Names of files as they are.
_PLAIN = ("-c", "core.quotePath=false")

#: Commits whose patches are read at once: a patch is larger than a line.
_PATCHES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Contained:
    """The tags and branches that contain a commit."""

    tags: tuple[str, ...]  # oldest version first
    branches: tuple[str, ...]


@dataclass(kw_only=True)
class History:
    """Queries about commits in the mirror; commits are given by their full ids."""

    mirror: Mirror

    def revisions(self, shas: Sequence[str]) -> list[Revision]:
        """Return the revisions of *shas*, in order; `describe` is empty, ref is the short id."""
        if not shas:
            return []
        known = {}
        for start in range(0, len(shas), _BATCH):
            out = self._git(
                *("log", "--no-walk=unsorted", f"--format={_FORMAT}"),
                *shas[start : start + _BATCH],
                "--",
            )
            for line in lines(out):
                sha, date, author, subject = line.split(SEPARATOR, 3)
                known[sha] = Revision(
                    ref=sha[:12], sha=sha, date=date, subject=subject, author=author
                )
        return [known[sha] for sha in shas]

    def first_parent_line(self, good: str, bad: str) -> list[str]:
        """Return the commits of bad's first-parent line that good does not have, oldest first."""
        return self._git("rev-list", "--first-parent", "--reverse", bad, f"^{good}", "--").split()

    def parents(
        self, include: Iterable[str] = (), exclude: Iterable[str] = ()
    ) -> dict[str, tuple[str, ...]]:
        """Return commit id -> parent ids, in topological order, children first.

        Commits are those reachable from *include* (default: every ref) but not from *exclude*;
        parents may be outside.
        """
        out = self._git(
            *("rev-list", "--topo-order", "--parents"),
            *(list(include) or ["--all"]),
            *(f"^{sha}" for sha in exclude),
            "--",
        )
        rows = (line.split() for line in lines(out))
        return {row[0]: tuple(row[1:]) for row in rows}

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor; None if the histories are unrelated."""
        done = git(self.mirror.path, "merge-base", one, other, check=False)
        return done.stdout.strip() or None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether *new* contains *old*; a commit contains itself."""
        done = git(self.mirror.path, "merge-base", "--is-ancestor", old, new, check=False)
        if done.exit not in (0, 1):
            raise InfraFailed(
                f"git merge-base in {self.mirror.path}: {done.tail(1)}",
                hint=f"{inv('clean', cache=True)} (recreates the mirror)",
            )
        return done.exit == 0

    def contains(self, sha: str) -> Contained:
        """Return the version tags and the branches that contain a commit."""
        out = self._git("for-each-ref", "--contains", sha, "--format=%(refname)")
        refs = lines(out)
        tags = [r.removeprefix("refs/tags/") for r in refs if r.startswith("refs/tags/v")]
        heads = [
            branch_name(r)
            for r in refs
            if r.startswith(("refs/heads/", "refs/remotes/")) and not r.endswith("/HEAD")
        ]
        return Contained(
            tags=tuple(reversed(names.newest_first(tags))), branches=tuple(sorted(heads))
        )

    def changes(self, shas: Sequence[str]) -> dict[str, Changes]:
        """Return commit id -> what it changes; of a merge, what differs from all parents."""
        files: dict[str, frozenset[str]] = {}
        functions: dict[str, frozenset[str]] = {}
        for start in range(0, len(shas), _PATCHES):
            some = ("--no-walk=unsorted", f"--format=%x{ord(MARK):02x}%H", "--no-ext-diff")
            batch = shas[start : start + _PATCHES]
            named = self._git(*_PLAIN, "log", *some, "-c", "--name-only", *batch, "--")
            files.update(parse_files(named))
            shown = git(
                self.mirror.path,
                *(*_PLAIN, "log", *some, "--cc", "--patch", "--unified=0", *batch),
                *("--", "*.go", ":(exclude)vendor", ":(exclude)*_test.go", ":(exclude)*.pb.go"),
                GIT_LITERAL_PATHSPECS="0",
            )
            functions.update(parse_functions(shown.stdout))
        none: frozenset[str] = frozenset()
        return {
            sha: Changes(files=files.get(sha, none), functions=functions.get(sha, none))
            for sha in shas
        }

    def patch_ids(self, shas: Sequence[str]) -> dict[str, str]:
        """Return commit id -> stable patch id, without merges and empty commits.

        Cherry-picks have the same patch id.
        """
        if not shas:
            return {}
        try:
            out = patch_ids(self.mirror.path, shas)
        except ProcessError as error:
            raise InfraFailed(
                f"cannot compute patch ids: {error.message}",
                hint=f"{inv('clean', cache=True)} (recreates the mirror)",
            ) from error
        return {sha: pid for pid, sha in (line.split() for line in lines(out))}

    def patch_id(self, sha: str) -> str:
        """Return the stable patch id of a commit; "" for a merge."""
        return self.patch_ids([sha]).get(sha, "")

    def picks(self, sha: str, branches: Iterable[str]) -> dict[str, str]:
        """Return branch -> the cherry-pick of *sha* on it (equal patch id), if there is one.

        Branches that contain *sha* itself are left out; a merge has no cherry-picks.
        """
        wanted = self.patch_id(sha)
        if not wanted:
            return {}
        shown = self._git("diff-tree", "--no-commit-id", "--name-only", "-z", "-r", "--root", sha)
        files = [name for name in shown.split("\0") if name]
        found = {}
        for branch in branches:
            touching = ("rev-list", "--no-merges", branch, f"^{sha}", "--", *files)
            ids = self.patch_ids(self._git(*touching).split())
            same = [commit for commit, patch in ids.items() if patch == wanted]
            if same:
                found[branch] = same[0]
        return found

    def _git(self, *args: str) -> str:
        return git(self.mirror.path, *args).stdout

    @contextmanager
    def _repo(self) -> Iterator[Repo]:
        # Imported late: it takes a tenth of a second, and fails if git is not installed.
        from git import Repo  # noqa: PLC0415

        with Repo(self.mirror.path) as repo:
            # GitPython passes on the whole environment, which in a git hook contains GIT_DIR.
            repo.git.update_environment(
                **hermetic_env(GIT_DIR=str(self.mirror.path), LC_ALL="C.UTF-8")
            )
            yield repo


def branch_name(ref: str) -> str:
    """Return the short name of ``refs/heads/NAME`` or ``refs/remotes/origin/NAME``."""
    return "/".join(ref.split("/")[2:])
