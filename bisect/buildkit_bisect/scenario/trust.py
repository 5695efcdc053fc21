"""What a scenario does on this machine as root, so that its author must be trusted. Pure."""

from __future__ import annotations

from buildkit_bisect.scenario import build_step, script_step
from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.system import checkout


def needed(scenario: Scenario) -> str:
    """Return why someone has to trust the author of *scenario*; "" if nobody has to.

    Steps of other kinds run in containers. Scenarios that ship with the tool are part of it.
    """
    if any(folder.is_relative_to(checkout.SCENARIOS.resolve()) for folder in scenario.folders[:1]):
        return ""
    for index, step in enumerate(scenario.steps):
        if script_step.own(step):
            return f"steps[{index}] runs {step.path!r} as root on this machine"
        if build_step.INSECURE in step.allow:
            return f"steps[{index}] allows {build_step.INSECURE}, which is root on this machine"
    return ""
