"""``run``, ``matrix``, ``bisect``: check the machine, plan, work, write the result."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from buildkit_bisect import render, result
from buildkit_bisect.campaign import estimate, record
from buildkit_bisect.campaign import matrix as matrices
from buildkit_bisect.campaign.bisect import Bisection
from buildkit_bisect.campaign.boundaries import BoundaryCampaign
from buildkit_bisect.campaign.find_good import find_good
from buildkit_bisect.campaign.setup import Setup, load_patches, new_folder, prepare
from buildkit_bisect.cli import doctor
from buildkit_bisect.cli.guard import DONE, INFRA, NO_ANSWER
from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.events import Events, Finished, Planned, Said, Several
from buildkit_bisect.live import Display, Recorder
from buildkit_bisect.model import Variant, Verdict
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import Format, Images
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Bisect, Building, Campaign
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.render import github, reports
from buildkit_bisect.result import Result
from buildkit_bisect.scenario import Scenario, from_script
from buildkit_bisect.system import cache_limit

#: Runs a campaign whose revisions, patches and scenarios are resolved.
Work = Callable[[Events, str, Path], Result]

ALL_SCENARIOS = ("cross-stage-lazy", "cross-stage-dedup")


def run(request: requests.Run) -> int:
    """Run the cells of one revision."""
    if not request.rev:
        raise BadInput("no revision given", hint=inv("run", rev="v0.26.0"))
    return _matrix(request, [request.rev], default=ALL_SCENARIOS[:1])


def matrix(request: requests.Matrix) -> int:
    """Find which variants are broken, and in which cells."""
    return _matrix(request, request.revs, default=ALL_SCENARIOS, form=request.format)


def _matrix(
    request: Campaign,
    revs: Sequence[str],
    *,
    default: Sequence[str],
    form: Format = Format.FILES,
) -> int:
    kind = request.task
    asked = [asked_for(item, request) for item in revs]
    # By default the usual revisions, and all shipped patches on the last of them.
    usual = not revs and not request.patches
    shipped = patches.names() if usual else []
    loaded = {
        text: load_patches(text)
        for text in dict.fromkeys(["", request.patches, *(with_ for _, with_ in asked), *shipped])
    }
    known = [p for group in loaded.values() for p in group]
    with Display() as events:
        script = scripted(request)
        setup = prepare(request, events, chosen=known, default=default, script=script)
        if not asked:
            asked = [(ref, "") for ref in matrices.default_revisions(setup.source)]
        if request.patches:
            asked += [(ref, request.patches) for ref, _ in asked]
        asked += [(asked[-1][0], text) for text in shipped]
        resolved = {ref: setup.source.resolve(ref) for ref, _ in asked}
        variants = [
            Variant(revision=resolved[ref], patches=tuple(p.ref for p in loaded[text]))
            for ref, text in asked
        ]
        if form is Format.GITHUB_MATRIX:
            # Folders and series keep their names: each job loads them itself.
            print(
                github.strategy((ref, tuple(filter(None, text.split(",")))) for ref, text in asked)
            )
            return DONE
        if request.dry_run:
            trials = request.trials or matrices.TRIALS
            return show_plan(request, matrices.planned(setup, variants, trials, kind))
        return work(
            setup,
            kind,
            lambda told, campaign, folder: matrices.run(
                replace(setup, events=told), variants, campaign=campaign, folder=folder, kind=kind
            ),
        )


def asked_for(item: str, request: Building) -> tuple[str, str]:
    """Split ``REV`` or ``REV+PATCH+PATCH`` into the revision and ``"PATCH,PATCH"`` or "".

    Raises `BadInput` if *request* names patches as well. A branch with a plus sign in its name
    must be given by its commit ID.
    """
    ref, *with_ = item.split("+")
    if not all([ref, *with_]):
        raise BadInput(
            f"{item!r} is neither a revision nor REV+PATCH",
            hint=words(requests.Matrix, revs="v0.26.0,master+PATCH"),
        )
    if with_ and request.patches:
        raise BadInput(
            f"{item} and {words(Building, patches=True)} both name patches",
            hint=f"{words(Building, patches=True)} applies to every revision; leave out either"
            " it or the part after +",
        )
    return ref, ",".join(with_)


def bisect(request: Bisect) -> int:
    """Find the commit that introduced or fixed a failure."""
    _check_ends(request)
    given: list[Patch] = load_patches(request.patches)
    with Display() as events:
        script = scripted(request)
        setup = prepare(request, events, chosen=given, default=ALL_SCENARIOS[:1], script=script)
        if len(setup.scenarios) != 1:
            raise BadInput("bisect takes exactly one scenario", hint=words(Bisect, scenario="NAME"))

        if request.good:
            bisection = Bisection(setup, request, given)
            if request.dry_run:
                return show_plan(request, bisection.planned())
            return work(setup, "bisect", bisection.run)
        if request.dry_run:
            raise BadInput(
                "cannot plan a bisection without a good endpoint; finding one takes trials",
                hint=words(Bisect, good="R", bad="R"),
            )

        def find_first(told: Events, campaign: str, folder: Path) -> Result:
            good = find_good(setup, request, given, events=told, campaign=campaign)
            return Bisection(setup, replace(request, good=good), given).run(told, campaign, folder)

        return work(setup, "bisect", find_first)


def boundaries(request: requests.Boundaries) -> int:
    """Find every change of outcome in a history."""
    if not (request.start and request.end):
        raise BadInput(
            "boundaries needs both endpoints", hint=inv("boundaries", from_="v0.24.0", to="master")
        )
    given = load_patches(request.patches)
    with Display() as events:
        script = scripted(request)
        setup = prepare(request, events, chosen=given, default=ALL_SCENARIOS, script=script)
        campaign = BoundaryCampaign(setup, request, given)
        if request.dry_run:
            return show_plan(request, campaign.planned())
        return work(setup, "boundaries", campaign.run)


def scripted(request: Campaign) -> Scenario | None:
    """Return the user's test script as a scenario; None if *request* has no script."""
    if not request.script:
        return None
    return from_script(request.script, timeout=request.script_timeout)


