"""Where BuildKit's revisions come from: a git mirror, or the Go module."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.model import DEFAULT_REPO, Revision
from buildkit_bisect.source.git import GitSource
from buildkit_bisect.source.mirror import Silent, Unreachable
from buildkit_bisect.source.module import ModuleSource
from buildkit_bisect.system.deadlines import Deadlines


class Source(Protocol):
    """Turns refs into revisions, and revisions into trees to build."""

    @property
    def kind(self) -> str:
        """``git``, which can be patched and searched, or ``module``."""

    @property
    def where(self) -> str:
        """The repository or module, as messages name it."""

    @property
    def note(self) -> str:
        """Why this is not the source that was requested; otherwise ""."""

    def resolve(self, ref: str) -> Revision:
        """The commit a ref stands for; raises `BadInput` naming the nearest tags."""

    def releases(self) -> list[Revision]:
        """Final releases, newest first."""

    def read(self, revision: Revision, path: str) -> str | None:
        """The text of one file of a revision; None where it has no such file."""

    def inputs(self, revision: Revision, extra: tuple[str, ...] = ()) -> str:
        """What identifies the content of everything the binaries are made from.

        *extra* are import paths that patches add.
        """

    def checkout(self, revision: Revision) -> AbstractContextManager[Path]:
        """A directory with the revision's files for the length of a block."""


def open_source(
    kind: str = "auto",
    repo: str = DEFAULT_REPO,
    *,
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> Source:
    """The source of a *kind*: ``git``, ``module``, or ``auto``.

    ``auto`` is git, or modules if the remote cannot be reached; `Source.note` then has the
    reason, and *say* gets it.
    Raises `BadInput` on another kind, or where *repo* is no repository; where git must be, also
    `Missing`, and `Unreachable` past a deadline.
    """
    within = deadlines or Deadlines()
    if kind == "module":
        return ModuleSource(say=say, deadlines=within)
    if kind not in ("auto", "git"):
        raise BadInput(f"unknown source {kind!r}", hint="--source auto, git or module")
    try:
        return GitSource.open(repo, say=say, deadlines=deadlines)
    except (Unreachable, Missing) as err:
        if kind == "git" and isinstance(err, Silent):
            raise  # nothing is missing here: the remote hangs
        if kind == "git":
            raise Missing(err.message, hint="--repo PATH of a clone, or --source module") from None
        note = f"source: Go modules, since {err.message}"
        say(note)
        return ModuleSource(say=say, deadlines=within, note=note)


__all__ = ["GitSource", "ModuleSource", "Source", "Unreachable", "open_source"]
