"""Named contexts that earlier steps left in a trial's own directories."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest(folder: Path) -> str:
    """Return the digest of the image that was put last into an OCI layout.

    Raises ValueError if *folder* is none: the build under test wrote it and may write anything.
    """
    try:
        found = json.loads((folder / "index.json").read_text())["manifests"][-1]["digest"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise ValueError(f"{folder.name} is not an OCI layout with an image in it") from None
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise ValueError(f"the image in the OCI layout {folder.name} has no valid digest")
    return found


def check_inside(folder: Path, places: Iterable[Path], name: str) -> None:
    """Raise ValueError unless *folder* is one of *places* or a directory below, links followed.

    It is read on the host as root: a link in it, which a step may make, must not lead out.
    """
    if not folder.is_dir():
        raise ValueError(f"the named context {name} is not a directory: {folder.name}")
    real = folder.resolve()
    if not any(real.is_relative_to(place.resolve()) for place in places):
        raise ValueError(f"the named context {name} leads out of the trial: {folder.name}")
