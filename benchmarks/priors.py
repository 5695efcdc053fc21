"""What weights of candidates save on real ranges whose commit is known, and what they cost.

    .venv/bin/python benchmarks/priors.py --repo PATH --write docs/search.md

Every row is a range of `priors.toml`, searched as `bisect` does in automatic mode by the known
truth, with no trial that errs and every candidate testable. Builds are those between the ends;
their seconds are predicted from the recorded costs of published bisections. Coverage needs root
and Go, and runs reproducers, shipped or in `--reproducers`: `--cover` builds the instrumented
daemons that are missing; otherwise only those in the cache are used.

    .venv/bin/python benchmarks/priors.py --calibration --write docs/search.md

shows how often noisy searches are right under weights that are informative, useless and wrong;
`--wrong` prints what suspects cost that the known commit does not touch.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import section
import simulated

from buildkit_bisect.campaign import candidates, priors
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.setup import open_lab, prepare
from buildkit_bisect.events import Event, Said
from buildkit_bisect.lab.coverage import Covered
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.scenario import from_script
from buildkit_bisect.search import Ask, FlatCost, Found, NearestBuilt, SearchOptions, Tested
from buildkit_bisect.search.prior import combined
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.source import GitSource

RANGES = Path(__file__).with_name("priors.toml")

#: Seconds of builds and of a trial, about what the published bisections recorded.
WARM, COLD, TRIAL = 12.0, 60.0, 5.0

Weights = Mapping[str, float]

#: Paths to suspect wrongly, where the known commit does not touch them.
ELSEWHERE = (("client", "cmd"), ("util",), ("executor", "snapshot"), ("session", "source"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Two ends and the commit between them that made the change."""

    name: str
    old: str
    new: str
    commit: str
    fix: bool = False
    suspect: tuple[str, ...] = ()
    reproducer: str = ""
    axis: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one search; *bits* are what the weights leave to find."""

    builds: int
    seconds: float
    bits: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One range: costs by the name of the weights."""

    range: Range
    candidates: int
    touched: int  # candidates that change a function that ran
    costs: Mapping[str, Cost]
    covered: Covered | None


def ranges() -> list[Range]:
    """Read the ranges."""
    rows: list[dict[str, Any]] = tomllib.loads(RANGES.read_text())["range"]
    return [Range(**{**row, "suspect": tuple(row.get("suspect", ()))}) for row in rows]


def measure(source: GitSource, one: Range, covered: Covered | None) -> Measured:
    """Search one range with each kind of weights."""
    good, bad = (one.new, one.old) if one.fix else (one.old, one.new)
    line = candidates.load(source, good, bad, (), releases=False)
    older, newer = (line.bad, line.good) if one.fix else (line.good, line.bad)
    space = priors.candidates_of(line, older, newer)
    culprit = source.resolve(one.commit).sha
    assert culprit in space, f"{one.name}: {culprit} is no candidate"
    changes = source.changes(space)
    weights: dict[str, Weights] = {"uniform": {}}
    weights["packages"] = priors.by_packages(changes, source.daemon_packages(newer))
    if one.suspect:
        weights["suspect"] = priors.by_paths(changes, one.suspect)
    touched = 0
    if covered and not covered.trouble:
        weights["coverage"] = priors.by_coverage(changes, covered.functions)
        touched = sum(weight > 0 for weight in weights["coverage"].values())
    return Measured(
        range=one,
        candidates=len(space),
        touched=touched,
        costs={
            name: search(line, culprit, combined(space, [w]), fix=one.fix)
            for name, w in weights.items()
        },
        covered=covered,
    )


