"""The build cache: one directory per key, which appears only when it is complete.

``programs/KEY/`` holds one binary;
``builds/KEY/`` links to its binaries, ``build.log`` of what was compiled for it and ``build.json``;
``builds/requests/KEY`` the build key of a request;
``failures/KEY/`` the ``build.log`` and ``failure.json`` of inputs that cannot be built.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from buildkit_bisect.builds import complaint
from buildkit_bisect.model import Build, NoBuild, Stage
from buildkit_bisect.system import cache_limit, paths, typed

FORMAT = 1

#: What an entry says of itself.
BUILD_FACTS, FAILURE_FACTS = "build.json", "failure.json"

#: In an entry that was pulled from a shared store: from where, and the signature.
PULLED = "pulled.json"

#: Of a `Build`, what only this machine knows.
_SAID_HERE = frozenset({"directory", "reused", "pulled_from"})

#: File in the entry of a build that counts what runs: its time says nothing of usual builds.
INSTRUMENTED = "instrumented"

#: Seconds of a compile that another machine may state.
_LONGEST = 86_400


def _builds() -> Path:
    return paths.cache("builds")


def lock(key: str, *, wait: float = -1) -> FileLock:
    """Return the lock for the entries of *key*; *wait* seconds at most, or without end.

    Whoever locks the machine too does that first.
    """
    # A few lock files, not one per key: few compiles run at once, so two seldom share one.
    name = f"build-{key[:2]}.lock"
    return FileLock(paths.cache("locks") / name, timeout=wait, thread_local=False)


def program(key: str, name: str) -> Path | None:
    """Return the binary *name* with that key; None if it is not stored."""
    entry = paths.cache("programs") / key
    cache_limit.used(entry)
    return entry / name if (entry / name).is_file() else None


def save_program(made: Path, key: str) -> None:
    """Move the binary *made*, on the cache's file system, to its entry.

    If another build has compiled the same program meanwhile, that one stays.
    """
    with paths.scratch("program") as folder:
        draft = folder / "entry"
        draft.mkdir()
        made.rename(draft / made.name)
        _sync(draft)
        with FileLock(paths.cache("locks") / "programs.lock", thread_local=False):
            if not program(key, made.name):
                _replace(draft, paths.cache("programs") / key)


def link_programs(made: Path, programs: Mapping[str, str]) -> None:
    """Give the build *made*, which is not stored yet, its *programs*: file name -> key."""
    for name, key in programs.items():
        (made / name).symlink_to(f"../../programs/{key}/{name}")


def load(key: str) -> Build | None:
    """Return the finished build for *key*.

    None if there is none, it has another format, or one of its programs is missing.
    """
    entry = _builds() / key
    cache_limit.used(entry)
    found = _load(entry)
    if found is None:
        return None
    binaries = [path for path in entry.iterdir() if path.is_symlink()]
    for binary in binaries:
        cache_limit.used(entry / binary.readlink().parent)
    whole = all(binary.is_file() for binary in binaries) and _has_programs(entry, found)
    return found if whole else None


def _has_programs(entry: Path, build: Build) -> bool:
    """Whether *entry* has each program that *build* has a digest of."""
    digests = {"buildkitd": build.buildkitd_sha256, "buildctl": build.buildctl_sha256}
    return all(
        any((entry / name).is_file() for name in (program, f"{program}.exe"))
        for program, digest in digests.items()
        if digest
    )


def _load(entry: Path) -> Build | None:
    try:
        meta = json.loads((entry / BUILD_FACTS).read_text())
    except (OSError, ValueError):
        return None
    if meta.pop("format", None) != FORMAT:
        return None
    meta.pop("created", None)
    return Build(**meta, directory=str(entry), reused=True, pulled_from=_pulled_from(entry))


def _pulled_from(entry: Path) -> str:
    try:
        return str(json.loads((entry / PULLED).read_text())["store"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def save(made: Path, meta: dict[str, Any]) -> Build:
    """Store *made*, a directory on the cache's file system, as the build that *meta* describes.

    A failure of that key that was pulled is removed: what the cache has of a key is of one origin.
    """
    (made / BUILD_FACTS).write_text(json.dumps({"format": FORMAT, **meta}, indent=1))
    _sync(made)
    entry = _builds() / meta["key"]
    _replace(made, entry)
    _drop_pulled(paths.cache("failures") / meta["key"])
    build = _load(entry)
    assert build
    return replace(build, reused=False)


def adopt(
    made: Path, key: str, go: str, facts: Mapping[str, Any], sums: Mapping[str, str]
) -> Build | None:
    """Store *made*, which another machine built, like `save`; None if *facts* are not of it.

    *facts* are those of its `build.json`, *sums* the digests of its programs by name.
    """
    meta = {name: value for name, value in facts.items() if name not in ("format", "created")}
    build, _ = typed.structure({"directory": str(made), **meta}, Build)
    if (
        build is None
        or {"directory", "reused", "pulled_from"} & facts.keys()
        or facts.get("format") != FORMAT
    ):
        return None
    ours = (build.key, build.go) == (key, go) and build.source in ("git", "module")
    stated = {"buildkitd": build.buildkitd_sha256, "buildctl": build.buildctl_sha256}
    plausible = 0 <= build.seconds <= _LONGEST and build.packages >= 0
    if not ours or not plausible or any(sums.get(n, "") != d for n, d in stated.items()):
        return None
    return replace(save(made, {**meta, "created": facts.get("created", "")}), reused=True)


def failure(key: str) -> NoBuild | None:
    """Return the stored failure for *key*; None if there is none that the source is at fault for.

    Older versions stored other failures too, so the evidence is read again each time.
    """
    entry = paths.cache("failures") / key
    cache_limit.used(entry)
    return _failure(entry)


def _failure(entry: Path) -> NoBuild | None:
    log = entry / "build.log"
    try:
        meta = json.loads((entry / FAILURE_FACTS).read_text())
        stage, reason = Stage(meta["stage"]), str(meta["reason"])
        if stage is Stage.PATCH:
            proven = complaint.of_patch(reason)
        else:
            proven = complaint.of_source(log.read_text(errors="replace")) == reason
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not proven or meta.get("format") != FORMAT:
        return None
    return NoBuild(stage=stage, reason=reason, log=str(log) if log.exists() else "")


def forget_unproven() -> int:
    """Remove stored failures for which the source is not certainly at fault; return their number.

    One whose build runs in this moment, or that cannot be removed, is kept; it is never used.
    """
    removed = 0
    for entry in paths.cache("failures").iterdir():
        if _failure(entry):
            continue
        with contextlib.suppress(Timeout, OSError), lock(entry.name, wait=0):
            if _failure(entry):  # it was replaced in this moment
                continue
            with paths.scratch("old") as old:
                entry.rename(old / "entry")
            removed += 1
    return removed


def save_failure(made: Path, key: str, stage: Stage, reason: str) -> NoBuild:
    """Store *made*, which may hold ``build.log``, as the failure for *key*.

    Only for a complaint that `complaint` finds in the log, or for a patch that does not apply.
    A build of that key that was pulled is removed, like the failure in `save`.
    """
    meta = {"format": FORMAT, "stage": stage, "reason": reason}
    (made / FAILURE_FACTS).write_text(json.dumps(meta))
    _sync(made)
    _replace(made, paths.cache("failures") / key)
    _drop_pulled(_builds() / key)
    log = paths.cache("failures") / key / "build.log"
    return NoBuild(stage=stage, reason=reason, log=str(log) if log.exists() else "")


def adopt_failure(made: Path, key: str, facts: Mapping[str, Any]) -> NoBuild | None:
    """Store *made*, a failure on another machine; None unless its log proves it here too.

    Nothing proves that a patch did not apply.
    """
    (made / FAILURE_FACTS).write_text(json.dumps(dict(facts)))
    proven = _failure(made)
    if proven is None or proven.stage is not Stage.BUILD:
        return None
    return save_failure(made, key, proven.stage, proven.reason)


def keep_log(log: Path, key: str) -> Path | None:
    """Copy the log of a failed compile to the cache's logs; None if there is no log."""
    if not log.exists():
        return None
    kept = paths.cache("logs") / f"build-{key[:12]}.log"
    shutil.copyfile(log, kept)
    return kept


