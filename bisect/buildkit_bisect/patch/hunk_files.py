"""Reads the hunks of patches and of a commit's revert from a source's files."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.patch import diffs, patches
from buildkit_bisect.patch.hunks import FileChange, Hunk, beside, composed, hunks, is_test, is_text
from buildkit_bisect.patch.patches import Metadata, Patch, PatchFailed
from buildkit_bisect.source import GitSource, Source
from buildkit_bisect.system import gitcmd, paths, tomltext
from buildkit_bisect.system.announce import announce

_DIFF = ("diff", "--no-index", "--no-color", "--no-ext-diff", "--no-renames", "-U0")

#: Stands for a file that is not text.
_NOT_TEXT = "\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What can be chosen of a change to a tree: files as they are before it, and its hunks."""

    files: tuple[FileChange, ...]
    hunks: tuple[Hunk, ...]
    left_out: tuple[Hunk, ...] = ()  # in no program: tests and documentation
    # That do not apply to the tree, with the lines of the commit; and files that are not text.
    refused: tuple[Hunk, ...] = ()

    def patch(self, chosen: Sequence[int], folder: Path, *, name: str, title: str) -> Patch:
        """Return a patch of the hunks with these numbers from 0, stored below *folder*."""
        home = folder / name
        home.mkdir(parents=True, exist_ok=True)
        text = composed(self.files, [self.hunks[n] for n in chosen])
        (home / f"{name}.patch").write_text(text)
        (home / "patch.toml").write_text(f"title = {tomltext.string(title)}\n")
        return replace(patches.load(str(home)), placed=True)


@announce("splitting the patches into hunks")
def of_patches(
    source: Source, revision: Revision, chosen: Sequence[Patch], kept: Collection[str]
) -> Change:
    """Return what *chosen*, applied in order, change in *revision* with those in *kept* applied.

    Raises `BadInput` if the kept ones do not apply without the others.
    """
    staying = [p for p in chosen if p.name in kept]
    with _trees(source, revision, chosen) as (before, after):
        try:
            patches.apply(before, staying, of_module=source.kind != "git")
        except PatchFailed as error:
            raise BadInput(
                f"without the other patches, {error.message}", hint="keep fewer patches whole"
            ) from None
        patches.apply(after, chosen, of_module=source.kind != "git")
        return _change(before, after, {f for p in chosen for f in p.files})


@announce("splitting the revert into hunks")
def of_revert(
    source: GitSource,
    commit: str,
    tip: Revision,
    overlay: Sequence[Patch],
    revert: Patch | None = None,
) -> Change:
    """Return what reverting *commit* changes in *tip* with *overlay* applied.

    *revert* is the whole revert as a patch. Without it, its hunks are applied one by one, in order,
    to the tree with those before them: the ones that git does not apply there are `refused`.
    """
    undone = _undone(source, commit)
    touched = [*overlay, *([revert] if revert else [])]
    with _trees(source, tip, touched, {f.path for f in undone.files}) as (before, after):
        for tree in (before, after):
            patches.apply(tree, overlay)
        refused: list[Hunk] = []
        if revert:
            revert.apply(after)
        else:
            refused = [*_one_by_one(after, undone), *undone.refused]
        files = {f.path for f in undone.files} | {f for p in touched for f in p.files}
        change = _change(before, after, files)
    return Change(
        files=change.files,
        hunks=change.hunks,
        left_out=change.left_out or undone.left_out,
        refused=tuple(refused),
    )


def _undone(source: GitSource, commit: str) -> Change:
    """Return the reverse of *commit* against its first parent, as a change of its own tree."""
    parent = source.parents([commit], [f"{commit}^@"]).get(commit, ())
    if not parent:
        raise BadInput(f"{commit[:12]} has no parent", hint="a later commit")
    listed = gitcmd.git(
        source.mirror.path,
        *("diff", "--name-only", "--no-renames", "-z", parent[0], commit),
    ).stdout
    names = [name for name in listed.split("\0") if name]
    with _trees(source, source.revision(commit), (), names) as (before, after):
        shutil.rmtree(after)
        after.mkdir()
        source.write(source.revision(parent[0]), names, after)
        return _change(before, after, names)


def _one_by_one(tree: Path, change: Change) -> list[Hunk]:
    """Apply to *tree* those hunks of *change* that git applies; return the others."""
    refused: list[Hunk] = []
    taken: dict[str, list[Hunk]] = {}
    files = {file.path: file for file in change.files}
    with paths.scratch("hunk") as folder:
        for number, hunk in enumerate(change.hunks):
            name = f"hunk-{number}"
            # The lines around it are those that the hunks before it have left.
            file, there = beside(files[hunk.path], taken.setdefault(hunk.path, []), hunk)
            text = composed([file], [there])
            diff = diffs.parse(f"{name}.patch", text.encode())
            (folder / diff.name).write_text(text)
            one = Patch(
                name=name, folder=str(folder), meta=Metadata(title=name), diffs=(diff,), placed=True
            )
            try:
                one.apply(tree)
            except PatchFailed:
                refused.append(hunk)
            else:
                taken[hunk.path].append(hunk)
    return refused


@contextmanager
def _trees(
    source: Source, revision: Revision, chosen: Iterable[Patch], more: Iterable[str] = ()
) -> Iterator[tuple[Path, Path]]:
    """Provide two directories with the files of *revision* that *chosen* touch, and *more*."""
    names = sorted({f for p in chosen for f in p.files} | set(more))
    with paths.scratch("hunks") as tmp:
        before, after = tmp / "before", tmp / "after"
        before.mkdir()
        source.write(revision, names, before)
        shutil.copytree(before, after)
        yield before, after


def _change(before: Path, after: Path, names: Iterable[str]) -> Change:
    files: list[FileChange] = []
    chosen: list[Hunk] = []
    left_out: list[Hunk] = []
    refused: list[Hunk] = []
    for name in sorted(names):
        sides = [_bytes(tree / name) for tree in (before, after)]
        if sides[0] == sides[1]:
            continue
        texts = [None if side is None else _text(side) for side in sides]
        in_program = not is_test(name) and not is_text(name)
        if _NOT_TEXT in texts:  # no patch can have it
            whole = Hunk(path=name, at=0, removed=(), added=(), heading="not text")
            (refused if in_program else left_out).append(whole)
            continue
        file = FileChange(path=name, before=texts[0], after=texts[1])
        diff = ""
        if file.before is not None and file.after is not None:
            both = (f"{side.name}/{name}" for side in (before, after))
            diff = gitcmd.git(before.parent, *_DIFF, "--", *both, check=False).stdout
        found = hunks(file, diff)
        files.append(file)
        empty = not (file.before or file.after)  # no diff has a hunk of an empty file
        if empty or not in_program:
            left_out.extend(found)
            continue
        if _separated(file.before) or _separated(file.after):
            raise BadInput(
                f"{name} has a line separator other than a line feed, so its hunks cannot be"
                " chosen",
                hint="a text file",
            )
        chosen.extend(found)
    return Change(
        files=tuple(files),
        hunks=tuple(chosen),
        left_out=tuple(left_out),
        refused=tuple(refused),
    )


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _text(content: bytes) -> str:
    """Return *content* with its line endings as they are; `_NOT_TEXT` if it is not UTF-8."""
    try:
        return _NOT_TEXT if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return _NOT_TEXT


def _separated(text: str | None) -> bool:
    """Whether a form feed or the like ends lines for what reads diffs, as it does not for git."""
    if not text:
        return False
    return len(text.splitlines()) != len(text.removesuffix("\n").split("\n"))