def search(line: Line, culprit: str, weights: Weights, *, fix: bool) -> Cost:
    """Run a search whose trials show the truth."""
    history = line.history
    ends = (line.bad, line.good) if fix else (line.good, line.bad)
    space = set(priors.candidates_of(line, *ends))
    order = sorted(line.same_build, key=history.number)
    cost = NearestBuilt(
        order,
        same_build=line.same_build,
        weights={c: 0.0 for c in order if c not in space},
        cold=COLD,
        warm=WARM,
        trial=TRIAL,
    )
    session = BisectSession(
        history,
        good=line.good,
        bad=line.bad,
        options=SearchOptions(find_fix=fix),
        cost=cost,
        same_build=line.same_build,
        weights=weights,
    )
    built = {line.same_build[line.good], line.same_build[line.bad]}
    new, old = ("cached", "dropped") if fix else ("dropped", "cached")
    builds, seconds = 0, 0.0
    while isinstance(step := session.next(), Ask):
        key = line.same_build.get(step.commit, step.commit)
        build = None
        if key not in built:
            built.add(key)
            build = cost.build_seconds(step.commit)
            builds += 1
            seconds += build
        seconds += step.trials * TRIAL
        outcome = new if history.contains(step.commit, culprit) else old
        session.tell(
            step.commit,
            Tested(
                counts={outcome: step.trials},
                verdicts=simulated.VERDICTS,
                binary=key,
                build_seconds=build,
            ),
        )
    assert isinstance(step, Found), step
    assert step.first_bad == culprit, step
    total = sum(weights.values())
    share = weights.get(culprit, 0.0) / total if total else 1 / len(space)
    return Cost(builds=builds, seconds=seconds, bits=-math.log2((share + 1 / len(space)) / 2))


def wrong(source: GitSource) -> str:
    """Return what paths cost that some candidates touch, and the known commit does not."""
    pairs: list[tuple[Cost, Cost]] = []
    for one in ranges():
        good, bad = (one.new, one.old) if one.fix else (one.old, one.new)
        line = candidates.load(source, good, bad, (), releases=False)
        older, newer = (line.bad, line.good) if one.fix else (line.good, line.bad)
        space = priors.candidates_of(line, older, newer)
        changes = source.changes(space)
        culprit = source.resolve(one.commit).sha
        for paths in ELSEWHERE:
            weights = priors.by_paths(changes, paths)
            if weights and culprit not in weights:
                mixed = combined(space, [weights])
                costs = [search(line, culprit, w, fix=one.fix) for w in ({}, mixed)]
                pairs.append((costs[0], costs[1]))
    builds = [(a.builds, b.builds) for a, b in pairs]
    return (
        f"{len(pairs)} searches: {sum(a for a, _ in builds)} builds without weights, "
        f"{sum(b for _, b in builds)} with wrong ones; at most {max(b - a for a, b in builds)} more"
    )


class _Log:
    def emit(self, event: Event) -> None:
        if isinstance(event, Said):
            sys.stderr.write(f"  {event.text}\n")


def cover(one: Range, repo: str, reproducers: Path | None, *, build: bool = True) -> Covered | None:
    """Return what the reproducer runs at the newer end; None without a reproducer or a build."""
    folder = reproducers / one.reproducer if reproducers and one.reproducer else None
    script = None
    named = one.reproducer
    if folder and folder.is_dir():
        named = str(folder)
        if (folder / "script").is_file():
            script = from_script(str(folder / "script"), timeout=600)
    elif one.reproducer != "cross-stage-lazy":
        return None
    request = requests.Run(
        rev=one.new,
        repo=repo,
        scenario=() if script else (named,),
        axis={name: (value,) for name, value in one.axis.items()},
    )
    setup = prepare(request, _Log(), script=script)
    scenario, axes = setup.tested_cells()[0]
    variant = Variant(revision=setup.source.resolve(one.new))
    counting = replace(setup.builder, recipe=replace(setup.builder.recipe, cover=True))
    if not build and not isinstance(counting.cached(variant), Build):
        return None
    with open_lab(setup, "coverage") as (lab, _):
        return lab.covered(variant, scenario, axes)


