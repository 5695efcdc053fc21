"""Files that travel as bytes: those of a scenario and of patches to a worker, evidence home.

All are bounded. Reads and writes files, nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.options.command import inv
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.scenario import Scenario, ScriptFile, script_files
from buildkit_bisect.system import pipes
from buildkit_bisect.system.cache_limit import shown

#: Most bytes of one file of evidence, and of all files of one trial.
LARGEST_FILE, LARGEST_EVIDENCE = 4 * 2**20, 32 * 2**20

#: Most bytes and files of a scenario with its programs.
LARGEST_SCENARIO, MOST_FILES = 64 * 2**20, 5000

#: In evidence: which files were left out, and why.
LEFT_OUT = "left-out.txt"

#: Names of files in that note.
_NAMED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A file, a symbolic link or, without data, a folder."""

    path: str  # relative
    mode: int = 0o644
    data: bytes | None = None
    link: str = ""


def evidence(folder: Path) -> tuple[Parcel, ...]:
    """Return the regular files below *folder*, within the bounds.

    A larger file is cut in its middle, as a log is; what is too much in all is left out, and named
    in `LEFT_OUT`. Raises OSError.
    """
    found: list[Parcel] = []
    without: list[str] = []
    room = LARGEST_EVIDENCE
    for path in _regular(folder):
        name = str(path.relative_to(folder))
        size = path.stat().st_size
        if min(size, LARGEST_FILE) > room:
            without.append(f"{name}: {size} bytes")
            continue
        data = path.read_bytes() if size <= LARGEST_FILE else _cut(path)
        room -= len(data)
        found.append(Parcel(path=name, data=data))
    if without:
        more = (
            [f"and {plural(len(without) - _NAMED, 'more file')}"] if len(without) > _NAMED else []
        )
        head = f"The evidence of a trial on a worker comes home up to {shown(LARGEST_EVIDENCE)}:"
        note = "\n".join([f"{head} left out are", *without[:_NAMED], *more, ""])
        found.append(Parcel(path=LEFT_OUT, data=note.encode()))
    return tuple(found)


def _cut(path: Path) -> bytes:
    return pipes.excerpt(path, LARGEST_FILE).encode()


def _regular(folder: Path) -> Iterator[Path]:
    """Yield the regular files below *folder*, smallest first: logs count more than archives."""
    found = [
        Path(top) / name
        for top, _, names in os.walk(folder)
        for name in names
        if stat.S_ISREG((Path(top) / name).lstat().st_mode)
    ]
    yield from sorted(found, key=lambda path: (path.stat().st_size, path))


def write(parcels: Iterable[Parcel], folder: Path) -> None:
    """Write *parcels* below the new *folder*.

    Raises `InfraFailed` for a path that leads out of it, OSError if it cannot be written.
    """
    folder.mkdir(parents=True)
    for one in parcels:
        parts = PurePosixPath(one.path).parts
        if not parts or one.path.startswith("/") or ".." in parts:
            raise _strange(one)
        path = folder / one.path
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise _strange(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        if one.link:
            path.symlink_to(one.link)
        elif one.data is None:
            path.mkdir(exist_ok=True)
            path.chmod(one.mode)
        else:
            path.write_bytes(one.data)
            path.chmod(one.mode)


def _strange(one: Parcel) -> InfraFailed:
    return InfraFailed(
        f"a file from another machine would be outside of its folder: {one.path[:100]!r}",
        hint=f"look at that machine; {inv('resume')}",
    )


def of_scenario(scenario: Scenario) -> tuple[tuple[Parcel, ...], ...]:
    """Return the files of each of the scenario's folders; of ``--script``, the declared ones.

    Raises `BadInput` if they are too many or too large.
    """
    if scenario.files:
        return (tuple(_declared(scenario.files)),)
    folders = tuple(tuple(_everything(folder)) for folder in scenario.folders)
    every = [one for parcels in folders for one in parcels]
    size = sum(len(one.data or b"") for one in every)
    if size > LARGEST_SCENARIO or len(every) > MOST_FILES:
        raise _too_much(scenario, listed(map(str, scenario.folders)))
    return folders


def _declared(files: Iterable[ScriptFile]) -> Iterator[Parcel]:
    for file in files:
        yield Parcel(path=file.name, mode=file.mode, data=file.path.read_bytes())


def _everything(folder: Path) -> Iterator[Parcel]:
    """Yield what *folder* has, parents first; no more than is allowed, and one more."""
    room, count = LARGEST_SCENARIO, 0
    for top, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(top) / name
            status = path.lstat()
            called = str(path.relative_to(folder))
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                yield Parcel(path=called, link=str(path.readlink()))
            elif stat.S_ISDIR(status.st_mode):
                yield Parcel(path=called, mode=mode)
            elif stat.S_ISREG(status.st_mode):
                yield Parcel(path=called, mode=mode, data=path.read_bytes()[: room + 1])
                room -= status.st_size
            count += 1
            if room < 0 or count > MOST_FILES:
                return


def _too_much(scenario: Scenario, where: str) -> BadInput:
    return BadInput(
        f"the files of scenario {scenario.name} in {where} are more than"
        f" {shown(LARGEST_SCENARIO)} or {MOST_FILES} files, too much to send to workers",
        hint="a folder with only what the scenario needs",
    )


def unpacked(scenario: Scenario, folders: Iterable[Iterable[Parcel]], root: Path) -> Scenario:
    """Return *scenario* with the files of `of_scenario` written below the new folder *root*."""
    places = []
    for number, parcels in enumerate(folders):
        place = root / str(number)
        write(parcels, place)
        places.append(place)
    if scenario.files:
        files = tuple(_moved(file, places[0]) for file in scenario.files)
        own = {str(old.path): str(new.path) for old, new in zip(scenario.files, files, strict=True)}
        steps = tuple(replace(s, path=own.get(s.path, s.path)) for s in scenario.steps)
        return replace(scenario, folders=tuple(places), files=files, steps=steps)
    there = replace(scenario, folders=tuple(places))
    programs = tuple(replace(p, path=there.file(p.name)) for p in scenario.programs)
    return replace(there, programs=programs)


def _moved(file: ScriptFile, folder: Path) -> ScriptFile:
    """Return a declared file as it is in *folder*. Raises `InfraFailed` if it is another one."""
    found = script_files.digested(folder / file.name, file.name)
    if found.sha256 != file.sha256:
        raise InfraFailed(
            f"{file.name} changed since the campaign began: the same command again takes it as it"
            " is",
            hint=inv("status"),
        )
    return found


def patches(chosen: Iterable[Patch], root: Path) -> tuple[Patch, ...]:
    """Return *chosen* with their diffs written below the new folder *root*."""
    moved = []
    for number, patch in enumerate(chosen):
        place = root / str(number)
        write((Parcel(path=diff.name, data=diff.text.encode()) for diff in patch.diffs), place)
        moved.append(replace(patch, folder=str(place)))
    return tuple(moved)
