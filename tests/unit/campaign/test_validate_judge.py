from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from buildkit_bisect.campaign import validate_judge as judge
from buildkit_bisect.result import (
    CellChange,
    CellEffect,
    CellInfo,
    CheckInfo,
    SubsetInfo,
    TrialInfo,
    ValidationStatus,
)

_NAMES = {"good": "cached", "bad": "layers-dropped", "weak": "unclassified", "infra": "infra"}


def cell(*verdicts: str, control: bool = False, overruled: str = "") -> CellInfo:
    """Return a cell with trials of *verdicts*; *overruled*: by a failed control or no build."""
    trials = tuple(
        TrialInfo(
            outcome=_NAMES[v], verdict=v, reason="", seconds=1.0, reused=False, evidence=""
        )
        for v in verdicts
    )  # fmt: skip
    counted = [v for v in verdicts if v != "infra"] or list(verdicts)
    counts = {_NAMES[v]: counted.count(v) for v in dict.fromkeys(counted)}
    verdict = counted[0] if len(set(counted)) == 1 else "weak"
    outcome = _NAMES[counted[0]] if len(set(counted)) == 1 else "flaky"
    return CellInfo(
        scenario="s", ref="master", revision="a" * 40, patches=(), axes={"x": "y"},
        control=control, outcome=overruled or outcome, verdict="skip" if overruled else verdict,
        reason=overruled, counts={} if overruled == "no-build" else counts, trials=trials,
    )  # fmt: skip


GOOD, BAD = cell(*["good"] * 3), cell(*["bad"] * 3)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (BAD, GOOD, CellEffect.FIXED),
        (GOOD, BAD, CellEffect.REGRESSED),
        (BAD, BAD, CellEffect.STILL_BAD),
        (GOOD, GOOD, CellEffect.STILL_GOOD),
        (BAD, cell("good", "bad", "good"), CellEffect.STILL_BAD),
        (cell("good", "bad", "good"), BAD, CellEffect.STILL_BAD),
        (BAD, cell("good", "weak", "good"), CellEffect.UNTESTED),
        (cell("infra"), GOOD, CellEffect.UNTESTED),
        (BAD, cell("infra", "good", "good"), CellEffect.UNTESTED),
        (BAD, cell("infra", "good", "good", "good"), CellEffect.FIXED),
        (BAD, cell("good", "infra", "infra"), CellEffect.UNTESTED),
        (cell("bad"), cell("good"), CellEffect.UNTESTED),
        (BAD, cell("good", overruled="control-failed"), CellEffect.UNTESTED),
        (BAD, cell("good", overruled="no-build"), CellEffect.UNTESTED),
        (cell("weak"), BAD, CellEffect.UNTESTED),
        # With so few trials, all failures on one side may be chance.
        (cell("bad", "good", "good"), GOOD, CellEffect.UNTESTED),
        (cell("bad", "bad", "good"), GOOD, CellEffect.UNTESTED),
        (cell("bad", "good"), cell(*["good"] * 8), CellEffect.UNTESTED),
        (cell(*["bad", "good"] * 4), cell(*["good"] * 8), CellEffect.FIXED),
        (GOOD, cell("bad", "good"), CellEffect.UNTESTED),
        (cell(*["good"] * 8), cell(*["bad", "good"] * 4), CellEffect.REGRESSED),
    ],
)
def test_classify(before: CellInfo, after: CellInfo, change: CellEffect) -> None:
    made = judge.classify(before, after)
    assert made.change == change
    assert bool(made.reason) == (change is CellEffect.UNTESTED)


def test_a_change_contains_the_outcomes_of_both_sides() -> None:
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


def changes(*effects: str, control: Sequence[str] = ()) -> list[CellChange]:
    base = judge.classify(GOOD, GOOD)
    return [replace(base, change=c) for c in effects] + [
        replace(base, change=c, control=True) for c in control
    ]


WORSE = CheckInfo(kind="test", subject="./solver", change="worse", before="", after="")


@pytest.mark.parametrize(
    ("cells", "checks", "status"),
    [
        (changes("fixed", "still-good", control=["still-good"]), (), ValidationStatus.FIXES),
        (changes("fixed", "still-bad"), (), ValidationStatus.PARTLY),
        (changes("still-bad", "still-good"), (), ValidationStatus.NO),
        (changes("fixed", "regressed"), (), ValidationStatus.REGRESSES),
        (changes("fixed", control=["regressed"]), (), ValidationStatus.REGRESSES),
        (changes("fixed"), (WORSE,), ValidationStatus.REGRESSES),
        (changes("fixed"), (replace(WORSE, change="pre-existing"),), ValidationStatus.FIXES),
        (changes("fixed", "untested"), (), ValidationStatus.INCONCLUSIVE),
        (changes("fixed", control=["untested"]), (), ValidationStatus.INCONCLUSIVE),
        (changes("fixed", control=["still-bad"]), (), ValidationStatus.INCONCLUSIVE),
        (changes("fixed", control=["fixed"]), (), ValidationStatus.INCONCLUSIVE),
        (
            changes("still-bad", control=["still-bad", "still-good"]),
            (),
            ValidationStatus.INCONCLUSIVE,
        ),
        (changes("fixed", "still-bad", control=["untested"]), (), ValidationStatus.INCONCLUSIVE),
        (changes("fixed", "still-bad", "untested"), (), ValidationStatus.PARTLY),
        (changes("untested", "still-good"), (), ValidationStatus.INCONCLUSIVE),
        (changes(), (), ValidationStatus.INCONCLUSIVE),
    ],
)
def test_status(
    cells: list[CellChange], checks: tuple[CheckInfo, ...], status: ValidationStatus
) -> None:
    assert judge.status(cells, checks) is status


def test_long_series_get_fewer_subsets() -> None:
    assert judge.subsets(["a"]) == []
    assert judge.subsets(["a", "b"]) == [("a",), ("b",)]
    assert len(judge.subsets(["a", "b", "c", "d"])) == 2**4 - 2
    assert judge.subsets(list("abcde")) == [
        tuple("abcd"), tuple("abce"), tuple("abde"), tuple("acde"), tuple("bcde"),
    ]  # fmt: skip


def test_needed_parts_and_sufficient_subset() -> None:
    def subset(names: str, fixed: int, reason: str = "") -> SubsetInfo:
        return SubsetInfo(patches=tuple(names), fixed=fixed, of=3, reason=reason)

    tried = [
        subset("a", 1), subset("b", 0), subset("c", 0, "build: undefined"),
        subset("ab", 3), subset("ac", 1), subset("bc", 0, "build: undefined"),
    ]  # fmt: skip
    assert judge.needed("abc", 3, tried) == ("a", "b")
    assert judge.enough(3, tried) == ("a", "b")
    assert judge.enough(4, tried) == ()
    assert judge.needed("abc", 0, tried) == (), "nothing was fixed, so no part is needed"
    assert judge.enough(0, tried) == ()
