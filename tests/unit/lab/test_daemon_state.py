"""What `du` and `histories` report, in the forms that releases have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import daemon_state
from buildkit_bisect.lab.steps import Bench, run
from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime import Runtime, UnsupportedClient
from buildkit_bisect.scenario import Action, Step, metrics
from buildkit_bisect.system.process import Completed
from small_scenario import loaded, written


class Answering:
    """A runtime whose buildctl prints as given."""

    def __init__(self, stdout: str, **ended: Any) -> None:
        values = {"argv": (), "exit": 0, "stderr": "", "seconds": 1.0, **ended}
        self.done = Completed(stdout=stdout, **values)
        self.asked: list[str] = []

    def ask(self, words: Sequence[str], timeout: float) -> Completed:
        self.asked += words
        return self.done


def look(action: Action, stdout: str, **ended: Any) -> StepResult:
    step = Step(id="x", action=action)
    return daemon_state.look(cast(Runtime, Answering(stdout, **ended)), step)[0]


#: Of v0.11.0, which has Go's names, and of v0.25.0.
OLD = {"ID": "a", "Mutable": True, "InUse": True, "Size": 10, "RecordType": "source.local"}
NEW = {
    "id": "b", "mutable": False, "inUse": False, "size": 30, "recordType": "regular",
    "description": "mount / from exec x",
}  # fmt: skip


def test_records_of_the_cache() -> None:
    seen = look(Action.DU, json.dumps([OLD, NEW, {**NEW, "id": "c", "size": -1}]) + "\n")
    assert {name: value for name, value in seen.metrics.items() if value} == {
        "records": 3,
        "bytes": 40,
        "reclaimable": 30,
        "in_use": 1,
        "records.source.local": 1,
        "bytes.source.local": 10,
        "records.regular": 2,
        "bytes.regular": 30,
    }
    assert seen.stderr == (
        "30 bytes, regular, reclaimable: mount / from exec x\n"
        "10 bytes, source.local, in use: \n"
        "0 bytes, regular, reclaimable: mount / from exec x\n"
    )


@pytest.mark.parametrize("printed", ["null\n", "[]\n", "\n"])
def test_an_empty_cache(printed: str) -> None:
    seen = look(Action.DU, printed)
    assert set(seen.metrics.values()) == {0}
    assert set(seen.metrics) == set(metrics.of_action(Action.DU)) > {"records", "bytes.regular"}
    assert (seen.exit, seen.stderr) == (0, "")


def event(second: int, **keys: object) -> str:
    made = {"Ref": "x", "CreatedAt": {"seconds": second, "nanos": 5}, **keys}
    return json.dumps({"type": 1, "record": made}) + "\n"


def test_records_of_builds_have_a_status() -> None:
    done = {"CompletedAt": {"seconds": 10}}
    printed = event(9, **done, error={"code": 2, "message": "no"}, numTotalSteps=4)
    printed += event(1000, numTotalSteps=1)
    printed += event(8, **done, numTotalSteps=3, numCachedSteps=2)
    seen = look(Action.HISTORIES, printed)
    assert seen.stderr == (
        "completed, 3 steps, 2 cached\nfailed, 4 steps, 0 cached: no\nrunning, 1 steps, 0 cached\n"
    )
    assert seen.metrics == {
        "histories": 3, "completed": 1, "failed": 1, "running": 1, "steps": 8, "cached_steps": 2,
    }  # fmt: skip
    empty = dict.fromkeys(metrics.of_action(Action.HISTORIES), 0)
    assert look(Action.HISTORIES, "").metrics == empty
    assert set(seen.metrics) == set(empty)


@pytest.mark.parametrize(
    ("action", "printed", "oldest"),
    [
        (Action.DU, {"stdout": "Incorrect Usage. flag provided but not defined: -format"}, "v0.11"),
        (Action.HISTORIES, {"stdout": "", "stderr": "No help topic for 'histories'"}, "v0.13.0"),
    ],
)
@pytest.mark.parametrize("exit_", [0, 1, 3])
def test_a_client_that_cannot_is_not_supported(
    action: Action, printed: dict[str, str], oldest: str, exit_: int
) -> None:
    """Some releases print their help, and exit 0."""
    if exit_ == 0:
        printed = {"stdout": "".join(printed.values())}
    with pytest.raises(UnsupportedClient, match=f"cannot list {action} as JSON; {oldest}"):
        look(action, **printed, exit=exit_)


def test_a_failure_is_a_fact_and_a_damaged_output_is_not() -> None:
    failed = look(Action.DU, "", exit=1, stderr="error: no daemon\n")
    assert (failed.exit, failed.stderr, failed.metrics) == (1, "error: no daemon\n", {})
    with pytest.raises(InfraFailed, match="what buildctl printed in step x is not JSON"):
        look(Action.DU, "[{")
    with pytest.raises(InfraFailed, match="printed too much: 7 bytes"):
        look(Action.DU, "[]", left_out=7)


def test_a_step_keeps_what_was_printed(tmp_path: Path) -> None:
    bench = Bench(
        scenario=loaded(written(tmp_path / "s", "")), axes=(), images={}, registry="",
        work=tmp_path, context=tmp_path, evidence=tmp_path,
    )  # fmt: skip
    answering = Answering("[]\n")
    run(bench, cast(Runtime, answering), Step(id="space", action=Action.DU))
    assert answering.asked == ["du", "--format", "{{json .}}"]
    assert (tmp_path / "space.json").read_text() == "[]\n"
