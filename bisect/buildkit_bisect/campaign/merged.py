"""Merges campaigns: reads their results, joins them, and carries their evidence along."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from buildkit_bisect import __version__, result
from buildkit_bisect.campaign import compose, find, reproduction
from buildkit_bisect.campaign.driver import new_folder
from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.lab.carried_evidence import Carrier
from buildkit_bisect.options.command import inv
from buildkit_bisect.result import ReproductionInfo, Result, merging
from buildkit_bisect.result.belonging import Given, key, with_commits
from buildkit_bisect.result.merging import Joined
from buildkit_bisect.system.announce import announce


def merge(names: Sequence[str], out: Path, command: str) -> tuple[Result, Path]:
    """Join the results that *names* mean; return the document, written in a new folder of *out*.

    A name is an ID below *out*, a folder or a ``result.json``; the results may be untrusted.
    Raises `BadInput` if they do not belong together, or their evidence is not what it should be.
    """
    if not names:
        raise BadInput("merge needs results", hint=inv("merge", "ID", "ID"))
    with announce("reading the results"):
        folders = [find.find(name, out) for name in names]
        given = [
            Given(number=n, name=printable_line(name), result=result.read(folder))
            for n, (name, folder) in enumerate(zip(names, folders, strict=True))
        ]
    given = with_commits(given)
    made = merging.joined(given, command)
    with announce("carrying the evidence"):
        carrier = Carrier(names=[one.name for one in given], folders=folders)
        carrier.check(made.carried)
        name, folder = new_folder(out, "merge")
        missing = carrier.carry(made.carried, folder)
    document = _completed(made, given, name, missing)
    result.write(document, folder)
    return document, folder


def _completed(made: Joined, given: Sequence[Given], name: str, missing: Collection[str]) -> Result:
    joined = _without(made.result, missing)
    document = replace(
        joined,
        id=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        tool=f"buildkit-bisect {__version__}",
        notes=(*compose.pulled_notes(joined.cells), *_notes(joined, given)),
    )
    return replace(document, reproduction=_reproduction(document, given))


def _notes(joined: Result, given: Sequence[Given]) -> list[str]:
    """Return the notes without those on builds of a store, which count the builds of one result."""
    counted = {note for one in given for note in compose.pulled_notes(one.result.cells)}
    return [note for note in joined.notes if note not in counted]


def _without(document: Result, missing: Collection[str]) -> Result:
    """Return *document* without the evidence that its results named and did not have."""
    if not missing:
        return document
    cells = (
        replace(
            cell,
            log="" if cell.log in missing else cell.log,
            trials=tuple(
                replace(t, evidence="") if t.evidence in missing else t for t in cell.trials
            ),
        )
        for cell in document.cells
    )
    return replace(document, cells=tuple(cells))


def _reproduction(document: Result, given: Sequence[Given]) -> ReproductionInfo | None:
    """Return the reproduction of a result whose cell says most of all that have one."""
    known: dict[tuple[object, ...], ReproductionInfo] = {}
    for one in given:
        if info := one.result.reproduction:
            axes = tuple(sorted(info.axes.items()))
            known[info.scenario, info.ref, info.revision, info.patches, axes] = info
    cells = tuple(cell for cell in document.cells if key(cell) in known)
    chosen = reproduction.chosen(replace(document, cells=cells))
    return known[key(chosen)] if chosen else None
