"""What a bisection says of the cells that it may be in."""

from __future__ import annotations

from buildkit_bisect.campaign import cell_choice
from buildkit_bisect.campaign.cell_choice import Ends
from buildkit_bisect.model import Axes
from buildkit_bisect.result import CellTried
from buildkit_bisect.search import Inconclusive, RefusalKind, Refused, SearchOptions, Tested
from buildkit_bisect.search.choice import CellChoice, Chosen, NoneDiffers, Try
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from worlds import linear, seen

DIFFERENT: Axes = (("bases", "different"), ("snapshotter", "stargz"))
SAME: Axes = (("bases", "same"), ("snapshotter", "stargz"))
ENDS = Ends(good="v0.24.0", bad="v0.26.0")

GOOD, BAD = seen(cached=1), seen(dropped=1)


def tried(
    at: dict[Axes, tuple[Tested, Tested]], *, find_fix: bool = False, trials: int | None = None
) -> tuple[Chosen[Axes] | NoneDiffers[Axes], tuple[CellTried, ...]]:
    """Try cells by what they show at the good end and at the bad end."""
    options = SearchOptions(find_fix=find_fix, trials=trials)
    good, bad = ("c9", "c0") if find_fix else ("c0", "c9")
    labels = {good: ENDS.good, bad: ENDS.bad}
    history = History(linear(9))
    sessions = {
        axes: BisectSession(history, good=good, bad=bad, options=options, labels=labels)
        for axes in at
    }
    choice = CellChoice(sessions)
    while isinstance(step := choice.next(), Try):
        choice.tell(step.cell, step.ask.commit, at[step.cell][step.ask.commit == bad])
    return step, cell_choice.tried(sessions, step, good=good, bad=bad)


def test_cells_are_named_by_the_axes_in_which_they_are_not_all_alike() -> None:
    assert cell_choice.names([DIFFERENT, SAME]) == {
        DIFFERENT: "bases=different",
        SAME: "bases=same",
    }
    other: Axes = (("bases", "same"), ("snapshotter", "nydus"))
    assert cell_choice.names([DIFFERENT, other])[other] == "bases=same snapshotter=nydus"
    assert cell_choice.names([SAME]) == {SAME: ""}
    assert cell_choice.names([()]) == {(): ""}


def test_the_one_cell_that_holds_is_named_with_what_all_of_them_showed() -> None:
    _, rows = tried({DIFFERENT: (BAD, BAD), SAME: (GOOD, BAD)})
    assert cell_choice.lines(rows, ENDS) == [
        "bases=different: v0.24.0 is bad, dropped (1 of 1); v0.26.0 is bad, dropped (1 of 1)",
        "bases=same: v0.24.0 is good, cached (1 of 1); v0.26.0 is bad, dropped (1 of 1)",
    ]
    assert cell_choice.why(rows, ENDS) == (
        "searching with bases=same, the only one of 2 cells that is good at v0.24.0 and bad at"
        " v0.26.0"
    )
    assert [row.searched for row in rows] == [False, True]
    assert [bool(row.reason) for row in rows] == [True, False]
    assert rows[0].differ is None
    assert rows[1].differ
    assert rows[1].axes == dict(SAME)


def test_of_several_cells_the_rule_is_named() -> None:
    third: Axes = (("bases", "third"), ("snapshotter", "stargz"))
    _, rows = tried({DIFFERENT: (GOOD, BAD), SAME: (GOOD, BAD), third: (GOOD, GOOD)})
    assert cell_choice.why(rows, ENDS) == (
        "searching with bases=different: 2 of 3 cells are good at v0.24.0 and bad at v0.26.0,"
        " none more certainly; this is the first"
    )
    often, always = seen(dropped=4, cached=2), seen(dropped=6)
    _, rows = tried({DIFFERENT: (seen(cached=6), often), SAME: (seen(cached=6), always)}, trials=6)
    said = cell_choice.why(rows, ENDS)
    assert said.startswith(
        "searching with bases=same: all 2 cells are good at v0.24.0 and bad at v0.26.0, this one"
        " most certainly ("
    )
    assert "; bases=different 9" in said


