"""The origin of a lab's trials: run now, or stored, and by which campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import labs
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.events import Said, TrialDone
from buildkit_bisect.lab import runner
from buildkit_bisect.lab.cell import Origin, merge
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    PatchRef,
    Revision,
    Stage,
    ToolOutcome,
    Variant,
    Verdict,
)
from buildkit_bisect.scenario import Condition, Rule
from labs import EAGER, LAZY, SCENARIO, Kept, build, seen

VARIANT = Variant(revision=Revision(ref="master", sha="a" * 40))
BUILD = build("k", "d")


class FakeBuilder:
    """Returns the same build, or failure, for every variant."""

    def __init__(self, made: Build | NoBuild = BUILD) -> None:
        self._made = made

    def cached(self, _: Variant) -> Build | NoBuild:
        return self._made


class Machine:
    """Runs trials with the results that a test sets."""

    def __init__(self) -> None:
        self.ran: list[TrialJob] = []
        self.infra: list[str] = []  # failures of the next trials
        self.exits: Mapping[Axes, int] = {}
        self.seconds: Mapping[Axes, float] = {}  # of the step
        self.next_exits: list[int] = []  # of the next trials, whatever their axes

    def __call__(self, job: TrialJob) -> Observation:
        self.ran.append(job)
        infra = self.infra.pop(0) if self.infra else ""
        code = self.next_exits.pop(0) if self.next_exits else self.exits.get(job.axes, 0)
        return seen(code, seconds=self.seconds.get(job.axes, 1.0), infra=infra)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(runner, "run_trial", made)
    monkeypatch.setattr(runner, "RETRY_AFTER", (0.0, 0.0))
    monkeypatch.setattr(runner, "disk_full", lambda: False)
    return made


def lab(journal: Journal, campaign: str = "ours", **more: Any) -> Lab:
    usual = {"builder": FakeBuilder(), "campaign": campaign}
    return labs.lab(journal, **{**usual, **more})


def origins(lab: Lab, trials: int = 1, **more: Any) -> list[Origin]:
    return [t.origin for t in lab.cell(VARIANT, SCENARIO, EAGER, trials, **more).trials]


def test_a_lab_does_not_count_its_own_trials_as_reused(machine: Machine, journal: Journal) -> None:
    one = lab(journal)
    assert origins(one) == [Origin.NOW]
    assert origins(one, 2) == [Origin.NOW] * 2
    assert origins(one, 1, after=1) == [Origin.NOW]
    assert len(machine.ran) == 2
    assert not any(t.reused for t in one.cell(VARIANT, SCENARIO, EAGER, 2).trials)


def test_equal_observations_keep_their_origins(machine: Machine, journal: Journal) -> None:
    for campaign in ("another", "killed"):
        origins(lab(journal, campaign), 1, of={})
    one = lab(journal, resumed=["killed"])
    assert origins(one, 3) == [Origin.STORED, Origin.RESUMED, Origin.NOW]
    found = one.cell(VARIANT, SCENARIO, EAGER, 3).trials
    assert all(t.observation == found[0].observation for t in found)
    assert [t.reused for t in found] == [True, True, False]
    assert [t.resumed for t in found] == [False, True, False]
    assert len(machine.ran) == 3


def test_another_campaign_with_the_same_id_is_another(machine: Machine, journal: Journal) -> None:
    """Ids are times, and two campaigns with different result folders may start at once."""
    origins(lab(journal))
    assert origins(lab(journal), 2) == [Origin.STORED, Origin.NOW]
    assert origins(lab(journal, fresh=True)) == [Origin.NOW]
    assert len(machine.ran) == 3


def test_fresh_counts_only_its_own_trials_and_those_of_the_resumed_campaign(
    machine: Machine, journal: Journal
) -> None:
    for campaign in ("another", "killed", "ours"):
        origins(lab(journal, campaign), 1, of={})
    one = lab(journal, fresh=True, resumed=["killed"])
    assert origins(one, 2) == [Origin.RESUMED, Origin.NOW]
    assert origins(one, 3) == [Origin.RESUMED, Origin.NOW, Origin.NOW]
    assert len(machine.ran) == 5


def test_stored_trials_can_be_limited_to_some_campaigns(machine: Machine, journal: Journal) -> None:
    for campaign in ("one", "two", "killed"):
        origins(lab(journal, campaign), 1, of={})
    here = lab(journal, resumed=["killed"])
    assert origins(here, 2, of={"two": 5}) == [Origin.STORED, Origin.RESUMED]
    assert origins(here, 2, of={}) == [Origin.RESUMED, Origin.NOW]
    assert origins(here, 4) == [Origin.STORED, Origin.STORED, Origin.RESUMED, Origin.NOW]


def test_stored_trials_can_be_limited_to_so_many_of_a_campaign(
    machine: Machine, journal: Journal
) -> None:
    for campaign, trials in (("one", 2), ("two", 3)):
        origins(lab(journal, campaign), trials, of={})
    one = lab(journal)
    assert origins(one, 4, of={"one": 1, "two": 2}) == [Origin.STORED] * 3 + [Origin.NOW]
    # Also where they are asked for one at a time.
    assert [origins(one, 1, after=n, of={"two": 1}) for n in (0, 1)] == [
        [Origin.STORED], [Origin.NOW],
    ]  # fmt: skip
    assert len(machine.ran) == 6


class EachItsOwn(FakeBuilder):
    """Returns another build for every variant."""

    def cached(self, variant: Variant) -> Build:
        return replace(BUILD, key=variant.label, buildkitd_sha256=variant.label)


def test_trials_together_are_as_many_as_a_campaign_ran_of_each(
    machine: Machine, journal: Journal
) -> None:
    builder = EachItsOwn()
    patched = replace(VARIANT, patches=(PatchRef(name="fix", digest="d", title="t"),))
    sides = (VARIANT, patched)
    for campaign, counts in (("one", (3, 1)), ("two", (2, 0)), ("three", (1, 2))):
        one = lab(journal, campaign, builder=builder)
        for side, trials in zip(sides, counts, strict=True):
            if trials:
                one.cell(side, SCENARIO, EAGER, trials, of={})
    here = lab(journal, builder=builder)
    assert here.together(sides, SCENARIO, EAGER) == {"one": 1, "three": 1}
    assert here.together([VARIANT], SCENARIO, EAGER) == {"one": 3, "two": 2, "three": 1}
    assert here.together(sides, SCENARIO, LAZY) == {}


def test_all_stored_trials_of_a_cell_are_known_also_those_that_do_not_count(
    machine: Machine, journal: Journal
) -> None:
    machine.exits = {LAZY: 1}
    lab(journal, "another").cell(VARIANT, SCENARIO, LAZY, 2)
    machine.exits = {}
    one = lab(journal, fresh=True)
    assert one.known(VARIANT.revision.sha, (), "s", LAZY) is None, "not run here"
    cell = one.cell(VARIANT, SCENARIO, LAZY, 3)
    assert dict(cell.counts) == {"fine": 3}
    known = one.known(VARIANT.revision.sha, (), "s", LAZY)
    assert known
    assert [o.name for o in known] == ["broken", "broken", "fine", "fine", "fine"]
    # Of another campaign, while this one runs.
    lab(journal, "later").cell(VARIANT, SCENARIO, LAZY, 6)
    assert len(one.known(VARIANT.revision.sha, (), "s", LAZY) or ()) == 6


def test_another_binary_or_runtime_is_another_cell(machine: Machine, journal: Journal) -> None:
    lab(journal).cell(VARIANT, SCENARIO, EAGER, 2)
    rebuilt = FakeBuilder(replace(BUILD, buildkitd_sha256="other"))
    one = lab(journal, "later", builder=rebuilt)
    one.cell(VARIANT, SCENARIO, EAGER, 1)
    assert len(one.known(VARIANT.revision.sha, (), "s", EAGER) or ()) == 1


def test_each_trial_emits_an_event_with_its_number(machine: Machine, journal: Journal) -> None:
    origins(lab(journal, "another"))
    events = Kept()
    origins(lab(journal, events=events), 2)
    done = [e for e in events if isinstance(e, TrialDone)]
    assert [(e.row, e.number, e.of, e.reused) for e in done] == [
        ("master", 1, 2, True), ("master", 2, 2, False),
    ]  # fmt: skip
    assert all(e.column.control and e.outcome == "fine" for e in done)


def test_infrastructure_failures_are_retried_and_not_stored(
    machine: Machine, journal: Journal
) -> None:
    machine.infra = ["registry", "registry"]
    assert origins(lab(journal)) == [Origin.NOW]
    assert len(machine.ran) == 3
    machine.infra = ["registry"] * 4  # three tries of the second trial, and its canary
    one = lab(journal)
    cell = one.cell(VARIANT, SCENARIO, EAGER, 2)
    assert [t.origin for t in cell.trials] == [Origin.STORED, Origin.NOW]
    assert [o.name for o in cell.judged] == ["fine", ToolOutcome.INFRA]
    (key,) = {job.key for job in machine.ran}
    assert len(journal.trials(key)) == 1


def test_a_canary_shows_whether_the_machine_or_the_cell_is_at_fault(
    machine: Machine, journal: Journal
) -> None:
    events = Kept()
    here = lab(journal, events=events)
    here.cell(VARIANT, SCENARIO, EAGER, 1)
    machine.infra = ["engine"] * 3
    cell = here.cell(VARIANT, SCENARIO, LAZY, 1)
    assert cell.outcome.name == ToolOutcome.INFRA
    assert cell.outcome.reason == "engine; the canary (at=eager) was fine right after it"
    assert Said(text="canary: running the control (at=eager) again", warning=True) in events
    machine.infra = ["engine"] * 5
    twice = here.cell(VARIANT, SCENARIO, LAZY, 2)
    assert [t.observation.infra.split("; ")[-1] for t in twice.trials] == [
        "the canary (at=eager) fails too: engine",
        "the canary (at=eager) was fine right after it",
    ]
    assert not machine.infra, "after a failed canary there are no retries"


def test_a_full_disk_ends_the_campaign(
    machine: Machine, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "disk_full", lambda: True)
    machine.infra = ["no space"] * 3
    with pytest.raises(InfraFailed, match=r"the disk of the cache is full \(no space\)"):
        lab(journal).cell(VARIANT, SCENARIO, EAGER, 1)


def test_a_control_that_is_not_good_overrules_the_cell(machine: Machine, journal: Journal) -> None:
    machine.exits = {EAGER: 1}
    cell = lab(journal).cell(VARIANT, SCENARIO, LAZY, 2)
    assert cell.outcome == ToolOutcome.CONTROL_FAILED.because(
        "the control (at=eager) is broken (m), so this cell proves nothing"
    )
    assert cell.counts == {"fine": 2}
    assert merge([cell, replace(cell, trials=())]).outcome == cell.outcome


def test_a_control_that_matches_no_rule_runs_again(machine: Machine, journal: Journal) -> None:
    machine.next_exits = [9, 9]
    cell = lab(journal).cell(VARIANT, SCENARIO, LAZY, 1)
    assert (cell.outcome.name, cell.counts) == ("fine", {"fine": 1})
    assert [job.axes for job in machine.ran] == [EAGER, EAGER, EAGER, LAZY]


def test_a_control_that_never_matches_a_rule_has_failed(machine: Machine, journal: Journal) -> None:
    machine.exits = {EAGER: 9}
    cell = lab(journal).cell(VARIANT, SCENARIO, LAZY, 1)
    assert cell.outcome.name == ToolOutcome.CONTROL_FAILED
    assert "the control (at=eager) is unclassified (" in cell.outcome.reason
    assert "step go exited 9" in cell.outcome.reason
    assert [job.axes for job in machine.ran] == [EAGER, EAGER, EAGER, LAZY]


def test_a_comparison_runs_as_many_trials_of_the_control(
    machine: Machine, journal: Journal
) -> None:
    slow = Condition(step="go", metric="seconds", over="2 x control")
    slower = Rule(name="slower", verdict=Verdict.BAD, means="m", all=(slow,))
    scenario = replace(SCENARIO, outcomes=(slower, *SCENARIO.outcomes))
    machine.seconds = {LAZY: 5.0}
    one = lab(journal)
    first = one.cell(VARIANT, scenario, LAZY, 2)
    assert (first.outcome.name, first.outcome.verdict) == ("unclassified", Verdict.WEAK)
    assert "needs 3 trials of both; there are 2, and 2 of the control" in first.outcome.reason
    second = one.cell(VARIANT, scenario, LAZY, 1, after=2)
    assert [o.name for o in second.judged] == ["slower"], "judged with the earlier trials"
    assert dict(merge([first, second]).counts) == {"slower": 3}
    assert [job.axes for job in machine.ran].count(EAGER) == 3
    place = (VARIANT.revision.sha, (), scenario.name, LAZY)
    assert [o.name for o in one.known(*place) or ()] == ["slower"] * 3
    recalled = lab(journal).recalled(VARIANT, scenario, LAZY)
    assert recalled is not None
    assert dict(recalled.counts) == {"slower": 3}
    # Their trials are the same: only the rules differ.
    assert lab(journal).cell(VARIANT, SCENARIO, LAZY, 3).counts == {"fine": 3}
    assert len(machine.ran) == 6


def test_a_variant_that_does_not_build_runs_no_trial(machine: Machine, journal: Journal) -> None:
    failed = NoBuild(stage=Stage.PATCH, reason="p does not apply")
    cell = lab(journal, builder=FakeBuilder(failed)).cell(VARIANT, SCENARIO, LAZY, 1)
    assert cell.outcome == ToolOutcome.NO_BUILD.because("patch: p does not apply")
    assert (cell.outcome.verdict, machine.ran) == (Verdict.SKIP, [])


def test_a_variant_that_this_machine_cannot_build_is_not_skipped(
    machine: Machine, journal: Journal
) -> None:
    missing = NoBuild(stage=Stage.TOOLCHAIN, reason="cannot find Go 1.99", infra=True)
    one = lab(journal, builder=FakeBuilder(missing))
    cell = one.cell(VARIANT, SCENARIO, LAZY, 1)
    assert cell.outcome == ToolOutcome.INFRA.because("toolchain: cannot find Go 1.99")
    assert (cell.outcome.verdict, machine.ran) == (Verdict.INFRA, [])


def test_what_is_known_of_a_cell_is_recalled_without_a_run(
    machine: Machine, journal: Journal
) -> None:
    assert lab(journal).recalled(VARIANT, SCENARIO, LAZY) is None
    machine.exits = {LAZY: 1}
    lab(journal, "20260821-101500-matrix").cell(VARIANT, SCENARIO, LAZY, 3)
    ran = len(machine.ran)
    known = lab(journal).recalled(VARIANT, SCENARIO, LAZY)
    assert known is not None
    assert known.verdict is Verdict.BAD
    assert str(known) == "bad (broken 3 of 3, known from 20260821-101500-matrix)"
    assert len(machine.ran) == ran
    assert lab(journal, fresh=True).recalled(VARIANT, SCENARIO, LAZY) is None
    missing = FakeBuilder(NoBuild(stage=Stage.BUILD, reason="no"))
    assert lab(journal, builder=missing).recalled(VARIANT, SCENARIO, LAZY) is None


def test_a_cell_whose_control_is_not_good_is_not_recalled(
    machine: Machine, journal: Journal
) -> None:
    machine.exits = {EAGER: 1, LAZY: 1}
    lab(journal, "earlier").cell(VARIANT, SCENARIO, LAZY, 3)
    assert lab(journal).recalled(VARIANT, SCENARIO, LAZY) is None


def test_two_scenarios_of_one_name_are_not_mixed_up(machine: Machine, journal: Journal) -> None:
    """Images, controls and cells are kept by name; a campaign refuses two before it begins."""
    one = lab(journal)
    one.cell(VARIANT, SCENARIO, LAZY, 1)
    one.cell(VARIANT, replace(SCENARIO, outcomes=SCENARIO.outcomes[:1]), LAZY, 1)
    with pytest.raises(AssertionError, match="two scenarios are called s"):
        one.cell(VARIANT, replace(SCENARIO, run_digest="other"), LAZY, 1)
    assert machine.ran
