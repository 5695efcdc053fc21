"""Candidate changes under ``patches/NAME/``: a strict ``patch.toml`` and its diffs.

The diffs of a patch are the same change for different versions of upstream; the first one that
applies is used. A series is a ``patch.toml`` that lists other patches in order.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.model import PatchRef
from buildkit_bisect.nearest import did_you_mean, nearest
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.patch import diffs
from buildkit_bisect.patch.diffs import Diff
from buildkit_bisect.system import checkout, gitcmd, tomlfile, typed

_FILE = "patch.toml"
_HELP = "docs/patches.md"

_HEX = re.compile(r"[0-9a-f]{7,40}")

#: Git's reason for a diff that would apply if the tree had its files; it gives two at most.
_NO_FILE = re.compile(r"(\S+): No such file or directory(; \S+: No such file or directory)?")

#: What a patch may be besides a name.
KINDS = "folder, FILE.patch, FILE.diff, URL or pr/N"


class PatchFailed(BisectError):
    """The patch does not apply to this tree: verdict skip (patch), with git's reason."""

    def __init__(
        self, message: str, *, hint: str = "", already: bool = False, unknown: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.already = already  # the change is already applied
        self.unknown = unknown  # the repository may have a file that the tree lacks

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all attributes."""
        return _failed, (self.message, self.hint, self.already, self.unknown)


def _failed(message: str, hint: str, already: bool, unknown: bool) -> PatchFailed:
    return PatchFailed(message, hint=hint, already=already, unknown=unknown)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """``patch.toml``, where keys have dashes. Commits are ids or tags."""

    title: str
    claim: str = ""  # what it does, according to its author
    author: str = ""
    source: str = ""  # URL
    credit: str = ""  # whose work it is based on, if not the author's
    commit: str = ""  # the commit that it was made from
    sha256: str = ""  # of the file that it was made from
    issue: int = 0
    introduced_by: str = ""  # the commit that introduced what the patch fixes
    fixed_by: str = ""  # the commit that made it unnecessary
    requires: tuple[str, ...] = ()  # commits that it needs
    conflicts: tuple[str, ...] = ()  # names of patches that cannot be used with it
    diffs: tuple[str, ...] = ()  # files in the folder; empty: every *.patch, by name
    files: tuple[str, ...] = ()  # if set, exactly the files that the diffs touch
    series: tuple[str, ...] = ()  # names of patches, in order of application
    message: str = ""  # why, as the body of a commit; empty: the claim
    tests: tuple[str, ...] = ()  # files in the folder: diffs with tests, for an export only


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """A loaded and checked patch; not a series."""

    name: str
    folder: str
    meta: Metadata
    diffs: tuple[Diff, ...]
    given: str = ""  # pr/7107, a file or a URL that it was made from; "" for a folder
    tests: tuple[Diff, ...] = ()  # with tests for upstream's harness; only an export applies them
    placed: bool = False  # made for a tree: where its lines are those of the tree, they decide

    @property
    def digest(self) -> str:
        """Identity of the change: depends on its diffs in order, not on its metadata."""
        return hashlib.sha256("".join(d.digest for d in self.diffs).encode()).hexdigest()

    @property
    def ref(self) -> PatchRef:
        """The reference that variants and results use."""
        return PatchRef(name=self.name, digest=self.digest, title=self.meta.title)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that its diffs touch, sorted."""
        return tuple(sorted({f for d in self.diffs for f in d.files}))

    @property
    def imports(self) -> tuple[str, ...]:
        """Import paths that its diffs add, sorted."""
        return tuple(sorted({i for d in self.diffs for i in d.imports}))

    @property
    def reveals(self) -> bool:
        """Whether a program with it may import or embed more than `imports`."""
        return any(d.reveals for d in self.diffs)

    @property
    def not_for_modules(self) -> str:
        """Why it cannot be applied to any Go module; "" if it may be."""
        vendored = [f for f in self.files if "vendor" in PurePosixPath(f).parts[:-1]]
        if not vendored:
            return ""
        # A zip may have vendor/modules.txt, which no build of the module reads.
        return (
            f"{self.name} changes {vendored[0]}, and vendored packages are not in the Go module: it"
            " needs a git source"
        )

    def apply(self, tree: Path, *, of_module: Collection[str] | None = None) -> str:
        """Apply the first diff that applies to *tree*; return its name.

        *of_module* has the files that were in the tree of a Go module, as `present` returns them,
        before any patch and after those before this one. Raises `PatchFailed` and leaves the tree
        unchanged if no diff applies, or if the change is already applied; in a module, also if a
        file never was there, which the repository may have.
        """
        if of_module is not None and self.not_for_modules:
            raise PatchFailed(self.not_for_modules, unknown=True)
        reasons = []
        absent = ""
        already = False
        for diff in self.diffs:
            path = self._path(diff)
            # A hunk at the start or end of a file has no context there, and needs none.
            bare = diff.bare and bool(gitcmd.why_not(tree, path, bare=False))
            forwards = gitcmd.why_not(tree, path, bare=bare)
            backwards = gitcmd.why_not(tree, path, bare=bare, reverse=True)
            already = already or bool(forwards and not backwards)
            if self.placed and not forwards and _in_place(tree, diff):
                backwards = "its line numbers say where its hunks are"
            if not forwards and not backwards:
                forwards = "it applies forwards and in reverse, so its context is ambiguous"
            reason = forwards or _ambiguous(tree, diff)
            if not reason:
                gitcmd.apply(tree, path, bare=bare)
                return diff.name
            if no_file := _NO_FILE.fullmatch(reason):
                absent = absent or no_file[1]
            reasons.append(reason if len(self.diffs) == 1 else f"{diff.name}: {reason}")
        if already:
            raise PatchFailed(f"{self.name} is already applied", already=True)
        if of_module is not None and absent and absent not in of_module:
            raise PatchFailed(self._not_there(absent), unknown=True)
        raise PatchFailed(f"{self.name} does not apply: {'; '.join(reasons)}")

    def _not_there(self, file: str) -> str:
        return (
            f"{self.name} changes {file}, which is not in the Go module (nested modules and"
            " symlinks are left out): it needs a git source"
        )

    def _path(self, diff: Diff) -> Path:
        return Path(self.folder) / diff.name


def _in_place(tree: Path, diff: Diff) -> bool:
    """Whether every hunk finds its lines at the line that it names."""
    return all(
        change.at in diffs.places(change, _read(tree / change.path)) for change in diff.changes
    )


def _read(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")  # with its line endings as they are


def _ambiguous(tree: Path, diff: Diff) -> str:
    """Return why git might apply a hunk in the wrong place (it uses the nearest match); else ""."""
    for change in diff.changes:
        found = diffs.places(change, _read(tree / change.path))
        if len(found) > 1 and change.at not in found:
            return f"its context matches at {len(found)} places in {change.path}"
    return ""


def apply(tree: Path, chosen: Sequence[Patch], *, of_module: bool = False) -> None:
    """Apply *chosen* in order; raises `PatchFailed` with the one that does not apply."""
    had: set[str] = set()
    for patch in chosen:
        had |= present(tree, chosen)
        patch.apply(tree, of_module=had if of_module else None)


def present(tree: Path, chosen: Sequence[Patch]) -> set[str]:
    """Return the paths that *chosen* touch and *tree* has now."""
    return {f for patch in chosen for f in patch.files if (tree / f).is_file()}


def names(root: Path | None = None) -> list[str]:
    """Return the names of folders under ``patches/`` with a ``patch.toml``, sorted."""
    root = root or checkout.PATCHES
    return sorted(p.parent.name for p in root.glob(f"*/{_FILE}"))


def load(name: str, root: Path | None = None) -> Patch:
    """Load a patch by name or by the path of its folder. Raises `BadInput`, also for a series."""
    folder = _folder(name, root or checkout.PATCHES)
    meta = metadata(folder)
    if meta.series:
        raise BadInput(f"{name} is a series of patches, not a patch", hint=_HELP)
    return _patch(folder, meta)


def load_many(
    text: str, root: Path | None = None, made: Callable[[str], list[Patch]] = lambda _: []
) -> list[Patch]:
    """Load the patches ``"a,b"``; a series is replaced by its parts, duplicates are dropped.

    *made* returns the patches of a text that names no folder. Raises `BadInput` for an unknown
    patch, a cyclic series, and patches that conflict or have the same name.
    """
    root = root or checkout.PATCHES
    found: dict[str, Patch] = {}
    for name in filter(None, (part.strip() for part in text.split(","))):
        for patch in made(name) or _expand(name, root, ()):
            found.setdefault(patch.digest, patch)
    chosen = list(found.values())
    check_names(chosen)
    for patch in chosen:
        for other in chosen:
            if other.name in patch.meta.conflicts:
                raise BadInput(
                    f"patches {patch.name} and {other.name} conflict; use one of them",
                    hint=words(Building, patches="A"),
                )
    return chosen


def check_names(chosen: Iterable[Patch]) -> None:
    """Raise `BadInput` if two different patches have the same name: results tell them by it."""
    known: dict[str, Patch] = {}
    for patch in chosen:
        other = known.setdefault(patch.name, patch)
        if other.digest != patch.digest:
            raise BadInput(
                f"two different patches are called {patch.name}",
                hint="rename the file or folder of one of them",
            )


def _expand(name: str, root: Path, inside: tuple[str, ...]) -> list[Patch]:
    if name in inside:
        raise BadInput(f"the series {' > '.join([*inside, name])} is a cycle", hint=_HELP)
    folder = _folder(name, root)
    meta = metadata(folder)
    if not meta.series:
        return [_patch(folder, meta)]
    return [p for part in meta.series for p in _expand(part, root, (*inside, name))]


def _folder(name: str, root: Path) -> Path:
    folder = Path(name) if "/" in name or name.startswith(".") else root / name
    if not (folder / _FILE).is_file():
        if Path(name).is_file():
            raise BadInput(
                f"the file {name!r} does not end in .patch or .diff",
                hint=f"mv {shlex.quote(name)} {shlex.quote(f'{name}.patch')}, if it is a patch",
            )
        if name.strip("./") and folder.is_dir():
            raise BadInput(
                f"no {_FILE} in the folder {folder}",
                hint=f"create it with title = 'WHAT IT DOES'; see {_HELP}",
            )
        known = names(root)
        raise BadInput(
            f"no patch {name!r}; {did_you_mean(name, known, what='known patches')}",
            hint=_suggestion(name, known),
        )
    return folder.resolve()


def _suggestion(name: str, known: Sequence[str]) -> str:
    """Return the value that *name* may have meant instead of a patch in ``patches/``."""
    if name.isdecimal():
        return f"{words(Building, patches=f'pr/{name}')}, if it is a pull request"
    if _HEX.fullmatch(name):
        commit = f"moby/buildkit@{name}"
        return f"{words(Building, patches=commit)}, if it is a commit"
    near = nearest(name, known)
    if near:
        return f"{words(Building, patches=near[0])}, or a {KINDS}"
    return f"a {KINDS}; {inv('patch-new', 'my-fix', from_branch=name)} makes one from a branch"


def metadata(folder: Path) -> Metadata:
    """Load a folder's ``patch.toml``, strictly: raises `BadInput` with the invalid key."""
    path = folder / _FILE
    where = f"{folder.name}/{_FILE}"
    data = tomlfile.read(path, hint=_HELP)
    meta, problems = typed.structure(data, Metadata, key=lambda name: name.replace("_", "-"))
    if meta is None:
        raise BadInput(f"{where}: {'; '.join(problems[:4])}", hint=_HELP)
    if not meta.title.strip():
        raise BadInput(f"{where}: title is empty", hint=_HELP)
    if meta.series and (meta.diffs or meta.files or meta.tests):
        raise BadInput(f"{where}: a series cannot have its own diffs", hint=_HELP)
    return meta


def _patch(folder: Path, meta: Metadata) -> Patch:
    there = sorted(p.name for p in folder.glob("*.patch") if p.name not in meta.tests)
    listed = meta.diffs or tuple(there)
    if both := sorted({*listed} & {*meta.tests}):
        raise BadInput(
            f"{folder.name}/{_FILE}: {both[0]} is in diffs, which builds apply, and in tests, which"
            " only an export applies",
            hint=_HELP,
        )
    if not listed:
        raise BadInput(f"patch {folder.name} has no diff", hint=f"put one in {folder}")
    patch = Patch(
        name=folder.name,
        folder=str(folder),
        meta=meta,
        diffs=_parsed(folder, listed),
        tests=_parsed(folder, meta.tests),
    )
    if meta.files and set(meta.files) != set(patch.files):
        touched = ", ".join(patch.files)
        raise BadInput(
            f"{folder.name}/{_FILE}: files must list what the diffs touch: {touched}", hint=_HELP
        )
    return patch


def _parsed(folder: Path, listed: Sequence[str]) -> tuple[Diff, ...]:
    found = []
    for name in listed:
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise BadInput(f"{folder.name}/{_FILE}: no diff {name!r} in that folder", hint=_HELP)
        found.append(diffs.parse(name, path.read_bytes(), where=str(path)))
    return tuple(found)