def refusal(
    at: dict[Axes, tuple[Tested, Tested]], *, find_fix: bool = False
) -> tuple[Refused, tuple[CellTried, ...]]:
    found, rows = tried(at, find_fix=find_fix)
    assert isinstance(found, NoneDiffers)
    ends = Ends(good=ENDS.good, bad=ENDS.bad, find_fix=find_fix)
    answer = cell_choice.refusal(found.answers, rows, ends)
    assert isinstance(answer, Refused)
    return answer, rows


def test_a_refusal_has_the_commands_that_may_be_meant() -> None:
    answer, rows = refusal({DIFFERENT: (BAD, BAD), SAME: (BAD, GOOD)})
    assert answer.kind is RefusalKind.NO_CELL
    assert answer.reason == "none of the 2 cells is good at v0.24.0 and bad at v0.26.0"
    assert answer.hint.split(", or ") == [
        "./inv bisect --bad v0.24.0 --good v0.26.0 --find-fix --axis bases=same",
        "./inv bisect --bad v0.24.0 --find-good",
        "./inv boundaries --from v0.24.0 --to v0.26.0",
    ]
    assert [(row.good_verdict, row.bad_verdict) for row in rows] == [
        ("bad", "bad"),
        ("bad", "good"),
    ]
    assert all(row.reason for row in rows)


def test_a_good_end_that_fails_in_another_way_is_shown_as_it_is() -> None:
    answer, rows = refusal({DIFFERENT: (seen(crash=1), BAD), SAME: (BAD, BAD)})
    assert cell_choice.lines(rows, ENDS)[0] == (
        "bases=different: v0.24.0 is bad, crash (1 of 1); v0.26.0 is bad, dropped (1 of 1)"
    )
    assert (rows[0].good_verdict, rows[0].bad_verdict) == ("bad", "bad")
    assert answer.hint.startswith("./inv bisect --bad v0.24.0 --find-good, or ")


def test_a_refusal_where_nothing_is_bad_names_boundaries_alone() -> None:
    answer, _ = refusal({DIFFERENT: (GOOD, GOOD), SAME: (GOOD, GOOD)})
    assert answer.hint == "./inv boundaries --from v0.24.0 --to v0.26.0"


def test_a_refusal_of_a_fix_names_the_bisection_and_the_ends_in_their_order() -> None:
    answer, _ = refusal({DIFFERENT: (BAD, BAD), SAME: (BAD, GOOD)}, find_fix=True)
    assert answer.hint.split(", or ") == [
        "./inv bisect --good v0.26.0 --bad v0.24.0 --axis bases=same",
        "./inv boundaries --from v0.26.0 --to v0.24.0",
    ]


def test_one_reason_for_every_cell_is_the_reason() -> None:
    same = Refused(kind=RefusalKind.SAME_COMMIT, reason="both endpoints are v0.24.0", hint="h")
    assert cell_choice.refusal({DIFFERENT: same, SAME: same}, (), ENDS) == same
    stalled = Inconclusive(reason="16 asks in a row brought no trial")
    assert cell_choice.refusal({DIFFERENT: stalled, SAME: stalled}, (), ENDS) == stalled


def test_a_cell_whose_merge_base_is_bad_can_not_be_searched_although_its_ends_hold() -> None:
    row = CellTried(
        axes=dict(DIFFERENT),
        good="cached (1 of 1)",
        bad="dropped (1 of 1)",
        good_verdict="good",
        bad_verdict="bad",
        reason="the merge base v0.23.0-rc1 is bad",
    )
    chosen = CellTried(
        axes=dict(SAME),
        good="cached (1 of 1)",
        bad="dropped (1 of 1)",
        good_verdict="good",
        bad_verdict="bad",
        differ=0.9,
        searched=True,
    )
    assert cell_choice.why((row, chosen), ENDS) == (
        "searching with bases=same, the only one of 2 cells that can be searched"
    )
