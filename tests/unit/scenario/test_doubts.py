"""What may be wrong with a valid scenario."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.model import Observation, StepResult, Verdict, Vertex
from buildkit_bisect.scenario import Scenario, load
from buildkit_bisect.scenario.definition import Condition, Rule, VertexIs
from buildkit_bisect.scenario.doubts import Level, observed, static
from buildkit_bisect.scenario.rules import together

HEAD = """\
schema = 1
name = "x"
title = "x"
issue = "https://github.com/moby/buildkit/issues/1"
"""

BUILD = '[[steps]]\nid = "{}"\naction = "build"\ndockerfile = "Dockerfile"\n'

RULES = """
[[outcomes]]
name = "cached"
verdict = "good"
means = "it is cached"
all = [{ step = "b", vertex = "RUN x", is = "cached" }]

[[outcomes]]
name = "ran"
verdict = "bad"
means = "it ran"
all = [{ step = "b", vertex = "RUN x", is = "ran" }]
"""


def made(
    tmp_path: Path, steps: str, rules: str = RULES, head: str = HEAD, text: str = "FROM scratch\n"
) -> Scenario:
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / "scenario.toml").write_text(f"{head}\n{steps}\n{rules}")
    return load(f"{tmp_path}/")


def texts(scenario: Scenario, level: Level) -> list[str]:
    return [found.text for found in static(scenario) if found.level is level]


TWO = BUILD.format("a") + BUILD.format("b")


@pytest.mark.parametrize("name", scenarios.names())
def test_shipped_scenarios_are_neither_wrong_nor_flaky(name: str) -> None:
    scenario = load(name)
    assert texts(scenario, Level.WRONG) == texts(scenario, Level.FLAKY) == []
    assert any(text.startswith("controls: ") for text in texts(scenario, Level.OK))


def test_rules_that_exclude_each_other(tmp_path: Path) -> None:
    found = texts(made(tmp_path, TWO), Level.OK)
    assert "no good rule and bad rule can hold together" in found
    assert "each of the 2 rules can match" in found


def test_rules_that_can_hold_together_are_named_with_the_one_that_counts(tmp_path: Path) -> None:
    rules = RULES.replace('is = "ran" }]', 'is = "ran" }]\n').replace(
        'all = [{ step = "b", vertex = "RUN x", is = "ran" }]',
        'all = [{ step = "a", exit = "failed" }]',
    )
    found = texts(made(tmp_path, TWO, rules), Level.NOTE)
    assert found[0] == (
        "'cached' (good) and 'ran' (bad) can hold together:"
        " then 'cached' counts, because it is first"
    )


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_a_verdict_that_no_rule_has(tmp_path: Path, verdict: str) -> None:
    rules = RULES.replace(f'verdict = "{verdict}"', 'verdict = "weak"')
    found = texts(made(tmp_path, TWO, rules), Level.WRONG)
    assert found == [f"no rule has the verdict {verdict}: a search needs both"]


def test_without_a_control(tmp_path: Path) -> None:
    assert texts(made(tmp_path, TWO), Level.NOTE) == [
        "there is no control: a cell in which the failure cannot occur would show other faults"
    ]
    rules = RULES.replace('is = "ran" }]', 'is = "ran" }, { step = "a", inner_layers = "none" }]')
    steps = TWO.replace('"Dockerfile"\n[', '"Dockerfile"\nexports = [{ type = "inline" }]\n[', 1)
    steps = steps.replace('{ type = "inline" }', '{ type = "local", dest = "c" }')
    assert texts(made(tmp_path, steps, rules), Level.WRONG) == [
        "there is no control, so ran can never match: inner_layers needs one"
    ]


def test_only_controls(tmp_path: Path) -> None:
    head = f'{HEAD}\n[axes.s]\nvalues = ["a"]\ncontrols = ["a"]\n'
    assert texts(made(tmp_path, TWO, head=head), Level.WRONG) == [
        "every cell is a control: there is nothing to test"
    ]


PRUNE = '[[steps]]\nid = "p"\naction = "prune"\n'
IMPORT = BUILD.format("b") + 'imports = [{ type = "local", src = "c" }]\n'


@pytest.mark.parametrize(
    ("between", "flaky"),
    [
        ("", True),
        (PRUNE, False),
        ('[[steps]]\nid = "d"\naction = "daemon"\nstart = "fresh"\n', False),
        ('[[steps]]\nid = "d"\naction = "daemon"\nstart = "restart"\n', True),
        (f"{PRUNE}{BUILD.format('more')}", True),
    ],
)
def test_an_import_that_the_daemons_own_cache_may_answer(
    tmp_path: Path, between: str, flaky: bool
) -> None:
    found = texts(made(tmp_path, BUILD.format("a") + between + IMPORT), Level.FLAKY)
    assert bool(found) == flaky
    assert all("b imports a cache while the daemon still has that of" in text for text in found)


def test_steps_that_run_concurrently(tmp_path: Path) -> None:
    steps = TWO.replace('"Dockerfile"\n', '"Dockerfile"\nparallel = "both"\n')
    assert texts(made(tmp_path, steps), Level.FLAKY) == [
        "a and b run concurrently: what they share depends on timing"
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM alpine:3", "Dockerfile: FROM alpine:3 is pulled in each trial, unpinned"),
        ("FROM scratch\nRUN date > /x", "Dockerfile: RUN date > /x uses date: its result is"),
        ("FROM scratch\nRUN head /dev/urandom", "uses /dev/urandom: its result is another one"),
        ("FROM scratch\nRUN echo $RANDOM", "uses $RANDOM: its result is another one"),
        ("FROM scratch\nRUN ls && apk add git", "uses the network (apk add): it fails if"),
    ],
)
def test_what_a_dockerfile_has_that_changes(tmp_path: Path, text: str, wanted: str) -> None:
    (found,) = texts(made(tmp_path, TWO, text=text), Level.FLAKY)
    assert wanted in found


@pytest.mark.parametrize(
    "text",
    [
        f"FROM alpine@sha256:{'0' * 64}",
        "FROM scratch\nRUN update-all",
        "ARG B=scratch\nFROM $B AS x\nFROM x",
    ],
)
def test_what_does_not_change(tmp_path: Path, text: str) -> None:
    assert texts(made(tmp_path, TWO, text=text), Level.FLAKY) == []


def test_an_image_of_the_scenario_is_not_pulled(tmp_path: Path) -> None:
    steps = TWO.replace('"Dockerfile"\n', '"Dockerfile"\nargs = { B = "${image.i}" }\n')
    head = f'{HEAD}\n[images.i]\ndockerfile = "Dockerfile"\npublic = "alpine:3"\n'
    scenario = made(tmp_path, steps, head=head, text="ARG B=alpine\nFROM ${B}\n")
    assert texts(scenario, Level.FLAKY) == []
    assert "images.i.public alpine:3 is not pinned by a digest" in texts(scenario, Level.NOTE)[-1]


def test_a_rule_about_a_timeout(tmp_path: Path) -> None:
    rules = RULES + '\n[[outcomes]]\nname = "hangs"\nverdict = "bad"\nmeans = "it hangs"\n'
    rules += 'all = [{ step = "a", exit = "late" }]\n'
    assert texts(made(tmp_path, TWO, rules), Level.FLAKY) == [
        "'hangs' is bad if a takes more than 120 s: a slow machine may do that too"
    ]


@pytest.mark.parametrize(
    ("conditions", "flaky"),
    [
        ('{ step = "b", exit = "ok" }, { daemon_log = "CDI setup error" }', True),
        ('{ daemon_log = "failed to get disk size" }', True),
        ('{ any = [{ daemon_log = "x" }, { not = { daemon_log = "y" } }] }', True),
        ('{ step = "b", exit = "ok" }, { daemon_log = "panic: x" }', False),
        ('{ daemon_log = "(?i)FATAL error" }', False),
        ('{ step = "b", exit = "failed" }, { daemon_log = "lease does not exist" }', False),
        ('{ step = "b", vertex = "RUN x", is = "ran" }, { daemon_log = "x" }', False),
        ('{ step = "b", exit = "ok" }', False),
    ],
)
def test_a_rule_about_the_daemons_log_alone(tmp_path: Path, conditions: str, flaky: bool) -> None:
    rules = '\n[[outcomes]]\nname = "logged"\nverdict = "bad"\nmeans = "it is logged"\n'
    found = texts(made(tmp_path, TWO, f"{rules}all = [{conditions}]\n"), Level.FLAKY)
    wanted = (
        "'logged' is bad for the daemon's log alone, and no panic or fatal error: what a daemon"
        " logs as it starts differs between releases and machines"
    )
    assert found == ([wanted] if flaky else [])


def seen(state: str, *, seconds: float = 1, status: int = 0) -> Observation:
    vertex = Vertex(name="RUN x", digest="x", cached=state == "cached", started=True)
    both = (
        StepResult(id="a", exit=status, seconds=seconds),
        StepResult(id="b", exit=0, seconds=1, vertices=(vertex,)),
    )
    return Observation(steps=both, seconds=1)


def test_trials_that_match_a_good_and_a_bad_rule(tmp_path: Path) -> None:
    rules = RULES.replace(
        'all = [{ step = "b", vertex = "RUN x", is = "ran" }]',
        'all = [{ step = "a", exit = "failed" }]',
    )
    scenario = made(tmp_path, TWO, rules)
    trials = [seen("cached"), seen("cached", status=1), seen("ran", status=1)]
    (found,) = observed(scenario, trials, None, "v1")
    assert found.level is Level.WRONG
    assert found.text == (
        "v1: 'cached' (good) and 'ran' (bad) hold together in 1 of 3 trials:"
        " only their order decides"
    )
    assert list(observed(scenario, [replace(trials[1], infra="x")], None, "v1")) == []


def test_a_step_that_is_near_its_deadline(tmp_path: Path) -> None:
    scenario = made(tmp_path, TWO)
    (found,) = observed(scenario, [seen("ran", seconds=61), seen("ran")], None, "v1")
    assert (found.level, found.text) == (
        Level.FLAKY,
        "v1: a took up to 61 s of the 120 s that it has: a busy machine may exceed that",
    )
    assert list(observed(scenario, [seen("ran", seconds=59)], None, "v1")) == []


def test_rules_of_repeated_steps(tmp_path: Path) -> None:
    steps = TWO.replace('"Dockerfile"\n', '"Dockerfile"\nrepeat = 2\n')
    scenario = made(tmp_path, steps)
    every = Rule(
        name="e",
        verdict=Verdict.GOOD,
        means="x",
        all=(Condition(step="b", vertex="x", is_=VertexIs.RAN, runs="every"),),
    )
    some = replace(every, all=(Condition(step="b", vertex="x", is_=VertexIs.CACHED, runs="any"),))
    assert not together(scenario, every, some)
    assert together(scenario, replace(every, all=(replace(every.all[0], runs="any"),)), some)
