"""Measures what a trial on a worker takes of the campaign's own process, which there is one of.

    .venv/bin/python benchmarks/home_costs.py --write docs/scaling.md

A real lab, journal and dispatcher with workers that answer at once: the seconds are the processor's
that giving out, keeping and judging a trial take at home, without Dask. Observations are copies of
trials of this machine. Nothing is built and nothing runs.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import section

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.builds import Builder
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.campaign.matrix import ordered
from buildkit_bisect.events import Event
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.journal import Journal, count
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Build, Observation, Revision, Variant
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.source import Source
from buildkit_bisect.system import paths
from buildkit_bisect.workers import facts
from buildkit_bisect.workers.crew import RemoteBuilder, Workers
from buildkit_bisect.workers.crew import _Trials as Trials
from buildkit_bisect.workers.dispatch import Dispatch
from buildkit_bisect.workers.facts import Facts
from buildkit_bisect.workers.orders import Answer, Order
from buildkit_bisect.workers.parcels import Parcel

WORKERS = (1, 10, 100)
CELLS = (8, 80, 200)
TRIALS = 3
#: Bytes of a trial's evidence, on average.
EVIDENCE = 47_000


class Nowhere:
    """A link to *count* workers, each of which ends its trial when all of them have one."""

    def __init__(self, count: int, seen: Sequence[Observation]) -> None:
        own = facts.here(shares=True)
        self._known = {
            f"tcp://10.0.{n // 250}.{n % 250}:40000": replace(own, name=f"n{n}")
            for n in range(count)
        }
        self._seen = seen
        self._running: deque[tuple[str, Future[Answer]]] = deque()
        self._given = 0
        self._over = False
        self._lock = threading.Lock()
        threading.Thread(target=self._rest, daemon=True).start()

    def workers(self) -> Mapping[str, Facts]:
        """See `dispatch.Link`."""
        return self._known

    def submit(self, _: Order, among: Collection[str], /) -> Future[Answer]:
        """See `dispatch.Link`."""
        future: Future[Answer] = Future()
        with self._lock:
            self._running.append((next(iter(among or self._known)), future))
            self._given += 1
            full = len(self._running) >= len(self._known)
        if full:
            self._end()
        return future

    def again(self) -> bool:
        """See `dispatch.Link`."""
        return False

    def close(self) -> None:
        """See `link.DaskLink`."""
        self._over = True

    def _end(self) -> None:
        with self._lock:
            if not self._running:
                return
            address, future = self._running.popleft()
        evidence = (Parcel(path="log", data=os.urandom(EVIDENCE)),)
        answer = Answer(worker="n", address=address, evidence=evidence)
        seen = replace(self._seen[self._given % len(self._seen)], evidence="", infra="")
        future.set_result(replace(answer, observation=seen))

    def _rest(self) -> None:
        """End what runs when nothing more is given."""
        while not self._over:
            before = self._given
            time.sleep(0.02)
            if self._given == before:
                self._end()


class Crew(Workers):
    """The workers of a campaign, without a scheduler."""

    def __init__(self, link: Nowhere) -> None:
        self._link = cast("Any", link)
        self._dispatch = Dispatch(link, "nowhere", print)
        self._files = {}
        builder = Builder(source=cast("Source", _Source()), recipe=Recipe(goarch="amd64"))
        self.builder = RemoteBuilder.of(builder, self)
        self.executor = Trials(self)


class _Source:
    kind = "git"
    where = "https://example.org/buildkit.git"


class _Built:
    """A builder that has every build."""

    def cached(self, variant: Variant) -> Build:
        return Build(
            key=variant.label,
            go="1.25.5",
            source="git",
            directory="",
            buildkitd_sha256=variant.label,
            buildctl_sha256="c",
            seconds=1.0,
        )


class _Silent:
    def emit(self, _: Event, /) -> None:
        pass


def sample(most: int = 100) -> list[Observation]:
    """Return at most *most* trials of this machine."""
    with (
        closing(Journal()) as journal,
        closing(sqlite3.connect(paths.cache_root() / paths.JOURNAL)) as db,
    ):
        rows = db.execute("SELECT key, number FROM trial LIMIT ?", (most,)).fetchall()
        return [journal.observation(key, number) for key, number in rows]


@contextmanager
def empty_cache() -> Iterator[None]:
    """Use an empty cache on the same disk."""
    before = os.environ.get("BKBISECT_CACHE_DIR")
    with tempfile.TemporaryDirectory(dir=paths.cache_root().parent) as folder:
        os.environ["BKBISECT_CACHE_DIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("BKBISECT_CACHE_DIR")
            if before is not None:
                os.environ["BKBISECT_CACHE_DIR"] = before


def asked(scenario: Scenario, cells: int) -> list[Wanted]:
    """Return *cells* of a matrix as it asks for them: row by row, controls first."""
    columns = ordered(scenario, scenario.cells())
    rows = [
        Variant(revision=Revision(ref=f"v{row}", sha=f"{row:040x}", describe=f"v{row}"))
        for row in range(1 + cells // len(columns))
    ]
    return [
        Wanted(variant=row, scenario=scenario, axes=column, trials=TRIALS)
        for row in rows
        for column in columns
    ][:cells]


def measured(workers: int, cells: int, seen: Sequence[Observation]) -> tuple[int, float]:
    """Return how many trials were kept, and the processor's milliseconds of each.

    Raises `SystemExit` if there are others than those that were asked for.
    """
    scenario = scenarios.load("cross-stage-lazy")
    wanted = asked(scenario, cells)
    with empty_cache(), closing(Journal()) as journal:
        crew = Crew(Nowhere(workers, seen))
        lab = Lab(
            builder=cast("Any", _Built()),
            images={scenario.name: {}},
            registry="",
            journal=journal,
            executor=crew.executor,
            crew=crew,
            events=_Silent(),
            campaign="home-costs",
        )
        began = time.process_time()
        for one in lab.ahead(wanted):
            lab.cell(one.variant, one.scenario, one.axes, one.trials)
        spent = time.process_time() - began
        crew.close()
        done = count(paths.cache_root() / paths.JOURNAL)
    if done != len(wanted) * TRIALS:
        raise SystemExit(f"{done} trials were kept of {len(wanted)} cells with {TRIALS} each")
    return done, 1000 * spent / max(1, done)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--cells", type=int, nargs="+", default=CELLS)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    seen = sample()
    lines = [
        f"| workers | {' | '.join(f'{cells:,} cells' for cells in options.cells)} |",
        "| ---: |" + " ---: |" * len(options.cells),
    ]
    for workers in options.workers:
        shown = []
        for cells in options.cells:
            done, each = measured(workers, cells, seen)
            shown.append(f"{each:,.1f} ms" if done else "none done")
            print(workers, cells, done, shown[-1], file=sys.stderr, flush=True)
        lines.append(f"| {workers:,} | {' | '.join(shown)} |")
    section.put(options.write, "home costs", "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
