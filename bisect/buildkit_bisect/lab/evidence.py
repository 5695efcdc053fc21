"""Links a trial's evidence from the cache into a campaign's folder.

With `os` and texts: a report of 500 cells links 10,000 files, for which `pathlib` and
`shutil.copytree` take several times as long as the kernel does.
"""
# ruff: noqa: PTH103, PTH108, PTH112

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Observation
from buildkit_bisect.system import cache_limit, paths


def keep_evidence(observation: Observation, folder: Path, name: str) -> str:
    """Link a trial's evidence below *folder* as ``evidence/NAME``; return "" if it is gone."""
    source = observation.evidence
    if not source:
        return ""
    with cache_limit.using(Path(source).parent):
        if not os.path.isdir(source):
            return ""
        if not os.path.realpath(source).startswith(f"{_own(paths.cache_root())}{os.sep}"):
            raise InfraFailed(
                f"the evidence {source} is not in the cache",
                hint="set BKBISECT_CACHE_DIR as it was for that trial",
            )
        _link_all(source, f"{folder}/evidence/{name}")
    return f"evidence/{name}"


@functools.cache
def _own(cache: Path) -> str:
    """Return the real path of the evidence in *cache*."""
    return os.path.realpath(cache / "evidence")


def _link_all(source: str, target: str) -> None:
    """Link the files of *source* into *target*, over files of the same names."""
    os.makedirs(target, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir():
                _link_all(entry.path, f"{target}/{entry.name}")
            else:
                _link(entry.path, f"{target}/{entry.name}")


def _link(source: str, target: str) -> None:
    try:
        try:
            os.link(source, target)
        except FileExistsError:
            os.unlink(target)
            os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)
