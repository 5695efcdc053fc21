"""Candidate changes under ``patches/NAME/``: a strict ``patch.toml`` and its diffs.

Each diff of a patch is the same change for another context of upstream; the first that
applies is taken. A series is a ``patch.toml`` that lists other patches in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from cattrs import Converter
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.model import PatchRef
from buildkit_bisect.patch import diffs
from buildkit_bisect.patch.diffs import Diff
from buildkit_bisect.system import checkout, gitcmd, tomlfile

_FILE = "patch.toml"
_HELP = "docs/patches.md"


class PatchFailed(BisectError):
    """The patch does not apply to this tree: verdict skip (patch), with git's reason."""

    def __init__(self, message: str, *, hint: str = "", already: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.already = already  # the tree has the change already

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with both attributes."""
        return _failed, (self.message, self.hint, self.already)


def _failed(message: str, hint: str, already: bool) -> PatchFailed:
    return PatchFailed(message, hint=hint, already=already)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """``patch.toml``: keys are written with dashes there. Commits are ids or tags."""

    title: str
    claim: str = ""  # what its author says that it does
    author: str = ""
    source: str = ""  # URL
    issue: int = 0
    introduced_by: str = ""  # the commit that brought what the patch changes
    fixed_by: str = ""  # the commit that made it unnecessary
    requires: tuple[str, ...] = ()  # commits without which it makes no sense
    conflicts: tuple[str, ...] = ()  # names of patches that exclude it
    diffs: tuple[str, ...] = ()  # files of the folder; empty: every *.patch, by name
    files: tuple[str, ...] = ()  # where given, exactly the files that the diffs touch
    series: tuple[str, ...] = ()  # names of patches, in order of application


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """A patch, loaded and checked; not a series."""

    name: str
    folder: str
    meta: Metadata
    diffs: tuple[Diff, ...]

    @property
    def digest(self) -> str:
        """Identity of the change: of its diffs in order, not of what is said about it."""
        return hashlib.sha256("".join(d.digest for d in self.diffs).encode()).hexdigest()

    @property
    def ref(self) -> PatchRef:
        """As variants and results name it."""
        return PatchRef(name=self.name, digest=self.digest, title=self.meta.title)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that any of its diffs touches, sorted."""
        return tuple(sorted({f for d in self.diffs for f in d.files}))

    @property
    def imports(self) -> tuple[str, ...]:
        """Import paths that any of its diffs adds, sorted."""
        return tuple(sorted({i for d in self.diffs for i in d.imports}))

    def apply(self, tree: Path) -> str:
        """Apply the first diff that fits to the files in *tree*; returns that diff's name.

        Raises `PatchFailed` and leaves the tree as it was where none fits, or where the change
        is there already.
        """
        reasons = []
        already = False
        for diff in self.diffs:
            path = self._path(diff)
            forwards = gitcmd.why_not(tree, path, bare=diff.bare)
            backwards = gitcmd.why_not(tree, path, bare=diff.bare, reverse=True)
            already = already or bool(forwards and not backwards)
            if not forwards and not backwards:
                forwards = "it fits forwards and backwards, so its context says too little"
            reason = forwards or _ambiguous(tree, diff)
            if not reason:
                gitcmd.apply(tree, path, bare=diff.bare)
                return diff.name
            reasons.append(reason if len(self.diffs) == 1 else f"{diff.name}: {reason}")
        if already:
            raise PatchFailed(f"{self.name} is already there", already=True)
        raise PatchFailed(f"{self.name} does not apply: {'; '.join(reasons)}")

    def _path(self, diff: Diff) -> Path:
        return Path(self.folder) / diff.name


def _ambiguous(tree: Path, diff: Diff) -> str:
    """Why git might put a hunk in the wrong place: it takes the nearest that looks right."""
    for change in diff.changes:
        found = diffs.places(change, (tree / change.path).read_text(errors="replace"))
        if len(found) > 1 and change.at not in found:
            return f"its context is at {len(found)} places in {change.path}"
    return ""


def apply(tree: Path, chosen: Sequence[Patch]) -> None:
    """Apply *chosen* in order; raises `PatchFailed` naming the one that does not fit."""
    for patch in chosen:
        patch.apply(tree)


def names(root: Path | None = None) -> list[str]:
    """Every folder under ``patches/`` that holds a ``patch.toml``, sorted."""
    root = root or checkout.PATCHES
    return sorted(p.parent.name for p in root.glob(f"*/{_FILE}"))


def load(name: str, root: Path | None = None) -> Patch:
    """One patch by name, or by the path of its folder. Raises `BadInput`, also for a series."""
    folder = _folder(name, root or checkout.PATCHES)
    meta = metadata(folder)
    if meta.series:
        raise BadInput(f"{name} is a series of patches, not a patch", hint=_HELP)
    return _patch(folder, meta)


def load_many(text: str, root: Path | None = None) -> list[Patch]:
    """The patches that ``"a,b"`` names, series replaced by their parts, each once.

    Raises `BadInput` on an unknown one, a series with a cycle, and patches that conflict.
    """
    root = root or checkout.PATCHES
    found: dict[str, Patch] = {}
    for name in filter(None, (part.strip() for part in text.split(","))):
        for patch in _expand(name, root, ()):
            found.setdefault(patch.digest, patch)
    chosen = list(found.values())
    for patch in chosen:
        for other in chosen:
            if other.name in patch.meta.conflicts:
                raise BadInput(
                    f"{patch.name} and {other.name} conflict; choose one of them",
                    hint="--patches A",
                )
    return chosen


def _expand(name: str, root: Path, inside: tuple[str, ...]) -> list[Patch]:
    if name in inside:
        raise BadInput(
            f"the series {' > '.join([*inside, name])} goes round in a circle", hint=_HELP
        )
    folder = _folder(name, root)
    meta = metadata(folder)
    if not meta.series:
        return [_patch(folder, meta)]
    return [p for part in meta.series for p in _expand(part, root, (*inside, name))]


def _folder(name: str, root: Path) -> Path:
    folder = Path(name) if "/" in name or name.startswith(".") else root / name
    if not (folder / _FILE).is_file():
        if name.strip("./") and folder.is_dir():
            raise BadInput(
                f"no {_FILE} in the folder {folder}",
                hint=f"put one there: title = 'WHAT IT DOES'; {_HELP} has the rest",
            )
        known = ", ".join(names(root)) or "none"
        raise BadInput(f"no patch {name!r}", hint=f"one of: {known}; or the path of a folder")
    return folder.resolve()


def metadata(folder: Path) -> Metadata:
    """A folder's ``patch.toml``, strictly: raises `BadInput` naming the key that is wrong."""
    path = folder / _FILE
    where = f"{folder.name}/{_FILE}"
    data = tomlfile.read(path, hint=_HELP)
    hints = get_type_hints(Metadata)
    for key, value in data.items():
        if key.replace("-", "_") in hints:
            _check_type(where, key, value, hints[key.replace("-", "_")])
    try:
        meta = _CONVERTER.structure(data, Metadata)
    except ClassValidationError as err:
        raise BadInput(f"{where}: {_explain(err)}", hint=f"keys: {', '.join(_KEYS)}") from err
    if not meta.title.strip():
        raise BadInput(f"{where}: title is empty", hint=_HELP)
    if meta.series and (meta.diffs or meta.files):
        raise BadInput(f"{where}: a series has no diffs of its own", hint=_HELP)
    return meta


def _patch(folder: Path, meta: Metadata) -> Patch:
    listed = meta.diffs or tuple(sorted(p.name for p in folder.glob("*.patch")))
    if not listed:
        raise BadInput(f"the patch {folder.name} has no diff", hint=f"put one in {folder}")
    found = []
    for name in listed:
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise BadInput(f"{folder.name}/{_FILE}: no diff {name!r} in that folder", hint=_HELP)
        found.append(diffs.parse(name, path.read_bytes(), where=str(path)))
    patch = Patch(name=folder.name, folder=str(folder), meta=meta, diffs=tuple(found))
    if meta.files and set(meta.files) != set(patch.files):
        touched = ", ".join(patch.files)
        raise BadInput(
            f"{folder.name}/{_FILE}: files is not what the diffs touch: {touched}", hint=_HELP
        )
    return patch


def _check_type(where: str, key: str, value: Any, wanted: Any) -> None:
    # cattrs turns numbers into strings and strings into lists of letters without a word.
    if get_origin(wanted) is tuple:
        item = get_args(wanted)[0]
        good = isinstance(value, list) and all(type(v) is item for v in value)
        name = f"a list of {'strings' if item is str else 'numbers'}"
    else:
        good = type(value) is wanted
        name = {str: "a string", int: "a whole number"}[wanted]
    if not good:
        raise BadInput(f"{where}: {key} must be {name}", hint=_HELP)


def _explain(err: ClassValidationError) -> str:
    for inner in err.exceptions:
        if isinstance(inner, ForbiddenExtraKeysError):
            return f"unknown key {', '.join(sorted(inner.extra_fields))}"
        if isinstance(inner, KeyError):
            return f"key {inner.args[0]} is missing"
    return str(err.exceptions[0])


_KEYS = [f.name.replace("_", "-") for f in fields(Metadata)]
_CONVERTER = Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(
    Metadata,
    make_dict_structure_fn(
        Metadata,
        _CONVERTER,
        _cattrs_forbid_extra_keys=True,
        **{f.name: override(rename=f.name.replace("_", "-")) for f in fields(Metadata)},  # type: ignore[arg-type]
    ),
)
