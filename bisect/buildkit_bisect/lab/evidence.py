"""Links the evidence of trials from the cache into a campaign's folder.

With `os` and texts: a report of 500 cells links 10,000 files, for which `pathlib` and
`shutil.copytree` take several times as long as the kernel does.
"""
# ruff: noqa: PTH103, PTH108, PTH112

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Observation
from buildkit_bisect.system import cache_limit, paths


def keep_evidence(trials: Sequence[Observation], folder: Path, name: str) -> list[str]:
    """Link the evidence of *trials* below *folder* as ``evidence/NAME/1``, ``.../2`` and so on.

    Return these names, with "" for evidence that is gone. Raises `InfraFailed` for evidence that is
    not in the cache.
    """
    sources = [trial.evidence for trial in trials]
    folders = {Path(source).parent for source in sources if source}
    if not folders:
        return sources
    own = _own(paths.cache_root())
    with cache_limit.using(*folders):
        return [
            _kept(source, own, folder, f"evidence/{name}/{number}")
            for number, source in enumerate(sources, 1)
        ]


def _kept(source: str, own: str, folder: Path, name: str) -> str:
    """Link the files of *source*, below *own*, into *name* below *folder*; "" if they are gone."""
    if not source or not os.path.isdir(source):
        return ""
    if not os.path.realpath(source).startswith(f"{own}{os.sep}"):
        raise InfraFailed(
            f"the evidence {source} is not in the cache",
            hint="set BKBISECT_CACHE_DIR as it was for that trial",
        )
    _link_all(source, f"{folder}/{name}")
    return name


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
