"""The ``warm`` task: every different build of a range, in the cache and in a store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import candidates, elsewhere, matrix
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.setup import Workshop, open_workshop, patch_loader
from buildkit_bisect.cli import doctor
from buildkit_bisect.cli.cache import trim
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.events import (
    BuildDone,
    BuildProgress,
    BuildSkipped,
    BuildStarted,
    Planned,
    sayer,
)
from buildkit_bisect.live import Display
from buildkit_bisect.model import Build, NoBuild, Stage, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.phrases import plural
from buildkit_bisect.system import cache_limit
from buildkit_bisect.system.announce import shown_otherwise
from buildkit_bisect.workers import dask

#: Bytes of a build, if the cache has none to tell.
_USUAL = 70_000_000

#: How each build came about, in the order of the summary.
_HOW = ("already built", "pulled", "compiled", "not buildable", "failed")


def warm(request: requests.Warm) -> int:
    """Make every different build of a range, or print the plan; the same command goes on.

    Raises `BadInput` without a range, `InfraFailed` if builds failed for which the source is not
    at fault, or could not be pushed.
    """
    if not (request.start and request.end):
        raise BadInput("no range given", hint=inv("warm", from_="v0.26.0", to="master"))
    if request.executor:
        _check_workers(request)
    with Display() as events:
        if not request.dry_run:
            doctor.ensure(sayer(events), trials=False)
        given = patch_loader(request, events).load(request.patches)
        workshop = open_workshop(request, events, given)
        workshop.builder.elsewhere = bool(request.executor)
        line = candidates.load(
            workshop.source, request.start, request.end, given, releases=request.releases
        )
        variants = different(line, first_parent=request.first_parent)
        needs = _needs(workshop, variants)
        if request.dry_run:
            return _show(request, line, needs)
        workshop.say(_summary(line, needs))
        if request.executor:
            counts = Counter(_made_by_workers(request.executor, workshop, variants))
        else:
            counts = Counter(_made(workshop, variant) for variant in variants)
        trim(events, request.cache_size, grew=counts["already built"] < len(variants))
    if request.json:
        print(json.dumps({"builds": len(variants), **{how: counts[how] for how in _HOW}}, indent=1))
    else:
        parts = (f"{counts[how]} {how}" for how in _HOW if counts[how])
        print(f"{plural(len(variants), 'build')}: {', '.join(parts)}")
    if counts["failed"]:
        raise InfraFailed(
            f"{counts['failed']} of {plural(len(variants), 'build')} failed, and not because of"
            " the source",
            hint="the same command again",
        )
    shared = workshop.builder.shared
    if request.store_push and shared and shared.trouble:
        raise InfraFailed(
            f"not all builds were pushed to {shared.address}", hint="the same command again"
        )
    return DONE


def _check_workers(request: requests.Warm) -> None:
    """Raise `BadInput` for what the workers of ``--executor`` do themselves, or `Missing`."""
    dask.needed()
    if request.store_push:
        store = request.store or "oci://REGISTRY/REPOSITORY"
        raise BadInput(
            f"{words(requests.Warm, store_push=True)} is for what this machine builds, and with"
            f" {words(requests.Warm, executor=request.executor)} the workers build",
            hint=inv("worker", request.executor, store=store, store_push=True),
        )


def different(line: Line, *, first_parent: bool = False) -> list[Variant]:
    """Return a variant for each build of *line*; equal inputs are one build.

    Those on the first-parent line come first, oldest first, then what the newer end merged, which
    a search may look into, unless *first_parent* leaves them out.
    """
    commits, _ = candidates.whole_line(line)
    order = [*commits, *sorted({*line.before, line.good, line.bad}, key=line.history.number)]
    if not first_parent:
        newer = line.candidates[-1] if line.candidates else line.bad
        older = line.bad if newer == line.good else line.good
        merged = line.history.ancestors(newer) & ~line.history.ancestors(older)
        order += line.history.shas(merged)
    first: dict[str, str] = {}
    for commit in order:
        first.setdefault(line.same_build.get(commit, commit), commit)
    line.revisions(first.values())  # of all at once
    return [line.variant(commit) for commit in first.values()]


def _made(workshop: Workshop, variant: Variant) -> str:
    """Build *variant*, or pull it, and share it; return which of `_HOW` it was."""
    row, builder = variant.label, workshop.builder
    known = builder.cached(variant)
    if known is None:
        workshop.events.emit(BuildStarted(row=row))
    with shown_otherwise():
        made = known or builder.build(
            variant,
            lambda done, expected: workshop.events.emit(
                BuildProgress(row=row, done=done, expected=expected)
            ),
        )
        # What was compiled now was pushed. The cache may have it for another commit, too.
        if known or (isinstance(made, Build) and made.reused):
            builder.share(variant, made)
    return _told(workshop, variant, made, known=known is not None)


def _told(workshop: Workshop, variant: Variant, made: Build | NoBuild, *, known: bool) -> str:
    """Emit what came of a build; return which of `_HOW` it was."""
    row = variant.label
    if isinstance(made, NoBuild):
        workshop.events.emit(
            BuildSkipped(row=row, stage=made.stage, reason=made.reason, infra=made.infra)
        )
        return "failed" if made.infra else "not buildable"
    workshop.events.emit(BuildDone(row=row, seconds=made.seconds, reused=made.reused))
    if known or not made.reused:
        return "already built" if known else "compiled"
    return "pulled" if made.pulled_from else "already built"


def _made_by_workers(where: str, workshop: Workshop, variants: Sequence[Variant]) -> Iterator[str]:
    """Have workers build *variants*, all at once; yield which of `_HOW` each was.

    What a worker made before, as far as this machine knows, is not made again.
    """
    builder = workshop.builder
    with elsewhere.builders(where, builder, workshop.say) as crew:
        waiting: dict[Future[Build | NoBuild], Variant] = {}
        for variant in variants:
            if known := builder.cached(variant):
                yield _told(workshop, variant, known, known=True)
            else:
                workshop.events.emit(BuildStarted(row=variant.label))
                waiting[crew.build(builder, variant)] = variant
        for future in as_completed(waiting):
            try:
                made = future.result()
            except InfraFailed as error:
                made = NoBuild(stage=Stage.BUILD, reason=error.message, infra=True, hint=error.hint)
            yield _told(workshop, waiting[future], made, known=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Needs:
    """What is not in the cache."""

    plan: Planned
    compiled: int  # builds
    pulled: int

    @property
    def bytes(self) -> int:
        """What they should take in the cache."""
        last = [Path(build.directory) for build in history()[-1:]]
        files = (file for folder in last for file in folder.iterdir() if file.is_file())
        usual = sum(file.stat().st_size for file in files) or _USUAL
        return (self.compiled + self.pulled) * usual


def _needs(workshop: Workshop, variants: Sequence[Variant]) -> _Needs:
    plan = matrix.built(workshop, variants, "warm")
    missing = [v for v in variants if workshop.builder.cached(v) is None]
    compiled = sum(bool(plan.build_seconds.get(v.label)) for v in missing)
    skipped = sum(v.label in plan.skipped for v in missing)
    return _Needs(plan=plan, compiled=compiled, pulled=len(missing) - compiled - skipped)


def _show(request: requests.Warm, line: Line, needs: _Needs) -> int:
    expected = needs.plan.expected
    if request.json:
        facts = {
            "kind": needs.plan.kind,
            "commits": line.commits,
            "builds": len(needs.plan.rows),
            "missing": needs.compiled,
            "in_store": needs.pulled,
            "bytes": needs.bytes,
            "seconds": expected.seconds,
            "range": [expected.least, expected.most],
            "basis": needs.plan.basis,
        }
        print(json.dumps(facts, indent=1))
        return DONE
    print(_summary(line, needs))
    if needs.bytes > request.cache_size and not request.executor:
        limit = cache_limit.shown(request.cache_size)
        print(f"the cache is trimmed to {limit} afterwards, and does not hold all of them")
    return DONE


def _summary(line: Line, needs: _Needs) -> str:
    plan = needs.plan
    parts = [f"{needs.pulled} to pull"] if needs.pulled else []
    if needs.compiled:
        parts.append(f"{plan.expected} to compile {needs.compiled}, based on {plan.basis}")
    elif not parts:
        parts.append("nothing to compile")
    if needs.bytes:
        parts.append(f"about {cache_limit.shown(needs.bytes)}")
    return (
        f"{plural(line.commits, 'commit')}, {plural(len(plan.rows), 'build')}: {'; '.join(parts)}"
    )
