"""The shape of a mirror's history: which commits there are, and who contains whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Revision
from buildkit_bisect.source import names
from buildkit_bisect.source.mirror import Mirror
from buildkit_bisect.system.gitcmd import git, hermetic_env, lines, patch_ids

if TYPE_CHECKING:
    from git import Repo

#: Between the fields of what git is asked to print.
SEPARATOR = "\x1f"

_FORMAT = SEPARATOR.join(("%H", "%cI", "%s"))
_BATCH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Contained:
    """Which names lead to a commit."""

    tags: tuple[str, ...]  # oldest version first
    branches: tuple[str, ...]


@dataclass(kw_only=True)
class History:
    """Questions about commits that are in the mirror; commits are named by their ids."""

    mirror: Mirror

    def revisions(self, shas: Sequence[str]) -> list[Revision]:
        """Many commits at once, in the order given; `describe` stays empty, ref is the short id."""
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
                sha, date, subject = line.split(SEPARATOR, 2)
                known[sha] = Revision(ref=sha[:12], sha=sha, date=date, subject=subject)
        return [known[sha] for sha in shas]

    def first_parent_line(self, good: str, bad: str) -> list[str]:
        """Commits of bad's first-parent line that good does not have, oldest first."""
        return self._git("rev-list", "--first-parent", "--reverse", bad, f"^{good}", "--").split()

    def parents(
        self, include: Iterable[str] = (), exclude: Iterable[str] = ()
    ) -> dict[str, tuple[str, ...]]:
        """Commit id -> parent ids, in topological order, children first.

        Commits that *include* (default: every ref) reaches and *exclude* does not; parents may
        lie outside.
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
        """The best common ancestor; None where the histories share nothing."""
        done = git(self.mirror.path, "merge-base", one, other, check=False)
        return done.stdout.strip() or None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether *new* contains *old*; a commit contains itself."""
        done = git(self.mirror.path, "merge-base", "--is-ancestor", old, new, check=False)
        if done.exit not in (0, 1):
            raise InfraFailed(
                f"git merge-base in {self.mirror.path}: {done.tail(1)}",
                hint="./inv clean --cache makes the mirror anew",
            )
        return done.exit == 0

    def contains(self, sha: str) -> Contained:
        """The version tags and the branches that contain a commit."""
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

    def patch_ids(self, shas: Sequence[str]) -> dict[str, str]:
        """Commit id -> stable patch id; cherry-picks share it. Merges and empty ones are absent."""
        if not shas:
            return {}
        out = patch_ids(self.mirror.path, shas)
        return {sha: pid for pid, sha in (line.split() for line in lines(out))}

    def patch_id(self, sha: str) -> str:
        """The stable patch id of one commit; empty for a merge."""
        return self.patch_ids([sha]).get(sha, "")

    def picks(self, sha: str, branches: Iterable[str]) -> dict[str, str]:
        """Branch -> the commit on it that is *sha* again (equal patch id), where there is one.

        Branches that contain *sha* itself are left out, as is everything for a merge.
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
        # Imported late: it costs a tenth of a second, and fails where git is still missing.
        from git import Repo  # noqa: PLC0415

        with Repo(self.mirror.path) as repo:
            # GitPython hands the whole environment down; under a git hook that has a GIT_DIR.
            repo.git.update_environment(
                **hermetic_env(GIT_DIR=str(self.mirror.path), LC_ALL="C.UTF-8")
            )
            yield repo


def branch_name(ref: str) -> str:
    """``refs/heads/NAME`` or ``refs/remotes/origin/NAME`` as people write it."""
    return "/".join(ref.split("/")[2:])
