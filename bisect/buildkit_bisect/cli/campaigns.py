"""``run``, ``matrix``, ``bisect``: check the machine, plan, work, write the result."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from buildkit_bisect import render, result
from buildkit_bisect.campaign import estimate, record
from buildkit_bisect.campaign import matrix as matrices
from buildkit_bisect.campaign.bisect import Bisection, Question
from buildkit_bisect.campaign.boundaries import BoundaryCampaign, Span
from buildkit_bisect.campaign.find_good import find_good
from buildkit_bisect.campaign.setup import Setup, load_patches, new_folder, prepare
from buildkit_bisect.cli import doctor, options
from buildkit_bisect.cli.guard import DONE, INFRA, NO_ANSWER
from buildkit_bisect.cli.options import Raw, Settings
from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.events import Events, Finished, Planned, Said, Several
from buildkit_bisect.live import Display, Recorder
from buildkit_bisect.model import Variant, Verdict
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.render import github, reports
from buildkit_bisect.result import Result
from buildkit_bisect.scenario import Scenario, from_script
from buildkit_bisect.search import SearchOptions
from buildkit_bisect.search.boundary_search import RESOLUTION
from buildkit_bisect.system import cache_limit

#: What a campaign does once everything it names has been found.
Work = Callable[[Events, str, Path], Result]

ALL_SCENARIOS = ("cross-stage-lazy", "cross-stage-dedup")


def run(raw: Mapping[str, Raw]) -> int:
    """One revision, the scenario's cells, verbosely."""
    rev = options.option("rev", raw.get("rev", ""))
    if not rev:
        raise BadInput("which revision?", hint="./inv run --rev v0.26.0")
    return _matrix("run", raw, [rev], default=ALL_SCENARIOS[:1])


def matrix(raw: Mapping[str, Raw]) -> int:
    """Which variants are broken, in which cells."""
    revs = [r for r in options.option("revs", raw.get("revs", "")).split(",") if r]
    return _matrix("matrix", raw, revs, default=ALL_SCENARIOS)


def _matrix(kind: str, raw: Mapping[str, Raw], revs: list[str], default: Sequence[str]) -> int:
    chosen = options.read(kind, raw)
    form = options.one_of("format", raw.get("format", ""), ("files", "github-matrix"))
    asked = [asked_for(item, chosen) for item in revs]
    # Nothing named: everything that is of interest.
    usual = not revs and not chosen.patches
    shipped = patches.names() if usual else []
    loaded = {
        text: load_patches(text)
        for text in dict.fromkeys(["", chosen.patches, *(with_ for _, with_ in asked), *shipped])
    }
    known = [p for group in loaded.values() for p in group]
    with Display() as events:
        script = scripted(raw)
        setup = prepare(chosen, events, chosen=known, default=default, script=script)
        if not asked:
            asked = [(ref, "") for ref in matrices.default_revisions(setup.source)]
        if chosen.patches:
            asked += [(ref, chosen.patches) for ref, _ in asked]
        asked += [(asked[-1][0], text) for text in shipped]
        resolved = {ref: setup.source.resolve(ref) for ref, _ in asked}
        variants = [
            Variant(revision=resolved[ref], patches=tuple(p.ref for p in loaded[text]))
            for ref, text in asked
        ]
        if form == "github-matrix":
            # A folder or a series stays one name: the other job's machine reads it again.
            print(
                github.strategy((ref, tuple(filter(None, text.split(",")))) for ref, text in asked)
            )
            return DONE
        if chosen.dry_run:
            trials = chosen.trials or matrices.TRIALS
            return show_plan(chosen, matrices.planned(setup, variants, trials, kind))
        return work(
            setup,
            kind,
            lambda told, campaign, folder: matrices.run(
                replace(setup, events=told), variants, campaign=campaign, folder=folder, kind=kind
            ),
        )


