"""``validate``: does a patch fix it, and what else does it change."""

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
    """Does it fix, what else does it change, where does it apply."""
    given = load_patches(request.patches)
    if not given:
        raise BadInput(
            "which patches?", hint=f"{inv('validate', patches='NAME')}; {inv('patch-list')}"
        )
    script = scripted(request)
    with Display() as events:
        # A patch that mends one way to fail can break another: everything that ships is tried.
        setup = prepare(request, events, chosen=given, default=scenarios.names(), script=script)
        return conduct(Validation(setup, request, given), setup)
