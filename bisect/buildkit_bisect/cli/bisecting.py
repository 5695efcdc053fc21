"""The ``bisect`` task: the commit that broke or fixed it."""

from __future__ import annotations

from buildkit_bisect.campaign.bisect import Bisection
from buildkit_bisect.campaign.find_good import GoodEndBisection
from buildkit_bisect.campaign.setup import patch_loader, prepare
from buildkit_bisect.cli import ends
from buildkit_bisect.cli.campaigns import ALL_SCENARIOS, conduct, scripted
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import Display
from buildkit_bisect.options.choices import Prior
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.patch.patches import Patch


def bisect(request: Bisect) -> int:
    """Find the commit that introduced or fixed a failure."""
    request = ends.of_bisection(request)
    _check_ends(request)
    _check_prior(request)
    _check_minimize(request)
    with Display() as events:
        given: list[Patch] = patch_loader(request, events).load(request.patches)
        script = scripted(request)
        setup = prepare(request, events, chosen=given, default=ALL_SCENARIOS[:1], script=script)
        if len(setup.scenarios) != 1:
            raise BadInput("bisect takes exactly one scenario", hint=words(Bisect, scenario="NAME"))

        searched = Bisection if request.good else GoodEndBisection
        return conduct(searched(setup, request, given), setup)


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


def _check_prior(request: Bisect) -> None:
    """Raise `BadInput` for weights that releases cannot have: they are not one commit each."""
    for asked, option in (
        (request.suspect, words(Bisect, suspect=True)),
        (request.prior is not Prior.UNIFORM, words(Bisect, prior=True)),
    ):
        if request.releases and asked:
            raise BadInput(
                f"{option} weighs commits, and {words(Bisect, releases=True)} searches releases",
                hint=f"leave out {option}",
            )


def _check_minimize(request: Bisect) -> None:
    """Raise `BadInput` if the hunks of the commit are asked for, but nothing may be reverted."""
    other = (request.no_verify and words(Bisect, no_verify=True)) or (
        request.releases and words(Bisect, releases=True)
    )
    if request.minimize and other:
        raise BadInput(
            f"{words(Bisect, minimize=True)} reverts parts of the commit, and {other} reverts"
            " nothing",
            hint=f"leave out {other}",
        )
