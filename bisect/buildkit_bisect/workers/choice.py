"""Which workers a campaign uses: all of one kind, and of this tool's own version. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.errors import Missing
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.options.command import inv
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.workers.facts import Facts

#: Names of workers in one line.
_NAMES = 8

#: How a worker is started that can be used.
_STARTED = "this tool as root"

#: What must be equal here and on a worker, and how a message calls it.
_EQUAL = {
    "tool": "this tool",
    "python": "Python",
    "dask": "distributed",
    "arch": "the architecture",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The workers of a campaign."""

    kind: MachineKind
    workers: Mapping[str, Facts]  # by address
    said: str  # a line for the user


def choose(found: Mapping[str, Facts | None], ours: Facts, where: str) -> Chosen:
    """Return the workers to use of those *found*, by address; None is one of another program.

    Of several kinds it is that of this machine, else the one with most workers. Raises `Missing`
    if none can be used, or if one that `./inv worker` started is of another version.
    """
    start = f"{inv('worker', where)} as root, on each machine"
    if not found:
        raise Missing(f"the scheduler at {where} has no workers", hint=start)
    able = {address: facts for address, facts in found.items() if facts and facts.root}
    if not able:
        raise Missing(
            f"no worker of the scheduler at {where} was started by {_STARTED}", hint=start
        )
    for address, facts in sorted(able.items(), key=lambda item: (item[1].name, item[0])):
        if other := differs(facts, ours):
            raise Missing(
                f"worker {facts.name} at {address} has another version: {other}",
                hint="the same commit of this tool and the same Python on all machines",
            )
    kinds = Counter(facts.kind for facts in able.values())
    kind = ours.kind if ours.kind in kinds else _commonest(kinds)
    used = {address: facts for address, facts in able.items() if facts.kind == kind}
    return Chosen(kind=kind, workers=used, said=_said(found, used, ours, where))


def differs(facts: Facts, ours: Facts) -> str:
    """Return in what a worker must not differ and does: ``Python 3.12, here 3.11``; or ""."""
    for name, called in _EQUAL.items():
        theirs, own = getattr(facts, name), getattr(ours, name)
        if theirs != own:
            return f"{called} {theirs}, here {own}"
    return ""


def _commonest(kinds: Counter[MachineKind]) -> MachineKind:
    return min(kinds, key=lambda kind: (-kinds[kind], kind.digest))


def _said(
    found: Mapping[str, Facts | None], used: Mapping[str, Facts], ours: Facts, where: str
) -> str:
    kind = next(iter(used.values()))
    names = listed(sorted(facts.name for facts in used.values()), limit=_NAMES)
    parts = [f"{plural(len(used), 'worker')} at {where}: {names}"]
    others = [f for f in found.values() if f and f.root and f.kind != kind.kind]
    if others:
        those = listed(sorted({f"{f.name} ({unlike(f, kind)})" for f in others}), limit=_NAMES)
        parts.append(f"trials stay on one kind of machine, so not on {those}")
    if strange := len(found) - len(used) - len(others):
        parts.append(f"{strange} not started by {_STARTED}")
    if kind.kind != ours.kind:
        parts.append(f"this machine is of another kind ({unlike(ours, kind)})")
    return "; ".join(parts)


def unlike(one: Facts, other: Facts) -> str:
    """Return in what the kind of *one* differs from that of *other*: ``kernel 6.1.0``."""
    differ = [
        text
        for name, text in (
            ("kernel", f"kernel {one.host.get('kernel', '?')}"),
            ("arch", one.arch),
            ("runc", one.host.get("runc", "?")),
        )
        if one.host.get(name) != other.host.get(name)
    ]
    if one.kind.busybox != other.kind.busybox:
        differ.append("another busybox")
    if one.kind.mounting != other.kind.mounting:
        differ.append(f"fuse-overlayfs: {one.kind.mounting}")
    return ", ".join(differ)
