"""Turns cells into a result document; links evidence and copies build logs beside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from buildkit_bisect import __version__
from buildkit_bisect.campaign import reproduction
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.lab.evidence import keep_evidence
from buildkit_bisect.model import (
    Build,
    NoBuild,
    Observation,
    PatchRef,
    Revision,
    StepResult,
    Vertex,
    VertexState,
)
from buildkit_bisect.options.command import again
from buildkit_bisect.options.requests import Request
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import (
    BisectInfo,
    BuildInfo,
    CampaignKind,
    CampaignStatus,
    CellInfo,
    MinimizeInfo,
    PatchInfo,
    Result,
    RevisionInfo,
    ScenarioInfo,
    ShardInfo,
    StepInfo,
    TrialInfo,
    ValidationInfo,
)
from buildkit_bisect.scenario import Scenario, cache_config
from buildkit_bisect.source import GitSource

#: Last lines of a failed step's stderr that the document contains.
_ERROR_LINES = 6

#: Last lines of what a failed vertex printed that the document contains, and characters of these.
_LOG_LINES, _LOG_LENGTH = 10, 2000


def scenario_info(scenario: Scenario, refs: Mapping[str, ImageRef]) -> ScenarioInfo:
    """Return a scenario as results describe it."""
    return ScenarioInfo(
        name=scenario.name,
        title=scenario.title,
        issue=scenario.issue,
        digest=scenario.digest,
        summary=scenario.summary.strip(),
        axes={n: {"values": a.values, "controls": a.controls} for n, a in scenario.axes.items()},
        labels={n: dict(a.labels) for n, a in scenario.axes.items() if a.labels},
        outcomes=tuple(
            {"name": r.name, "verdict": str(r.verdict), "means": r.means}
            | ({"label": r.label} if r.label else {})
            for r in scenario.outcomes
        ),
        files=tuple(
            {"name": f.name, "mode": f"{f.mode:04o}", "sha256": f.sha256} for f in scenario.files
        ),
        # The registry's port changes from run to run; the digest identifies the image.
        images={
            name: {"ref": re.sub(r"^127\.0\.0\.1:\d+/", "", ref.ref), "digest": ref.digest}
            for name, ref in refs.items()
        },
    )


def revision_info(revision: Revision) -> RevisionInfo:
    """Return a revision as results describe it."""
    return RevisionInfo(
        ref=revision.ref,
        sha=revision.sha,
        describe=revision.describe,
        date=revision.date,
        subject=revision.subject,
        author=revision.author,
    )


def patch_info(patch: PatchRef, requested: Iterable[Patch]) -> PatchInfo:
    """Return a patch as results describe it, with its diffs if it is one of *requested*.

    A revert is not: git can create it again from the commit in its name.
    """
    whole = next((p for p in requested if p.digest == patch.digest), None)
    return PatchInfo(
        name=patch.name,
        digest=patch.digest,
        title=patch.title,
        diffs={d.name: d.text for d in whole.diffs} if whole else {},
        source=whole.meta.source if whole else "",
        credit=whole.meta.credit if whole else "",
        commit=whole.meta.commit if whole else "",
        sha256=whole.meta.sha256 if whole else "",
    )


def cell_info(cell: Cell, folder: Path) -> CellInfo:
    """Return a cell as results describe it; its trials' evidence is linked below *folder*."""
    label = _file_name(cell.variant.label)
    where = "-".join(value for _, value in cell.axes)
    base = "/".join(filter(None, (label, cell.scenario.name, where)))
    evidence = keep_evidence([trial.observation for trial in cell.trials], folder, base)
    trials = tuple(
        TrialInfo(
            outcome=judged.name,
            verdict=str(judged.verdict),
            reason=judged.reason,
            seconds=round(trial.observation.seconds, 3),
            reused=trial.reused,
            evidence=kept,
            ended=trial.observation.ended,
            steps=tuple(step_info(s, cell.control) for s in trial.observation.steps),
            daemon_log=trial.observation.daemon_log[-2000:],
            worker=str(trial.observation.facts.get("worker", "")),
        )
        for trial, judged, kept in zip(cell.trials, cell.judged, evidence, strict=True)
    )
    commonest = max(cell.counts.values(), default=0)
    return CellInfo(
        scenario=cell.scenario.name,
        ref=cell.variant.revision.ref,
        revision=cell.variant.revision.sha or cell.variant.revision.describe,
        patches=tuple(p.name for p in cell.variant.patches),
        axes=dict(cell.axes),
        control=cell.scenario.is_control(cell.axes),
        outcome=cell.outcome.name,
        verdict=str(cell.outcome.verdict),
        reason=cell.outcome.reason,
        counts=dict(cell.counts),
        rate=(commonest, sum(cell.counts.values())),
        trials=trials,
        build=_build_info(cell.build),
        log=_keep_log(cell.build, folder, label),
    )


