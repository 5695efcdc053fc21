"""The cell that a report is about, as a script that runs without this tool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from buildkit_bisect.campaign.axes import without_runtimes
from buildkit_bisect.lab.base_images import REFERENCE, needs_buildkit
from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import CellInfo, ReproductionInfo, Result
from buildkit_bisect.result.words import CampaignKind
from buildkit_bisect.scenario import RUNTIME_AXIS, Scenario, reproduction


def added(result: Result, scenarios: Iterable[Scenario]) -> Result:
    """Return *result* with the reproduction of `chosen`; unchanged if no cell was run.

    *scenarios* are those of the campaign, with the axes that it added.
    """
    cell = chosen(result)
    known = {scenario.name: scenario for scenario in scenarios}
    if cell is None or cell.scenario not in known:
        return result
    scenario = without_runtimes(known[cell.scenario])
    info = next(s for s in result.scenarios if s.name == cell.scenario)
    published = bool(info.images) and all(
        image["ref"] == scenario.images[name].public for name, image in info.images.items()
    )
    axes = tuple(sorted((n, v) for n, v in cell.axes.items() if n != RUNTIME_AXIS))
    made = ReproductionInfo(
        scenario=cell.scenario,
        ref=cell.ref,
        revision=cell.revision,
        patches=cell.patches,
        axes=cell.axes,
        outcome=cell.outcome,
        verdict=cell.verdict,
        script=reproduction.script(
            scenario,
            axes,
            seen=[*_seen(result, cell), *_images(result, scenario, published=published)],
            published=published,
        ),
    )
    return replace(result, reproduction=made)


def chosen(result: Result) -> CellInfo | None:
    """Return the cell to reproduce; None if there is none.

    A search's own cell comes first, then bad ones, then those that are no control, then those
    without patches, then the newest revision.
    """
    ages = {r.sha or r.describe: (r.date, n) for n, r in enumerate(result.revisions)}
    search = result.bisect if result.kind == CampaignKind.BISECT else None

    def rank(cell: CellInfo) -> tuple[bool, bool, bool, bool, bool, tuple[str, int]]:
        searched = search and (cell.scenario, cell.axes) == (search.scenario, search.axes)
        culprit = search is not None and cell.revision == search.first_bad
        return (
            bool(searched),
            cell.verdict == Verdict.BAD,
            culprit,
            not cell.control,
            not cell.patches,
            ages.get(cell.revision, ("", 0)),
        )

    return max(result.cells, key=rank, default=None)


def _images(result: Result, scenario: Scenario, *, published: bool) -> list[str]:
    """Return lines on how the base images of *scenario* came to be."""
    images = next(s.images for s in result.scenarios if s.name == scenario.name)
    if not images or published:
        return []
    if needs_buildkit(scenario):
        return [f"BuildKit {REFERENCE} built the base images; here the version to test does."]
    return ["No BuildKit made the base images, of files alone; here the version to test does."]


def _seen(result: Result, cell: CellInfo) -> list[str]:
    """Return lines on what was measured, with which binaries."""
    with_ = f" with the patches {', '.join(cell.patches)}" if cell.patches else ""
    name = cell.ref if cell.ref == cell.revision else f"{cell.ref} ({cell.revision})"
    count, of = cell.rate
    trials = f" in {count} of {plural(of, 'trial')}" if of else ""
    lines = [f"Measured at {name}{with_}: {cell.verdict}, {cell.outcome}{trials}."]
    lines += ["That version, in a clone of https://github.com/moby/buildkit:"]
    lines += [f"  git checkout {cell.revision}"]
    lines += [f"  git apply DIFF, for those of {', '.join(cell.patches)}"] if cell.patches else []
    lines += ["  go build -o bin/ ./cmd/buildkitd ./cmd/buildctl"]
    runtime = cell.axes.get(RUNTIME_AXIS) or result.host.get("runtime", "host")
    if runtime != "host":
        lines += [f"It was measured in the runtime {runtime}; this script runs buildkitd directly."]
    return lines
