"""Sources of BuildKit's revisions: a git mirror, or the Go module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.model import DEFAULT_REPO, Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import github
from buildkit_bisect.source.git import GitSource
from buildkit_bisect.source.mirror import Silent, Unreachable
from buildkit_bisect.source.module import ModuleSource
from buildkit_bisect.system.deadlines import Deadlines


class Source(Protocol):
    """Resolves refs to revisions, and provides their trees for builds."""

    @property
    def kind(self) -> str:
        """``git``, which has a history to search, or ``module``."""

    @property
    def where(self) -> str:
        """The repository or module, for messages."""

    @property
    def note(self) -> str:
        """Why this is not the source that was requested; otherwise ""."""

    def resolve(self, ref: str) -> Revision:
        """Return the commit of *ref*; raises `BadInput` with the nearest tags.

        The revision's ``ref`` is the name of what was found: ``v0.26.0`` for ``0.26.0``.
        """

    def resolve_all(self, refs: Sequence[str]) -> list[Revision]:
        """Return what `resolve` does for each of *refs*, which may be faster."""

    def releases(self) -> list[Revision]:
        """Return final releases, newest first."""

    def tags(self) -> list[str]:
        """Return every tag that is a version."""

    def read(self, revision: Revision, path: str) -> str | None:
        """Return the text of a file in a revision; None if there is no such file."""

    def inputs(self, revision: Revision, extra: tuple[str, ...] = ()) -> dict[str, str]:
        """Return, by program, an identifier of the content of all files that it is built from.

        *extra* are import paths that patches add.
        """

    def affected(
        self, revision: Revision, files: Iterable[str], extra: tuple[str, ...] = ()
    ) -> frozenset[str]:
        """Return the programs that may be others if patches change *files* and add *extra*."""

    def content(self, revision: Revision, files: Iterable[str] | None) -> str:
        """Return an identifier of what a revision has at *files*; None: of all its files."""

    def write(self, revision: Revision, files: Iterable[str], folder: Path) -> None:
        """Write those of *files* that a revision has to *folder*, which is empty."""

    def checkout(self, revision: Revision) -> AbstractContextManager[Path]:
        """Provide a directory with the revision's files during the block; it may be changed."""

    def build_tree(self, revision: Revision) -> AbstractContextManager[Path]:
        """Provide the same for `go build` alone, faster: no program of the source may run in it.

        That of a module is the module cache's own, which must not be changed.
        """


def open_source(
    kind: str = "auto",
    repo: str = DEFAULT_REPO,
    *,
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> Source:
    """Return the source of *kind*: ``git``, ``module``, or ``auto``.

    ``auto`` is git, or modules if there is no git, or if upstream is unreachable: modules exist of
    no other repository. `Source.note` then has the reason, and *say* gets it. Raises `BadInput`
    for another kind, or if *repo* is not a repository. ``git``, and ``auto`` for a fork, also
    raise `Missing`, or `Unreachable` past a deadline.
    """
    within = deadlines or Deadlines()
    if kind == "module":
        return ModuleSource(say=say, deadlines=within)
    if kind not in ("auto", "git"):
        raise BadInput(
            f"unknown source {kind!r}", hint=f"{words(Building, source='auto')}, git or module"
        )
    try:
        return GitSource.open(repo, say=say, deadlines=deadlines)
    except (Unreachable, Missing) as err:
        other = isinstance(err, Unreachable) and not github.is_upstream(repo)
        if (kind == "git" or other) and isinstance(err, Silent):
            raise  # the remote does not answer
        if kind == "git" or other:
            raise Missing(
                err.message,
                hint=f"{words(Building, repo='PATH')} of a clone, or"
                f" {words(Building, source='module')}",
            ) from None
        note = f"source: Go modules ({err.message})"
        say(note)
        return ModuleSource(say=say, deadlines=within, note=note)


__all__ = ["GitSource", "ModuleSource", "Source", "Unreachable", "open_source"]
