"""The tasks ``scenario-learn`` and ``scenario-check``, with trials that were not run."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.cli import learning
from buildkit_bisect.errors import BadInput, NoAnswer
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.model import (
    Build,
    Observation,
    Outcome,
    OutputFacts,
    Revision,
    StepResult,
    Variant,
    Verdict,
    Vertex,
)
from buildkit_bisect.options.option import options_of
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Request, ScenarioCheck, ScenarioLearn
from buildkit_bisect.scenario.learned import Both, End

FILE = """\
schema = 1
name = "x"
title = "x"
issue = "https://github.com/moby/buildkit/issues/1"

[[steps]]
id = "a"
action = "build"
dockerfile = "Dockerfile"
"""


def seen(status: int, message: str = "") -> Observation:
    vertex = Vertex(name="[1/1] RUN x", digest=f"sha256:{status}", started=True, log=message)
    return Observation(
        steps=(StepResult(id="a", exit=status, seconds=1, vertices=(vertex,)),), seconds=1
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "scenario.toml").write_text(FILE)
    return tmp_path


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Observation]]:
    """What the trials of each revision show; they are not run."""
    shown = {"v1": [seen(0)] * 3, "v2": [seen(1, "no such record")] * 3}

    class Watch:
        def __init__(self, setup: Any, variants: list[Variant], number: int) -> None:
            self.setup, self.variants, self.number = setup, variants, number
            self.folder = Path("/srv/results/20261130-learn")

        def both(self, good: Variant, bad: Variant) -> list[Both]:
            ends = [End(trials=tuple(shown[v.label])) for v in (good, bad)]
            return [Both(axes=(), good=ends[0], bad=ends[1])]

        @property
        def cells(self) -> dict[tuple[str, tuple[()]], Cell]:
            scenario = self.setup.scenarios[0]
            return {(v.label, ()): cell(scenario, v, shown[v.label]) for v in self.variants}

    def prepared(request: Any, scenario: Any, revisions: Any, _events: Any) -> Any:
        setup = SimpleNamespace(scenarios=(scenario,), tested_cells=lambda: [()], request=request)
        return setup, [Variant(revision=Revision(ref=r, sha=r * 20)) for r in revisions]

    monkeypatch.setattr(learning, "Watch", Watch)
    monkeypatch.setattr(learning, "_prepared", prepared)
    monkeypatch.setattr(learning, "conduct", lambda *_: 0)
    monkeypatch.setattr(learning, "Display", nullcontext)
    return shown


def cell(scenario: Any, variant: Variant, shown: list[Observation]) -> Cell:
    judged = tuple(scenarios_judge(scenario, one) for one in shown)
    counts: dict[str, int] = {}
    for one in judged:
        counts[one.name] = counts.get(one.name, 0) + 1
    build = Build(
        key="k", go="1", source="git", directory="/", buildkitd_sha256="", buildctl_sha256="",
        seconds=1,
    )  # fmt: skip
    return Cell(
        variant=variant,
        scenario=scenario,
        axes=(),
        build=build,
        outcome=judged[0],
        counts=counts,
        trials=tuple(Trial(observation=one, origin=Origin.NOW) for one in shown),
        judged=judged,
    )


def scenarios_judge(scenario: Any, one: Observation) -> Outcome:
    from buildkit_bisect.scenario.outcome import judge  # noqa: PLC0415

    return judge(scenario, one, None)


def learn(folder: Path, **more: Any) -> int:
    given = {"folder": f"{folder}/", "good": "v1", "bad": "v2", **more}
    return learning.learn(read(ScenarioLearn, given, env={}))


@pytest.mark.usefixtures("trials")
def test_facts_are_printed_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(folder) == 0
    output = capsys.readouterr().out
    assert output.startswith("  1  0.80\n     v1: a exits 0\n     v2: a fails\n  2  0.80\n")
    assert 'v2: in a, "RUN x" prints "no such record"' in output
    assert "  3  0.80 (no rule)\n" in output
    assert "agrees with all 3 of it: (n + 1) / (n + 2)" in output
    assert "--pick 1 makes rules of a fact" in output
    assert (folder / "scenario.toml").read_text() == FILE


@pytest.mark.usefixtures("trials")
def test_facts_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn(folder, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["number"] for one in found] == [1, 2, 3]
    assert found[0]["bad_condition"] == {"step": "a", "exit": "failed"}


@pytest.mark.usefixtures("trials")
def test_picked_facts_become_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "scenario.toml").chmod(0o640)
    assert learn(folder, pick=["1,2"]) == 0
    assert "'learned-good' (good) and 'learned-bad' (bad) come before" in capsys.readouterr().out
    loaded = scenarios.load(f"{folder}/")
    assert [(r.name, r.verdict, len(r.all)) for r in loaded.outcomes] == [
        ("learned-good", "good", 1),
        ("learned-bad", "bad", 2),
    ]
    text = (folder / "scenario.toml").read_text()
    assert text.startswith(FILE)
    assert "# Learned from 3 trials of each of v1 (good) and v2 (bad)." in text
    assert (folder / "scenario.toml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["Dockerfile", "scenario.toml"]


@pytest.mark.usefixtures("trials")
def test_no_link_in_the_folder_is_written_through(folder: Path, tmp_path: Path) -> None:
    """A file that the folder has already is not written, whatever it is called."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    planted = folder / f".scenario.toml.{os.getpid()}"
    planted.symlink_to(victim)
    assert learn(folder, pick=["1"]) == 0
    assert victim.read_text() == "mine"
    assert planted.is_symlink()
    assert scenarios.load(f"{folder}/").outcomes


