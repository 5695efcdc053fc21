"""How the same events are shown: on a screen, as lines, and from a record."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from buildkit_bisect import events as ev
from buildkit_bisect.events import Column, Event, Planned
from buildkit_bisect.live import Display, follow
from buildkit_bisect.live import recorder as record
from buildkit_bisect.live.lines import Lines, plan_line
from buildkit_bisect.live.progress import Progress
from buildkit_bisect.live.screen import screen
from buildkit_bisect.model import Verdict

LAZY = Column(scenario="cross-stage-lazy", axes=(("bases", "different"), ("snapshotter", "stargz")))
EAGER = Column(
    scenario="cross-stage-lazy",
    axes=(("bases", "different"), ("snapshotter", "overlayfs")),
    control=True,
)
ROWS = ("v0.24.0", "v0.25.0", "v0.31.0", "v0.32.0")


def trial(row: str, column: Column, number: int, outcome: str, seconds: float = 2.0) -> Event:
    verdict = Verdict.GOOD if outcome == "cached" else Verdict.BAD
    return ev.TrialDone(
        row=row, column=column, number=number, of=3, outcome=outcome, verdict=verdict,
        seconds=seconds,
    )  # fmt: skip


STORY: tuple[tuple[float, Event], ...] = (
    (0, ev.Planned(
        kind="matrix", rows=ROWS, columns=(LAZY, EAGER), trials=3,
        build_seconds={"v0.24.0": 0, "v0.25.0": 90, "v0.31.0": 90, "v0.32.0": 90},
        trial_seconds=1.0, basis="the last 12 builds here", recorded=12,
    )),
    (0, ev.BuildDone(row="v0.24.0", seconds=71, reused=True)),
    (0, ev.TrialStarted(row="v0.24.0", column=LAZY, number=1, of=3)),
    (2, trial("v0.24.0", LAZY, 1, "layers-dropped")),
    (4, trial("v0.24.0", LAZY, 2, "cached")),
    (6, trial("v0.24.0", LAZY, 3, "layers-dropped")),
    (6, ev.CellDone(row="v0.24.0", column=LAZY, outcome="flaky", verdict=Verdict.WEAK,
                    counts={"layers-dropped": 2, "cached": 1})),
    (8, trial("v0.24.0", EAGER, 1, "cached")),
    (9, ev.CellDone(row="v0.24.0", column=EAGER, outcome="cached", verdict=Verdict.GOOD,
                    counts={"cached": 3})),
    (9, ev.BuildSkipped(row="v0.31.0", stage="build", reason="main.go:7:2: undefined: errgroup")),
    (10, ev.BuildStarted(row="v0.25.0", expected=800)),
    (30, ev.BuildProgress(row="v0.25.0", done=200, expected=800)),
    (31, ev.Said(text="the registry is slow \x1b[31m[bold]", warning=True)),
)  # fmt: skip


def folded(story: Iterable[tuple[float, Event]]) -> Progress:
    progress = Progress()
    for at, event in story:
        progress.take(event, at)
    return progress


def drawn(progress: Progress, *, now: float, width: int = 80, height: int = 30) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(screen(progress, now=now, width=width, height=height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_counts_leave_out_variants_without_binaries() -> None:
    assert folded(STORY).counted == (2, 0, 4)


def test_estimate_names_its_basis() -> None:
    estimate = folded(STORY).estimate(30)
    assert estimate
    # v0.25.0: 60 s by packages, 70 s by the plan; v0.32.0: 90 s; 12 trials at 2 s.
    assert estimate.left.seconds == pytest.approx(65 + 90 + 24)
    assert estimate.basis == (
        "2 builds: 55 s to 6 min (based on the last 12 builds here)",
        "12 trials at 2.0 s (mean of 4)",
    )


def test_estimate_learns_from_builds_made_here() -> None:
    story = (*STORY, (40.0, ev.BuildDone(row="v0.25.0", seconds=30, reused=False)))
    estimate = folded(story).estimate(40)
    assert estimate
    # One build that took a third of the expected time: the next one is not taken to. 38 s of
    # work were done in 40 s.
    assert estimate.left.seconds == pytest.approx((90 * (1 / 3) ** (1 / 3) + 24) * 100 / 98)
    assert "based on 1 made here" in estimate.basis[0]


def test_work_beside_the_matrix_is_on_the_screen_while_it_runs() -> None:
    asked = ev.Working(what="compiling BuildKit v0.25.0 for the base images", spent=2)
    story: list[tuple[float, Event]] = [(2, asked)]
    shown = drawn(folded(story), now=9)
    assert "compiling BuildKit v0.25.0 for the base images  9.0 s" in shown
    story.append((20, ev.Working(what=asked.what, done=200, expected=800, spent=20)))
    assert "200 of 800 packages  40 s" in drawn(folded(story), now=40, width=120)
    story.append((60, ev.Worked(what=asked.what, seconds=60)))
    assert "compiling" not in drawn(folded(story), now=61)


def test_no_more_packages_than_expected_are_said() -> None:
    more = ev.BuildProgress(row="v0.25.0", done=4, expected=2)
    shown = drawn(folded([*STORY, (31, more)]), now=40, width=120)
    assert "4 packages" in shown
    assert "of 2" not in shown
    stream = io.StringIO()
    lines = Lines(stream)
    for done in range(1, 5):
        lines.emit(ev.BuildProgress(row="v0.25.0", done=done, expected=2))
    assert stream.getvalue() == "build v0.25.0: 1 of 2 packages\n"


def test_what_is_made_first_is_in_the_plan_and_in_the_time_left() -> None:
    plan = ev.Planned(
        kind="matrix", rows=ROWS[:1], columns=(LAZY,), trials=3, build_seconds={"v0.24.0": 90},
        trial_seconds=1.0, basis="one build", before={"compiling X": 100.0},
    )  # fmt: skip
    line = plan_line(plan)
    assert line.startswith("matrix: 1 variant x 1 cell x 3 trials, 1 build needed; ")
    assert line.endswith(" min (one build); first compiling X")
    assert plan.expected.seconds == 100 + 90 + 3
    story: list[tuple[float, Event]] = [(0, plan), (2, ev.Working(what="compiling X", spent=2))]

    def left(now: float) -> float:
        found = folded(story).estimate(now)
        assert found
        return found.left.seconds

    assert left(0) == 193
    assert left(40) == 153
    story.append((80, ev.Worked(what="compiling X", seconds=80)))
    assert left(80) == 93


def test_the_plan_of_a_search_is_a_sentence() -> None:
    known = "v0.24.0 is good (cached 3 of 3, known from 20260821-101500-matrix)"
    plan = ev.Planned(
        kind="bisect", rows=(), columns=(LAZY,), trials=1, build_seconds={"search": 600},
        least=300, most=1200, basis="the last 12 builds on this machine", known=(known,),
        search=ev.Search(what="103 candidates between a and b", steps=12, builds=1),
    )  # fmt: skip
    assert plan_line(plan) == (
        "bisect: 103 candidates between a and b, in cross-stage-lazy different stargz;"
        " about 12 steps, 1 build needed; 5 to 20 min (the last 12 builds on this machine)"
    )
    out = io.StringIO()
    Lines(out).emit(plan)
    assert out.getvalue() == f"{plan_line(plan)}\n{known}\n"
    drawing = drawn(folded([(0, plan)]), now=60)
    assert "bisect  103 candidates between a and b  60 s" in drawing
    assert "0 variants" not in drawing
    assert "4 to 19 min to go" in drawing


def test_no_estimate_after_the_end() -> None:
    assert folded((*STORY, (50.0, ev.Finished(status="done")))).estimate(50) is None


def test_a_search_is_estimated_by_its_own_steps() -> None:
    asked = ev.StepAsked(
        number=3, row="abc", why="midpoint", left=20, expected_steps=5, expected_seconds=100
    )
    progress = folded((*STORY, (40.0, asked)))
    estimate = progress.estimate(60)
    assert estimate
    assert estimate.left.seconds == 80
    assert estimate.basis == ("5 steps expected",)
    assert "step 3  abc: midpoint; 20 candidates left" in drawn(progress, now=60)


def test_a_commit_that_a_search_chose_counts_only_the_cells_that_it_runs() -> None:
    """The ends run in every cell; the search is in one of them."""
    plan = Planned(kind="bisect", rows=(), columns=(LAZY, MORE), trials=1, tried_at=("b", "a"))
    story: list[tuple[float, Event]] = [(0.0, plan)]
    for number, row in enumerate(("b", "a", "c"), 1):
        asked = ev.StepAsked(
            number=number, row=row, why="", left=9, expected_steps=4, expected_seconds=9
        )
        story.append((float(number), asked))
        run = (LAZY,) if row == "c" else (LAZY, MORE)
        story += [(float(number), done(row, column, "cached")) for column in run]
    assert folded(story).counted == (5, 0, 0)
    line = plan_line(replace(plan, search=ev.Search(what="9 candidates", steps=4, builds=3)))
    assert ", in one of 2 cells, after b and a in each; about 4 steps" in line


def test_screen_at_80_columns(snapshot: SnapshotAssertion) -> None:
    assert drawn(folded(STORY), now=31) == snapshot


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("height", [5, 12, 50])
def test_screen_fits_any_terminal(width: int, height: int) -> None:
    lines = drawn(folded(STORY), now=31, width=width, height=height).splitlines()
    assert len(lines) < height
    assert max(len(line) for line in lines) < width


def test_too_many_variants_are_cut_to_those_around_the_running_one() -> None:
    rows = tuple(f"v0.{n}.0" for n in range(100))
    plan = ev.Planned(kind="matrix", rows=rows, columns=(LAZY, EAGER), trials=3)
    running = ev.TrialStarted(row="v0.70.0", column=LAZY, number=2, of=3)
    shown = drawn(folded([(0, plan), (1, running)]), now=2, height=24)
    assert "v0.70.0" in shown
    assert "v0.0.0" not in shown
    assert "2 of 3" in shown
    assert len(shown.splitlines()) < 24


SERIES = ("master", "master + a + b", "master + a", "master + b")
MORE = Column(scenario="cross-stage-dedup", axes=(("warm", "yes"),))


def series(*events: Event) -> Progress:
    """A validation of the series a + b, at the point that the events have reached."""
    plan = ev.Planned(
        kind="validate", rows=SERIES, columns=(LAZY, EAGER, MORE), trials=3, trial_seconds=2.0,
        only_bad_of=dict.fromkeys(SERIES[2:], "master"),
    )  # fmt: skip
    return folded([(0, plan), *((n, event) for n, event in enumerate(events, 1))])


def done(row: str, column: Column, outcome: str, **counts: int) -> Event:
    verdict = {"cached": Verdict.GOOD, "flaky": Verdict.WEAK}.get(outcome, Verdict.BAD)
    return ev.CellDone(
        row=row, column=column, outcome=outcome, verdict=verdict, counts=counts or {outcome: 3}
    )


def test_a_subset_of_a_series_runs_only_the_cells_that_are_bad_without_it() -> None:
    assert series().counted == (0, 0, 3 + 3 + 2 + 2), "no controls, and nothing else is known yet"
    base = [done("master", EAGER, "cached"), done("master", MORE, "cached")]
    progress = series(*base, done("master", LAZY, "layers-dropped"))
    assert progress.counted == (3, 0, 3 + 1 + 1)
    estimate = progress.estimate(9)
    assert estimate
    assert estimate.left.seconds == pytest.approx(5 * 3 * 2.0)
    shown = [line.rstrip() for line in drawn(progress, now=9).splitlines()]
    assert "master + a       ·" in shown
    assert "master + a + b   ·   ·   ·" in shown


def test_a_cell_that_failed_once_is_run_for_the_subsets() -> None:
    flaky = [trial("master", LAZY, 1, "cached"), trial("master", LAZY, 2, "layers-dropped")]
    over = done("master", LAZY, "flaky", **{"cached": 2, "layers-dropped": 1})
    rest = [done("master", c, "cached") for c in (EAGER, MORE)]
    assert series(*flaky, over, *rest).counted == (3, 0, 3 + 1 + 1)


def test_the_legend_names_rare_symbols_only_when_shown() -> None:
    infra = ev.CellDone(row="master", column=LAZY, outcome="infra", verdict=Verdict.INFRA)
    assert "! infrastructure failure" in drawn(series(infra), now=2, width=200)
    assert "infrastructure failure" not in drawn(series(), now=2, width=200)


def test_an_unplanned_row_has_only_the_cells_that_it_runs() -> None:
    every = [done(row, c, "cached") for row in SERIES[:2] for c in (LAZY, EAGER, MORE)]
    assert series(*every).counted == (6, 0, 0)
    started = ev.TrialStarted(row="master + revert", column=LAZY, number=1, of=3)
    assert series(*every, started).counted == (6, 1, 0)


HOSTILE = (
    "\x1b[2J\x1b]0;title\x07[bold red]<b>\r\n::set-env name=A::b \u202eevil \x9b31m "
    "password=hunter22 /home/someone/secret {x} :boom:"
)


def hostile() -> list[Event]:
    """Every event, with an attack in each of its texts."""
    column = Column(scenario=HOSTILE, axes=((HOSTILE, HOSTILE),))
    other = Column(scenario=HOSTILE, axes=((HOSTILE, "other"),), control=True)
    row, more = HOSTILE, f"{HOSTILE} 2"
    return [
        ev.Planned(kind=HOSTILE, rows=(row, more), columns=(column, other), trials=3,
                   build_seconds={row: 9}, trial_seconds=1, basis=HOSTILE),
        ev.Planned(kind=HOSTILE, rows=(), columns=(column,), trials=1, basis=HOSTILE, most=9,
                   search=ev.Search(what=HOSTILE, steps=1, builds=1), known=(HOSTILE,),
                   before={HOSTILE: 9}, build_seconds={"search": 9}),
        ev.Working(what=HOSTILE),
        ev.Worked(what=HOSTILE, seconds=9),
        ev.Planned(kind=HOSTILE, rows=(row, more), columns=(column, other), trials=3,
                   build_seconds={row: 9}, trial_seconds=1, basis=HOSTILE),
        ev.Working(what=HOSTILE, done=1, expected=9),
        ev.BuildStarted(row=row, expected=9),
        ev.BuildProgress(row=row, done=4, expected=9),
        ev.BuildDone(row=row, seconds=3, reused=False),
        ev.TrialStarted(row=row, column=column, number=1, of=3),
        ev.TrialDone(row=row, column=column, number=1, of=3, outcome=HOSTILE, verdict=Verdict.BAD,
                     seconds=1),
        ev.TrialStarted(row=row, column=other, number=1, of=3),
        ev.CellDone(row=row, column=column, outcome=HOSTILE, verdict=Verdict.BAD, reason=HOSTILE,
                    counts={HOSTILE: 2, "b": 1}),
        ev.StepAsked(number=1, row=row, why=HOSTILE, left=2, expected_steps=2, expected_seconds=9),
        ev.StepDone(number=1, row=row, verdict=Verdict.BAD, shown=HOSTILE),
        ev.BuildStarted(row=more, expected=9),
        ev.Said(text=HOSTILE, warning=True),
        ev.BuildSkipped(row=f"{more} 3", stage=HOSTILE, reason=HOSTILE),
        ev.Finished(status=HOSTILE, finding=HOSTILE, folder=HOSTILE),
    ]  # fmt: skip


def assert_harmless(text: str, *, lines: int) -> None:
    assert not any(c in text for c in "\x1b\x07\r\x9b\u202e")
    assert "hunter22" not in text
    assert "someone" not in text
    assert text.count("\n") == lines
    assert not any(line.startswith("::") for line in text.splitlines())


def test_hostile_text_in_lines() -> None:
    out = io.StringIO()
    for event in hostile():
        Lines(out).emit(event)
    assert_harmless(out.getvalue(), lines=len(hostile()) + 1)  # a plan has a line for what is known
    assert "[bold red]<b>" in out.getvalue()


@pytest.mark.parametrize("upto", range(1, len(hostile()) + 1))
def test_hostile_text_on_the_screen(upto: int) -> None:
    progress = folded([(float(n), event) for n, event in enumerate(hostile()[:upto])])
    shown = drawn(progress, now=20, width=300, height=40)
    assert_harmless(shown, lines=shown.count("\n"))
    assert len(shown.splitlines()) < 40
    assert max(len(line) for line in shown.splitlines()) < 300


def test_hostile_text_on_a_terminal_and_when_followed(tmp_path: Path) -> None:
    recorder = record.Recorder(tmp_path / "events.jsonl")
    for event in hostile():
        recorder.emit(event)
    recorder.close()
    for watch in (True, False):
        out = io.StringIO()
        follow(tmp_path / "events.jsonl", out, watch=watch)
        assert_harmless(out.getvalue(), lines=out.getvalue().count("\n"))


def test_lines(snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    lines = Lines(out)
    for _, event in STORY:
        lines.emit(event)
    for done in range(0, 801, 10):
        lines.emit(ev.BuildProgress(row="v0.25.0", done=done, expected=800))
    lines.emit(ev.StepAsked(number=1, row="abc", why="midpoint", left=1, expected_steps=1,
                            expected_seconds=90))  # fmt: skip
    lines.emit(ev.StepDone(number=1, row="abc", verdict=Verdict.BAD, shown="layers-dropped 3 of 3"))
    lines.emit(ev.Finished(status="done", finding="Broken.", folder="results/x"))
    assert out.getvalue() == snapshot
    assert "\x1b" not in out.getvalue()


def test_a_line_end_within_an_event_stays_within_its_line() -> None:
    out = io.StringIO()
    Lines(out).emit(ev.Said(text="one\ntwo\r\nthree"))
    assert out.getvalue() == "one two three\n"


def test_display_without_a_terminal_writes_lines() -> None:
    out = io.StringIO()
    with Display(out) as display:
        for _, event in STORY:
            display.emit(event)
    assert out.getvalue().count("\n") == len(STORY)
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_the_folder_of_the_results_is_shown_as_it_is(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a checkout that is called like the cache directory, which is shown as CACHE."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    folder = "/srv/buildkit-bisect/results/x\x1b[2J"
    with Display(out, clock=lambda: 0.0) as display:
        display.emit(ev.Finished(status="done", finding="Broken.", folder=folder))
    shown = out.getvalue()
    assert "done: Broken. Results: /srv/buildkit-bisect/results/x" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("terminal", [False, True])
def test_a_path_is_shown_as_it_is_and_a_weak_cell_with_its_reason(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    path = "/srv/cache/one-line/0/scenario.toml\x1b[2J"
    weak = ev.CellDone(
        row="v1", column=LAZY, outcome="failed", verdict=Verdict.WEAK, counts={"failed": 3},
        reason="the build fails; step build exited 1: error: no such file",
    )  # fmt: skip
    with Display(out, clock=lambda: 0.0) as display:
        display.emit(ev.Said(text="the scenario of this Dockerfile", path=path))
        display.emit(weak)
        display.emit(replace(weak, verdict=Verdict.BAD, reason="not shown"))
        display.emit(replace(weak, counts={"a": 1, "b": 2}, reason="not shown"))
    shown = out.getvalue()
    assert ("the scenario of this Dockerfile: /srv/cache/one-line/0/scenario.toml") in shown
    assert "\x1b[2J" not in shown
    assert f"{LAZY.name}: weak, failed 3 of 3: the build fails; step build exited 1: error: no" in (
        " ".join(shown.split())
    )
    assert "not shown" not in shown


def test_every_event_survives_the_record() -> None:
    every = [event for _, event in STORY]
    every += [
        ev.StepAsked(number=1, row="a", why="b", left=1, expected_steps=2, expected_seconds=3.5),
        ev.StepDone(number=1, row="a", verdict=Verdict.SKIP, shown="c"),
        ev.Finished(status="done", finding="f", folder="g"),
        ev.Said(text="\u2028 </x>"),
        ev.Working(what="cloning", done=1, expected=2, spent=2.5),
        ev.Worked(what="cloning", seconds=3.5),
    ]
    assert {type(event) for event in every} == set(get_args(Event))
    for event in every:
        assert record.parse(record.line(event, 12.5)) == (event, 12.5)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"t": 1, "event": "Evil"}', '{"t": 1, "event": "Said"}']
)
def test_a_torn_line_is_skipped(text: str) -> None:
    assert record.parse(text) is None


def test_a_record_can_be_followed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    recorder = record.Recorder(path)
    for _, event in STORY:
        recorder.emit(event)
    recorder.emit(ev.Finished(status="done", finding="Broken in v0.24.0.", folder="results/x"))
    recorder.close()
    recorder.emit(ev.Said(text="too late"))
    with path.open("a") as file:
        file.write('{"t": 9, "event": "Sa')
    out = io.StringIO()
    progress = follow(path, out)
    assert progress.finished
    assert "done: Broken in v0.24.0. Results: results/x" in out.getvalue()
    assert "v0.25.0" in out.getvalue()
    assert follow(path, io.StringIO(), watch=True).finished


@pytest.mark.parametrize("watch", [False, True])
def test_a_killed_campaign_is_reported_as_stopped(tmp_path: Path, watch: bool) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(record.line(event, at) for at, event in STORY))
    out = io.StringIO()
    progress = follow(path, out, watch=watch, alive=lambda: False)
    assert progress.finished is None
    assert "stopped before it finished" in out.getvalue()


def test_an_exceeded_estimate_is_reported() -> None:
    asked = ev.StepAsked(
        number=3, row="abc", why="midpoint", left=2, expected_steps=1, expected_seconds=10
    )
    shown = drawn(folded((*STORY, (40.0, asked))), now=90)
    assert "over the estimate" in shown


def test_a_build_of_unknown_size_shows_its_time() -> None:
    shown = drawn(folded((*STORY, (40.0, ev.BuildStarted(row="v0.32.0")))), now=70)
    assert "building 30 s" in shown


def test_progress_of_a_build_is_recorded_once_a_second(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    recorder = record.Recorder(path)
    for n in range(500):
        recorder.emit(ev.BuildProgress(row="a", done=n, expected=500))
    recorder.close()
    assert len(path.read_text().splitlines()) < 10
    assert json.loads(path.read_text().splitlines()[0])["done"] == 0


def test_several_receivers_get_the_same() -> None:
    seen: list[Event] = []

    class Keep:
        def emit(self, event: Event, /) -> None:
            seen.append(event)

    both = ev.Several(Keep(), ev.Silent(), Keep())
    both.emit(ev.Said(text="a"))
    assert seen == [ev.Said(text="a")] * 2


ALONE = Column(scenario="script", axes=())


def test_a_scenario_without_axes_leaves_no_gap() -> None:
    """It wrote ``trial 1 of 3: v0.25.0, script : bad``."""
    stream = io.StringIO()
    story: list[Event] = [
        ev.Planned(kind="run", rows=("v0.25.0",), columns=(ALONE,), trials=3),
        ev.TrialStarted(row="v0.25.0", column=ALONE, number=1, of=3),
        trial("v0.25.0", ALONE, 1, "cached"),
        ev.CellDone(row="v0.25.0", column=ALONE, outcome="cached", verdict=Verdict.GOOD,
                    counts={"cached": 3}),
        ev.BuildSkipped(row="v0.25.0", stage="patch", reason=""),
        ev.StepAsked(number=1, row="v0.25.0", why="", left=3, expected_steps=2,
                     expected_seconds=9.0),
        ev.StepDone(number=1, row="v0.25.0", verdict=Verdict.GOOD, shown=""),
        ev.Finished(status="done", finding="", folder=""),
    ]  # fmt: skip
    for event in story:
        Lines(stream).emit(event)
    written = stream.getvalue().splitlines()
    assert "trial 1 of 3: v0.25.0, script: good, cached (2.0 s)" in written
    assert "cell v0.25.0, script: good, cached 3 of 3" in written
    assert "build v0.25.0: skipped (patch)" in written
    assert "step 1: v0.25.0 is good" in written
    for line in written:
        assert not re.search(r"  |\(\)| [:;,.]|: ?$", line), line


def test_a_scenario_without_axes_has_a_name_on_the_screen() -> None:
    progress = Progress()
    progress.take(ev.Planned(kind="run", rows=("v1",), columns=(ALONE, LAZY), trials=3), 0.0)
    progress.take(ev.TrialStarted(row="v1", column=ALONE, number=1, of=3), 0.0)
    shown = [line.strip() for line in drawn(progress, now=1.0).splitlines()]
    assert "1 script" in shown
    assert any(line.startswith("trial  v1  script  1 of 3") for line in shown), shown
