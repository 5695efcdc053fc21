"""What a worker is asked for, and what it answers. Both are pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Build, NoBuild, Observation, Variant
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.workers.parcels import Parcel


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A build, or a build and one trial with it."""

    id: str  # unique: the key of the task
    variant: Variant
    source: str  # "git" or "module"
    repo: str  # what a worker clones
    recipe: Recipe
    patches: tuple[Patch, ...]
    deadlines: Deadlines
    job: TrialJob | None = None
    files: tuple[tuple[Parcel, ...], ...] = ()  # of the job's scenario
    key: str = ""  # of the job, as it is at home

    @property
    def what(self) -> str:
        """Return what it is, for messages: ``build v0.26.0``."""
        if self.job is None:
            return f"build {self.variant.label}"
        return f"trial of {self.variant.label}, {self.job.column.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of an order."""

    worker: str = ""  # its name
    address: str = ""  # as the scheduler knows it
    host: Mapping[str, str] = field(default_factory=dict)  # `machine.facts` there
    made: Build | NoBuild | None = None  # None if it is not known
    log: str = ""  # of a build that failed
    observation: Observation | None = None
    evidence: tuple[Parcel, ...] = ()
    trouble: str = ""  # why there is neither, in one line: the machine is at fault
    hint: str = ""
    full: bool = False  # the disk of that machine is full

    @property
    def failed(self) -> str:
        """Return why that machine could not do it; "" if it could."""
        if self.trouble:
            return self.trouble
        if self.observation:
            return self.observation.infra
        return self.made.reason if isinstance(self.made, NoBuild) and self.made.infra else ""
