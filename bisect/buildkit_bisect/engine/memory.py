"""Facts that were found out about an Engine, kept in the cache."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from buildkit_bisect.system import paths

FORMAT = 1

#: Seconds after which the facts about an Engine that was not used again are removed.
FORGOTTEN = 90 * 86_400.0


def recall(engine: str) -> dict[str, Any]:
    """The facts about the Engine with that id; empty if there are none."""
    try:
        known = json.loads(_path(engine).read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and known.get("format") == FORMAT else {}


def remember(engine: str, **facts: Any) -> None:
    """Add *facts* to the known ones; the last writer wins."""
    path = _path(engine)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({**recall(engine), **facts, "format": FORMAT}))
    draft.replace(path)
    for other in path.parent.iterdir():
        if time.time() - other.stat().st_mtime > FORGOTTEN:
            other.unlink(missing_ok=True)


def _path(engine: str) -> Path:
    return paths.cache("engines") / f"{engine}.json"
