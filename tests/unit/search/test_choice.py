"""Several cells, one search: which cell is chosen, and what that costs."""

from __future__ import annotations

import pytest

from buildkit_bisect.search import (
    Phase,
    RefusalKind,
    Refused,
    SearchOptions,
    Skip,
    SkipKind,
    Tested,
)
from buildkit_bisect.search.choice import (
    CellChoice,
    Chosen,
    GoodEndOfCell,
    GoodEndOfCells,
    NoneDiffers,
    Try,
)
from buildkit_bisect.search.cost import FlatCost
from buildkit_bisect.search.ends import EndsFound, GoodEndSearch
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import dice, linear, seen

SIZE = 20

#: Cells by their rates of bad trials at the good end, and at the bad end.
Rates = dict[str, tuple[float, float]]

BROKEN, FINE, CHANGES, FIXED = (1.0, 1.0), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0)


def sessions(cells: Rates, options: SearchOptions | None = None) -> dict[str, BisectSession]:
    history = History(linear(SIZE))
    return {
        cell: BisectSession(history, good="c0", bad=f"c{SIZE}", options=options) for cell in cells
    }


def drive(
    cells: Rates, *, options: SearchOptions | None = None, seed: int = 0, limit: int = 600
) -> tuple[Chosen[str] | NoneDiffers[str], list[Try[str]], dict[str, BisectSession]]:
    """Answer every ask; return how it ended, the asks, and the sessions."""
    each = sessions(cells, options)
    choice = CellChoice(each)
    asked: list[Try[str]] = []
    while isinstance(step := choice.next(), Try):
        asked.append(step)
        assert len(asked) < limit
        good, bad = cells[step.cell]
        rate = good if step.ask.commit == "c0" else bad
        roll = dice((seed, step.cell, len(asked)))
        failed = sum(roll.random() < rate for _ in range(step.ask.trials))
        counts = {"dropped": failed, "cached": step.ask.trials - failed}
        tested = seen(**{name: n for name, n in counts.items() if n})
        choice.tell(step.cell, step.ask.commit, tested)
    return step, asked, each


@pytest.mark.parametrize("trials", [None, 3])
def test_the_cell_whose_ends_differ_is_chosen_after_one_visit_of_each_end(
    trials: int | None,
) -> None:
    cells = {"broken": BROKEN, "changes": CHANGES, "fine": FINE}
    found, asked, _ = drive(cells, options=SearchOptions(trials=trials))
    assert isinstance(found, Chosen)
    assert found.cell == "changes"
    assert list(found.certainty) == ["changes"]
    visits = [(step.cell, step.ask.commit) for step in asked]
    # An end is visited in every cell before the other one is built.
    assert visits == [(cell, end) for end in (f"c{SIZE}", "c0") for cell in cells]
    assert {step.ask.trials for step in asked} == {trials or 1}
    assert {step.ask.phase for step in asked} == {Phase.GATE}


def test_of_equally_certain_cells_the_first_is_chosen() -> None:
    for order in (["one", "two", "off"], ["two", "off", "one"]):
        rates = {"one": CHANGES, "two": CHANGES, "off": BROKEN}
        found, _, _ = drive({cell: rates[cell] for cell in order})
        assert isinstance(found, Chosen)
        assert found.cell == order[0]
        assert len(set(found.certainty.values())) == 1


def test_the_most_certain_difference_is_chosen() -> None:
    each = sessions({"flaky": CHANGES, "sure": CHANGES}, SearchOptions(trials=6))
    choice = CellChoice(each)
    at = {
        ("flaky", f"c{SIZE}"): seen(dropped=4, cached=2),
        ("flaky", "c0"): seen(cached=6),
        ("sure", f"c{SIZE}"): seen(dropped=6),
        ("sure", "c0"): seen(cached=6),
    }
    while isinstance(step := choice.next(), Try):
        choice.tell(step.cell, step.ask.commit, at[step.cell, step.ask.commit])
    assert isinstance(step, Chosen)
    assert step.cell == "sure"
    assert step.certainty["sure"] > step.certainty["flaky"] > 0.75


