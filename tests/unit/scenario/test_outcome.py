from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from buildkit_bisect import scenario, solve_status
from buildkit_bisect.model import (
    CacheConfig,
    CacheRecord,
    Observation,
    Outcome,
    StepResult,
    Verdict,
    Vertex,
)
from buildkit_bisect.scenario import pattern
from buildkit_bisect.scenario.cache_config import inner_with_layers, kept
from buildkit_bisect.scenario.conditions import holds
from buildkit_bisect.scenario.definition import Condition, VertexIs
from buildkit_bisect.scenario.outcome import combine, judge

SCENARIO = scenario.load("cross-stage-lazy")


def config(stable: bool = True, bust: bool = True, final: bool = True) -> CacheConfig:
    """The issue's build: base <- stable RUN <- RUN with BUST <- COPY of the final stage."""
    layers = ("sha256:l1",)
    return CacheConfig(
        records=(
            CacheRecord(digest="base"),
            CacheRecord(digest="stable", layers=layers if stable else (), inputs=("base",)),
            CacheRecord(digest="bust", layers=layers if bust else (), inputs=("stable",)),
            CacheRecord(digest="final", layers=layers if final else (), inputs=("bust",)),
        ),
        layers=layers,
        form="image",
    )


def seen(
    export: CacheConfig | None, state: str = "ran", exit_code: int = 0, stderr: str = ""
) -> Observation:
    vertex = Vertex(
        name="[build 2/3] RUN echo stable > /stable",
        digest="sha256:v",
        cached=state == "cached",
        started=state != "absent",
        error="boom" if state == "failed" else "",
    )
    return Observation(
        steps=(
            StepResult(id="export", exit=exit_code, seconds=1, stderr=stderr, export=export),
            StepResult(id="prune", exit=0, seconds=1),
            StepResult(
                id="import", exit=0, seconds=1, vertices=(vertex,) if state != "absent" else ()
            ),
        ),
        seconds=3,
    )


CONTROL = seen(config(), "cached")


@pytest.mark.parametrize(
    "hostile", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(a*)*b$", "([a-z]+)*=", "(x+x+)+y"]
)
def test_a_pattern_cannot_hang_the_tool(hostile: str) -> None:
    """Python's own matcher takes longer than the age of the universe for these."""
    assert pattern.problem(hostile) == ""
    started = time.monotonic()
    assert not pattern.found(hostile, "a" * solve_status.MESSAGES_LIMIT + "!")
    assert time.monotonic() - started < 5


def test_a_pattern_is_searched_in_any_text() -> None:
    assert pattern.found("^RUN (echo|cat) .*é$", "RUN cat é")
    assert pattern.found("x", "\ud800x")
    assert not pattern.found("y", "")


@pytest.mark.parametrize(
    "bad", ["(", "(?=x)", r"(x)\1", "(a{1000}){1000}", "x{99999}", "a" * 1001, "\ud800"]
)
def test_an_invalid_pattern_is_reported_without_output(
    bad: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert pattern.problem(bad)
    assert capfd.readouterr() == ("", "")


HANDLERS = "failed to load ref: missing descriptor handlers for lazy blobs [sha256:1]"


@pytest.mark.parametrize(
    ("observation", "name"),
    [
        (seen(config(), "cached"), "cached"),
        (seen(None, "ran", 1, HANDLERS), "export-failed"),
        (seen(config(stable=False, bust=False)), "layers-dropped"),
        (seen(config(stable=False, bust=False, final=False)), "layers-dropped"),
        (seen(config(stable=False)), "layers-partly-dropped"),
        (seen(config(bust=False)), "layers-partly-dropped"),
        (seen(config()), "ran-despite-layers"),
        (seen(None, "ran", 1, "no such host"), "unclassified"),
        (seen(None, "ran"), "unclassified"),
        (seen(config(), "failed"), "unclassified"),
        (seen(config(), "absent"), "unclassified"),
    ],
)
def test_observations_get_the_right_outcome(observation: Observation, name: str) -> None:
    outcome = judge(SCENARIO, observation, CONTROL)
    assert outcome.name == name
    assert (outcome.verdict is Verdict.BAD) == (name not in ("cached", "unclassified"))


def failed_with(**logs: str) -> Observation:
    vertices = tuple(
        Vertex(name=f"[2/3] RUN {name}", digest=name, started=True, error="exit code: 1", log=log)
        for name, log in logs.items()
    )
    step = StepResult(id="export", exit=1, seconds=1, stderr="exit code: 1", vertices=vertices)
    return Observation(steps=(step,), seconds=1)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"log": "not a directory"}, True),
        ({"log": "^mkdir .*directory$"}, True),
        ({"log": r"\Amkdir"}, False),
        ({"log": r"^hello$"}, True),
        ({"log": r"^hell$"}, False),
        ({"log": "disk full"}, False),
        ({"vertex": "RUN second", "log": "not a directory"}, False),
        ({"vertex": "RUN third", "log": "x?"}, False),
        ({"is_": VertexIs.FAILED, "log": "not a directory"}, True),
        ({"is_": VertexIs.RAN, "log": "not a directory"}, False),
    ],
)
def test_a_condition_looks_into_what_a_vertex_printed(facts: dict[str, Any], wanted: bool) -> None:
    seen = failed_with(first="hello\nmkdir /var/www: not a directory\n", second="disk on fire\n")
    (step,) = seen.steps
    condition = Condition(step="export", **{"vertex": "RUN", **facts})
    assert holds(condition, step, None) is wanted


