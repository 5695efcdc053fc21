"""The ``validate`` task: whether a patch fixes the failure, and what else it changes."""

from __future__ import annotations

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign.setup import patch_loader, prepare
from buildkit_bisect.campaign.validate import Validation
from buildkit_bisect.cli.campaigns import conduct, scripted
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import Display
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.requests import Validate


def validate(request: Validate) -> int:
    """Find whether patches fix the failure, what else they change, and where they apply."""
    if not request.patches.strip(", "):
        raise BadInput(
            "no patches given", hint=f"{inv('validate', 'pr/7107')}; {inv('patch-list')}"
        )
    script = scripted(request)
    with Display() as events:
        given = patch_loader(request, events).load(request.patches)
        # A patch that fixes one failure may cause another, so all shipped scenarios are run.
        setup = prepare(request, events, chosen=given, default=scenarios.names(), script=script)
        return conduct(Validation(setup, request, given), setup)
