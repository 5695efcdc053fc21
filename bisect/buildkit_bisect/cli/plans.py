"""Prints what a campaign would do: ``--dry-run``, and ``./inv plan TASK``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.events import Column, Planned, Search
from buildkit_bisect.forecast import forecast
from buildkit_bisect.options.requests import Building
from buildkit_bisect.phrases import hashed, listed, plural


def show_plan(
    request: Building, planned: Planned, script: Sequence[str] = (), revs: Sequence[str] = ()
) -> int:
    """Print *planned*, as JSON if *request* asks for it.

    *script*: the names of a test script and of the files that it declares. *revs*: see `conduct`.
    """
    if request.json:
        more = {"hashed": list(script), "revs": list(revs)}
        print(json.dumps({**_facts(planned), **{k: v for k, v in more.items() if v}}, indent=1))
    else:
        first = [f"hashed {hashed(script)}"] if script else []
        first += [f"shard  {planned.shard}"] if planned.shard else []
        empty = planned.shard and not planned.rows
        rest = ["nothing to build or run"] if empty else _lines(planned)
        print("\n".join([*first, *rest]))
    return DONE


def _facts(planned: Planned) -> dict[str, Any]:
    total = planned.expected
    some = {
        "skipped": dict(planned.skipped),
        "before": dict(planned.before),
        "also": list(planned.also),
        "known": list(planned.known),
        "stored": {row: list(trials) for row, trials in planned.stored.items()},
        "search": asdict(planned.search) if planned.search else {},
        "tried_at": list(planned.tried_at),
        "shard": planned.shard,
    }
    return {
        "kind": planned.kind,
        "rows": list(planned.rows),
        "columns": [
            {"scenario": c.scenario, "axes": dict(c.axes), "control": c.control}
            for c in planned.columns
        ],
        "trials": planned.trials,
        "build_seconds": dict(planned.build_seconds),
        "trial_seconds": planned.trial_seconds,
        "seconds": total.seconds,
        "range": [total.least, total.most],
        "basis": planned.basis,
        **{name: value for name, value in some.items() if value},
    }


def _lines(planned: Planned) -> Iterator[str]:
    for what, seconds in planned.before.items():
        yield f"first  {what}: {forecast((seconds,), recorded=planned.recorded)}"
    if planned.search:
        yield f"search {planned.search.what}"
    for row in planned.rows:
        yield _row(planned, row)
    trials = plural(planned.trials, "trial")
    each = f"at least {trials} of each commit" if planned.search else f"{trials} per row"
    if planned.tried_at:
        each = f"at least {trials} of {listed(planned.tried_at)}"
    for column in planned.columns:
        yield f"cell   {_named(column)}: {each}"
    if planned.tried_at:
        yield "then   search in one of these cells where the good end is good and the bad one bad"
    for text in planned.known:
        yield f"known  {text}"
    if planned.search:
        yield from _needed(planned.search)
    for text in planned.also:
        yield f"also   {text}"
    yield _total(planned)


def _needed(search: Search) -> Iterator[str]:
    if search.spared:
        its = "its" if len(search.spared) == 1 else "their"
        yield f"maybe  {listed(search.spared)}, if no commit between the ends is run in {its} place"
    yield f"needs  about {plural(search.steps, 'step')}, {plural(search.builds, 'build')}"
    if search.at_once > 1:
        few = f", of which {search.compiles} may need a compile"
        less = few if search.compiles < search.at_once else ""
        yield f"rounds of up to {plural(search.at_once, 'commit')} at once{less}"


def _row(planned: Planned, row: str) -> str:
    if row in planned.skipped:
        return f"skip   {row}: {planned.skipped[row]}"
    cost, base = planned.build_seconds.get(row, 0), planned.only_bad_of.get(row)
    how = str(forecast((cost,), recorded=planned.recorded)) if cost else "already built"
    only = f", only for cells that are bad in {base}" if base else ""
    known = [min(count, planned.trials) for count in planned.stored.get(row, ())]
    of = planned.trials * len(planned.columns)
    stored = f", {sum(known)} of {plural(of, 'trial')} stored" if any(known) else ""
    return f"build  {row}: {how}{stored}{only}"


def _named(column: Column) -> str:
    values = [f"{name}={value}" for name, value in column.axes]
    return " ".join([column.scenario, *values]) + (", control" if column.control else "")


def _total(planned: Planned) -> str:
    cells = "builds and cells" if planned.columns else "the build"
    counted = "the search" if planned.search else cells
    what = f" for {counted}" if planned.also else ""
    rows = [row for row in planned.rows if row not in planned.skipped]
    built = any(not planned.build_seconds.get(row) for row in rows)
    # In containers it is known only later which trials are stored.
    later = built and planned.columns and not planned.stored
    less = "; stored trials are not run again" if later else ""
    return f"{planned.expected}{what}, based on {planned.basis}{less}"