def step_info(step: StepResult, control: Observation | None) -> StepInfo:
    """Return a step, with its cache export compared with the control's."""
    other = control.step(step.id) if control else None
    both = step.export and other and other.export
    failed = step.exit != 0 or step.timed_out
    return StepInfo(
        id=step.id,
        exit=step.exit,
        seconds=round(step.seconds, 3),
        timed_out=step.timed_out,
        error="\n".join(step.stderr.strip().splitlines()[-_ERROR_LINES:]) if failed else "",
        vertices=tuple(
            {
                "name": v.name,
                "state": str(v.state),
                **({"error": v.error} if v.error else {}),
                **({"log": last} if (last := _last_printed(v)) else {}),
            }
            for v in step.vertices
            if not v.name.startswith("[internal]")
        ),
        records=tuple(
            {"digest": r.digest, "layers": len(r.layers), "inputs": list(r.inputs)}
            for r in (step.export.records if step.export else ())
        ),
        kept=cache_config.kept(step.export, other.export)
        if both and step.export and other and other.export
        else None,
    )


def _last_printed(vertex: Vertex) -> str:
    """Return the end of what a failed vertex printed; "" for any other vertex."""
    if vertex.state is not VertexState.FAILED:
        return ""
    return "\n".join(vertex.log.strip().splitlines()[-_LOG_LINES:])[-_LOG_LENGTH:]


def _build_info(build: Build | NoBuild) -> BuildInfo | None:
    if isinstance(build, NoBuild):
        return None
    return BuildInfo(
        key=build.key,
        go=build.go,
        source=build.source,
        binary_sha256=build.buildkitd_sha256,
        seconds=build.seconds,
        reused=build.reused,
        pulled_from=build.pulled_from,
    )


def _keep_log(build: Build | NoBuild, folder: Path, label: str) -> str:
    if not isinstance(build, NoBuild) or not build.log or not Path(build.log).is_file():
        return ""
    target = folder / "evidence" / label / "build.log"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(build.log, target)
    return str(target.relative_to(folder))


def _file_name(label: str) -> str:
    """Return *label* as one path component that cannot leave its folder."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", label).strip(".") or "variant"


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What a campaign adds to its document; the driver adds the rest."""

    revisions: tuple[Revision, ...]
    patches: tuple[PatchRef, ...]
    cells: tuple[CellInfo, ...]
    bisect: BisectInfo | None = None
    validation: ValidationInfo | None = None
    shard: ShardInfo | None = None
    minimized: MinimizeInfo | None = None


_Advice = TypeVar("_Advice", BisectInfo, ValidationInfo)


def _advised(info: _Advice | None, request: Request) -> _Advice | None:
    """Return *info* with commands that are about the repository, patches and cells of *request*."""
    if info is None:
        return None
    notes = tuple(again(note, request.command) for note in info.notes if note)
    return replace(info, hint=again(info.hint, request.command), notes=notes)


def _repo(setup: Setup) -> str:
    """Return the repository as given, or its URL if an abbreviated one was: reports link to it."""
    source, given = setup.source, setup.request.repo
    return source.where if isinstance(source, GitSource) and not source.mirror.local else given


def pulled_notes(cells: Iterable[CellInfo]) -> tuple[str, ...]:
    """Return a note if builds of *cells* came from shared stores."""
    builds = {cell.build.key: cell.build for cell in cells if cell.build}
    places = sorted({b.pulled_from for b in builds.values() if b.pulled_from})
    pulled = sum(bool(b.pulled_from) for b in builds.values())
    if not pulled:
        return ()
    count, where = plural(len(builds), "build"), " and ".join(places)
    return (f"pulled from {where}, not compiled: {pulled} of {count}",)


def worker_notes(cells: Iterable[CellInfo]) -> tuple[str, ...]:
    """Return a note if workers of a scheduler ran trials of *cells*; their names are in these."""
    trials = [trial for cell in cells for trial in cell.trials]
    names = {trial.worker for trial in trials} - {""}
    ran = sum(bool(trial.worker) for trial in trials)
    if not ran:
        return ()
    return (f"run by {plural(len(names), 'worker')}: {ran} of {plural(len(trials), 'trial')}",)


def result(
    setup: Setup,
    findings: Findings,
    *,
    kind: CampaignKind,
    campaign: str,
    created: str,
    refs: Mapping[str, Mapping[str, ImageRef]],
    seconds: Mapping[str, float],
    host: Mapping[str, str],
) -> Result:
    """Return the document of *campaign*; *host* has the facts about what ran the trials."""
    request = setup.request
    document = Result(
        kind=str(kind),
        id=campaign,
        created=created,
        command=request.command,
        tool=f"buildkit-bisect {__version__}",
        host={**host, "runtime": ", ".join(request.runtime)},
        source={"kind": setup.source.kind, "repo": _repo(setup), "note": setup.source.note},
        scenarios=tuple(scenario_info(s, refs.get(s.name, {})) for s in setup.scenarios),
        revisions=tuple(revision_info(r) for r in findings.revisions),
        patches=tuple(patch_info(p, setup.patches) for p in findings.patches),
        cells=findings.cells,
        seconds={k: round(v, 1) for k, v in seconds.items()},
        bisect=_advised(findings.bisect, request),
        validation=_advised(findings.validation, request),
        status=str(CampaignStatus.DONE),
        page=request.publish.replace("{id}", campaign),
        notes=(*pulled_notes(findings.cells), *worker_notes(findings.cells)),
        shard=findings.shard,
        minimized=findings.minimized,
    )
    return reproduction.added(document, setup.scenarios)