def test_messages_do_not_have_what_a_vertex_printed() -> None:
    condition = Condition(step="export", stderr="not a directory")
    (step,) = failed_with(first="not a directory").steps
    assert not holds(condition, step, None)


def test_without_a_control_layers_are_not_judged() -> None:
    assert judge(SCENARIO, seen(config(stable=False)), None).name == "unclassified"


def test_a_control_without_an_export_is_not_compared_with() -> None:
    assert judge(SCENARIO, seen(config(stable=False)), seen(None)).name == "unclassified"


def test_a_timeout_is_a_failure() -> None:
    good = seen(config(), "cached")
    late = replace(good, steps=(replace(good.steps[0], timed_out=True), *good.steps[1:]))
    assert judge(SCENARIO, late, CONTROL).name == "unclassified"
    assert "timed out" in judge(SCENARIO, late, CONTROL).reason


def test_infrastructure_and_a_dead_daemon_are_never_bad() -> None:
    bad = seen(None, "ran", 1, HANDLERS)
    assert judge(SCENARIO, replace(bad, infra="registry down"), CONTROL).verdict is Verdict.INFRA
    assert judge(SCENARIO, replace(bad, no_daemon="panic"), CONTROL).verdict is Verdict.SKIP
    unsupported = judge(SCENARIO, replace(bad, unsupported="has no --opt"), CONTROL)
    assert (unsupported.name, unsupported.verdict) == ("unsupported", Verdict.SKIP)
    assert unsupported.reason == "has no --opt"


def test_an_observation_cut_short_matches_no_rule() -> None:
    bad = seen(None, "ran", 0)
    assert judge(SCENARIO, replace(bad, steps=bad.steps[:1]), CONTROL).name == "unclassified"


def test_inner_records_are_those_that_others_depend_on() -> None:
    assert inner_with_layers(config()) == {"stable", "bust"}
    assert kept(config(final=False), config()) == (2, 2)
    assert kept(config(stable=False), config()) == (1, 2)


GOOD = Outcome(name="cached", verdict=Verdict.GOOD)
BAD = Outcome(name="dropped", verdict=Verdict.BAD)
OTHER = Outcome(name="failed", verdict=Verdict.BAD)
INFRA = Outcome(name="infra", verdict=Verdict.INFRA)


@pytest.mark.parametrize(
    ("outcomes", "name", "verdict"),
    [
        ([GOOD, GOOD], "cached", Verdict.GOOD),
        ([GOOD, BAD], "flaky", Verdict.WEAK),
        ([OTHER, BAD], "flaky", Verdict.BAD),
        ([INFRA, BAD], "dropped", Verdict.BAD),
        ([INFRA, INFRA], "infra", Verdict.INFRA),
    ],
)
def test_trials_that_disagree_are_flaky(
    outcomes: list[Outcome], name: str, verdict: Verdict
) -> None:
    combined, counts = combine(outcomes)
    assert (combined.name, combined.verdict) == (name, verdict)
    assert sum(counts.values()) == len([o for o in outcomes if o is not INFRA] or outcomes)


def test_flaky_counts_each_outcome() -> None:
    combined, _ = combine([GOOD, BAD, GOOD])
    assert "cached 2 of 3" in combined.reason
    assert "dropped 1 of 3" in combined.reason
