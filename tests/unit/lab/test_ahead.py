"""Builds and trials that are made before their cells are asked for, several at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

import labs
from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import BuildDone, BuildStarted, Said, TrialDone, TrialStarted
from buildkit_bisect.lab import ahead, runner
from buildkit_bisect.lab.ahead import COMPILE_CORES, AtOnce, Here, Wanted, here
from buildkit_bisect.lab.cell import Origin
from buildkit_bisect.lab.executors import Inline
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    Revision,
    Stage,
    ToolOutcome,
    Variant,
)
from buildkit_bisect.sharing.store import SharedStore
from labs import EAGER, LAZY, SCENARIO, Kept, build, seen


def variant(name: str) -> Variant:
    return Variant(revision=Revision(ref=name, sha=name * 40))


class Crew:
    """Works in threads, notes what it was given, and waits until as much as a test wants runs."""

    def __init__(self, *, compiles: int = 8, apart: bool = True, at_once: int = 1) -> None:
        self.cells, self.compiles, self.apart = 8, compiles, apart
        self.built: list[str] = []
        self.ran: Counter[tuple[str, Axes]] = Counter()
        self.failures: dict[str, Build | NoBuild | Exception] = {}
        self.binaries: dict[str, str] = {}
        self.infra: set[Axes] = set()
        self.held: list[str] = []  # locks, as they are taken
        self.log: list[str] = []
        self._pool = ThreadPoolExecutor(8)
        self._together = threading.Barrier(at_once)

    @contextmanager
    def _hold(self, name: str) -> Iterator[None]:
        self.log.append(f"take {name}")
        try:
            yield
        finally:
            self.log.append(f"leave {name}")

    def compiling(self, _: Callable[[], None], /) -> AbstractContextManager[None]:
        return self._hold("compiles")

    def running(self, _: Callable[[], None], /) -> AbstractContextManager[None]:
        return self._hold("trials")

    def build(self, _: Builder, of: Variant, /) -> Future[Build | NoBuild]:
        return self._pool.submit(self._build, of)

    def trial(self, job: TrialJob, /) -> Future[Observation]:
        return self._pool.submit(self._trial, job)

    def _build(self, of: Variant) -> Build | NoBuild:
        self._together.wait(20)
        name = of.revision.ref
        self.built.append(name)
        self.log.append(f"build {name}")
        made = self.failures.get(name, build(name, self.binaries.get(name, "")))
        if isinstance(made, Exception):
            raise made
        return made

    def _trial(self, job: TrialJob) -> Observation:
        self._together.wait(20)
        self.ran[job.of.label, job.axes] += 1
        self.log.append(f"trial {job.of.label}")
        return seen(infra="the registry is down" if job.axes in self.infra else "")


class NothingBuilt:
    """A builder whose builds are those of a crew, and those of a store."""

    def __init__(self, **stored: Build | Exception) -> None:
        self.stored = stored
        self.shared: list[str] = []
        self.trouble: Exception | None = None

    def cached(self, _: Variant) -> None:
        return None

    def pulled(self, of: Variant) -> Build | None:
        found = self.stored.get(of.revision.ref)
        if isinstance(found, Exception):
            raise found
        return found

    def share(self, of: Variant, _: Build | NoBuild) -> None:
        self.shared.append(of.revision.ref)
        if self.trouble:
            raise self.trouble

    def build(self, of: Variant, *_: object) -> Build:
        raise AssertionError(f"{of.label} was built one at a time")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Counter[Axes]:
    """Return the trials that are run one at a time, by `Lab.cell`."""
    ran: Counter[Axes] = Counter()

    def trial(job: TrialJob) -> Observation:
        ran[job.axes] += 1
        return seen()

    monkeypatch.setattr(runner, "run_trial", trial)
    return ran


def lab(journal: Journal, crew: Any, **more: Any) -> Lab:
    return labs.lab(journal, **{"builder": NothingBuilt(), "crew": crew, **more})


def wanted(name: str, trials: int = 1, axes: Axes = LAZY, after: int = 0) -> Wanted:
    return Wanted(variant=variant(name), scenario=SCENARIO, axes=axes, trials=trials, after=after)


@pytest.mark.parametrize("apart", [True, False])
def test_a_cell_finds_what_was_made_ahead(
    journal: Journal, alone: Counter[Axes], apart: bool
) -> None:
    crew, events = Crew(apart=apart), Kept()
    one = lab(journal, crew, events=events)
    asked = [wanted("a", 2), wanted("b", 1), wanted("c", 0)]
    assert sorted(one.ahead(asked), key=asked.index) == asked
    assert sorted(crew.built) == ["a", "b", "c"]
    assert crew.ran == {("a", LAZY): 2, ("a", EAGER): 1, ("b", LAZY): 1, ("b", EAGER): 1}
    cells = [one.cell(w.variant, SCENARIO, w.axes, w.trials) for w in asked[:2]]
    assert [cell.outcome.name for cell in cells] == ["fine", "fine"]
    assert {t.origin for cell in cells for t in cell.trials} == {Origin.NOW}, "they are its own"
    assert not alone
    started = [e for e in events if isinstance(e, (BuildStarted, TrialStarted))]
    done = [e for e in events if isinstance(e, (BuildDone, TrialDone))]
    assert len(started) == 3 + 5
    assert len(done) == 3 + 5, "each is told once"


def test_what_is_stored_is_not_made_again(journal: Journal) -> None:
    crew = Crew()
    one = lab(journal, crew)
    list(one.ahead([wanted("a", 2)]))
    list(one.ahead([wanted("a", 3), wanted("a", 1, after=3)]))
    assert crew.built == ["a"]
    assert crew.ran == {("a", LAZY): 4, ("a", EAGER): 1}


def test_only_those_that_count_are_not_made_again(journal: Journal, alone: Counter[Axes]) -> None:
    list(lab(journal, Crew(), campaign="other").ahead([wanted("a", 3)]))
    crew = Crew()
    one = lab(journal, crew)
    list(one.ahead([replace(wanted("a", 3), of={"other": 1})]))
    assert crew.ran == {("a", LAZY): 2}
    cell = one.cell(variant("a"), SCENARIO, LAZY, 3, of={"other": 1})
    assert [t.origin for t in cell.trials] == [Origin.STORED, Origin.NOW, Origin.NOW]
    assert not alone


def test_cells_with_equal_binaries_share_their_trials(journal: Journal) -> None:
    crew = Crew()
    crew.binaries = {"a": "same", "b": "same"}
    list(lab(journal, crew).ahead([wanted("a", 2), wanted("b", 3)]))
    assert sum(crew.ran.values()) == 3 + 1


def test_they_are_made_at_the_same_time(journal: Journal) -> None:
    """The barrier lets nothing pass before two of them run."""
    crew = Crew(at_once=2)
    list(lab(journal, crew).ahead([wanted("a", 1, EAGER), wanted("b", 1, EAGER)]))
    assert sorted(crew.built) == ["a", "b"]
    assert sum(crew.ran.values()) == 2


def test_on_one_machine_no_trial_runs_beside_a_compile(journal: Journal) -> None:
    crew = Crew(apart=False)
    list(lab(journal, crew).ahead([wanted("a", 1, EAGER), wanted("b", 1, EAGER)]))
    assert sorted(crew.log[1:3]) == ["build a", "build b"]
    assert crew.log[0] == "take compiles"
    assert crew.log[3:5] == ["leave compiles", "take trials"]
    assert crew.log[-1] == "leave trials"


def test_the_first_rows_are_complete_before_the_last_ones_are_built(journal: Journal) -> None:
    crew = Crew(apart=False, compiles=2)
    one = lab(journal, crew)
    list(one.ahead([wanted("b", 0)]))
    crew.log.clear()
    list(one.ahead([wanted(name, 1, EAGER) for name in "abcde"]))
    done = [line for line in crew.log if not line.startswith(("take", "leave"))]
    builds, trials = (
        [[f"{what} {name}" for name in names] for names in ("abc", "de")]
        for what in ("build", "trial")
    )
    builds[0].remove("build b")
    assert [sorted(done[:2]), sorted(done[2:5]), sorted(done[5:7]), sorted(done[7:])] == [
        builds[0], trials[0], builds[1], trials[1],
    ]  # fmt: skip


def test_no_lock_is_held_while_a_cell_is_handed_out(journal: Journal) -> None:
    """`Lab.cell` takes the machine's lock itself."""
    crew = Crew(apart=False)
    for _ in lab(journal, crew).ahead([wanted("a", 1), wanted("b", 20), wanted("c", 1)]):
        assert crew.log.count("take trials") == crew.log.count("leave trials")
    assert crew.log.count("take trials") == 2, "another campaign gets its turn in between"


