"""Whether the confidence that a search states is true, and what it costs beside git-bayesect.

    pip install -r benchmarks/requirements.txt
    benchmarks/calibration.py --repo PATH/TO/moby-buildkit --jobs 2 --write docs/search.md

Every row draws culprits and trials whose truth is known, and runs whole searches, from the
first trial of an end to the last of the proof. One search serves every confidence as long as it
would do the same at the next one; where not, a copy goes on. The table and the diagram in
docs/search.md are made here.
"""

from __future__ import annotations

import argparse
import bisect
import copy
import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

# Before numpy is loaded: its matrices are small here, and the processes use every core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import calibration_report as report
import simulated
from calibration_report import BINS, CONFIDENCES, SEVEN, Done, Level, Row
from simulated import Noise, Shape

from buildkit_bisect.search import (
    Ask,
    FlatCost,
    Found,
    Inconclusive,
    Phase,
    Range,
    Refused,
    SearchOptions,
    Step,
)
from buildkit_bisect.search.session import BisectSession

WITH_IT = (1.0, 0.95, 0.9, 0.8, 0.5, 0.3, 0.15)
WITHOUT = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
APART = 0.15
SHAPES = ("line 128", "line 410", "real")
BUILDS = (0.0, 10.0, 40.0)

#: Rates at which nothing changes between the ends.
ALIKE = (0.0, 0.05, 0.3, 0.7)


@lru_cache(maxsize=4)
def shape(name: str, repo: str) -> Shape:
    """A history by its name."""
    kind, _, size = name.partition(" ")
    return simulated.line(int(size)) if kind == "line" else simulated.real(Path(repo))


def simulate(row: Row, *, repo: str = "", seed: int = 1) -> Done:
    """Run a row's searches, with culprits and trials drawn from *seed*."""
    where = shape(row.shape, repo)
    levels = [Level(confidence=c) for c in CONFIDENCES]
    began, slowest = time.process_time(), 0.0
    for run in range(row.runs):
        # The same culprits and chances for the same run, whatever its rates are.
        rng = random.Random(f"{seed}/{run}/{row.shape}/{row.build}/{row.find_fix}")  # noqa: S311 - not for secrets
        slowest = max(slowest, _search(where, row, rng, levels))
    return Done(
        row=row,
        levels=levels,
        seconds=time.process_time() - began,
        slowest=slowest,
    )


@dataclass(kw_only=True, slots=True)
class _Running:
    """A search and what it has cost so far."""

    session: BisectSession
    trials: simulated.Trials
    ran: int = 0
    built: set[str] = field(default_factory=set)

    def fork(self) -> _Running:
        """Return a copy that goes on by itself; both share the history."""
        shared = self.trials.shape
        return copy.deepcopy(self, {id(shared): shared, id(shared.history): shared.history})


def _search(where: Shape, row: Row, rng: random.Random, levels: Sequence[Level]) -> float:
    culprit = where.candidates[rng.randrange(len(where.candidates))]
    good, bad = (where.new, where.old) if row.find_fix else (where.old, where.new)
    one = _Running(
        session=BisectSession(
            where.history,
            good=good,
            bad=bad,
            options=SearchOptions(
                trials=row.trials, confidence=levels[0].confidence, find_fix=row.find_fix
            ),
            cost=FlatCost(build=row.build, trial=1.0),
        ),
        trials=simulated.Trials(
            shape=where,
            rng=rng,
            culprit=culprit,
            with_it=row.with_it,
            without=row.without,
            find_fix=row.find_fix,
            noise=row.noise,
        ),
    )
    slowest = 0.0
    for level, higher in zip_longest(levels, levels[1:]):
        one.session.demand(level.confidence)
        later = None
        while True:
            began = time.perf_counter()
            step = one.session.next()
            slowest = max(slowest, time.perf_counter() - began)
            if higher and not later:
                later = _parted(one, step, level, higher)
            if not isinstance(step, Ask):
                break
            tested = one.trials.answer(step)
            one.ran += sum(tested.counts.values())
            one.built.add(step.commit)
            one.session.tell(step.commit, tested)
        _count(level, step, culprit)
        level.trials += one.ran
        level.builds += len(one.built)
        one = later or one
    return slowest


def _parted(one: _Running, step: Step, level: Level, higher: Level) -> _Running | None:
    """Return a copy for the higher confidence where it leads elsewhere: near the end only."""
    if isinstance(step, Ask) and step.phase is not Phase.PROOF:
        return None
    one.session.demand(higher.confidence)
    other = one.session.next()
    parted = one.fork() if other != step else None
    one.session.demand(level.confidence)
    return parted


def _count(level: Level, step: object, culprit: str) -> None:
    match step:
        case Found():
            right = step.first_bad == culprit
            level.right += right
            level.wrong += not right
            at = str(bisect.bisect(BINS, step.confidence) - 1)
            n, ok, total = level.stated.get(at, (0, 0, 0.0))
            level.stated[at] = (n + 1, ok + right, total + step.confidence)
        case Refused() | Inconclusive() | Range():
            kind = str(step.kind) if isinstance(step, Refused) else type(step).__name__.lower()
            if "does not change" in step.reason:
                kind = "no change"
            level.other[kind] = level.other.get(kind, 0) + 1


