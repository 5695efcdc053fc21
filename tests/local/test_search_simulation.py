"""The figures of docs/search.md, measured by the same benchmark with fewer runs."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from buildkit_bisect.system.checkout import PROJECT

pytestmark = pytest.mark.local

BENCHMARK = PROJECT / "benchmarks" / "search_simulation.py"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("search_simulation", BENCHMARK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["search_simulation"] = module
    spec.loader.exec_module(module)
    return module


def test_five_percent_errors_both_ways(simulation: ModuleType) -> None:
    scenario = next(s for s in simulation.SCENARIOS if "trials only" in s.name)
    row = simulation.simulate(scenario, runs=40)
    assert row.right >= 0.9
    assert row.all_trials <= 28


def test_a_rate_of_one_half_costs_trials_and_not_builds(simulation: ModuleType) -> None:
    scenario = next(s for s in simulation.SCENARIOS if s.name == "reproduces in 0.5")
    row = simulation.simulate(scenario, runs=25)
    assert row.right >= 0.85
    assert row.search_builds <= 11
