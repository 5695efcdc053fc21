"""Bare ``./inv`` and ``./inv help``."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from invoke.loader import FilesystemLoader

from buildkit_bisect.campaign import record
from buildkit_bisect.cli import home
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Observation
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout, paths


@pytest.fixture(autouse=True)
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BKBISECT_OUT", str(tmp_path / "out"))
    return tmp_path / "out"


def screen(width: int = 80) -> str:
    text = home.screen(width)
    assert max(map(len, text.splitlines())) <= width
    return " ".join(text.split())


def campaign(out: Path, name: str, status: str) -> Path:
    folder = out / name
    folder.mkdir(parents=True)
    record.begin(folder, "matrix", "./inv matrix")
    record.end(folder, status, "")
    return folder


def test_nothing_is_cached_and_nothing_is_created(tmp_path: Path) -> None:
    shown = screen()
    for question, command in home.QUESTIONS:
        assert f"{question} {command}" in shown
    assert f"No build or trial is cached yet in {tmp_path / 'cache'}. No campaign yet." in shown
    assert list(tmp_path.iterdir()) == []


def test_builds_and_trials_are_counted() -> None:
    for name in ("a", "b", "requests"):
        paths.cache(f"builds/{name}")
    for name in ("a", "b"):
        (paths.cache(f"builds/{name}") / "build.json").touch()
    journal = Journal()
    for number in range(3):
        seen = Observation(steps=(), seconds=float(number))
        journal.add("key", seen, "c")
    journal.close()
    assert "2 builds and 3 trials, to be reused." in screen()


def test_a_damaged_journal_is_not_shown_as_empty() -> None:
    paths.cache("builds/a").joinpath("build.json").touch()
    (paths.cache_root() / paths.JOURNAL).write_text("not a database" * 99)
    shown = screen()
    assert "1 build; the trials cannot be read." in shown


def test_the_newest_campaign_and_what_to_do_next(out: Path) -> None:
    campaign(out, "20260101-000000-matrix", "done")
    folder = campaign(out, "20260102-000000-matrix", "interrupted")
    assert f"Last campaign: {folder.name}, interrupted. ./inv resume continues it." in screen()
    folder = campaign(out, "20260103-000000-matrix", "done")
    events = [{"event": "Said", "text": "x"}, {"event": "Finished", "finding": "It is broken."}]
    (folder / record.EVENTS).write_text("".join(json.dumps(e) + "\n" for e in events))
    assert f"Last campaign: {folder.name}, done: It is broken." in screen(120)
    record.begin(folder, "matrix", "./inv matrix")
    assert f"{folder.name}, running. ./inv status --watch follows it." in screen(120)


def test_the_questions_are_the_examples_of_their_tasks() -> None:
    module, _ = FilesystemLoader(start=str(checkout.PROJECT)).load("tasks")
    for _, command in home.QUESTIONS:
        task = command.split()[1]
        if command != f"./inv {task}":
            assert (inspect.getdoc(getattr(module, task)) or "").endswith(f": {command}")


@pytest.mark.parametrize("width", [80, 120])
def test_help_names_every_task_once_with_what_it_does(width: int) -> None:
    assert sorted(t for tasks in home.GROUPS.values() for t in tasks) == sorted(TASKS)
    shown = home.usage(width)
    assert max(map(len, shown.splitlines())) <= width
    flat = " ".join(shown.split())
    for kind in TASKS.values():
        words = " ".join((kind.__doc__ or "").split())
        assert words.endswith(".")
        assert f"{spoken(kind.task)} {words}" in flat