def grid(runs: int) -> Iterator[Row]:
    """The grid: *runs* of each pair of rates, equally often each history, build and direction."""
    each = math.ceil(runs / (len(SHAPES) * len(BUILDS) * 2))
    for with_it, without in product(WITH_IT, WITHOUT):
        if with_it - without >= APART - 1e-9:
            for name, build, find_fix in product(SHAPES, BUILDS, (False, True)):
                yield Row(
                    shape=name,
                    with_it=with_it,
                    without=without,
                    build=build,
                    find_fix=find_fix,
                    runs=each,
                )


def seven(runs: int) -> Iterator[Row]:
    """The rows beside git-bayesect: 127 candidates, as its own calibration has them."""
    for with_it, without in SEVEN:
        yield Row(shape="line 127", with_it=with_it, without=without, build=0.0, runs=runs)


def unlike(runs: int) -> Iterator[Row]:
    """What breaks the assumptions: rates that drift, and trials that come in pairs."""
    for noise, (with_it, without) in product((Noise.DRIFT, Noise.PAIRS), SEVEN):
        yield Row(
            shape="line 127", with_it=with_it, without=without, build=0.0, noise=noise, runs=runs
        )


def alike(runs: int) -> Iterator[Row]:
    """Both ends behave the same: there is no culprit, and naming one is wrong."""
    for rate, noise in product(ALIKE, (Noise.NONE, Noise.DRIFT)):
        yield Row(shape="line 127", with_it=rate, without=rate, build=0.0, noise=noise, runs=runs)


def fixed(runs: int) -> Iterator[Row]:
    """With a number of trials of each commit that the user set."""
    for trials, (with_it, without) in product((1, 3), SEVEN[:4]):
        yield Row(
            shape="line 127", with_it=with_it, without=without, build=0.0, trials=trials, runs=runs
        )


def bayesect(rates: tuple[float, float], *, runs: int, seed: int = 1) -> dict[str, float]:
    """git-bayesect 1.2 on the same task, by the protocol of its scripts/calibration.py."""
    # Only the benchmark has it, so it is no dependency of the project.
    from git_bayesect import Bisector  # type: ignore[import-not-found]  # noqa: PLC0415

    with_it, without = rates
    right = trials = 0
    began = time.process_time()
    for run in range(runs):
        rng = random.Random(f"{seed}/{run}")  # noqa: S311
        culprit = rng.randrange(127)  # index 0 is the newest commit
        bisector = Bisector([1] * 128)
        while True:
            probabilities = bisector.distribution
            likeliest = int(probabilities.argmax())
            if probabilities[likeliest] >= 0.95:  # noqa: PLR2004 - its default confidence
                break
            index = bisector.select()
            rate = with_it if index <= culprit else without
            bisector.record(index, rng.random() < rate)
            trials += 1
        right += likeliest == culprit
    return {
        "with_it": with_it,
        "without": without,
        "runs": runs,
        "right": right,
        "trials": trials / runs,
        "seconds": time.process_time() - began,
    }


def _loaded(kept: dict[str, Any]) -> Done:
    levels = [Level(**level) for level in kept["levels"]]
    row = Row(**{**kept["row"], "noise": Noise(kept["row"]["noise"])})
    return Done(row=row, levels=levels, seconds=kept["seconds"], slowest=kept["slowest"])


def main(argv: Sequence[str]) -> int:
    """Run the parts that are asked for; print what they show, or put it into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", default="", help="a clone of moby/buildkit, for the real DAG")
    parser.add_argument("--runs", type=int, default=1000, help="of a row")
    parser.add_argument("--runs-seven", type=int, default=10_000)
    parser.add_argument("--runs-bayesect", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", default="seven,bayesect,alike,unlike,fixed,grid")
    parser.add_argument("--only", default="", help="rows whose text has this")
    parser.add_argument("--json", type=Path, help="keep every row's figures")
    parser.add_argument("--load", type=Path, help="figures kept before, of parts not run now")
    parser.add_argument("--write", type=Path, help="put table and diagram into this document")
    options = parser.parse_args(argv)
    parts = options.parts.split(",")
    rows = {
        "seven": list(seven(options.runs_seven)),
        "alike": list(alike(options.runs)),
        "unlike": list(unlike(options.runs)),
        "fixed": list(fixed(options.runs)),
        "grid": list(grid(options.runs)),
    }
    wanted = [(part, row) for part in rows if part in parts for row in rows[part]]
    wanted = [(part, row) for part, row in wanted if options.only in str(row)]
    if not options.repo:
        wanted = [(part, row) for part, row in wanted if row.shape != "real"]
    done: dict[str, list[Done]] = {part: [] for part in rows}
    theirs: list[dict[str, float]] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        if "bayesect" in parts:
            run = partial(bayesect, runs=options.runs_bayesect, seed=options.seed)
            theirs = list(pool.map(run, SEVEN))
        began = time.monotonic()
        run_row = partial(simulate, repo=options.repo, seed=options.seed)
        results = pool.map(run_row, [row for _, row in wanted])
        for (part, _), result in zip(wanted, results, strict=True):
            done[part].append(result)
            sys.stderr.write(f"{time.monotonic() - began:6.0f} s {report.brief(result)}\n")
    if options.load:
        before = json.loads(options.load.read_text())
        theirs = theirs or before["bayesect"]
        for part, rows_before in before["rows"].items():
            done[part] = done[part] or [_loaded(d) for d in rows_before]
    if options.json:
        kept = {part: [asdict(d) for d in results] for part, results in done.items()}
        options.json.write_text(json.dumps({"rows": kept, "bayesect": theirs}))
    text = report.text(done, theirs)
    if options.write:
        report.put(options.write, text, report.diagram(done))
    else:
        sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
