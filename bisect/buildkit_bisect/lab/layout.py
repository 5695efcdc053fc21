"""Paths in a trial's own directories: what earlier steps left there, and where links lead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from buildkit_bisect.lab import opened

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest(folder: Path) -> str:
    """Return the digest of the image that was put last into an OCI layout.

    Raises ValueError if *folder* is none: the build under test wrote it and may write anything.
    """
    try:
        found = opened.document(folder, "index.json")["manifests"][-1]["digest"]
    except (OSError, ValueError, LookupError, TypeError):
        raise ValueError(f"{folder.name} is not an OCI layout with an image in it") from None
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise ValueError(f"the image in the OCI layout {folder.name} has no valid digest")
    return found


def check_context(folder: Path, places: Iterable[Path], name: str) -> None:
    """Raise ValueError unless *folder*, the named context *name*, is a directory in *places*."""
    if not folder.is_dir():
        raise ValueError(f"the named context {name} is not a directory: {folder.name}")
    check_inside(folder, places, f"the named context {name}")


def check_inside(path: Path, places: Iterable[Path], what: str) -> None:
    """Raise ValueError unless *path* is one of *places* or below one, links followed.

    buildctl reads or writes it on the host as root: an output may contain a link that leads out.
    """
    real = path.resolve()
    if not any(real.is_relative_to(place.resolve()) for place in places):
        raise ValueError(f"{what} leads out of the trial: {path.name}")
