"""What a trial takes at home is measured with the cells that a campaign has."""

from __future__ import annotations

import home_costs
import pytest

from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Observation, StepResult
from buildkit_bisect.scenario import load

SEEN = Observation(steps=(StepResult(id="another", exit=0, seconds=1.0),), seconds=2.0)


def test_cells_are_those_of_the_scenario_controls_first() -> None:
    scenario = load("cross-stage-lazy")
    cells = scenario.cells()
    wanted = home_costs.asked(scenario, 2 * len(cells))
    for row in (wanted[: len(cells)], wanted[len(cells) :]):
        assert {one.axes for one in row} == set(cells)
        controls = [scenario.is_control(one.axes) for one in row]
        assert controls == sorted(controls, reverse=True)
        assert {scenario.control_of(one.axes) for one in row} - {None} <= set(cells)


@pytest.mark.parametrize("workers", [1, 5])
def test_each_trial_is_given_out_once(workers: int) -> None:
    """Also where no rule matches, so that controls are asked for again."""
    Journal().close()
    done, _ = home_costs.measured(workers, 8, [SEEN])
    assert done == 8 * home_costs.TRIALS
