"""Checks without a build where patches apply: all minor release branches and the main branch.

The Go module has releases instead, and no history: what it contains is not known.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from buildkit_bisect.errors import BadInput, BisectError, InfraFailed, Missing
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import inv
from buildkit_bisect.patch.patches import Patch, PatchFailed, present
from buildkit_bisect.result import FitState
from buildkit_bisect.source import GitSource, ModuleSource, Source
from buildkit_bisect.source.commits import branch_name
from buildkit_bisect.system import gitcmd, paths
from buildkit_bisect.system.announce import announce, by_default

#: Git's words for a hunk that does not apply, and for a missing file.
_FAILED = re.compile(r"(?:^|[;:] )([^\s:;]+)(?::\d+|: No such file)")

#: The first minor release of the table.
SINCE = (0, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Whether patches apply to one revision."""

    ref: str
    sha: str
    state: FitState
    detail: str = ""
    short: str = ""  # of the detail: the file with the conflict, or the commits that are missing


@announce("looking up the release branches")
def lines(source: Source) -> list[Revision]:
    """Return the tip of every minor release branch since v0.20, oldest first, then main.

    If the source does not have the branch of a minor release, its newest tag is used. A module has
    neither these branches nor main.
    """
    tags: dict[tuple[int, int], Revision] = {}
    for release in source.releases():
        tags.setdefault(_minor(release.ref), release)
    if not isinstance(source, GitSource):
        return [_resolved(source, tags[minor]) for minor in sorted(tags) if minor >= SINCE]
    found = {minor: release.ref for minor, release in tags.items()} | source.release_branches()
    refs = [found[minor] for minor in sorted(found) if minor >= SINCE]
    return source.resolve_all([*refs, main_line(source)])


def _resolved(source: Source, release: Revision) -> Revision:
    try:
        return source.resolve(release.ref)
    except BadInput:  # a proxy may list a release that it does not serve
        return release


def main_line(source: GitSource) -> str:
    """Return the name of upstream's main branch here: ``master``, or ``origin/master``."""
    return branch_name(source.default_branch())


def newest(source: Source) -> str:
    """Return the name of the main branch; of the newest release if the source has no branches."""
    return main_line(source) if isinstance(source, GitSource) else "latest"


def _minor(tag: str) -> tuple[int, int]:
    major, minor, *_ = tag.removeprefix("v").split(".")
    return int(major), int(minor)


def table(source: Source, revisions: Sequence[Revision], chosen: Sequence[Patch]) -> list[Fit]:
    """Return whether *chosen* apply, in order, to each of *revisions*."""
    return tables(source, revisions, {"": chosen})[""]


def tables(
    source: Source, revisions: Sequence[Revision], by_name: Mapping[str, Sequence[Patch]]
) -> dict[str, list[Fit]]:
    """Return `table` of each of *by_name*; the files of a revision are read once for all.

    A proxy may lack one release of a module: of a release that cannot be read, nothing is known.
    One that does not answer in time is not asked again.
    """
    found: dict[str, list[Fit]] = {name: [] for name in by_name}
    asking = source.until_late() if isinstance(source, ModuleSource) else nullcontext()
    with asking, by_default("checking where the patches apply"):
        for revision in revisions:
            with ExitStack() as stack:
                try:
                    files = touched(source, revision, list(chain(*by_name.values())))
                    whole = stack.enter_context(files)
                except (BadInput, InfraFailed, Missing) as error:
                    if isinstance(source, GitSource):
                        raise
                    for fits in found.values():
                        fits.append(_unread(revision, error))
                    continue
                for name, chosen in by_name.items():
                    found[name].append(_fit(source, revision, chosen, _part(whole, chosen)))
    return found


def _unread(revision: Revision, error: BisectError) -> Fit:
    return Fit(
        ref=revision.ref,
        sha=revision.sha,
        state=FitState.UNKNOWN,
        detail=f"cannot be read: {error.message}",
        short="cannot be read",
    )


def fit(source: Source, revision: Revision, chosen: Sequence[Patch]) -> Fit:
    """Return whether *chosen* apply, in order, to *revision*; already applied ones are skipped.

    Raises what the source raises if the revision cannot be read.
    """
    with (
        by_default("checking where the patches apply"),
        touched(source, revision, chosen) as tree,
    ):
        return _fit(source, revision, chosen, tree)