def _check_ends(request: Bisect) -> None:
    """Raise `BadInput` unless *request* has both endpoints, or a bad one and ``find_good``."""
    if request.find_good and request.good:
        raise BadInput(
            f"{words(Bisect, find_good=True)} and {words(Bisect, good=True)} exclude each other",
            hint=f"leave out {words(Bisect, good=True)}",
        )
    if not request.bad or not (request.good or request.find_good):
        raise BadInput(
            "bisect needs both endpoints",
            hint=f"{words(Bisect, good='R', bad='R')}, or {words(Bisect, find_good=True, bad='R')}",
        )


def show_plan(request: Campaign, planned: Planned, also: Sequence[str] = ()) -> int:
    """Print what would be done; *also* lists work other than cells."""
    seconds = sum(planned.build_seconds.values())
    total = seconds + planned.cells * planned.trials * planned.trial_seconds
    if request.json:
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
        only = f", only for cells that are bad in {base}" if base else ""
        print(f"build  {row}: {'already built' if not cost else estimate.minutes(cost)}{only}")
    for column in planned.columns:
        control = ", control" if column.control else ""
        axes = " ".join(f"{k}={v}" for k, v in column.axes)
        print(f"cell   {column.scenario} {axes}{control}: {planned.trials} trials per row")
    for text in also:
        print(f"also   {text}")
    print(
        f"about {estimate.minutes(total)}{' for builds and cells' if also else ''}, based on"
        f" {planned.basis}"
    )
    return DONE


def work(setup: Setup, kind: str, work: Work) -> int:
    """Run a campaign in a new folder, which records whether the campaign completed."""
    request, events = setup.request, setup.events
    doctor.ensure(
        lambda text: events.emit(Said(text=text)), trials=True, without=_unneeded(request)
    )
    campaign, folder = new_folder(request.out, kind)
    record.begin(folder, kind, request.command, setup.resumed)
    recorder = Recorder(folder / record.EVENTS)
    status, reason = "failed", ""
    try:
        both = Several(events, recorder)
        done = work(both, campaign, folder)
        result.write(done, folder)
        templates = render.Templates(request.templates)
        reports.write(done, folder, templates)
        github.publish(done, folder, env=os.environ, log=sys.stderr, templates=templates)
        status = done.status
        trim(both, request.cache_size)
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
        # On a full disk the status stays "running" of a dead process; `resume` accepts that too.
        with suppress(OSError):
            record.end(folder, status, reason)
    if request.json:
        sys.stdout.write(result.dump(done))
    return _code(done)


def trim(events: Events, bound: int) -> None:
    """Trim the cache to *bound* bytes; a failure is only a warning."""
    try:
        gone = cache_limit.trim(bound)
    except OSError as error:
        events.emit(Said(text=f"cannot trim the cache: {error}", warning=True))
        return
    if gone:
        size = cache_limit.shown(sum(e.bytes for e in gone))
        limit = cache_limit.shown(bound)
        events.emit(Said(text=f"removed {size} from the cache to keep it below {limit}"))


def _code(done: Result) -> int:
    if any(cell.verdict == Verdict.INFRA for cell in done.cells):
        return INFRA
    if done.bisect and done.bisect.status != "found":
        return NO_ANSWER
    if done.validation and done.validation.status in ("refused", "inconclusive"):
        return NO_ANSWER
    return DONE


def _unneeded(request: Campaign) -> list[str]:
    return (
        ["docker-registry", "busybox"]
        if request.images is Images.PUBLIC
        else ["docker-registry"]
        if request.registry
        else []
    )
