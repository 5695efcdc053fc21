"""Exports patches as a branch of commits, and as mails, in a repository of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import PatchExport
from buildkit_bisect.patch.branches import BASE
from buildkit_bisect.patch.diffs import Diff
from buildkit_bisect.patch.message import Person, message
from buildkit_bisect.patch.patches import Patch, PatchFailed, present
from buildkit_bisect.source import GitSource, Source
from buildkit_bisect.system import paths
from buildkit_bisect.system.gitcmd import git
from buildkit_bisect.system.process import ProcessError
from buildkit_bisect.system.removal import remove

#: Upstream's symlinks stay symlinks in an export; elsewhere this tool writes them as files.
_SYMLINKS = ("-c", "core.symlinks=true")

#: Seconds for a git command that writes a whole tree.
_WRITES = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One part of a series, committed."""

    sha: str
    subject: str
    files: tuple[str, ...]  # that it changes, sorted
    tests: str = ""  # the diff with tests of upstream's harness that it contains
    left_out: str = ""  # why it does not contain the patch's tests


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A repository with a branch, and the branch's mails."""

    folder: Path
    branch: str
    base: str  # id of the commit that the branch is based on
    commits: tuple[Commit, ...]
    mails: tuple[Path, ...]


def mails_of(folder: Path) -> Path:
    """Return the folder of the mails, which is beside the repository."""
    return folder.with_name(f"{folder.name}.mails")


def check(folder: Path, branch: str) -> None:
    """Raise `BadInput` if there is something at *folder* or at its mails', or for *branch*."""
    if folder.name in ("", ".."):  # the root, or a directory that is about to be created
        raise BadInput(
            f"{folder} is not the name of a new directory", hint=words(PatchExport, to="DIR")
        )
    for path in (folder, mails_of(folder)):
        if os.path.lexists(path):
            raise BadInput(f"{path} already exists", hint=words(PatchExport, to="ANOTHER_DIR"))
    if not git(Path("/"), "check-ref-format", f"refs/heads/{branch}", check=False).ok or (
        branch.startswith("-")
    ):
        raise BadInput(
            f"{branch[:100]!r} is not the name of a branch", hint=words(PatchExport, branch="NAME")
        )


