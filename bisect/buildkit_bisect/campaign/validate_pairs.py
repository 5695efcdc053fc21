"""Runs cells without and with patches, in alternating trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.cell import Cell
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, Variant
from buildkit_bisect.result.chance import may_be_chance
from buildkit_bisect.scenario import Scenario

#: A cell gets at most this many times the usual trials, until chance is excluded.
_MAX_FACTOR = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A cell without and with the patches, and its trials so far."""

    scenario: Scenario
    axes: Axes
    sides: tuple[Variant, Variant]
    of: Mapping[str, int]  # stored trials that count, as in `Lab.cell`
    parts: tuple[list[Cell], list[Cell]] = field(default_factory=lambda: ([], []))

    def asked(self, number: int) -> Iterator[tuple[Wanted, list[Cell]]]:
        """Yield trial *number* (from 0) of each side, and the part that it belongs to."""
        for variant, part in zip(self.sides, self.parts, strict=True):
            yield Wanted(
                variant=variant, scenario=self.scenario, axes=self.axes, trials=1, after=number,
                of=self.of,
            ), part  # fmt: skip

    @property
    def may_be_chance(self) -> bool:
        """Whether more trials may decide between the sides."""
        without, with_ = (
            [str(outcome.verdict) for cell in part for outcome in cell.judged]
            for part in self.parts
        )
        return may_be_chance(without, with_)


def run(lab: Lab, pairs: Sequence[Pair], usual: int) -> None:
    """Run the *usual* trials of *pairs*, and more of those whose difference may be chance.

    What several workers can do at once is asked for together. A side without a build is asked for
    once.
    """
    numbers, left = range(usual), list(pairs)
    while left:
        asked = {
            id(wanted): (wanted, part)
            for pair in left
            for number in numbers
            for wanted, part in pair.asked(number)
        }
        for one in lab.ahead([wanted for wanted, _ in asked.values()]):
            _, part = asked[id(one)]
            if not part or isinstance(part[0].build, Build):
                part.append(
                    lab.cell(one.variant, one.scenario, one.axes, 1, after=one.after, of=one.of)
                )
        numbers = range(numbers.stop, numbers.stop + 1)
        more = numbers.start < usual * _MAX_FACTOR
        left = [pair for pair in left if more and pair.may_be_chance]