def answer(request: str) -> str | None:
    """Return the build key of an earlier request; None if unknown."""
    try:
        return (_builds() / "requests" / request).read_text().strip() or None
    except OSError:
        return None


def remember(request: str, key: str) -> None:
    """Store the build key of a request; the last writer wins, and all write the same key."""
    folder = paths.cache("builds/requests")
    draft = folder / f".{request}.{os.getpid()}"
    draft.write_text(key)
    draft.replace(folder / request)


def elsewhere(request: str) -> Build | None:
    """Return the build of *request* that another machine made and has; None if there is none.

    Its facts are all that this machine has of it.
    """
    try:
        text = (_builds() / "requests" / f"{request}.elsewhere").read_text()
        build, _ = typed.structure(json.loads(text), Build)
    except (OSError, ValueError):
        return None
    return build and replace(build, directory="", reused=True)


def remember_elsewhere(request: str, build: Build) -> None:
    """Store that another machine made *build* for *request*; the last writer wins."""
    folder = paths.cache("builds/requests")
    draft = folder / f".{request}.elsewhere.{os.getpid()}"
    draft.write_text(json.dumps(asdict(build)))
    draft.replace(folder / f"{request}.elsewhere")


def mark_instrumented(made: Path) -> None:
    """Keep *made*, which is not stored yet, out of `history`."""
    (made / INSTRUMENTED).touch()


def history() -> list[Build]:
    """Return every usual build that was compiled here, oldest first; ``seconds`` is its time."""
    entries = [
        e
        for e in _builds().iterdir()
        if (e / BUILD_FACTS).is_file() and not any((e / n).exists() for n in (INSTRUMENTED, PULLED))
    ]
    entries.sort(key=lambda e: (e / BUILD_FACTS).stat().st_mtime)
    return [b for b in map(_load, entries) if b]


def expected_packages() -> int:
    """Return the most packages that a compile has built so far; 0: unknown."""
    return max((b.packages for b in history()), default=0)


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(*, say: Callable[[str], None] = lambda _: None) -> int:
    """Remove what dead processes left in the cache's ``tmp``; return the number of entries.

    A directory with a mount below it is kept.
    """
    removed = 0
    mounts = _mount_points()
    for entry in paths.cache("tmp").iterdir():
        if paths.owner_alive(entry) or any(m.is_relative_to(entry) for m in mounts):
            continue
        _remove(entry)
        say(f"removed {entry}")
        removed += 1
    return removed


def _mount_points() -> list[Path]:
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    return [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _drop_pulled(entry: Path) -> None:
    if (entry / PULLED).exists():
        with paths.scratch("old") as old:
            entry.rename(old / "entry")


def _replace(made: Path, entry: Path) -> None:
    if entry.exists():  # unreadable or outdated; the caller holds the key's lock
        with paths.scratch("old") as old:
            entry.rename(old / "entry")
            made.rename(entry)
    else:
        made.rename(entry)
    _flush(entry.parent)  # the rename itself


def _sync(folder: Path) -> None:
    # The bytes must reach the disk before the rename does. Those behind a link did.
    _flush(*(path for path in folder.iterdir() if not path.is_symlink()), folder)


def _flush(*these: Path) -> None:
    for path in these:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
