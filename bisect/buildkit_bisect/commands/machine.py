"""``doctor`` and ``clean``: this machine, and what we keep on it."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from buildkit_bisect import doctor as doctors
from buildkit_bisect import leftovers, paths, settings
from buildkit_bisect.commands.guard import DONE
from buildkit_bisect.engine import Engine, open_engine, sweep
from buildkit_bisect.errors import BisectError, Missing
from buildkit_bisect.settings import Raw


def doctor(raw: Mapping[str, Raw]) -> int:
    """A line a check; 3 where something needed is missing and could not be installed."""
    if not settings.flag("no-install", raw.get("no_install", False)):
        with contextlib.suppress(BisectError):
            doctors.ensure(lambda text: print(text, file=sys.stderr, flush=True), trials=True)
    found = doctors.checks()
    for check in found:
        mark = "ok     " if check.ok else "MISSING" if check.needed else "no     "
        fix = "" if check.ok or not check.fix else f"\n          {check.fix}"
        print(f"{mark} {check.name}: {check.detail}{fix}")
    return 3 if any(c.needed and not c.ok for c in found) else DONE


def clean(raw: Mapping[str, Raw]) -> int:
    """Sweep what killed runs left; with ``--cache`` also what is kept for later."""
    dry = settings.flag("dry-run", raw.get("dry_run", False))
    verb = "would remove" if dry else "removed"
    found = leftovers.find()
    for left in found:
        if not dry:
            leftovers.remove(left)
        print(f"{verb} {left}")
    on_engine = _on_engine(images=settings.flag("images", raw.get("images", False)))
    for engine, thing in on_engine:
        if not dry:
            sweep.remove(engine, thing)
        print(f"{verb} {thing}")
    if settings.flag("cache", raw.get("cache", False)):
        for entry in sorted(paths.cache_root().iterdir()):
            size = _size(entry)
            if not dry:
                _remove(entry)
            print(f"{verb} {entry} ({size / 2**20:.0f} MiB)")
    elif not (found or on_engine):
        print("nothing was left behind")
    return DONE


def _on_engine(*, images: bool) -> list[tuple[Engine, sweep.Leftover]]:
    """What we left on the Docker Engine; nothing where none answers."""
    try:
        engine = open_engine()
    except Missing:
        return []
    return [(engine, left) for left in sweep.find(engine, images=images)]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.lstat().st_size for f in files if f.is_file())


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # The module cache is read-only on purpose.
    for directory in (path, *(p for p in path.rglob("*") if p.is_dir() and not p.is_symlink())):
        with contextlib.suppress(OSError):
            directory.chmod(0o700)
    shutil.rmtree(path)
