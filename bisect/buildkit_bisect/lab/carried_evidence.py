"""Carries evidence from the folders of results into that of a merged one.

The folders may come from other people: what is not a plain file below its folder, or too large, is
refused.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Merge
from buildkit_bisect.result.merging import Carried
from buildkit_bisect.system import cache_limit

#: Bytes of one file, and of all files together; files, and folders inside of each other.
MOST_BYTES, MOST_TOTAL = 256 * 10**6, 20 * 10**9
MOST_FILES, _DEEPEST = 500_000, 30

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """A plain file in an open folder."""

    folder: int  # file descriptor
    name: str
    path: str  # as messages call it
    target: str
    status: os.stat_result


@dataclass(frozen=True, kw_only=True, slots=True)
class Carrier:
    """Carries the evidence of results; *names* are how messages call them."""

    names: Sequence[str]
    folders: Sequence[Path]

    def check(self, carried: Sequence[Carried]) -> None:
        """Raise `BadInput` if some of *carried* is not what it should be."""
        total = count = 0
        for one in carried:
            for file in self._files(one):
                total, count = total + file.status.st_size, count + 1
                if total > MOST_TOTAL or count > MOST_FILES:
                    most = f"{cache_limit.shown(MOST_TOTAL)} or {MOST_FILES} files"
                    raise BadInput(
                        f"the evidence has more than {most}", hint="merge fewer results at once"
                    )

    def carry(self, carried: Sequence[Carried], folder: Path) -> frozenset[str]:
        """Link or copy *carried* below *folder*; return the targets whose sources do not exist.

        Raises `BadInput` if that fails; *folder* is removed then.
        """
        try:
            return frozenset(one.target for one in carried if not self._carry(one, folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _carry(self, one: Carried, folder: Path) -> bool:
        """Carry *one*; False if it does not exist."""
        found = False
        for file in self._files(one):
            found = True
            try:
                _take(file, folder / file.target)
            except OSError as error:
                raise BadInput(
                    f"cannot carry {file.path}: {error.strerror}",
                    hint=f"leave that result out, or {words(Merge, out='DIR')}",
                ) from None
        return found

    def _files(self, one: Carried) -> Iterator[_File]:
        """Yield the plain files of *one*; none if it does not exist. Raises `BadInput`."""
        where, name = self.folders[one.given], self.names[one.given]
        shown = f"{name}: {printable_line(one.source)}"
        # Results of a `--script` had an empty part in the place of axis values.
        parts = [part for part in one.source.split("/") if part]
        if (
            not parts
            or one.source.startswith("/")
            or {".", ".."} & {*parts}
            or not one.source.isprintable()
        ):
            raise BadInput(f"{shown} is not a path below its folder", hint="leave that result out")
        try:
            with ExitStack() as opened:
                folder = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.callback(os.close, folder)
                for part in parts[:-1]:
                    _refuse_link(folder, part, shown)
                    folder = os.open(part, _FOLDER, dir_fd=folder)
                    opened.callback(os.close, folder)
                yield from _below(folder, parts[-1], shown, one.target, 0)
        except FileNotFoundError:
            return
        except OSError as error:
            raise BadInput(
                f"cannot read {shown}: {error.strerror}", hint="leave that result out"
            ) from None


def _below(folder: int, name: str, shown: str, target: str, depth: int) -> Iterator[_File]:
    """Yield the file *name* in *folder*, or the files below it."""
    status = _refuse_link(folder, name, shown)
    if stat.S_ISREG(status.st_mode):
        if status.st_size > MOST_BYTES:
            raise BadInput(
                f"{shown} has {status.st_size} bytes, more than {MOST_BYTES}",
                hint="leave that result out, or remove the file",
            )
        yield _File(folder=folder, name=name, path=shown, target=target, status=status)
        return
    if not stat.S_ISDIR(status.st_mode) or depth > _DEEPEST:
        raise BadInput(
            f"{shown} is neither a file nor a folder of files", hint="leave that result out"
        )
    with _opened(folder, name) as inner:
        for each in sorted(os.listdir(inner)):  # noqa: PTH208 - of a descriptor
            yield from _below(
                inner, each, f"{shown}/{printable_line(each)}", f"{target}/{each}", depth + 1
            )


@contextmanager
def _opened(folder: int, name: str) -> Iterator[int]:
    inner = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield inner
    finally:
        os.close(inner)


def _refuse_link(folder: int, name: str, shown: str) -> os.stat_result:
    """Return the status of *name* in *folder*. Raises `BadInput` if it is a symbolic link."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise BadInput(f"{shown} is or is below a symbolic link", hint="leave that result out")
    return status


def _take(file: _File, target: Path) -> None:
    """Link *file* as *target*, or copy it from another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise BadInput(f"{file.path} has the place of another file", hint="leave that result out")
    try:
        os.link(file.name, target, src_dir_fd=file.folder, follow_symlinks=False)
    except OSError:  # another file system, or links are not permitted
        source = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=file.folder)
        with os.fdopen(source, "rb") as opened, target.open("xb") as made:
            shutil.copyfileobj(opened, made)
    # It may have become another one since it was checked.
    made_ = target.lstat()
    if not stat.S_ISREG(made_.st_mode) or made_.st_size > MOST_BYTES:
        target.unlink()
        raise BadInput(f"{file.path} changed while it was read", hint="the same command again")
