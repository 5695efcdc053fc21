"""The ``validate`` task: whether a patch fixes the failure, and what else it changes."""

from __future__ import annotations

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign.setup import patch_loader, prepare
from buildkit_bisect.campaign.validate import Validation
from buildkit_bisect.cli.campaigns import conduct, scripted
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import Display
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch.branches import PREFIX


def validate(request: Validate) -> int:
    """Find whether patches fix the failure, what else they change, and where they apply."""
    text = request.patches
    if request.from_branch:
        if text:
            raise BadInput(
                f"{words(Validate, from_branch=True)} and patches cannot be combined",
                hint=words(Validate, patches=f"{text},{PREFIX}{request.from_branch}"),
            )
        text = PREFIX + request.from_branch
    if not text.strip(", "):
        raise BadInput(
            "no patches given", hint=f"{inv('validate', 'pr/7107')}; {inv('patch-list')}"
        )
    script = scripted(request)
    with Display() as events:
        given = patch_loader(request, events).load(text)
        # A patch that fixes one failure may cause another, so all shipped scenarios are run.
        setup = prepare(request, events, chosen=given, default=scenarios.names(), script=script)
        return conduct(Validation(setup, request, given), setup)
