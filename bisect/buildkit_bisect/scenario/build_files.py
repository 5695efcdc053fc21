"""The files of a scenario that BuildKit reads as a build's Dockerfile. Pure: reads files.

Beside ``NAME`` it also reads ``NAME.dockerignore``, from the same folder.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.scenario.require import require

#: After the name of a Dockerfile.
IGNORED = ".dockerignore"


def ignore_file(dockerfile: Path) -> Path:
    """Return the path of the file that says what of the context a build with it does not see."""
    return dockerfile.with_name(f"{dockerfile.name}{IGNORED}")


def of(scenario: Scenario, name: str) -> tuple[Path, ...]:
    """Return the Dockerfile *name* of *scenario*, and the file that it ignores by if there is one.

    A trial is known by all of them.
    """
    dockerfile = scenario.file(name)
    ignored = ignore_file(dockerfile)
    return (dockerfile, ignored) if ignored.is_file() else (dockerfile,)


def check(scenario: Scenario, name: str, where: str) -> None:
    """Raise `BadInput` if the file that the Dockerfile *name* ignores by is no file beside it."""
    ignored = ignore_file(scenario.file(name))
    if not os.path.lexists(ignored):
        return
    plain = ignored.is_file() and not ignored.is_symlink()
    require(plain, where, f"{ignored.name} beside it is not a regular file")
    try:
        ignored.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        require(False, where, f"{ignored.name} beside it cannot be read as UTF-8")


def alone(scenario: Scenario, name: str, folder: Path) -> Path:
    """Copy the Dockerfile *name* into *folder*, made if need be, and return its path there.

    BuildKit gets that folder: what else is beside the Dockerfile is in no digest. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in of(scenario, name):
        shutil.copyfile(path, folder / path.name)
    return folder / scenario.file(name).name