def test_the_trials_at_the_ends_are_the_first_of_the_search() -> None:
    cells = {"broken": BROKEN, "changes": CHANGES}
    found, _, each = drive(cells)
    assert isinstance(found, Chosen)
    alone = BisectSession(History(linear(SIZE)), good="c0", bad=f"c{SIZE}")
    alone.tell(f"c{SIZE}", seen(dropped=1))
    alone.tell("c0", seen(cached=1))
    assert each[found.cell].next() == alone.next()
    assert each[found.cell].steps == alone.steps


def test_more_trials_of_the_ends_only_while_no_cell_differs() -> None:
    """Both ends are bad by chance at first in the cell that changes, as a flaky one may be."""
    each = sessions({"broken": BROKEN, "flaky": CHANGES})
    choice = CellChoice(each)
    script = {"flaky": iter([seen(dropped=1), seen(dropped=1)])}
    asked = []
    while isinstance(step := choice.next(), Try):
        asked.append(step)
        usual = seen(cached=1) if (step.cell, step.ask.commit) == ("flaky", "c0") else None
        scripted = next(script.get(step.cell, iter(())), None)
        choice.tell(step.cell, step.ask.commit, scripted or usual or seen(dropped=1))
        assert len(asked) < 100
    assert isinstance(step, Chosen)
    assert step.cell == "flaky"
    calibrated = [s.cell for s in asked if s.ask.phase is Phase.CALIBRATE]
    # In turns.
    assert abs(calibrated.count("broken") - calibrated.count("flaky")) <= 1
    assert len(asked) <= 24


@pytest.mark.parametrize("trials", [None, 3])
def test_if_none_differs_every_cell_says_why(trials: int | None) -> None:
    cells = {"broken": BROKEN, "fine": FINE, "fixed": FIXED}
    found, _, _ = drive(cells, options=SearchOptions(trials=trials))
    assert isinstance(found, NoneDiffers)
    kinds = {cell: a.kind for cell, a in found.answers.items() if isinstance(a, Refused)}
    assert kinds == {
        "broken": RefusalKind.ALREADY_BAD,
        "fine": RefusalKind.NOT_BAD,
        "fixed": RefusalKind.ORDER,
    }


def test_a_cell_without_a_control_does_not_keep_the_others_back() -> None:
    choice = CellChoice(sessions({"off": CHANGES, "changes": CHANGES}))
    failed = Tested(skip=Skip(kind=SkipKind.CONTROL, reason="the control is bad"))
    while isinstance(step := choice.next(), Try):
        fine = seen(**{"cached" if step.ask.commit == "c0" else "dropped": 1})
        choice.tell(step.cell, step.ask.commit, failed if step.cell == "off" else fine)
    assert isinstance(step, Chosen)
    assert step.cell == "changes"


def test_a_merge_base_that_is_bad_leaves_the_choice_to_another_cell() -> None:
    """Good is on a release branch; in one cell the fix is on that branch."""
    history = History({"base": [], "good": ["base"], "bad": ["base"]})
    each = {cell: BisectSession(history, good="good", bad="bad") for cell in ("backport", "main")}
    choice = CellChoice(each)
    while isinstance(step := choice.next(), Try):
        is_bad = step.ask.commit == "bad" or (step.cell, step.ask.commit) == ("backport", "base")
        choice.tell(step.cell, step.ask.commit, seen(**{"dropped" if is_bad else "cached": 1}))
    assert isinstance(step, Chosen)
    assert step.cell == "main"
    refused = each["backport"].next()
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.MERGE_BASE


def test_ends_that_make_no_sense_are_refused_without_a_trial() -> None:
    history = History(linear(3))
    for good, bad, kind in (("c3", "c1", RefusalKind.ORDER), ("c1", "c1", RefusalKind.SAME_COMMIT)):
        choice = CellChoice({n: BisectSession(history, good=good, bad=bad) for n in "ab"})
        found = choice.next()
        assert isinstance(found, NoneDiffers)
        assert [a.kind for a in found.answers.values() if isinstance(a, Refused)] == [kind] * 2


