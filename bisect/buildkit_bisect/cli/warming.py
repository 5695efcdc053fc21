"""The ``warm`` task: every different build of a range, in the cache and in a store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from buildkit_bisect.builds import history
from buildkit_bisect.campaign import candidates, matrix
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.setup import Workshop, open_workshop, patch_loader
from buildkit_bisect.cli import doctor
from buildkit_bisect.cli.campaigns import trim
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
from buildkit_bisect.model import NoBuild, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import inv
from buildkit_bisect.phrases import plural
from buildkit_bisect.system import cache_limit
from buildkit_bisect.system.announce import shown_otherwise

#: Bytes of a build, if the cache has none to tell.
_USUAL = 70_000_000

#: How each build came about, in the order of the summary.
_HOW = ("already built", "pulled", "compiled", "not buildable", "failed")


def warm(request: requests.Warm) -> int:
    """Make every different build of a range, or print the plan; the same command goes on.

    Raises `BadInput` without a range, `InfraFailed` if builds failed for which the source is not
    at fault.
    """
    if not (request.start and request.end):
        raise BadInput("no range given", hint=inv("warm", from_="v0.26.0", to="master"))
    with Display() as events:
        if not request.dry_run:
            doctor.ensure(sayer(events), trials=False)
        given = patch_loader(request, events).load(request.patches)
        workshop = open_workshop(request, events, given)
        line = candidates.load(
            workshop.source, request.start, request.end, given, releases=request.releases
        )
        variants = different(line, first_parent=request.first_parent)
        plan = matrix.built(workshop, variants, "warm")
        if request.dry_run:
            return _show(request, line, plan)
        workshop.say(_summary(line, plan))
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
    return DONE


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
        if known:
            builder.share(variant, known)
    if isinstance(made, NoBuild):
        workshop.events.emit(
            BuildSkipped(row=row, stage=made.stage, reason=made.reason, infra=made.infra)
        )
        return "failed" if made.infra else "not buildable"
    workshop.events.emit(BuildDone(row=row, seconds=made.seconds, reused=made.reused))
    if known:
        return "already built"
    return "pulled" if made.reused else "compiled"


def _show(request: requests.Warm, line: Line, plan: Planned) -> int:
    if request.json:
        facts = {
            "kind": plan.kind,
            "commits": line.commits,
            "builds": len(plan.rows),
            "missing": len(_missing(plan)),
            "bytes": _bytes(plan),
            "seconds": plan.expected.seconds,
            "range": [plan.expected.least, plan.expected.most],
            "basis": plan.basis,
        }
        print(json.dumps(facts, indent=1))
        return DONE
    print(_summary(line, plan))
    if _bytes(plan) > request.cache_size:
        limit = cache_limit.shown(request.cache_size)
        print(f"the cache is trimmed to {limit} afterwards, and does not hold all of them")
    return DONE


def _summary(line: Line, plan: Planned) -> str:
    missing = _missing(plan)
    needs = (
        f"{plan.expected} to compile {len(missing)}, based on {plan.basis};"
        f" about {cache_limit.shown(_bytes(plan))}"
        if missing
        else "nothing to compile"
    )
    return f"{plural(line.commits, 'commit')}, {plural(len(plan.rows), 'build')}: {needs}"


def _missing(plan: Planned) -> Sequence[str]:
    return [row for row in plan.rows if plan.build_seconds.get(row) and row not in plan.skipped]


def _bytes(plan: Planned) -> int:
    """Return the bytes that the missing builds of *plan* should take in the cache."""
    last = [Path(build.directory) for build in history()[-1:]]
    files = (file for folder in last for file in folder.iterdir() if file.is_file())
    usual = sum(file.stat().st_size for file in files) or _USUAL
    return len(_missing(plan)) * usual
