"""The trials of a campaign's cells that are stored: who ran them, and which of them count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildkit_bisect.lab.cell import Origin, Trial
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Observation


@dataclass(slots=True)
class Stored:
    """Stored trials as *campaign* sees them: with *fresh*, only its own ones count.

    *resumed* are the campaigns that it resumes.
    """

    journal: Journal
    campaign: str
    fresh: bool = field(default=False, kw_only=True)
    resumed: frozenset[str] = field(default=frozenset(), kw_only=True)
    _ours: set[tuple[str, int]] = field(default_factory=set, init=False)  # keys and numbers

    def add(self, key: str, observation: Observation) -> None:
        """Store a trial that this campaign ran, unless the infrastructure failed."""
        if not observation.infra:
            self._ours.add((key, self.journal.add(key, observation, self.campaign)))

    def count(self, key: str, of: Mapping[str, int] | None = None) -> int:
        """Return how many trials of a cell count; *of* as in `trials`."""
        return len(self._counted(key, of))

    def trials(
        self, key: str, of: Mapping[str, int] | None, part: slice = slice(None)
    ) -> list[Trial]:
        """Return the trials of a cell that count, in the order in which they ran.

        With *of*, the first ones of these campaigns, so many of each, and all of this one.
        """
        return [
            Trial(observation=self.journal.observation(key, number), origin=origin)
            for number, origin in self._counted(key, of)[part]
        ]

    def _counted(self, key: str, of: Mapping[str, int] | None) -> list[tuple[int, Origin]]:
        """Return the numbers and origins of the trials of a cell that count."""
        own = {self.campaign, *self.resumed}
        left = Counter({} if self.fresh or of is None else of)
        found = []
        for number, campaign in self.journal.rows(key):
            if campaign in own or left[campaign] > 0 or (of is None and not self.fresh):
                found.append((number, self._origin(key, number, campaign)))
            left[campaign] -= 1
        # Ids are times: a campaign with another result folder may have the same one.
        return [each for each in found if not (self.fresh and each[1] is Origin.STORED)]

    def _origin(self, key: str, number: int, campaign: str) -> Origin:
        if (key, number) in self._ours:
            return Origin.NOW
        return Origin.RESUMED if campaign in self.resumed else Origin.STORED