def table(rows: Sequence[Measured]) -> str:
    """Return the table of ranges, with totals of those that have all columns."""
    kinds = ("uniform", "packages", "suspect", "coverage")
    head = (
        "| range | candidates | uniform | packages | suspect | coverage | instrumented build |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    lines = [head]
    for row in rows:
        cells = [_cell(row.costs.get(kind)) for kind in kinds]
        lines.append(
            f"| {row.range.name} | {row.candidates} | {' | '.join(cells)} | {_instrumented(row)} |"
        )
    for kinds_of, name in (
        (("uniform", "packages", "suspect"), "all ranges"),
        (kinds, "those with coverage"),
    ):
        both = [row for row in rows if all(kind in row.costs for kind in kinds_of)]
        if not both:
            continue
        cells = [_total([row.costs[k] for row in both]) if k in kinds_of else "" for k in kinds]
        spent = sum(r.covered.seconds for r in both if r.covered) if "coverage" in kinds_of else 0
        lines.append(
            f"| **{len(both)}: {name}** | {sum(r.candidates for r in both)} | "
            f"{' | '.join(cells)} | {f'{spent:.0f} s' if spent else ''} |"
        )
    return "\n".join(lines)


def _cell(cost: Cost | None) -> str:
    return f"{cost.builds} / {cost.seconds:.0f} s" if cost else "-"


def _total(costs: Sequence[Cost]) -> str:
    builds, seconds = sum(c.builds for c in costs), sum(c.seconds for c in costs)
    return f"{builds} / {seconds:.0f} s, {sum(c.bits for c in costs) / len(costs):.1f} bits"


def _instrumented(row: Measured) -> str:
    if not row.covered:
        return "not made" if row.range.reproducer else "no reproducer"
    if row.covered.trouble:
        return f"failed: {row.covered.trouble.splitlines()[0][:60]}"
    return f"{row.covered.seconds:.0f} s; {row.touched} touched"


RATES = ((1.0, 0.0), (0.9, 0.1), (0.5, 0.0), (0.6, 0.1))

#: The weight of a candidate, from whether it is the culprit, and a generator.
KINDS: Mapping[str, Callable[[bool, random.Random], float]] = {
    "even": lambda _is, _rng: 1.0,
    "informative": lambda it, rng: 8.0 if it or rng.random() < 1 / 16 else 0.0,
    "useless": lambda _is, rng: rng.choice((0.0, 0.0, 1.0, 8.0)),
    "wrong": lambda it, rng: 0.0 if it else rng.choice((0.0, 0.0, 1.0, 8.0)),
}


def calibration(runs: int) -> str:
    """Return how often searches are wrong, and their trials, by kind of weights."""
    shape = simulated.line(127)
    head = "| rates with / without the change | " + " | ".join(KINDS) + " |"
    lines = [head, "|---" + "|--:" * len(KINDS) + "|"]
    for with_it, without in RATES:
        cells = []
        for name, weigh in KINDS.items():
            wrong = trials = 0
            for run in range(runs):
                rng = random.Random(f"{with_it}/{without}/{run}")  # noqa: S311 - no secret
                culprit = rng.choice(shape.candidates)
                answers = simulated.Trials(
                    shape=shape,
                    rng=rng,
                    culprit=culprit,
                    with_it=with_it,
                    without=without,
                    find_fix=False,
                )
                dice = random.Random(f"weights/{name}/{run}")  # noqa: S311 - no secret
                session = BisectSession(
                    shape.history,
                    good=shape.old,
                    bad=shape.new,
                    cost=FlatCost(build=0, trial=1),
                    weights={c: weigh(c == culprit, dice) for c in shape.candidates},
                )
                while isinstance(step := session.next(), Ask):
                    tested = answers.answer(step)
                    trials += sum(tested.counts.values())
                    session.tell(step.commit, tested)
                wrong += isinstance(step, Found) and step.first_bad != culprit
            cells.append(f"{wrong / runs:.1%}, {trials / runs:.1f}")
            sys.stderr.write(f"{with_it} / {without}, {name}: {cells[-1]}\n")
        lines.append(f"| {with_it:g} / {without:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print a table, or put it between its marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", default="")
    parser.add_argument("--reproducers", type=Path)
    parser.add_argument("--cover", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--calibration", action="store_true")
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    if options.wrong:
        sys.stdout.write(f"{wrong(GitSource.open(options.repo))}\n")
        return 0
    if options.calibration:
        mark, text = "prior calibration", calibration(options.runs)
    else:
        mark, rows = "priors", []
        source = GitSource.open(options.repo)
        for one in ranges():
            if options.only in one.name:
                covered = cover(one, options.repo, options.reproducers, build=options.cover)
                rows.append(measure(source, one, covered))
                sys.stderr.write(f"{one.name}: {rows[-1].costs}\n")
        text = table(rows)
    section.put(options.write, mark, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