RELEASES = [f"v{n}" for n in range(8)]  # v8 is the bad end


def good_end(bad_from: dict[str, int]) -> tuple[object, list[tuple[str, str]]]:
    """Return how the search for a good end went; cells are bad from a release on."""
    found, rounds = good_end_at_once(bad_from, 1)
    return found, [asked for (asked,) in rounds]


def good_end_at_once(
    bad_from: dict[str, int], k: int, *, built: tuple[str, ...] = (), builds: int | None = None
) -> tuple[object, list[list[tuple[str, str]]]]:
    """Like `good_end`, with up to *k* releases at once; return what each round asked for."""
    cost = FlatCost(build=60.0, trial=1.0)
    for commit in built:
        cost.learn(commit, build_seconds=None, trial_seconds=None)
    searches = {cell: GoodEndSearch(RELEASES, bad="v8", cost=cost) for cell in bad_from}
    search = GoodEndOfCells(searches)
    rounds = []
    while isinstance(step := search.next_k(k, builds=builds), tuple):
        rounds.append([(one.cell, one.ask.commit) for one in step])
        for one in step:
            is_bad = int(one.ask.commit[1:]) >= bad_from[one.cell]
            outcome = "dropped" if is_bad else "cached"
            search.tell(one.cell, one.ask.commit, seen(**{outcome: one.ask.trials}))
    return step, rounds


def test_several_releases_at_once_have_the_same_good_end() -> None:
    for each in ({"always": 0, "late": 7, "early": 3}, {"fine": 99, "late": 8}, {"one": 2}):
        alone, one_by_one = good_end(each)
        assert isinstance(alone, GoodEndOfCell)
        for k in (2, 3, 9):
            found, rounds = good_end_at_once(each, k)
            assert isinstance(found, GoodEndOfCell)
            assert (found.cell, found.ends.good, found.ends.bad) == (
                alone.cell, alone.ends.good, alone.ends.bad,
            )  # fmt: skip
            assert len(rounds) < len(one_by_one)
    _, rounds = good_end_at_once({"always": 0, "late": 7}, 3)
    first = [(cell, commit) for commit in ("v8", "v7", "v5") for cell in ("always", "late")]
    assert rounds == [first]


def test_releases_at_once_need_few_builds() -> None:
    _, rounds = good_end_at_once({"one": 2}, 4, built=("v7", "v1"), builds=1)
    assert [commit for _, commit in rounds[0]] == ["v8", "v7", "v1"]
    _, rounds = good_end_at_once({"one": 2}, 4, builds=1)
    assert [len(each) for each in rounds[:2]] == [1, 1]


def test_the_newest_good_release_of_any_cell_is_the_good_end() -> None:
    found, asked = good_end({"always": 0, "late": 7, "early": 3})
    assert isinstance(found, GoodEndOfCell)
    assert (found.cell, found.ends) == (
        "late",
        EndsFound(good="v5", bad="v7", tested=("v8", "v7", "v5")),
    )
    # Every cell at each release, so that they share its build, and no release beyond the end.
    assert asked == [
        ("always", "v8"), ("late", "v8"), ("early", "v8"),
        ("always", "v7"), ("late", "v7"), ("early", "v7"),
        ("always", "v5"), ("late", "v5"),
    ]  # fmt: skip


def test_a_cell_that_is_not_bad_at_the_bad_end_has_no_good_end() -> None:
    found, asked = good_end({"fine": 99, "late": 8})
    assert isinstance(found, GoodEndOfCell)
    assert found.cell == "late"
    assert asked == [("fine", "v8"), ("late", "v8"), ("late", "v7")]


def test_without_a_good_release_every_cell_says_why() -> None:
    found, _ = good_end({"always": 0, "fine": 99})
    assert isinstance(found, dict)
    assert {cell: refused.kind for cell, refused in found.items()} == {
        "always": RefusalKind.NO_GOOD_END,
        "fine": RefusalKind.NOT_BAD,
    }
