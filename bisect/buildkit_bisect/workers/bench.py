"""Does what a worker is asked for, one order after another, in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BadInput, BisectError, InfraFailed
from buildkit_bisect.lab import served_images
from buildkit_bisect.lab.trial import TrialJob, disk_full, run_trial
from buildkit_bisect.model import Build, NoBuild, Observation, Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import snapshotters
from buildkit_bisect.sharing.store import SharedStore
from buildkit_bisect.source import Source, open_source
from buildkit_bisect.system import machine, paths
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.machine_lock import machine_lock
from buildkit_bisect.workers import parcels
from buildkit_bisect.workers.orders import Answer, Order

#: Most bytes of the log of a build that failed.
_LARGEST_LOG = 2**20

#: Sources that stay open: a campaign has one.
_SOURCES = 4


class Bench:
    """What stays from one order to the next: open sources, and the registry of base images."""

    def __init__(self, name: str, shared: SharedStore | None, say: Callable[[str], None]) -> None:
        self._name = name
        self._shared = shared
        self._say = say
        self._sources: dict[tuple[str, str], Source] = {}
        self._served: served_images.Kept | None = None

    def close(self) -> None:
        """End the registry."""
        if self._served:
            self._served.close()

    def perform(self, order: Order) -> Answer:
        """Return what *order* asks for, or why this machine cannot do it. Raises nothing else."""
        try:
            with paths.scratch("order") as home:
                return self._performed(order, home)
        except BisectError as error:
            return self._trouble(error.message, error.hint)
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            return self._trouble(f"{named}{error.strerror or error}")

    def _trouble(self, text: str, hint: str = "") -> Answer:
        return self._answer(Answer(trouble=" ".join(text.split()), hint=hint, full=_full(text)))

    def _answer(self, answer: Answer) -> Answer:
        return replace(answer, worker=self._name, host=machine.facts())

    def _performed(self, order: Order, home: Path) -> Answer:
        builder = self._builder(order, home)
        if builder.cached(order.variant) is None:
            self._fetch(builder.source, order.variant.revision)
        made = builder.build(order.variant)
        if isinstance(made, NoBuild):
            log = Path(made.log).read_text(errors="replace")[-_LARGEST_LOG:] if made.log else ""
            full = made.infra and _full(made.reason)
            return self._answer(Answer(made=replace(made, log=""), log=log, full=full))
        if order.job is None:
            return self._answer(Answer(made=made))
        return self._ran(order, order.job, builder, made, home)

    def _builder(self, order: Order, home: Path) -> Builder:
        return Builder(
            source=self._source(order.source, order.repo, order.deadlines),
            patches=parcels.patches(order.patches, home / "patches"),
            recipe=order.recipe,
            deadlines=order.deadlines,
            say=self._say,
            shared=self._shared,
        )

    def _source(self, kind: str, repo: str, deadlines: Deadlines) -> Source:
        if (kind, repo) not in self._sources:
            if len(self._sources) >= _SOURCES:
                self._sources.clear()
            self._sources[kind, repo] = open_source(kind, repo, say=self._say, deadlines=deadlines)
        return self._sources[kind, repo]

    def _fetch(self, source: Source, revision: Revision) -> None:
        """Have the commit of *revision* in the mirror. Raises `BadInput` if it is not found."""
        if source.kind != "git":
            return
        try:
            source.resolve(revision.sha)
        except BadInput:  # of a pull request, which its name leads to
            if source.resolve(revision.ref).sha != revision.sha:
                raise

    def _ran(
        self, order: Order, job: TrialJob, builder: Builder, made: Build, home: Path
    ) -> Answer:
        if made.buildkitd_sha256 != job.build.buildkitd_sha256:
            raise InfraFailed(
                f"{order.variant.label} is the daemon {made.buildkitd_sha256[:12]} here, by Go"
                f" {made.go}, and {job.build.buildkitd_sha256[:12]}, by Go {job.build.go}, where it"
                " was built before",
                hint="the same Go on all machines, or a store that they share; docs/usage.md",
            )
        scenario = parcels.unpacked(job.scenario, order.files, home / "scenario")
        own = replace(job, build=made, scenario=scenario, machine=None, proxies=self._proxies(job))
        if job.registry:
            own = self._with_images(own, builder)
        if own.key != order.key:
            raise InfraFailed(
                f"the trial has another key here than where it was asked for: {own.key[:12]},"
                f" not {order.key[:12]}",
                hint="the same commit of this tool on all machines",
            )
        with machine_lock():
            seen = run_trial(own)
        return self._answer(self._packed(seen))

    def _proxies(self, job: TrialJob) -> dict[str, snapshotters.Proxy]:
        asked = [value for _, value in job.axes if value in job.proxies]
        return snapshotters.find(asked, {}, self._say, job.deadlines)

    def _with_images(self, job: TrialJob, builder: Builder) -> TrialJob:
        """Return *job* with the images of this machine. Raises `InfraFailed` if they are others."""
        self._served = self._served or served_images.Kept(paths.cache("registry"))
        registry, images = self._served.images(builder, job.scenario, job.image_digests)
        ours = {name: image.digest for name, image in images.items()}
        for name, digest in job.image_digests.items():
            if ours.get(name) != digest:
                raise InfraFailed(
                    f"base image {name} of {job.scenario.name} is {ours.get(name, 'missing')} here"
                    f" and {digest} where the trial was asked for",
                    hint=f"{words(Campaign, images='public')}, or the same busybox-static on all",
                )
        refs = {name: image.ref for name, image in images.items()}
        return replace(job, registry=registry.address, images=refs, image_digests=ours)

    def _packed(self, seen: Observation) -> Answer:
        """Return *seen* with its evidence, which does not stay here."""
        folder = seen.evidence
        found = parcels.evidence(Path(folder)) if folder else ()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        full = bool(seen.infra) and _full(seen.infra)
        return Answer(observation=replace(seen, evidence=""), evidence=found, full=full)


def _full(why: str) -> bool:
    """Whether a failure is for lack of space; what failed may have made room again."""
    return disk_full() or "no space left" in why.lower()
