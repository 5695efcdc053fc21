from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from buildkit_bisect.campaign import validate_judge as judge
from buildkit_bisect.campaign.validate_judge import Change, Status
from buildkit_bisect.result import CellChange, CellInfo, CheckInfo, SubsetInfo, TrialInfo

_NAMES = {"good": "cached", "bad": "layers-dropped", "weak": "unclassified", "infra": "infra"}


def cell(*verdicts: str, control: bool = False, overruled: str = "") -> CellInfo:
    """A cell whose trials had *verdicts*; *overruled* as by a failed control or no build."""
    trials = tuple(
        TrialInfo(
            outcome=_NAMES[v], verdict=v, reason="", seconds=1.0, reused=False, evidence=""
        )
        for v in verdicts
    )  # fmt: skip
    told = [v for v in verdicts if v != "infra"] or list(verdicts)
    counts = {_NAMES[v]: told.count(v) for v in dict.fromkeys(told)}
    verdict = told[0] if len(set(told)) == 1 else "weak"
    outcome = _NAMES[told[0]] if len(set(told)) == 1 else "flaky"
    return CellInfo(
        scenario="s", ref="master", revision="a" * 40, patches=(), axes={"x": "y"},
        control=control, outcome=overruled or outcome, verdict="skip" if overruled else verdict,
        reason=overruled, counts={} if overruled == "no-build" else counts, trials=trials,
    )  # fmt: skip


GOOD, BAD = cell(*["good"] * 3), cell(*["bad"] * 3)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (BAD, GOOD, Change.FIXED),
        (GOOD, BAD, Change.REGRESSED),
        (BAD, BAD, Change.STILL_BAD),
        (GOOD, GOOD, Change.STILL_GOOD),
        (BAD, cell("good", "bad", "good"), Change.STILL_BAD),
        (cell("good", "bad", "good"), BAD, Change.STILL_BAD),
        (BAD, cell("good", "weak", "good"), Change.UNTESTED),
        (cell("infra"), GOOD, Change.UNTESTED),
        (BAD, cell("infra", "good", "good"), Change.UNTESTED),
        (BAD, cell("infra", "good", "good", "good"), Change.FIXED),
        (BAD, cell("good", "infra", "infra"), Change.UNTESTED),
        (cell("bad"), cell("good"), Change.UNTESTED),
        (BAD, cell("good", overruled="control-failed"), Change.UNTESTED),
        (BAD, cell("good", overruled="no-build"), Change.UNTESTED),
        (cell("weak"), BAD, Change.UNTESTED),
        # Rare: that one side of few has all the failures is no evidence.
        (cell("bad", "good", "good"), GOOD, Change.UNTESTED),
        (cell("bad", "bad", "good"), GOOD, Change.UNTESTED),
        (cell("bad", "good"), cell(*["good"] * 8), Change.UNTESTED),
        (cell(*["bad", "good"] * 4), cell(*["good"] * 8), Change.FIXED),
        (GOOD, cell("bad", "good"), Change.UNTESTED),
        (cell(*["good"] * 8), cell(*["bad", "good"] * 4), Change.REGRESSED),
    ],
)
def test_classes(before: CellInfo, after: CellInfo, change: Change) -> None:
    made = judge.classify(before, after)
    assert made.change == change
    assert bool(made.reason) == (change is Change.UNTESTED)


def test_a_change_says_what_was_seen() -> None:
    made = judge.classify(BAD, cell("bad", "good", "bad"), snapshotter="stargz")
    assert (made.before, made.after) == (
        "layers-dropped 3 of 3",
        "layers-dropped 2 of 3, cached 1 of 3",
    )
    assert made.moved
    assert made.snapshotter == "stargz"
    assert judge.classify(BAD, cell("good", overruled="no-build")).reason == (
        "with the patches: no-build: no-build"
    )
    assert judge.classify(cell("infra"), GOOD).reason.startswith("without the patches: infra")