def _part(whole: Path, chosen: Sequence[Patch]) -> Path:
    """Return a new directory beside *whole* with the files of it that *chosen* touch."""
    part = Path(tempfile.mkdtemp(dir=whole.parent))
    for name in {f for patch in chosen for f in patch.files}:
        if not os.path.lexists(whole / name):
            continue
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        if (whole / name).is_dir():  # in the place of a file of the patch
            shutil.copytree(whole / name, part / name, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(whole / name, part / name, follow_symlinks=False)
    return part


def _fit(source: Source, revision: Revision, chosen: Sequence[Patch], tree: Path) -> Fit:
    def made(state: FitState, detail: str = "", short: str = "") -> Fit:
        return Fit(ref=revision.ref, sha=revision.sha, state=state, detail=detail, short=short)

    of_module = source.kind == "module"
    there, used = [], []
    had: set[str] = set()
    for patch in chosen:
        had |= present(tree, chosen)
        try:
            name = patch.apply(tree, of_module=had if of_module else None)
        except PatchFailed as failed:
            merged = failed.already or _is_merged(source, revision, patch)
            if not merged:
                reason = failed.message
                if failed.unknown:
                    return made(FitState.UNKNOWN, reason, "needs a git source")
                if len(chosen) == 1:
                    reason = reason.removeprefix(f"{patch.name} does not apply: ")
                itself = patch.meta.commit if merged is None else ""
                lacking, _ = _lacking(source, revision, [patch], itself)
                parts = [lacking, f"{reason}{_fuzz(tree, patch)}"]
                detail = "; ".join(filter(None, parts))
                return made(FitState.CONFLICTS, detail, _conflict(reason))
            there.append(patch.name)
        else:
            used += [name] if len(patch.diffs) > 1 else []
    if len(there) == len(chosen):
        return made(FitState.THERE)
    lacking, commits = _lacking(source, revision, chosen)
    detail = "; ".join(filter(None, [", ".join(used), lacking]))
    if there:
        parts = [f"already applied: {', '.join(there)}", detail]
        return made(FitState.PARTLY, "; ".join(filter(None, parts)), ", ".join(there))
    state = FitState.LACKING if commits else FitState.APPLIES
    return made(state, detail, ", ".join(commit[:7] for commit in commits))


@contextmanager
def touched(source: Source, revision: Revision, chosen: Sequence[Patch]) -> Iterator[Path]:
    """Provide a directory with only the files of *revision* that *chosen* touch."""
    with paths.scratch("touched") as tmp:
        tree = tmp / "tree"
        tree.mkdir()
        source.write(revision, sorted({f for patch in chosen for f in patch.files}), tree)
        yield tree


def _fuzz(tree: Path, patch: Patch) -> str:
    """Return a note if git would apply the patch with less context; else ""."""
    for diff in patch.diffs:
        done = gitcmd.git(
            tree,
            *("apply", "--check", "-p1", "-C1", "--", str(Path(patch.folder) / diff.name)),
            check=False,
            GIT_CEILING_DIRECTORIES=str(tree.parent),
        )
        if done.ok:
            return " (would apply with fuzz, which ignores context lines; fuzz is never used)"
    return ""


def _has(source: Source, revision: Revision, commit: str) -> bool | None:
    """Whether *revision* has *commit* or a cherry-pick of it; true if *commit* is unknown.

    None without a history.
    """
    if not isinstance(source, GitSource):
        return None
    sha = source.known_id(commit)
    return (
        not sha or source.is_ancestor(sha, revision.sha) or bool(source.picks(sha, [revision.sha]))
    )


def _is_merged(source: Source, revision: Revision, patch: Patch) -> bool | None:
    """Whether *revision* is known to contain the commit that *patch* was made from.

    None without a history, if the patch names that commit.
    """
    commit = patch.meta.commit
    if not commit:
        return False
    if not isinstance(source, GitSource):
        return None
    return source.mirror.commit(commit) == commit and source.is_ancestor(commit, revision.sha)


def _lacking(
    source: Source, revision: Revision, chosen: Sequence[Patch], itself: str = ""
) -> tuple[str, list[str]]:
    """Describe and return commits that the patches fix or require and *revision* does not have.

    Those of which that is not known are only described, and so is *itself*, a patch's own commit.
    """
    fixed = dict.fromkeys(p.meta.introduced_by for p in chosen if p.meta.introduced_by)
    required = dict.fromkeys(c for patch in chosen for c in patch.meta.requires)
    missing, described = [], []
    unknown = [f"{itself[:12]}, which is the patch itself,"] if itself else []
    for what, commits in (("fixes", fixed), ("requires", required)):
        for commit in commits:
            has = _has(source, revision, commit)
            named = f"{commit[:12]}, which the patch {what}"
            if has is None:
                unknown.append(f"{named},")
            elif not has:
                missing.append(commit)
                described.append(f"does not contain {named}")
    if unknown:
        described.append(f"whether it contains {' and '.join(unknown)} needs a git source")
    return "; ".join(described), missing


def _conflict(reason: str) -> str:
    """Return the first file that git names in its *reason*; "" if it names none."""
    found = _FAILED.search(reason)
    return found[1] if found else ""


def hint(found: Sequence[Fit], option: Callable[[str], str]) -> str:
    """Return the next command for a patch that does not apply: a branch where it does apply."""
    fits = [f.ref for f in found if f.state is FitState.APPLIES]
    return option(fits[-1]) if fits else inv("patch-new", "NAME", from_branch="REF")