def test_no_lock_is_taken_if_nothing_is_to_be_run(journal: Journal) -> None:
    """Another campaign may hold it for as long as a compile takes."""
    crew = Crew(apart=False)
    crew.failures = {"b": NoBuild(stage=Stage.BUILD, reason="undefined: x")}
    one = lab(journal, crew)
    asked = [wanted("a", 20), wanted("b", 3), wanted("c", 2, EAGER), wanted("c", 0)]
    assert sorted(one.ahead(asked), key=asked.index) == asked
    crew.log.clear()
    assert list(one.ahead(asked)) == asked
    assert crew.log == []
    list(one.ahead([*asked, wanted("c", 3, EAGER)]))
    assert crew.log == ["take trials", "trial c", "leave trials"]


@pytest.mark.parametrize("apart", [True, False])
def test_what_fails_is_said_by_the_cell(journal: Journal, apart: bool) -> None:
    crew = Crew(apart=apart)
    crew.failures = {
        "a": InfraFailed("the disk is full", hint="df -h"),
        "b": NoBuild(stage=Stage.BUILD, reason="undefined: x"),
    }
    one = lab(journal, crew)
    asked = [wanted("a"), wanted("b"), wanted("c")]
    assert sorted(one.ahead(asked), key=asked.index) == asked
    with pytest.raises(InfraFailed, match="the disk is full"):
        one.cell(variant("a"), SCENARIO, LAZY, 1)
    assert one.cell(variant("b"), SCENARIO, LAZY, 1).outcome.name == ToolOutcome.NO_BUILD
    assert one.cell(variant("c"), SCENARIO, LAZY, 1).outcome.name == "fine"


