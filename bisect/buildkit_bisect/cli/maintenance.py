"""The ``doctor`` and ``clean`` tasks."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from buildkit_bisect.cli import doctor as doctors
from buildkit_bisect.cli import leftovers
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.engine import Engine, open_engine, sweep
from buildkit_bisect.errors import BadInput, BisectError, Missing
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.shared import DEFAULT_CACHE_SIZE
from buildkit_bisect.system import cache_limit, paths


def doctor(request: requests.Doctor) -> int:
    """Print a line per check. Return 3 if a requirement is missing and cannot be installed."""
    if not request.no_install:
        with contextlib.suppress(BisectError):
            doctors.ensure(lambda text: print(text, file=sys.stderr, flush=True), trials=True)
    found = doctors.checks()
    for check in found:
        mark = "ok     " if check.ok else "MISSING" if check.needed else "no     "
        fix = "" if check.ok or not check.fix else f"\n          {check.fix}"
        print(f"{mark} {check.name}: {check.detail}{fix}")
    return 3 if any(c.needed and not c.ok for c in found) else DONE


def clean(request: requests.Clean) -> int:
    """Remove what killed runs left behind, and cached data if *request* asks for it.

    Raises `BadInput` if the cache is in use.
    """
    dry, limit = request.dry_run, request.cache_size
    if request.cache and not dry and (busy := cache_limit.others()):
        raise BadInput(f"the cache is in use by process {busy[0]}", hint=inv("clean", cache_size=0))
    swept = _sweep(images=request.images, dry=dry)
    if request.cache:
        _empty(dry=dry)
    elif dry or limit is not None:
        _bounded(DEFAULT_CACHE_SIZE if limit is None else limit, dry=dry)
    elif not swept:
        print("nothing was left behind")
    return DONE


def _sweep(*, images: bool, dry: bool) -> int:
    """Remove what killed runs left behind, also on the Engine. Return how many things."""
    on_engine = _on_engine(images=images)  # an invalid DOCKER_HOST raises before anything is done
    found = leftovers.find()
    for left in found:
        if not dry:
            leftovers.remove(left)
        print(f"{_verb(dry=dry)} {left}")
    for engine, thing in on_engine:
        kept = thing.kept if dry else sweep.remove(engine, thing)
        print(f"kept {thing}: {kept}" if kept else f"{_verb(dry=dry)} {thing}")
    return len(found) + len(on_engine)


def _empty(*, dry: bool) -> None:
    """Remove our entries from the cache directory, which may contain other things too."""
    for entry in sorted(paths.cache_root().iterdir()):
        if not paths.is_cached(entry):
            print(f"kept {entry}: not created by this tool")
            continue
        size = _size(entry)
        if not dry:
            cache_limit.remove(entry)
        print(f"{_verb(dry=dry)} {entry} ({size / 2**20:.0f} MiB)")


def _verb(*, dry: bool) -> str:
    return "would remove" if dry else "removed"


def _bounded(bound: int, *, dry: bool) -> None:
    """Trim the cache to *bound* bytes; if *dry*, print its content and what would be removed."""
    if not dry:
        _list("removed", cache_limit.trim(bound))
        return
    held = cache_limit.entries(fresh=True)
    _list("the cache holds", held)
    _list(
        f"would remove for {words(requests.Clean, cache_size=True)} {cache_limit.shown(bound)}",
        cache_limit.surplus(held, bound),
    )


def _list(what: str, entries: list[cache_limit.Entry]) -> None:
    """Print the size of *entries* by kind."""
    print(f"{what}: {cache_limit.shown(sum(e.bytes for e in entries))}")
    for kind in cache_limit.KINDS:
        sizes = [e.bytes for e in entries if e.kind == kind]
        if sizes:
            print(f"  {kind:<10} {cache_limit.shown(sum(sizes)):>9} in {len(sizes)}")


def _on_engine(*, images: bool) -> list[tuple[Engine, sweep.Leftover]]:
    """Return what this tool left on the Docker Engine; nothing if no Engine answers."""
    try:
        engine = open_engine()
    except Missing:
        return []
    return [(engine, left) for left in sweep.find(engine, images=images)]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.lstat().st_size for f in files if f.is_file())
