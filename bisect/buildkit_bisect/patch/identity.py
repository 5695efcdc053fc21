"""Reads from git's configuration who writes the commits of an export."""

from __future__ import annotations

import re
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.patch.message import Person
from buildkit_bisect.system import process
from buildkit_bisect.system.gitcmd import QUICK, git

#: What git writes in a commit: ``NAME <EMAIL> SECONDS ZONE``.
_IDENT = re.compile(r"([^<>]*[^<> ]) <([^<>]+)> \d+ [+-]\d{4}")


def of_git(clone: Path | None) -> Person:
    """Return ``user.name`` and ``user.email``, which *clone* may set for itself.

    Raises `BadInput` if one of them is not set, or git cannot write it: neither is made up.
    """
    found = {key: _setting(clone, key) for key in ("user.name", "user.email")}
    for key, value in found.items():
        if not value:
            raise BadInput(
                f"git has no {key} to write commits with", hint=f"git config --global {key} 'YOURS'"
            )
    # Git leaves out characters that it cannot write: the trailer must say what the commit says.
    written = git(
        Path("/"),
        *("var", "GIT_COMMITTER_IDENT"),
        check=False,
        GIT_COMMITTER_NAME=found["user.name"],
        GIT_COMMITTER_EMAIL=found["user.email"],
    )
    parts = _IDENT.fullmatch(written.stdout.strip())
    if parts is None:
        raise BadInput(
            f"git cannot write the name {found['user.name'][:60]!r} in a commit",
            hint="git config --global user.name 'YOURS'",
        )
    return Person(name=parts[1], email=parts[2])


def _setting(clone: Path | None, key: str) -> str:
    # Only these two keys are read: git runs no program for that.
    done = process.run(
        ["git", "-C", str(clone or "/"), "config", "--includes", "--get", key],
        timeout=QUICK,
        check=False,
    )
    return done.stdout.strip()
