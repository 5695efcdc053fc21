"""What a scenario does outside of containers, so that its author must be trusted. Pure."""

from __future__ import annotations

from buildkit_bisect.scenario import build_step, script_step
from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.system import checkout

#: What an entitlement gives a build step. The network has servers that ask nobody who they are,
#: such as the registry of base images.
_GIVES = {
    build_step.INSECURE: "root on this machine",
    build_step.NETWORK: "this machine's network with its servers on 127.0.0.1",
}


def needed(scenario: Scenario) -> str:
    """Return why someone has to trust the author of *scenario*; "" if nobody has to.

    Steps of other kinds run in containers. Scenarios that ship with the tool are part of it.
    """
    if any(folder.is_relative_to(checkout.SCENARIOS.resolve()) for folder in scenario.folders[:1]):
        return ""
    for index, step in enumerate(scenario.steps):
        if script_step.own(step):
            return f"steps[{index}] runs {step.path!r} as root on this machine"
        # The one that gives more is named first.
        for word in (w for w in _GIVES if w in step.allow):
            return f"steps[{index}] allows {word}, which is {_GIVES[word]}"
    return ""
