"""The ``run`` and ``matrix`` tasks, and what every campaign does."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from buildkit_bisect import render, result
from buildkit_bisect.campaign import driver, scripts
from buildkit_bisect.campaign import matrix as matrices
from buildkit_bisect.campaign.matrix import MatrixCampaign
from buildkit_bisect.campaign.setup import Setup, patch_loader, prepare
from buildkit_bisect.cli import doctor, one_line
from buildkit_bisect.cli.cache import trim
from buildkit_bisect.cli.guard import DONE, INFRA, NO_ANSWER
from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.cli.variants import asked_for, fixed
from buildkit_bisect.errors import BadInput, NoAnswer
from buildkit_bisect.events import Events, sayer
from buildkit_bisect.live import Display
from buildkit_bisect.model import Variant, Verdict
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import Format, Images
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.patch import patches
from buildkit_bisect.render import github, reports
from buildkit_bisect.result import CampaignKind, Result, SearchStatus, ValidationStatus
from buildkit_bisect.scenario import Scenario, from_script
from buildkit_bisect.source import forms
from buildkit_bisect.system.announce import announce

ALL_SCENARIOS = ("cross-stage-lazy", "cross-stage-dedup")


def run(request: requests.Run) -> int:
    """Run the cells of one revision."""
    if not request.rev:
        raise BadInput("no revision given", hint=inv("run", rev="v0.26.0"))
    return _matrix(request, [request.rev], default=ALL_SCENARIOS[:1])


def matrix(request: requests.Matrix) -> int:
    """Find which variants are broken, and in which cells."""
    if request.shard and request.format is Format.GITHUB_MATRIX:
        option = words(requests.Matrix, format="github-matrix")
        raise BadInput(
            f"{option} has a job for each variant, and {words(requests.Matrix, shard=True)} is a"
            " part of the matrix",
            hint=f"leave out {option}",
        )
    return _matrix(request, request.revs, default=ALL_SCENARIOS, form=request.format)


def _matrix(
    request: Campaign,
    revs: Sequence[str],
    *,
    default: Sequence[str],
    form: Format = Format.FILES,
) -> int:
    asked = [asked_for(item, request) for item in revs]
    # By default the usual revisions, and all shipped patches on the last of them.
    usual = not revs and not request.patches
    shipped = patches.names() if usual else []
    with Display() as events:
        loader = patch_loader(request, events)
        texts = ["", request.patches, *(with_ for _, with_ in asked), *shipped]
        loaded = {text: loader.load(text) for text in dict.fromkeys(texts)}
        known = [p for group in loaded.values() for p in group]
        patches.check_names(known)
        script = scripted(request)
        setup = prepare(request, events, chosen=known, default=default, script=script)
        if isinstance(request, requests.Matrix):
            asked = [
                (ref, with_)
                for item, with_ in asked
                for ref in forms.expanded(item, setup.source.tags, setup.say)
            ]
        if not asked:
            asked = [(ref, "") for ref in matrices.default_revisions(setup.source)]
        asked += [(asked[-1][0], text) for text in shipped]
        named = list(asked)
        if request.patches:
            asked += [(ref, request.patches) for ref, _ in asked]
        refs = list(dict.fromkeys(ref for ref, _ in asked))
        resolved = dict(zip(refs, setup.source.resolve_all(refs), strict=True))
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
        shard = request.shard if isinstance(request, requests.Matrix) else None
        campaign = MatrixCampaign(setup, variants, CampaignKind(request.task), shard)
        same = (fixed(ref, resolved[ref], text, setup.source) for ref, text in named)
        return conduct(campaign, setup, revs=list(dict.fromkeys(same)))


def scripted(request: Campaign) -> Scenario | None:
    """Return the user's test script or Dockerfile as a scenario; None if *request* has neither."""
    if made := one_line.scenario(request):
        return made
    if not request.script:
        for given, option in (
            (request.script_files, words(Campaign, script_files=True)),
            (request.script_bad, words(Campaign, script_bad=True)),
            (request.outcome, words(Campaign, outcome=True)),
        ):
            if given:
                raise BadInput(
                    f"{option} needs {words(Campaign, script=True)}",
                    hint=words(Campaign, script="./test.sh"),
                )
        return None
    with announce(f"reading {request.script} and the files that it declares"):
        return from_script(
            request.script,
            timeout=request.script_timeout,
            files=request.script_files,
            bad=request.script_bad,
            named=request.outcome,
        )


def conduct(campaign: driver.Campaign, setup: Setup, *, revs: Sequence[str] = ()) -> int:
    """Run *campaign*, or only print its plan if that is what the request asks for.

    *revs* are the revisions of a matrix, as any machine resolves them to the same commits.
    """
    request, events = setup.request, setup.events
    settled = campaign.settled()
    if request.dry_run:
        if settled and settled.bisect:
            raise NoAnswer(settled.bisect.reason, hint=settled.bisect.hint)
        for warning in scripts.warnings(setup.scenarios):
            events.emit(warning)
        names = [file.name for scenario in setup.scenarios for file in scenario.files]
        return show_plan(request, campaign.plan(), script=names, revs=revs)
    if not settled:
        doctor.ensure(sayer(events), trials=True, without=_unneeded(request))
    document = driver.drive(campaign, setup, partial(_publish, request))
    if request.json:
        sys.stdout.write(result.dump(document))
    return code(document)


def _publish(request: Campaign, document: Result, folder: Path, events: Events) -> str:
    """Write the reports of *document* and trim the cache; return the headline."""
    templates = render.Templates(request.templates)
    with announce("writing the reports"):
        reports.write(document, folder, templates)
    github.publish(document, folder, env=os.environ, log=sys.stderr, templates=templates)
    trim(events, request.cache_size, grew=_made(document))
    return render.finding(document)


def _made(document: Result) -> bool:
    """Whether a build or a trial of *document* may be new, or was tried in vain."""
    return any(
        not cell.build
        or not cell.build.reused
        or cell.build.pulled_from  # now or earlier
        or any(not t.reused for t in cell.trials)
        for cell in document.cells
    )


def code(done: Result) -> int:
    """Return the exit code of a campaign."""
    if any(cell.verdict == Verdict.INFRA for cell in done.cells):
        return INFRA
    if done.bisect and done.bisect.status != SearchStatus.FOUND:
        return NO_ANSWER
    if done.validation and done.validation.status in (
        ValidationStatus.REFUSED,
        ValidationStatus.INCONCLUSIVE,
    ):
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