def export(
    source: Source,
    onto: Revision,
    chosen: Sequence[Patch],
    *,
    folder: Path,
    branch: str,
    author: Person,
    signoff: bool = False,
) -> Exported:
    """Commit each of *chosen*, which apply to *onto*, on *branch* of a new repository in *folder*.

    Of a git source it is a clone; of a module its first commit has the module's files. Raises
    `BadInput` as `check` does, and `InfraFailed` if it cannot be written. Nothing is left then.
    """
    check(folder, branch)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _draft(folder) as made:
            tree, mails = Path(made, "tree"), Path(made, "mails")
            writer = _Writer(tree=tree, author=author, note=Path(made, "message"))
            if isinstance(source, GitSource):
                _clone(source, onto, tree, branch)
            else:
                with source.checkout(onto) as files:
                    writer.start(files, branch, onto)
            base = writer.head()
            commits = _commits(writer, chosen, of_module=source.kind == "module", signoff=signoff)
            # Forced: the clone has the source's tags, and maybe one of an earlier export.
            writer.git("tag", "--force", f"{BASE}/{branch}", base)
            known = [f"--base={base}"] if isinstance(source, GitSource) else []
            writer.git("format-patch", "--quiet", *known, f"--output-directory={mails}", base)
            mails.rename(mails_of(folder))
            try:
                tree.rename(folder)
            except OSError:  # somebody else has just created it
                shutil.rmtree(mails_of(folder))
                raise
    except ProcessError as error:
        raise InfraFailed(f"cannot export to {folder}: {error.message}", hint="df -h") from error
    except OSError as error:
        raise BadInput(
            f"cannot write to {folder}: {error.strerror or error}",
            hint=words(PatchExport, to="ANOTHER_DIR"),
        ) from None
    return Exported(
        folder=folder,
        branch=branch,
        base=base,
        commits=commits,
        mails=tuple(sorted(mails_of(folder).iterdir())),
    )


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Create a directory beside *folder*, and remove it after the block.

    Those of earlier exports to *folder* whose process was killed are removed too.
    """
    begin = f".{folder.name}-"
    for entry in folder.parent.iterdir():
        own = entry.name.startswith(begin) and paths.is_claimed(entry)
        if own and not paths.owner_alive(entry):
            remove(entry, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=begin))
    try:
        paths.claim(made)
        yield made
    finally:
        remove(made, ignore_errors=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Writer:
    """Writes commits in a work tree."""

    tree: Path
    author: Person
    note: Path  # a file for a commit's message

    def git(self, *arguments: str) -> str:
        """Run git in the tree, and return what it prints."""
        return git(self.tree, *_SYMLINKS, *arguments, timeout=_WRITES).stdout.strip()

    def head(self) -> str:
        """Return the id of the newest commit."""
        return self.git("rev-parse", "--verify", "HEAD^{commit}")

    def start(self, files: Path, branch: str, onto: Revision) -> None:
        """Create the repository of a module, whose *files* are its first commit."""
        shutil.copytree(files, self.tree, symlinks=True)
        self.git("init", "--quiet", "--template=", f"--initial-branch={branch}")
        self.git("add", "--all", "--force")
        self.commit(
            f"The files of the Go module github.com/moby/buildkit {onto.describe}\n\n"
            "Not a commit of upstream's: a module has neither a history nor vendored\npackages.\n"
        )

    def commit(self, text: str) -> str:
        """Commit what is staged, and return the id of the commit."""
        self.note.write_text(text)
        how = ("--quiet", "--no-gpg-sign", "--cleanup=verbatim")
        git(
            self.tree,
            *("commit", *how, f"--file={self.note}"),
            GIT_AUTHOR_NAME=self.author.name,
            GIT_AUTHOR_EMAIL=self.author.email,
            GIT_COMMITTER_NAME=self.author.name,
            GIT_COMMITTER_EMAIL=self.author.email,
        )
        return self.head()


def _clone(source: GitSource, onto: Revision, tree: Path, branch: str) -> None:
    """Clone our mirror to *tree*, with *branch* at *onto*; objects are hard links where possible.

    Its remote is the repository that the mirror is of.
    """
    mirror = source.mirror
    git(
        tree.parent,
        *("clone", "--quiet", "--local", "--no-checkout", "--template="),
        *("--", str(mirror.path), str(tree)),
        timeout=_WRITES,
        GIT_ALLOW_PROTOCOL="file",  # of a path on this machine
    )
    git(tree, "remote", "set-url", "origin", mirror.repo)
    own = git(tree, "symbolic-ref", "--short", "HEAD", check=False).stdout.strip()
    git(tree, *_SYMLINKS, "checkout", "--quiet", "--detach", onto.sha, timeout=_WRITES)
    if own:  # the mirror's: the user has not asked for it
        git(tree, "branch", "--quiet", "-D", own, check=False)
    git(tree, "checkout", "--quiet", "--no-track", "-b", branch)


def _commits(
    writer: _Writer, chosen: Sequence[Patch], *, of_module: bool, signoff: bool
) -> tuple[Commit, ...]:
    made = []
    had: set[str] = set()
    titles = {patch.name: " ".join(patch.meta.title.split()) for patch in chosen}
    for patch in chosen:
        had |= present(writer.tree, chosen)
        used = patch.apply(writer.tree, of_module=had if of_module else None)
        files, tests, left_out = _files(patch.diffs, used), "", ""
        if patch.tests:
            try:
                tests = replace(patch, diffs=patch.tests).apply(writer.tree)
            except PatchFailed as failed:
                left_out = failed.message
            else:
                files |= _files(patch.tests, tests)
        writer.git("add", "--all", "--force", "--", *sorted(files))
        others = {name: title for name, title in titles.items() if name != patch.name}
        text = message(patch.meta, author=writer.author, titles=others, signoff=signoff)
        sha = writer.commit(text)
        changed = writer.git("show", "--format=", "--name-only", "--no-renames", "-z", sha)
        made.append(
            Commit(
                sha=sha,
                subject=titles[patch.name],
                files=tuple(sorted(filter(None, changed.split("\0")))),
                tests=tests,
                left_out=left_out,
            )
        )
    return tuple(made)


def _files(diffs: Sequence[Diff], used: str) -> set[str]:
    """Return what the diff called *used* touches: the others may name files that are not there."""
    return {file for diff in diffs if diff.name == used for file in diff.files}