def asked_for(item: str, chosen: Settings) -> tuple[str, str]:
    """``REV`` or ``REV+PATCH+PATCH`` as the revision and ``"PATCH,PATCH"``, "" without.

    Raises `BadInput` where ``--patches`` names some as well. A branch with a plus sign in its
    name has a commit id to be named by.
    """
    ref, *with_ = item.split("+")
    if not all([ref, *with_]):
        raise BadInput(
            f"{item!r} is not a revision or REV+PATCH", hint="--revs v0.26.0,master+PATCH"
        )
    if with_ and chosen.patches:
        raise BadInput(
            f"{item} and --patches both name patches",
            hint="--patches is for every revision; leave it out, or the part after +",
        )
    return ref, ",".join(with_)


def bisect(raw: Mapping[str, Raw]) -> int:
    """Which commit did it."""
    chosen = options.read("bisect", raw)
    question = _question(raw, chosen)
    given: list[Patch] = load_patches(chosen.patches)
    with Display() as events:
        script = scripted(raw)
        setup = prepare(chosen, events, chosen=given, default=ALL_SCENARIOS[:1], script=script)
        if len(setup.scenarios) != 1:
            raise BadInput("a bisection follows one scenario", hint="--scenario NAME")

        if question.good:
            bisection = Bisection(setup, question, given)
            if chosen.dry_run:
                return show_plan(chosen, bisection.planned())
            return work(setup, "bisect", bisection.run)
        if chosen.dry_run:
            raise BadInput(
                "a plan needs both ends: where the good end is, only trials can say",
                hint="--good R --bad R",
            )

        def find_first(told: Events, campaign: str, folder: Path) -> Result:
            good = find_good(
                setup, question.bad, question.options, given, events=told, campaign=campaign
            )
            return Bisection(setup, replace(question, good=good), given).run(told, campaign, folder)

        return work(setup, "bisect", find_first)


def boundaries(raw: Mapping[str, Raw]) -> int:
    """Every change of outcome along a history."""
    chosen = options.read("boundaries", raw)
    ends = [options.option(name, raw.get(name, "")) for name in ("from", "to")]
    if not all(ends):
        raise BadInput(
            "boundaries needs both ends", hint="./inv boundaries --from v0.24.0 --to master"
        )
    span = Span(
        start=ends[0],
        end=ends[1],
        resolution=options.number("resolution", raw.get("resolution", ""), 1, 100_000)
        or RESOLUTION,
        releases=options.flag("releases", raw.get("releases", False)),
    )
    given = load_patches(chosen.patches)
    with Display() as events:
        script = scripted(raw)
        setup = prepare(chosen, events, chosen=given, default=ALL_SCENARIOS, script=script)
        campaign = BoundaryCampaign(setup, span, given)
        if chosen.dry_run:
            return show_plan(chosen, campaign.planned())
        return work(setup, "boundaries", campaign.run)


def scripted(raw: Mapping[str, Raw]) -> Scenario | None:
    """What ``--script`` names, as a scenario; None without it."""
    path = options.option("script", raw.get("script", ""))
    seconds = options.number("script-timeout", raw.get("script_timeout", ""), 1, 86400) or 600
    return from_script(path, timeout=seconds) if path else None


def _question(raw: Mapping[str, Raw], chosen: Settings) -> Question:
    good = options.option("good", raw.get("good", ""))
    bad = options.option("bad", raw.get("bad", ""))
    find = options.flag("find-good", raw.get("find_good", False))
    if find and good:
        raise BadInput("--find-good looks for the good end itself", hint="leave out --good")
    if not bad or not (good or find):
        raise BadInput("bisect needs both ends", hint="--good R --bad R, or --find-good --bad R")
    confidence = options.option("confidence", raw.get("confidence", ""))
    try:
        sure = float(confidence) if confidence else 0.95
    except ValueError:
        raise BadInput(
            f"--confidence {confidence!r} is not a number", hint="--confidence 0.95"
        ) from None
    return Question(
        good=good,
        bad=bad,
        verify=not options.flag("no-verify", raw.get("no_verify", False)),
        releases=options.flag("releases", raw.get("releases", False)),
        options=SearchOptions(
            trials=chosen.trials,
            confidence=sure,
            first_parent=not options.flag("no-first-parent", raw.get("no_first_parent", False)),
            find_fix=options.flag("find-fix", raw.get("find_fix", False)),
            bad_when=_outcomes("bad-when", raw),
            good_when=_outcomes("good-when", raw),
        ),
    )