def test_a_trial_that_the_machine_spoiled_is_run_again_by_the_cell(
    journal: Journal, alone: Counter[Axes]
) -> None:
    crew = Crew()
    crew.infra = {LAZY}
    one = lab(journal, crew)
    list(one.ahead([wanted("a")]))
    assert one.cell(variant("a"), SCENARIO, LAZY, 1).outcome.name == "fine"
    assert alone == {LAZY: 1}


def test_one_at_a_time_nothing_is_made_ahead(journal: Journal) -> None:
    one = lab(journal, Here(Inline(), AtOnce()))
    asked = [wanted("a")]
    assert list(one.ahead(asked)) == asked
    assert not journal.campaigns("")


def test_a_campaign_that_stops_cancels_what_waits(journal: Journal) -> None:
    crew = Crew(apart=True)
    made = lab(journal, crew).ahead([wanted("a"), *(wanted(n, 30) for n in "bcdefg")])
    next(made)
    cast(Any, made).close()
    crew._pool.shutdown()
    assert sum(crew.ran.values()) < 6 * 30


@pytest.mark.parametrize("what", ["compiles", "trials"])
def test_the_lock_is_held_until_nothing_runs(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whatever ends the campaign: another one would compile or run a trial beside them."""
    crew, begun = Crew(apart=False), threading.Event()
    crew._pool = ThreadPoolExecutor(2)
    done = {"compiles": "build", "trials": "trial"}[what]
    made = getattr(crew, f"_{done}")

    def slow(of: Any) -> Any:
        begun.set()
        time.sleep(0.3)
        return made(of)

    def interrupted(futures: Any, return_when: str) -> Any:
        if begun.is_set():
            raise KeyboardInterrupt
        return wait(futures, timeout=0.01, return_when=return_when)

    monkeypatch.setattr(crew, f"_{done}", slow)
    monkeypatch.setattr(ahead, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(lab(journal, crew).ahead([wanted(name, 1, EAGER) for name in "abcdefg"]))
    log = [line for line in crew.log if "take" not in line]
    crew._pool.shutdown()
    assert log == [line for line in crew.log if "take" not in line], "nothing ended later"
    assert log[-1] == f"leave {what}"
    assert 1 <= sum(line.startswith(done) for line in log) <= 2, "the others never begin"


def test_a_cell_holds_the_lock_until_no_trial_runs(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = Crew(apart=False)

    def trial(job: TrialJob) -> Observation:
        time.sleep(0.3 if crew.log else 0.0)
        crew.log.append("trial")
        return Observation(steps=(), seconds=1.0)

    monkeypatch.setattr(runner, "run_trial", trial)
    job: Any = SimpleNamespace(of=variant("a"), column=None)
    with ThreadPoolExecutor(2) as pool:
        trials = runner.Runner(pool, Kept(), crew.running).run(job, range(1, 10))
        next(iter(trials))
        cast(Any, trials).close()
        log = list(crew.log)
    assert log == crew.log, "nothing ended later"
    assert log[-1] == "leave trials"
    assert log.count("trial") < 5


def test_several_compiles_run_where_there_are_cores() -> None:
    assert here(4, cores=2) == AtOnce(4, 1)
    assert here(1, cores=64) == AtOnce(1, 1)
    assert here(4, cores=2 * COMPILE_CORES) == AtOnce(4, 2)
    assert here(4, cores=64) == AtOnce(4, 4)


def test_one_compile_at_a_time_is_the_usual_one(journal: Journal) -> None:
    class Usual(NothingBuilt):
        def build(self, of: Variant, *_: object) -> Build:
            return build(of.revision.ref)

    crew = Crew(apart=False, compiles=1)
    one = lab(journal, crew, builder=Usual())
    list(one.ahead([wanted("a"), wanted("b")]))
    assert not crew.built
    assert {name for name, _ in crew.ran} == {"a", "b"}


def test_the_campaign_itself_speaks_to_a_store(journal: Journal) -> None:
    """It pulls before anything is compiled, and pushes when the machine is free again."""
    crew, events = Crew(apart=False), Kept()
    builder = NothingBuilt(b=replace(build("b"), reused=True), c=InfraFailed("the disk is full"))
    crew.failures = {"d": InfraFailed("no network"), "e": replace(build("e"), reused=True)}
    builder.trouble = InfraFailed("no such commit")
    one = lab(journal, crew, builder=builder, events=events)
    list(one.ahead([wanted(name, 0) for name in "abcde"]))
    assert sorted(crew.built) == ["a", "d", "e"]
    assert builder.shared == ["a"], "neither what failed nor what was there already"
    assert sorted(e.row for e in events if isinstance(e, BuildDone)) == ["a", "b", "e"]
    assert sorted(e.row for e in events if isinstance(e, BuildStarted)) == ["a", "b", "d", "e"]
    assert [e.text for e in events if isinstance(e, Said)] == [
        "warning: cannot push the build of a: no such commit"
    ]
    for name, error in (("c", "the disk is full"), ("d", "no network")):
        with pytest.raises(InfraFailed, match=error):
            one.build(variant(name))


def test_workers_elsewhere_speak_to_their_own_store(journal: Journal) -> None:
    builder = NothingBuilt(a=build("a"))
    crew = Crew(apart=True)
    list(lab(journal, crew, builder=builder).ahead([wanted("a", 0)]))
    assert crew.built == ["a"]
    assert builder.shared == []


@pytest.mark.parametrize("store", [None, SharedStore(place="x/y", seconds=5)])
def test_a_build_without_its_own_lock_is_for_a_crew_that_holds_it(
    store: SharedStore | None,
) -> None:
    jobs: list[Any] = []

    class Pool(Inline):
        def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
            jobs.append(args)
            done: Future[Any] = Future()
            done.set_result(None)
            return done

    builder = Builder(source=cast(Any, None), shared=store)
    Here(Pool(), AtOnce(2, 2)).build(builder, variant("a"))
    ((given, of),) = jobs
    assert of == variant("a")
    assert builder.alone
    assert not given.alone
    assert given.shared is None, "its warnings would be lost"
    assert given.own == bool(store), "what was pulled may need a signature, see `Builder`"
    assert replace(given, alone=True, shared=store, own=False) == builder
