"""Links a trial's evidence from the cache into a campaign's folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Observation
from buildkit_bisect.system import cache_limit, paths


def keep_evidence(observation: Observation, folder: Path, name: str) -> str:
    """Link a trial's evidence below *folder* as ``evidence/NAME``; return "" if it is gone."""
    source = Path(observation.evidence)
    target = folder / "evidence" / name
    if not observation.evidence:
        return ""
    with cache_limit.using(source.parent):
        if not source.is_dir():
            return ""
        if not source.resolve().is_relative_to(paths.cache("evidence").resolve()):
            raise InfraFailed(
                f"the evidence {source} is not in the cache",
                hint="set BKBISECT_CACHE_DIR as it was for that trial",
            )
        _link_all(source, target)
    return f"evidence/{name}"


def _link_all(source: Path, target: Path) -> None:
    """Link the files of *source* into *target*; `shutil.copytree` takes several times as long."""
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir():
                _link_all(Path(entry.path), target / entry.name)
            else:
                _link(entry.path, f"{target}/{entry.name}")


def _link(source: str, target: str) -> None:
    link = Path(target)
    try:
        try:
            link.hardlink_to(source)
        except FileExistsError:
            link.unlink()
            link.hardlink_to(source)
    except OSError:  # another file system
        shutil.copy(source, target)
