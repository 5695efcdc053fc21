"""Work that takes over two seconds is announced, whoever does it; shorter work is not."""

from __future__ import annotations

import io
import threading
import time

import pytest

from buildkit_bisect.events import Event, Worked, Working
from buildkit_bisect.live import Display
from buildkit_bisect.system import announce as announcements
from buildkit_bisect.system.announce import announce, announcing, by_default, shown_otherwise
from buildkit_bisect.system.locks import locked

PATIENCE = 0.05
LONG = 4 * PATIENCE


class Seen:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def shown(self) -> list[str]:
        return [
            f"{'end of ' if isinstance(e, Worked) else ''}{e.what}"
            for e in self.events
            if isinstance(e, Working | Worked)
        ]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    monkeypatch.setattr(announcements, "PATIENCE", PATIENCE)
    return Seen()


def test_the_patience_is_two_seconds() -> None:
    assert announcements.PATIENCE == 2


def test_long_work_is_announced_while_it_runs_and_when_it_ends(seen: Seen) -> None:
    with announcing(seen), announce("cloning"):
        time.sleep(LONG)
        assert seen.shown == ["cloning"]
    assert seen.shown == ["cloning", "end of cloning"]
    first, last = seen.events
    assert isinstance(first, Working)
    assert isinstance(last, Worked)
    assert PATIENCE <= first.spent < last.seconds


def test_short_work_is_not_announced(seen: Seen) -> None:
    with announcing(seen), announce("a look"):
        pass
    time.sleep(LONG)
    assert seen.events == []


def test_work_that_fails_ends_too(seen: Seen) -> None:
    with announcing(seen), pytest.raises(ValueError, match="x"), announce("cloning"):  # noqa: PT012
        time.sleep(LONG)
        raise ValueError("x")
    assert seen.shown == ["cloning", "end of cloning"]


def test_a_step_within_a_step_is_announced_too(seen: Seen) -> None:
    with announcing(seen), announce("images"), announce("compiling"):
        time.sleep(LONG)
    assert sorted(seen.shown[:2]) == ["compiling", "images"]
    assert seen.shown[2:] == ["end of compiling", "end of images"]


def test_what_nobody_announced_is_announced_by_default(seen: Seen) -> None:
    with announcing(seen):
        with by_default("running git"):
            time.sleep(LONG)
        with announce("cloning"), by_default("running git clone"):
            time.sleep(LONG)
        with shown_otherwise(), by_default("running buildctl"):
            time.sleep(LONG)
    assert seen.shown == ["running git", "end of running git", "cloning", "end of cloning"]


def test_progress_is_shown_once_the_work_is(seen: Seen) -> None:
    with announcing(seen), announce("compiling") as work:
        work.progress(1, 8)
        time.sleep(LONG)
        work.progress(4, 8)
    done = [e.done for e in seen.events if isinstance(e, Working)]
    assert done == [0, 4]


def test_the_last_display_receives_and_none_is_needed(seen: Seen) -> None:
    other = Seen()
    with announcing(other), announcing(seen), announce("cloning"):
        time.sleep(LONG)
    with announce("nobody looks"):
        time.sleep(LONG)
    assert seen.shown == ["cloning", "end of cloning"]
    assert other.events == []


def test_a_display_shows_lines_without_a_terminal(seen: Seen) -> None:
    stream = io.StringIO()
    with Display(stream), announce("compiling BuildKit") as work:
        time.sleep(LONG)
        for done in (1, 3, 4):
            work.progress(done, 8)
    assert seen.events == []
    assert stream.getvalue().splitlines()[:-1] == [
        "compiling BuildKit",
        "compiling BuildKit: 3 of 8 packages",
        "compiling BuildKit: 4 of 8 packages",
    ]
    assert stream.getvalue().splitlines()[-1].startswith("compiling BuildKit: took 0.")


def test_waiting_for_another_process_is_announced(seen: Seen) -> None:
    with announcing(seen), locked("go-1.25.lock", "fetches Go 1.25"):
        pass
    assert seen.shown == []
    other = threading.Event()

    def hold() -> None:
        with locked("go-1.25.lock", "fetches Go 1.25"):
            other.set()
            time.sleep(LONG)

    with announcing(seen):
        thread = threading.Thread(target=hold)
        thread.start()
        assert other.wait(10)
        with locked("go-1.25.lock", "fetches Go 1.25"):
            thread.join()
    waiting = "waiting for another process that fetches Go 1.25"
    assert seen.shown == [waiting, f"end of {waiting}"]
