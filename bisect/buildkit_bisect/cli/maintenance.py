"""``doctor`` and ``clean``: this machine, and what we keep on it."""

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
    """A line a check; 3 where something needed is missing and could not be installed."""
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
    """Sweep what killed runs left; where *request* says so, also what is kept for later.

    Raises `BadInput` where that is in use.
    """
    dry, limit = request.dry_run, request.cache_size
    if request.cache and not dry and (busy := cache_limit.others()):
        raise BadInput(f"process {busy[0]} uses the cache", hint=inv("clean", cache_size=0))
    swept = _sweep(images=request.images, dry=dry)
    if request.cache:
        _empty(dry=dry)
    elif dry or limit is not None:
        _bounded(DEFAULT_CACHE_SIZE if limit is None else limit, dry=dry)
    elif not swept:
        print("nothing was left behind")
    return DONE


def _sweep(*, images: bool, dry: bool) -> int:
    """Remove what killed runs left, here and on the Engine; returns how much that was."""
    on_engine = _on_engine(images=images)  # a DOCKER_HOST that is none ends it with nothing done
    found = leftovers.find()
    for left in found:
        if not dry:
            leftovers.remove(left)
        print(f"{_verb(dry=dry)} {left}")
    for engine, thing in on_engine:
        kept = thing.kept if dry else sweep.remove(engine, thing)
        print(f"left {thing}: {kept}" if kept else f"{_verb(dry=dry)} {thing}")
    return len(found) + len(on_engine)


def _empty(*, dry: bool) -> None:
    """Remove what we keep in the cache directory, which may hold other things too."""
    for entry in sorted(paths.cache_root().iterdir()):
        if not paths.is_cached(entry):
            print(f"left {entry}: it is not of this tool")
            continue
        size = _size(entry)
        if not dry:
            cache_limit.remove(entry)
        print(f"{_verb(dry=dry)} {entry} ({size / 2**20:.0f} MiB)")


def _verb(*, dry: bool) -> str:
    return "would remove" if dry else "removed"


def _bounded(bound: int, *, dry: bool) -> None:
    """Bring the cache down to *bound* bytes, or say what it holds and what would go."""
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
    """How many bytes *entries* are, by kind."""
    print(f"{what}: {cache_limit.shown(sum(e.bytes for e in entries))}")
    for kind in cache_limit.KINDS:
        sizes = [e.bytes for e in entries if e.kind == kind]
        if sizes:
            print(f"  {kind:<10} {cache_limit.shown(sum(sizes)):>9} in {len(sizes)}")


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
