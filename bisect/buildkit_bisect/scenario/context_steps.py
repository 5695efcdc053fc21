"""What a scenario must satisfy where it makes a build context. Pure: reads files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buildkit_bisect.scenario import content
from buildkit_bisect.scenario.definition import Action, Scenario, Step, TarEntry
from buildkit_bisect.scenario.require import require, require_file, require_path
from buildkit_bisect.system.typed import shown

_MODE = re.compile(r"[0-7]{3,4}", re.ASCII)

#: The latest modification time: what BuildKit's tar archives can say in every format.
_LATEST = 2**33 - 1

#: Keys of a step that only these actions use. The older keys are ignored where they are not used.
_USED = {
    "context": (Action.BUILD,),
    "base64": (Action.WRITE, Action.SERVE),
    "file": (Action.WRITE, Action.SERVE),
    "symlink": (Action.WRITE,),
    "tar": (Action.WRITE, Action.SERVE),
    "mode": (Action.WRITE, Action.MKDIR),
    "mtime": (Action.WRITE, Action.MKDIR, Action.SERVE),
    "to": (Action.RENAME,),
    "server": (Action.SERVE, Action.COMMIT, Action.REQUESTS),
    "etag": (Action.SERVE,),
    "status": (Action.SERVE,),
    "tree": (Action.COMMIT,),
    "branch": (Action.COMMIT,),
    "tag": (Action.COMMIT,),
    "annotated": (Action.COMMIT,),
    "delete_branch": (Action.COMMIT,),
}


def check_context(scenario: Scenario) -> None:
    """Raise `BadInput` if the initial context cannot be copied."""
    name = scenario.context.folder
    if not name:
        return
    where = "context.folder"
    require_path(name, where)
    folder = scenario.folder(name)
    require(folder.is_dir(), where, f"folder {shown(name)} not found")
    taken = scenario.context.busybox and (folder / "busybox").exists()
    require(not taken, "context.busybox", f"{shown(name)} has a busybox")
    inside = any(folder.resolve().is_relative_to(own) for own in scenario.folders)
    require(inside, where, f"{shown(name)} is outside the scenario")
    try:
        # One more than allowed, so that a folder without end is not read to its end.
        sizes = [
            entry.source.stat().st_size if entry.source else 0
            for entry, _ in zip(content.tree(folder), range(content.MOST_FILES + 1), strict=False)
        ]
    except (OSError, ValueError) as error:
        require(False, where, str(error))
        return
    few = len(sizes) <= content.MOST_FILES and sum(sizes) <= content.MOST_BYTES
    limit = f"{content.MOST_FILES} files or {content.MOST_BYTES // 1000} kB"
    require(few, where, f"{shown(name)} has more than {limit}")


def check_keys(step: Step, where: str) -> None:
    """Raise `BadInput` for a key that the step's action does not use."""
    usual = Step(id="", action=step.action)
    for key, actions in _USED.items():
        same = getattr(step, key) == getattr(usual, key)
        require(same or step.action in actions, f"{where}.{key}", f"{step.action} has no {key}")


def check_step(scenario: Scenario, step: Step, where: str) -> None:
    """Raise `BadInput` for the first error in a step that changes the build context."""
    require_path(step.path, f"{where}.path")
    if step.action is Action.RENAME:
        require_path(step.to, f"{where}.to")
    if step.action is Action.WRITE:
        require(not step.path.endswith("/"), f"{where}.path", "names a folder; mkdir makes folders")
        check_sources(scenario, step, where)
        require(not (step.symlink and step.mode), f"{where}.mode", "a symbolic link has no mode")
    _check_mode(step.mode, f"{where}.mode")
    check_mtime(step.mtime, f"{where}.mtime")


def check_sources(scenario: Scenario, step: Step, where: str) -> None:
    """Raise `BadInput` unless at most one key says what is in the file, and it is valid."""
    given = [k for k in ("content", "base64", "file", "symlink", "tar") if getattr(step, k)]
    require(len(given) <= 1, where, f"{' and '.join(given)}: only one can be in a file")
    _check_base64(step.base64, f"{where}.base64")
    if step.file:
        require_file(scenario, step.file, f"{where}.file")
        size = scenario.file(step.file).stat().st_size
        limit = f"{content.MOST_BYTES // 1000} kB"
        require(size <= content.MOST_BYTES, f"{where}.file", f"is over {limit}")
    for number, entry in enumerate(step.tar):
        _check_entry(entry, f"{where}.tar[{number}]")


def _check_entry(entry: TarEntry, where: str) -> None:
    require_path(entry.path, f"{where}.path")
    given = [k for k in ("content", "base64", "symlink") if getattr(entry, k)]
    require(len(given) <= 1, where, f"{' and '.join(given)}: only one can be in an entry")
    folder = entry.path.endswith("/")
    require(not (folder and given), where, "a path that ends in a slash is a folder: it has none")
    _check_base64(entry.base64, f"{where}.base64")
    _check_mode(entry.mode, f"{where}.mode")
    check_mtime(entry.mtime, f"{where}.mtime")


def _check_base64(text: str, where: str) -> None:
    try:
        content.decoded(text)
    except ValueError:
        require(False, where, "is not base64")


def _check_mode(mode: str, where: str) -> None:
    require(
        not mode or bool(_MODE.fullmatch(mode)),
        where,
        f'{shown(mode)} is not a mode such as "0755"',
    )


def check_mtime(mtime: int | None, where: str) -> None:
    """Raise `BadInput` unless *mtime* is a modification time that archives can say."""
    valid = mtime is None or 0 <= mtime <= _LATEST
    require(valid, where, f"must be seconds since 1970, from 0 to {_LATEST}")


def texts(step: Step, where: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of *step* whose texts may have placeholders, with these texts."""
    yield f"{where}.symlink", step.symlink
    for number, entry in enumerate(step.tar):
        yield f"{where}.tar[{number}].content", entry.content
        yield f"{where}.tar[{number}].symlink", entry.symlink