@pytest.mark.parametrize("changed", ["scenario.toml", "Dockerfile"])
@pytest.mark.usefixtures("trials")
def test_rules_are_not_written_into_steps_that_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    def during(*_: object) -> int:
        with (folder / changed).open("a") as file:
            file.write({"Dockerfile": "RUN x\n"}.get(changed, 'args = { X = "1" }\n'))
        return 0

    monkeypatch.setattr(learning, "conduct", during)
    with pytest.raises(BadInput, match="changed since the trials began"):
        learn(folder, pick=["1"])
    assert "outcomes" not in (folder / "scenario.toml").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["Dockerfile", "scenario.toml"]


@pytest.mark.usefixtures("trials")
def test_words_may_change_while_the_trials_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def during(*_: object) -> int:
        (folder / "scenario.toml").write_text(FILE.replace('title = "x"', 'title = "y"'))
        return 0

    monkeypatch.setattr(learning, "conduct", during)
    assert learn(folder, pick=["1"]) == 0
    assert scenarios.load(f"{folder}/").title == "y"


@pytest.mark.usefixtures("trials")
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pick": ["4"]}, "there is no fact 4, only 1 to 3"),
        ({"pick": ["3"]}, "fact 3 cannot be a rule: no condition of scenarios is about it"),
        ({"trials": "1"}, "--trials 1: facts of one trial never make a rule"),
        ({"bad": ""}, "scenario learn needs both endpoints"),
        ({"bad": "v1"}, "both ends are v1"),
    ],
)
def test_what_learn_refuses(folder: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        learn(folder, **more)
    assert (folder / "scenario.toml").read_text() == FILE


@pytest.mark.parametrize("kind", [ScenarioLearn, ScenarioCheck])
def test_no_option_names_another_reproducer(kind: type[Request]) -> None:
    names = {option.name for option in options_of(kind)}
    another = {"scenario", "script", "outcome", "dockerfile", "expect", "target", "build-arg"}
    assert names >= {"axis", "trials", "trust-scenario"}
    assert not names & another


@pytest.mark.parametrize("pick", ["0", "x", "1,,2", "-1", "²"])
def test_the_number_of_a_fact(pick: str) -> None:
    with pytest.raises(BadInput, match="is not the number of a fact"):
        read(ScenarioLearn, {"pick": [pick]}, env={})


def with_output(folder: Path) -> None:
    steps = f'{FILE}outputs = [{{ type = "local", dest = "out" }}]\n'
    (folder / "scenario.toml").write_text(steps)


def test_ends_that_do_not_differ(
    folder: Path, trials: dict[str, list[Observation]], capsys: pytest.CaptureFixture[str]
) -> None:
    trials["v2"] = trials["v1"]
    with pytest.raises(NoAnswer, match="no fact tells v1 and v2 apart in every trial; no out") as e:
        learn(folder)
    assert e.value.hint == (
        "add an output to a build: outputs = [{ type = 'local', dest = 'out' }]"
    )
    assert capsys.readouterr().out == (
        "What the steps did:\n"
        "     v1 (3 trials): a exits 0, vertices: 1 ran\n"
        "     v2 (3 trials): a exits 0, vertices: 1 ran\n"
        "Logs and progress of each trial: /srv/results/20261130-learn\n"
    )
    facts = OutputFacts(name="out", kind="local")
    trials["v1"][0] = replace(
        trials["v1"][0], steps=(replace(trials["v1"][0].steps[0], outputs=(facts,)),)
    )
    with_output(folder)
    with pytest.raises(NoAnswer, match=r"apart in every trial \(try") as e:
        learn(folder, json=True)
    assert e.value.hint == "other endpoints, or --trials 20"
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize("pick", [[], ["1"]])
def test_ends_that_differ_in_the_daemons_log_alone(
    folder: Path,
    trials: dict[str, list[Observation]],
    pick: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    cdi = 'level=error msg="CDI setup error /etc/cdi"'
    trials["v1"] = [replace(seen(0), daemon_log=cdi)] * 3
    trials["v2"] = [replace(seen(0), daemon_log="level=warn msg=disk")] * 3
    with pytest.raises(NoAnswer) as error:
        learn(folder, pick=pick)
    assert error.value.message == (
        "only the daemon's log differs between v1 and v2; no output of a build was recorded"
    )
    assert "add an output" in error.value.hint
    assert (folder / "scenario.toml").read_text() == FILE
    output = capsys.readouterr().out
    assert "  1  0.80 (no rule)\n     v1: the daemon's log has \"level=error" in output
    assert "v2 (3 trials): a exits 0, vertices: 1 ran\n" in output


def test_a_line_of_the_daemons_log_cannot_be_picked(
    folder: Path, trials: dict[str, list[Observation]]
) -> None:
    trials["v1"] = [replace(one, daemon_log="level=warn msg=disk") for one in trials["v1"]]
    with pytest.raises(BadInput, match="fact 4 cannot be a rule: what a daemon logs differs"):
        learn(folder, pick=["4"])


@pytest.mark.usefixtures("trials")
def test_rules_that_another_rule_shadows_are_refused_and_nothing_stays(folder: Path) -> None:
    rule = '\n[[outcomes]]\nname = "learned-good"\nverdict = "good"\nmeans = "x"\n'
    text = (
        FILE
        + rule.replace("learned-good", "learned-bads")
        + 'all = [{ step = "a", exit = "failed" }]\n'
    )
    (folder / "scenario.toml").write_text(text)
    with pytest.raises(BadInput, match=r"these rules are refused: .*/scenario.toml: outcomes\[2\]"):
        learn(folder, pick=["1"])
    assert (folder / "scenario.toml").read_text() == text
    assert len(list(folder.iterdir())) == 2


@pytest.mark.usefixtures("trials")
def test_facts_are_asked_for_on_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for answer, rules in (("", 0), ("1 2", 2)):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert learn(folder) == 0
        assert (folder / "scenario.toml").read_text().count("[[outcomes]]") == rules
    monkeypatch.setattr("builtins.input", lambda _: "one")
    with pytest.raises(BadInput, match="'one' is not the number of a fact"):
        learn(folder)


RULES = """
[[outcomes]]
name = "fine"
verdict = "good"
means = "it exits 0"
all = [{ step = "a", exit = "ok" }]

[[outcomes]]
name = "broken"
verdict = "bad"
means = "it fails"
all = [{ step = "a", exit = "failed" }]
"""


def check(folder: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> tuple[int, str]:
    code = learning.check(read(ScenarioCheck, {"folder": f"{folder}/", **more}, env={}))
    return code, capsys.readouterr().out


def test_a_check_without_a_revision_runs_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "scenario.toml").write_text(FILE + RULES)
    code, output = check(folder, capsys)
    assert code == 0
    assert output == (
        "note   there is no control: a cell in which the failure cannot occur would show other"
        " faults\n"
        "ok     each of the 2 rules can match\n"
        "ok     no good rule and bad rule can hold together\n"
        "--rev R also runs it, 5 trials in each cell.\n"
    )
    with pytest.raises(BadInput, match="trials need --rev"):
        check(folder, capsys, trials="5")


def test_trials_that_agree_and_trials_that_do_not(
    folder: Path, capsys: pytest.CaptureFixture[str], trials: dict[str, list[Observation]]
) -> None:
    (folder / "scenario.toml").write_text(FILE + RULES)
    code, output = check(folder, capsys, rev="v1")
    assert code == 0
    assert "ok     v1: good, fine 3 of 3\n" in output
    trials["v1"] = [seen(0), seen(1), seen(0)]
    code, output = check(folder, capsys, rev="v1")
    assert code == 4
    assert output.startswith("wrong  v1: good, fine 2 of 3, broken 1 of 3\n")
    code, output = check(folder, capsys, rev="v1", json=True)
    assert {"level": "wrong", "text": "v1: good, fine 2 of 3, broken 1 of 3"} in json.loads(output)


def test_a_scenario_that_is_wrong_exits_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "scenario.toml").write_text(FILE + RULES.replace('"bad"', '"weak"'))
    code, output = check(folder, capsys)
    assert code == 4
    assert output.startswith("wrong  no rule has the verdict bad: a search needs both\n")


def test_a_scenario_without_rules_is_refused_by_check_and_taken_by_learn(folder: Path) -> None:
    with pytest.raises(BadInput, match="outcomes"):
        scenarios.load(f"{folder}/")
    loaded = scenarios.load(f"{folder}/", unjudged=True)
    assert [rule.name for rule in loaded.outcomes] == [scenarios.NOT_JUDGED]
    (folder / "scenario.toml").write_text(FILE + RULES)
    assert scenarios.load(f"{folder}/").run_digest == loaded.run_digest
    assert scenarios.load(f"{folder}/", unjudged=True).outcomes[0].name == "fine"
    assert replace(loaded, outcomes=()).name == "x"
    assert Verdict.WEAK is loaded.outcomes[0].verdict


@pytest.mark.parametrize("steps", ["", "steps = 3\n", "steps = []\n", "steps = [3]\n"])
def test_a_scenario_without_rules_and_steps_is_refused(folder: Path, steps: str) -> None:
    head = FILE[: FILE.index("[[")]
    (folder / "scenario.toml").write_text(steps + head)
    with pytest.raises(BadInput, match=r"scenario\.toml: "):
        scenarios.load(f"{folder}/", unjudged=True)


@pytest.mark.parametrize("task", ["learn", "check"])
def test_a_scenario_that_runs_a_program_must_be_trusted(folder: Path, task: str) -> None:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    step = '\n[[steps]]\nid = "s"\naction = "script"\npath = "run.sh"\n'
    (folder / "scenario.toml").write_text(FILE + step + RULES)
    ends = {"learn": {"good": "v1", "bad": "v2"}, "check": {"rev": "v1"}}[task]
    kind = {"learn": ScenarioLearn, "check": ScenarioCheck}[task]
    request: Any = read(kind, {"folder": f"{folder}/", **ends}, env={})
    with pytest.raises(BadInput, match=r"steps\[1\] runs 'run.sh' as root") as error:
        getattr(learning, task)(request)
    assert "--trust-scenario" in error.value.hint
