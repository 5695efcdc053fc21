"""What must be equal in two results of the same question."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from buildkit_bisect import result

#: Keys that may differ between runs: times, IDs, paths (a script's digest contains them), and the
#: reason of a step, which depends on builds of a killed run.
_VOLATILE = frozenset(
    (
        "id",
        "created",
        "ended",
        "seconds",
        "evidence",
        "reused",
        "command",
        "log",
        "source",
        "digest",
        "sha256",  # of the script, which writes into its own lab
        "reproduce",
        "why",
    )
)


def newest(out: Path) -> Path:
    """Return the folder of the last result in *out*."""
    return max(p.parent for p in out.glob("*/result.json"))


def essence(folder: Path, *, also: Collection[str] = ()) -> Any:
    """Return a result without times, IDs and paths, and without the keys *also*."""
    result.read(folder)  # it is complete and has the current version
    return _without(json.loads((folder / "result.json").read_text()), _VOLATILE.union(also))


def _without(value: Any, keys: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, keys) for k, v in value.items() if k not in keys}
    if isinstance(value, list):
        return [_without(v, keys) for v in value]
    return value
