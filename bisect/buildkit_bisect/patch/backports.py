"""Where patches apply: every minor release branch and the main line, without a build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BisectError
from buildkit_bisect.model import Revision
from buildkit_bisect.patch.patches import Patch, PatchFailed
from buildkit_bisect.result import FitState
from buildkit_bisect.source import GitSource
from buildkit_bisect.source.commits import branch_name
from buildkit_bisect.system import gitcmd, paths

#: The first minor release of the table.
SINCE = (0, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Whether patches apply to one revision."""

    ref: str
    sha: str
    state: FitState
    detail: str = ""


def lines(source: GitSource) -> list[Revision]:
    """The tip of every minor release branch since v0.20, oldest first, then the main line.

    A minor release whose branch the repository does not have stands for itself by its newest tag.
    """
    found: dict[tuple[int, int], str] = {}
    for release in source.releases():
        found.setdefault(_minor(release.ref), release.ref)
    found |= source.release_branches()
    refs = [found[minor] for minor in sorted(found) if minor >= SINCE]
    return [source.resolve(ref) for ref in [*refs, main_line(source)]]


def main_line(source: GitSource) -> str:
    """The name of upstream's main branch here: ``master``, or ``origin/master``."""
    return branch_name(source.default_branch())


def _minor(tag: str) -> tuple[int, int]:
    major, minor, *_ = tag.removeprefix("v").split(".")
    return int(major), int(minor)


def table(source: GitSource, revisions: Sequence[Revision], chosen: Sequence[Patch]) -> list[Fit]:
    """Whether *chosen* apply, in order, to each of *revisions*."""
    return [fit(source, revision, chosen) for revision in revisions]


def fit(source: GitSource, revision: Revision, chosen: Sequence[Patch]) -> Fit:
    """Whether *chosen* apply, in order, to *revision*; patches that are there are passed over."""

    def told(state: FitState, detail: str = "") -> Fit:
        return Fit(ref=revision.ref, sha=revision.sha, state=state, detail=detail)

    there, used = [], []
    with touched(source, revision, chosen) as tree:
        for patch in chosen:
            try:
                name = patch.apply(tree)
            except PatchFailed as failed:
                if not failed.already:
                    reason = failed.message
                    if len(chosen) == 1:
                        reason = reason.removeprefix(f"{patch.name} does not apply: ")
                    said = [_lacking(source, revision, [patch]), f"{reason}{_fuzz(tree, patch)}"]
                    return told(FitState.CONFLICTS, "; ".join(filter(None, said)))
                there.append(patch.name)
            else:
                used += [name] if len(patch.diffs) > 1 else []
    if len(there) == len(chosen):
        return told(FitState.THERE)
    lacking = _lacking(source, revision, chosen)
    detail = "; ".join(filter(None, [", ".join(used), lacking]))
    if there:
        return told(
            FitState.PARTLY, "; ".join(filter(None, [f"{', '.join(there)} is there", detail]))
        )
    return told(FitState.LACKING if lacking else FitState.APPLIES, detail)


@contextmanager
def touched(source: GitSource, revision: Revision, chosen: Sequence[Patch]) -> Iterator[Path]:
    """A directory with those of *revision*'s files that *chosen* touch; much less than a tree."""
    files = sorted({f for patch in chosen for f in patch.files})
    with paths.scratch("touched") as tmp:
        tree = tmp / "tree"
        tree.mkdir()

        def ask(*arguments: str) -> str:
            return gitcmd.git(
                tree,
                *arguments,
                GIT_DIR=str(source.mirror.path),
                GIT_WORK_TREE=str(tree),
                GIT_INDEX_FILE=str(tmp / "index"),
            ).stdout

        ask("read-tree", revision.sha)
        here = [name for name in ask("ls-files", "-z", "--", *files).split("\0") if name]
        if here:
            ask("checkout-index", "--quiet", "--force", "--", *here)
        yield tree


def _fuzz(tree: Path, patch: Patch) -> str:
    """A word more where git would take the patch with less context than it has."""
    for diff in patch.diffs:
        done = gitcmd.git(
            tree,
            *("apply", "--check", "-p1", "-C1", "--", str(Path(patch.folder) / diff.name)),
            check=False,
            GIT_CEILING_DIRECTORIES=str(tree.parent),
        )
        if done.ok:
            return " (it would with fuzz, by ignoring lines of its context: never done here)"
    return ""


def _has(source: GitSource, revision: Revision, commit: str) -> bool:
    """Whether *revision* has *commit*, or a copy of it; yes where that cannot be known."""
    try:
        sha = source.resolve(commit).sha
    except BisectError:
        return True
    return source.is_ancestor(sha, revision.sha) or bool(source.picks(sha, [revision.sha]))


def _lacking(source: GitSource, revision: Revision, chosen: Sequence[Patch]) -> str:
    """What the patches say they mend or require, and *revision* has not, nor a copy of it."""
    mended = dict.fromkeys(p.meta.introduced_by for p in chosen if p.meta.introduced_by)
    required = dict.fromkeys(c for patch in chosen for c in patch.meta.requires)
    return "; ".join(
        f"{commit[:12]}, which it {what}, is not there"
        for what, commits in (("mends", mended), ("requires", required))
        for commit in commits
        if not _has(source, revision, commit)
    )


def hint(found: Sequence[Fit], option: Callable[[str], str]) -> str:
    """The next command for a patch that does not apply: a line where it does, as an option."""
    fits = [f.ref for f in found if f.state is FitState.APPLIES]
    return option(fits[-1]) if fits else "./inv patch-new NAME --from-branch REF"