def _outcomes(name: str, raw: Mapping[str, Raw]) -> frozenset[str]:
    text = options.option(name, raw.get(name.replace("-", "_"), ""))
    return frozenset(t for t in text.split(",") if t)


def show_plan(chosen: Settings, planned: Planned, also: Sequence[str] = ()) -> int:
    """Print what would be done, and do none of it; *also* is what there is beside cells."""
    seconds = sum(planned.build_seconds.values())
    total = seconds + planned.cells * planned.trials * planned.trial_seconds
    if chosen.json:
        print(
            json.dumps(
                {
                    "kind": planned.kind,
                    "rows": list(planned.rows),
                    "columns": [
                        {"scenario": c.scenario, "axes": dict(c.axes), "control": c.control}
                        for c in planned.columns
                    ],
                    "trials": planned.trials,
                    "build_seconds": dict(planned.build_seconds),
                    "trial_seconds": planned.trial_seconds,
                    "seconds": total,
                    "basis": planned.basis,
                    **({"also": list(also)} if also else {}),
                },
                indent=1,
            )
        )
        return DONE
    for row in planned.rows:
        cost, base = planned.build_seconds.get(row, 0), planned.only_bad_of.get(row)
        only = f", for the cells that are bad in {base}" if base else ""
        print(f"build  {row}: {'built already' if not cost else estimate.minutes(cost)}{only}")
    for column in planned.columns:
        control = ", control" if column.control else ""
        axes = " ".join(f"{k}={v}" for k, v in column.axes)
        print(f"cell   {column.scenario} {axes}{control}: {planned.trials} trials a row")
    for text in also:
        print(f"also   {text}")
    print(
        f"about {estimate.minutes(total)}, by {planned.basis}{', without the rest' if also else ''}"
    )
    return DONE


def work(setup: Setup, kind: str, work: Work) -> int:
    """Run the campaign in a folder of its own; what it leaves is whole or says that it is not."""
    chosen, events = setup.settings, setup.events
    doctor.ensure(lambda text: events.emit(Said(text=text)), trials=True, without=_unneeded(chosen))
    campaign, folder = new_folder(chosen, kind)
    record.begin(folder, kind, chosen.command, chosen.resumed)
    recorder = Recorder(folder / record.EVENTS)
    status, reason = "failed", ""
    try:
        both = Several(events, recorder)
        done = work(both, campaign, folder)
        result.write(done, folder)
        templates = render.Templates(chosen.templates)
        reports.write(done, folder, templates)
        github.publish(done, folder, env=os.environ, log=sys.stderr, templates=templates)
        status = done.status
        trim(both, chosen)
        finding = render.finding(done)
        both.emit(Finished(status=status, finding=finding, folder=str(folder)))
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    except (BisectError, OSError) as error:
        reason = str(error)
        raise
    finally:
        recorder.close()
        # On a full disk it stays "running", of a process that is gone; `resume` knows that too.
        with suppress(OSError):
            record.end(folder, status, reason)
    if chosen.json:
        sys.stdout.write(result.dump(done))
    return _code(done)


def trim(events: Events, chosen: Settings) -> None:
    """Bring the cache down to its bound; a campaign does not fail by that."""
    try:
        gone = cache_limit.trim(chosen.cache_size)
    except OSError as error:
        events.emit(Said(text=f"the cache could not be trimmed: {error}", warning=True))
        return
    if gone:
        size = cache_limit.shown(sum(e.bytes for e in gone))
        limit = cache_limit.shown(chosen.cache_size)
        events.emit(Said(text=f"{size} of the cache removed, to keep it below {limit}"))


def _code(done: Result) -> int:
    if any(cell.verdict == Verdict.INFRA for cell in done.cells):
        return INFRA
    if done.bisect and done.bisect.status != "found":
        return NO_ANSWER
    if done.validation and done.validation.status in ("refused", "inconclusive"):
        return NO_ANSWER
    return DONE


def _unneeded(chosen: Settings) -> list[str]:
    return (
        ["docker-registry", "busybox"]
        if chosen.images == "public"
        else ["docker-registry"]
        if chosen.registry
        else []
    )