def test_luck() -> None:
    """Values of Fisher's exact test, one-sided."""
    assert judge.luck(["bad"] * 3, ["good"] * 3) == pytest.approx(1 / 20)
    assert judge.luck(["bad"] * 2, ["good"] * 2) == pytest.approx(1 / 6)
    assert judge.luck(["bad", "bad", "good"], ["good"] * 3) == pytest.approx(4 / 20)
    assert judge.luck(["bad", "good", "infra"], ["good", "good", "infra"]) == pytest.approx(1 / 2)
    assert judge.luck([], ["good"]) == 1
    assert judge.by_luck(["bad"] * 2, ["good"] * 2), "too few, though they agree"
    assert not judge.by_luck(["bad"] * 3, ["good"] * 3)
    assert judge.by_luck(["good"] * 3, ["bad", "good", "good"])
    assert not judge.by_luck(["bad", "good"], ["bad", "good"]), "bad on both sides"
    assert not judge.by_luck(["good"], ["good"])


def changes(*told: str, control: Sequence[str] = ()) -> list[CellChange]:
    base = judge.classify(GOOD, GOOD)
    return [replace(base, change=c) for c in told] + [
        replace(base, change=c, control=True) for c in control
    ]


WORSE = CheckInfo(kind="test", subject="./solver", change="worse", before="", after="")


@pytest.mark.parametrize(
    ("cells", "checks", "status"),
    [
        (changes("fixed", "still-good", control=["still-good"]), (), Status.FIXES),
        (changes("fixed", "still-bad"), (), Status.PARTLY),
        (changes("still-bad", "still-good"), (), Status.NO),
        (changes("fixed", "regressed"), (), Status.REGRESSES),
        (changes("fixed", control=["regressed"]), (), Status.REGRESSES),
        (changes("fixed"), (WORSE,), Status.REGRESSES),
        (changes("fixed"), (replace(WORSE, change="pre-existing"),), Status.FIXES),
        (changes("fixed", "untested"), (), Status.INCONCLUSIVE),
        (changes("fixed", control=["untested"]), (), Status.INCONCLUSIVE),
        (changes("fixed", control=["still-bad"]), (), Status.INCONCLUSIVE),
        (changes("fixed", control=["fixed"]), (), Status.INCONCLUSIVE),
        (changes("still-bad", control=["still-bad", "still-good"]), (), Status.INCONCLUSIVE),
        (changes("fixed", "still-bad", control=["untested"]), (), Status.INCONCLUSIVE),
        (changes("fixed", "still-bad", "untested"), (), Status.PARTLY),
        (changes("untested", "still-good"), (), Status.INCONCLUSIVE),
        (changes(), (), Status.INCONCLUSIVE),
    ],
)
def test_status(cells: list[CellChange], checks: tuple[CheckInfo, ...], status: Status) -> None:
    assert judge.status(cells, checks) is status


def test_subsets_are_bounded() -> None:
    assert judge.subsets(["a"]) == []
    assert judge.subsets(["a", "b"]) == [("a",), ("b",)]
    assert len(judge.subsets(["a", "b", "c", "d"])) == 2**4 - 2
    assert judge.subsets(list("abcde")) == [
        tuple("abcd"), tuple("abce"), tuple("abde"), tuple("acde"), tuple("bcde"),
    ]  # fmt: skip


def test_what_is_needed() -> None:
    def subset(names: str, fixed: int, reason: str = "") -> SubsetInfo:
        return SubsetInfo(patches=tuple(names), fixed=fixed, of=3, reason=reason)

    tried = [
        subset("a", 1), subset("b", 0), subset("c", 0, "build: undefined"),
        subset("ab", 3), subset("ac", 1), subset("bc", 0, "build: undefined"),
    ]  # fmt: skip
    assert judge.needed("abc", 3, tried) == ("a", "b")
    assert judge.enough(3, tried) == ("a", "b")
    assert judge.enough(4, tried) == ()
    assert judge.needed("abc", 0, tried) == (), "nothing is needed for nothing"
    assert judge.enough(0, tried) == ()
