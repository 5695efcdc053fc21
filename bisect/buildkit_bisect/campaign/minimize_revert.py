"""Finds which hunks of a found commit have to be reverted to undo its change of outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.minimize import MOST, TRIALS, Minimization, Place, Question
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.events import Said
from buildkit_bisect.model import Variant, Verdict
from buildkit_bisect.patch import hunk_files
from buildkit_bisect.patch.patches import Patch, PatchFailed
from buildkit_bisect.result import MinimizeInfo, MinimizeStatus
from buildkit_bisect.source import GitSource

#: What a plan says of it.
PLANNED = f"find which hunks of the commit have to be reverted: at most {MOST} more builds"


def nothing_of_search(reason: str) -> MinimizeInfo:
    """Return the answer where no commit can be reverted."""
    return MinimizeInfo(
        status=MinimizeStatus.NOTHING.value,
        of="the revert",
        reason=f"nothing to minimize: {reason}",
    )


def of_commit(
    work: Work,
    source: GitSource,
    commit: str,
    *,
    on: Sequence[Variant],
    overlay: Sequence[Patch],
    revert: Patch | None,
    search: CellSearch,
    notes: Sequence[str] = (),
) -> MinimizeInfo:
    """Return the hunks that are needed on the first of *on* where reverting changes the outcome.

    These are the newer end, where *revert* is the whole revert if git can make it, and the commit
    itself. Where the whole revert conflicts, the hunks that apply are tried together. *notes* say
    where it was not tried.
    """
    said: list[str] = []
    info = nothing_of_search("no variant to revert it on")
    of = f"the revert of {commit[:12]}"
    to = Verdict.BAD if search.options.find_fix else Verdict.GOOD
    for variant in dict.fromkeys(on):
        used = {ref.digest for ref in variant.patches}
        chosen = [patch for patch in overlay if patch.digest in used]
        try:
            change = hunk_files.of_revert(source, commit, variant.revision, chosen, revert)
            question = Question(
                of=of,
                change=change,
                without=variant,
                whole=replace(variant, patches=(*variant.patches, revert.ref)) if revert else None,
                places=(Place(scenario=search.scenario, axes=search.axes, to=to),),
                trials=max(search.options.trials or 0, TRIALS),
                old=search.is_old,
                new=search.is_new,
            )
            if revert:
                work.lab.add_patch(revert)
            info = Minimization(work, question).info()
        except InfraFailed as error:  # the commit is found whatever becomes of its hunks
            return replace(
                nothing_of_search(""),
                of=of,
                on=variant.label,
                reason=f"not finished, as this machine failed: {error.message};"
                " the same command goes on from there",
                notes=(*notes, *said),
            )
        except (BadInput, PatchFailed) as error:  # not after the overlay, or not text
            info = replace(nothing_of_search(error.message), of=of, on=variant.label)
        if info.status != MinimizeStatus.NOTHING:
            break
        work.events.emit(Said(text=f"on {variant.label}: {info.reason}"))
        said.append(f"on {variant.label}: {info.reason}")
        revert = None
    last = info.status == MinimizeStatus.NOTHING
    return replace(info, notes=(*notes, *(said[:-1] if last else said)))
