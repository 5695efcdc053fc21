"""The ``validate`` task: whether a patch fixes the failure, and what else it changes."""

from __future__ import annotations

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign.setup import load_patches, prepare
from buildkit_bisect.campaign.validate import Validation
from buildkit_bisect.cli.campaigns import conduct, scripted
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import Display
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.requests import Validate


def validate(request: Validate) -> int:
    """Find whether patches fix the failure, what else they change, and where they apply."""
    given = load_patches(request.patches)
    if not given:
        raise BadInput(
            "no patches given", hint=f"{inv('validate', patches='NAME')}; {inv('patch-list')}"
        )
    script = scripted(request)
    with Display() as events:
        # A patch that fixes one failure may cause another, so all shipped scenarios are run.
        setup = prepare(request, events, chosen=given, default=scenarios.names(), script=script)
        return conduct(Validation(setup, request, given), setup)
