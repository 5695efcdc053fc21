"""The ``boundaries`` task: every change of outcome in a history."""

from __future__ import annotations

from buildkit_bisect.campaign.boundaries import BoundaryCampaign
from buildkit_bisect.campaign.setup import patch_loader, prepare
from buildkit_bisect.cli import ends
from buildkit_bisect.cli.campaigns import ALL_SCENARIOS, conduct, scripted
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import Display
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.requests import Boundaries


def boundaries(request: Boundaries) -> int:
    """Find every change of outcome in a history."""
    request = ends.of_boundaries(request)
    if not (request.start and request.end):
        raise BadInput(
            "boundaries needs both endpoints", hint=inv("boundaries", from_="v0.24.0", to="master")
        )
    with Display() as events:
        given = patch_loader(request, events).load(request.patches)
        script = scripted(request)
        setup = prepare(request, events, chosen=given, default=ALL_SCENARIOS, script=script)
        return conduct(BoundaryCampaign(setup, request, given), setup)
