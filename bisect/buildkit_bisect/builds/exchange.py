"""Builds and failures to build from a shared store, and to it.

What a store has becomes an entry of the build cache like any other, with `pulled.json` beside its
files: whose build this is, and the signature.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from buildkit_bisect.builds import store
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.model import Build, NoBuild
from buildkit_bisect.sharing import Asked, Entry
from buildkit_bisect.sharing.entry import BUILD, FAILURE
from buildkit_bisect.system import paths

if TYPE_CHECKING:
    from buildkit_bisect.sharing.store import Found, SharedStore

_FACTS = {BUILD: store.BUILD_FACTS, FAILURE: store.FAILURE_FACTS}

_LOG = "build.log"

#: What a build may have beside its programs.
_BESIDE = frozenset({_LOG, store.INSTRUMENTED})

#: Bytes of the log of a failure: all of it is read, line by line.
_LARGEST_LOG = 1 << 20


def asked(key: str, go: str, recipe: Recipe) -> Asked:
    """Return what is asked of a store for the build *key*."""
    platform = (f"GOOS={recipe.goos}", f"GOARCH={recipe.goarch}")
    flags = (*platform, *recipe.arguments(), *recipe.packages())
    binaries = tuple(map(recipe.binary, recipe.programs))
    return Asked(key=key, go=go, flags=flags, binaries=binaries)


def pull(
    shared: SharedStore, wanted: Asked, label: str, say: Callable[[str], None]
) -> Build | NoBuild | None:
    """Return the build or failure that the store has for *wanted*; None if it has to be compiled.

    The caller holds the lock of the key. Raises `OSError` if the cache cannot be written.
    """
    found = _found(shared, wanted)
    if found is None:
        return None
    base: Path | None = None
    with contextlib.ExitStack() as stack:
        if found.manifest.base:
            base = _base(shared, wanted, found.manifest.base, stack)
            if base is None:
                return None
        made = stack.enter_context(paths.scratch("pull")) / "entry"
        done = _downloaded(shared, wanted, found, made, base)
        if done:
            who = f", built by {found.entry.built_by}" if found.entry.built_by else ""
            say(f"{label}: pulled from {shared.address}{who}")
        return done


def push(shared: SharedStore, wanted: Asked, *, kind: str = BUILD, tag: str = "") -> bool:
    """Add the cache's build, or failure, of *wanted* to the store; return whether it has it now.

    *tag* is another name for it. What was pulled is not pushed: it would get this machine's
    signature. Nor is what others would not use. The caller holds the lock of the key.
    """
    folder, facts = _room(kind) / wanted.key, _FACTS[kind]
    if not (folder / facts).is_file() or (folder / store.PULLED).exists():
        return False
    needed, more = (wanted.binaries, _BESIDE) if kind == BUILD else ((_LOG,), frozenset[str]())
    names = tuple(name for name in sorted({*needed, *more}) if (folder / name).is_file())
    if not set(needed) <= set(names):
        return False
    try:
        meta = json.loads((folder / facts).read_text())
        if kind == FAILURE and (folder / _LOG).stat().st_size > _LARGEST_LOG:
            return False
    except (OSError, ValueError):
        return False
    return shared.push(wanted, kind, folder, meta=meta, names=names, local=_local, tag=tag)


def believed(key: str, shared: SharedStore | None) -> bool:
    """Whether the cache's entry of *key* may be used: one that was pulled, if signed as required.

    An entry may have been pulled before a signature was required.
    """
    if shared is None or shared.key is None:
        return True
    return all(map(shared.signed, _notes(key)))


def pulled(key: str) -> bool:
    """Whether the cache's entry of *key* was pulled."""
    return any(True for _ in _notes(key))


def _notes(key: str) -> Iterator[str]:
    for kind in _FACTS:
        # Another process may replace the entry in this moment.
        with contextlib.suppress(FileNotFoundError):
            yield (_room(kind) / key / store.PULLED).read_text(errors="replace")


def _room(kind: str) -> Path:
    return paths.cache("builds") if kind == BUILD else paths.cache("failures")


def _found(shared: SharedStore, wanted: Asked) -> Found | None:
    """Return what the store has for *wanted*, if it has the files that such an entry has."""
    found = shared.find(wanted)
    if found and (problem := _problem(found.entry, wanted)):
        shared.refuse(wanted.key, problem)
        return None
    return found


def _problem(entry: Entry, wanted: Asked) -> str:
    """Return what is wrong with the files of *entry*; "" if nothing is."""
    files = {file.name: file for file in entry.files}
    if entry.kind == FAILURE:
        if files.keys() != {_LOG}:
            return f"a failure has {_LOG} and nothing else"
        large = files[_LOG].size > _LARGEST_LOG
        return f"the log of a failure has more than {_LARGEST_LOG} bytes" if large else ""
    if more := sorted(files.keys() - _BESIDE - set(wanted.binaries)):
        return f"{more[0]} is not a file of a build"
    for name in wanted.binaries:
        if name not in files or not files[name].executable:
            return f"it has no program {name}"
    return ""


def _local(key: str) -> Path | None:
    # Whole, and it stays so: the cache limit removes programs by themselves.
    return paths.cache("builds") / key if store.load(key) else None


def _base(shared: SharedStore, wanted: Asked, key: str, stack: contextlib.ExitStack) -> Path | None:
    """Return the folder of the base of a delta: from the cache, or pulled too."""
    if (known := _local(key)) and believed(key, shared):
        return known
    wanted_base = replace(wanted, key=key)
    found = _found(shared, wanted_base)
    if found is None or found.manifest.base or found.entry.kind != BUILD:
        shared.refuse(wanted.key, "the build that its deltas are against is missing")
        return None
    # The lock of another key is only tried: whoever holds it may wait for ours.
    with contextlib.suppress(Timeout), store.lock(key, wait=0):
        made = stack.enter_context(paths.scratch("pull")) / "entry"
        kept = _downloaded(shared, wanted_base, found, made, None)
        return Path(kept.directory) if isinstance(kept, Build) else None
    made = stack.enter_context(paths.scratch("pull")) / "entry"
    made.mkdir()
    return made if shared.download(found, made) else None


def _downloaded(
    shared: SharedStore, wanted: Asked, found: Found, made: Path, base: Path | None
) -> Build | NoBuild | None:
    """Download *found* to the new folder *made*, and move it to the cache if it verifies."""
    made.mkdir()
    if not shared.download(found, made, base):
        return None
    (made / store.PULLED).write_text(shared.note(found))
    kept = _kept(made, found.entry, wanted)
    if kept is None:
        shared.refuse(wanted.key, "its facts are not those of its files")
    return kept


def _kept(made: Path, entry: Entry, wanted: Asked) -> Build | NoBuild | None:
    if entry.kind == FAILURE:
        return store.adopt_failure(made, entry.key, entry.meta)
    digests = {file.name: file.sha256 for file in entry.files}
    sums = {name.removesuffix(".exe"): digests[name] for name in wanted.binaries}
    return store.adopt(made, entry.key, entry.go, entry.meta, sums)
