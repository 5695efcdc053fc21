"""Results of shards and of several machines, as `merge` gets them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import results
from buildkit_bisect import result
from buildkit_bisect.result import CellInfo, Result, ShardInfo, merging
from buildkit_bisect.result.belonging import Given

PLAN = "ab" * 32
COMMAND = "./inv merge a b"

#: The revisions of `results.matrix`, a shard each.
REVISIONS = ("v0.24.0", "v0.25.0", "v0.31.0", "v0.32.0", "master")


def whole(**changes: Any) -> Result:
    """`results.matrix`, each build with a key of its own."""
    made = results.matrix(command="./inv matrix --trials 3", **changes)
    cells = (
        replace(c, build=replace(c.build, key=" ".join([c.ref, *c.patches])) if c.build else None)
        for c in made.cells
    )
    return replace(made, cells=tuple(cells))


def part(number: int, of: int = 5) -> Result:
    """A shard of `results.matrix`: the rows of some of its revisions."""
    one = whole()
    own = REVISIONS[(number - 1) * 5 // of : number * 5 // of]
    return replace(
        one,
        id=f"2026112{number}-043000-matrix",
        command=f"./inv matrix --trials 3 --shard {number}/{of}",
        cells=tuple(c for c in one.cells if c.ref in own),
        revisions=tuple(r for r in one.revisions if r.ref in own),
        patches=one.patches if "master" in own else (),
        shard=ShardInfo(number=number, of=of, plan=PLAN),
    )


def elsewhere(one: Result, **facts: str) -> Result:
    """The same result from a machine with other *facts*: its trials took longer."""
    cells = tuple(
        replace(c, trials=tuple(replace(t, seconds=t.seconds + 1) for t in c.trials))
        for c in one.cells
    )
    return replace(one, host={**one.host, **facts}, cells=cells)


def given(*several: Result) -> list[Given]:
    """As `merge` names them: a, b, c."""
    return [Given(number=n, name="abcdefgh"[n], result=r) for n, r in enumerate(several)]


def joined(*several: Result) -> Result:
    """What they are together, with an ID, as `merge` writes it."""
    made = merging.joined(given(*several), COMMAND).result
    return replace(made, id="20261125-000000-merge", created="2026-11-25T00:00:00Z", tool="t 1")


def seen(one: Result) -> dict[object, tuple[object, ...]]:
    """What each cell of *one* shows, wherever it ran and its evidence is."""
    return {key(cell): (cell.outcome, cell.verdict, cell.counts, cell.rate) for cell in one.cells}


def key(cell: CellInfo) -> tuple[object, ...]:
    return cell.ref, cell.patches, cell.scenario, tuple(sorted(cell.axes.items()))


def written(folder: Path, one: Result) -> Path:
    """Write *one* with a file of evidence for each trial, and logs; return the folder."""
    folder.mkdir(parents=True)
    result.write(one, folder)
    for cell in one.cells:
        for trial in cell.trials:
            place = folder / trial.evidence
            place.mkdir(parents=True, exist_ok=True)
            (place / "buildkitd.log").write_text(f"{folder.name} {trial.evidence}\n")
        if cell.log:
            (folder / cell.log).parent.mkdir(parents=True, exist_ok=True)
            (folder / cell.log).write_text(f"undefined: {folder.name}\n")
    return folder


def document(folder: Path) -> dict[str, Any]:
    """The JSON of the only result below *folder*."""
    (path,) = folder.glob("*/result.json")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
