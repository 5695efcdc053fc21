"""Builds and failures to build from a shared store, and to it.

What a store has becomes an entry of the build cache like any other, with `pulled.json` beside its
files: whose build this is, and the signature.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from filelock import Timeout

from buildkit_bisect.builds import store
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.model import Build, NoBuild
from buildkit_bisect.sharing import Asked, Entry, Found, SharedStore
from buildkit_bisect.sharing.entry import BUILD, FAILURE
from buildkit_bisect.system import paths

#: Written by this machine, whatever a store has.
_OWN = frozenset({store.BUILD_FACTS, store.FAILURE_FACTS, store.PULLED})


def asked(key: str, go: str, recipe: Recipe) -> Asked:
    """Return what is asked of a store for the build *key*."""
    platform = (f"GOOS={recipe.goos}", f"GOARCH={recipe.goarch}")
    flags = (*platform, *recipe.arguments(), *recipe.packages())
    return Asked(key=key, go=go, flags=flags)


def pull(
    shared: SharedStore, wanted: Asked, label: str, say: Callable[[str], None]
) -> Build | NoBuild | None:
    """Return the build or failure that the store has for *wanted*; None if it has to be compiled.

    The caller holds the lock of the key. Raises `OSError` if the cache cannot be written.
    """
    found = shared.find(wanted)
    if found is None:
        return None
    base: Path | None = None
    with contextlib.ExitStack() as stack:
        if found.manifest.base:
            base = _base(shared, wanted, found.manifest.base, stack)
            if base is None:
                return None
        made = stack.enter_context(paths.scratch("pull")) / "entry"
        done = _downloaded(shared, found, made, base)
        if done:
            who = f", built by {found.entry.built_by}" if found.entry.built_by else ""
            say(f"{label}: pulled from {shared.address}{who}")
        return done


def push(shared: SharedStore, wanted: Asked, tag: str = "") -> bool:
    """Add the cache's entry of *wanted* to the store; return whether the store has it now.

    *tag* is another name for it.
    """
    for kind, folder, facts in (
        (BUILD, paths.cache("builds") / wanted.key, store.BUILD_FACTS),
        (FAILURE, paths.cache("failures") / wanted.key, store.FAILURE_FACTS),
    ):
        if not (folder / facts).is_file():
            continue
        names = sorted(f.name for f in folder.iterdir() if f.is_file() and f.name not in _OWN)
        meta = json.loads((folder / facts).read_text())
        return shared.push(
            wanted, kind, folder, meta=meta, names=tuple(names), local=_local, tag=tag
        )
    return False


def believed(key: str, shared: SharedStore | None) -> bool:
    """Whether the cache's entry of *key* may be used: one that was pulled, if signed as required.

    An entry may have been pulled before a signature was required.
    """
    if shared is None or shared.key is None:
        return True
    for room in ("builds", "failures"):
        note = paths.cache(room) / key / store.PULLED
        if note.exists() and not shared.signed(note.read_text(errors="replace")):
            return False
    return True


def _local(key: str) -> Path | None:
    # Whole, and it stays so: the cache limit removes programs by themselves.
    return paths.cache("builds") / key if store.load(key) else None


def _base(shared: SharedStore, wanted: Asked, key: str, stack: contextlib.ExitStack) -> Path | None:
    """Return the folder of the base of a delta: from the cache, or pulled too."""
    if (known := _local(key)) and believed(key, shared):
        return known
    found = shared.find(Asked(key=key, go=wanted.go, flags=wanted.flags))
    if found is None or found.manifest.base:
        shared.refuse(wanted.key, "the build that its deltas are against is missing")
        return None
    # The lock of another key is only tried: whoever holds it may wait for ours.
    with contextlib.suppress(Timeout), store.lock(key, wait=0):
        made = stack.enter_context(paths.scratch("pull")) / "entry"
        kept = _downloaded(shared, found, made, None)
        return Path(kept.directory) if isinstance(kept, Build) else None
    made = stack.enter_context(paths.scratch("pull")) / "entry"
    made.mkdir()
    return made if shared.download(found, made) else None


def _downloaded(
    shared: SharedStore, found: Found, made: Path, base: Path | None
) -> Build | NoBuild | None:
    """Download *found* to the new folder *made*, and move it to the cache if it verifies."""
    entry = found.entry
    if _OWN & {file.name for file in entry.files}:
        shared.refuse(entry.key, "it has a file that only this machine may write")
        return None
    made.mkdir()
    if not shared.download(found, made, base):
        return None
    (made / store.PULLED).write_text(shared.note(found))
    kept = _kept(made, entry)
    if kept is None:
        shared.refuse(entry.key, "its facts are not those of its files")
    return kept


def _kept(made: Path, entry: Entry) -> Build | NoBuild | None:
    sums = {Path(file.name).stem: file.sha256 for file in entry.files}
    if entry.kind == BUILD:
        return store.adopt(made, entry.key, entry.go, entry.meta, sums)
    return store.adopt_failure(made, entry.key, entry.meta)
