"""Creates a patch folder from a contributor's work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import PatchNew
from buildkit_bisect.patch import diffs, patches
from buildkit_bisect.patch.backports import touched
from buildkit_bisect.patch.contribution import TIMEOUT, Work
from buildkit_bisect.patch.diffs import Change
from buildkit_bisect.patch.patches import Patch, PatchFailed
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths, tomltext
from buildkit_bisect.system.gitcmd import git

#: Lines of context to try, fewest first: with fewer lines a patch applies to more of upstream.
CONTEXTS = (1, 2, 3, 5, 10, 25)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

#: How a commit's message names its issue.
_ISSUE = re.compile(r"(?:fix(?:es)?|close[sd]?|resolve[sd]?|relate[sd] to)\s+#(\d+)", re.IGNORECASE)

#: Bytes of the largest diff; the diff between two BuildKit releases is smaller.
MOST_BYTES = 16 * 10**6


def new(name: str, work: Work, source: GitSource, *, root: Path, title: str = "") -> Patch:
    """Create ``root/NAME`` from *work*, with the smallest context that applies to its own base.

    Raises `BadInput` for an invalid or existing name, an empty change, and a change that is not
    text.
    """
    check_name(name, root)
    with paths.scratch("patch") as tmp:
        folder = tmp / name
        folder.mkdir()
        patch = draft(folder, work, source, title=title)
        target = root / name
        root.mkdir(parents=True, exist_ok=True)
        target.mkdir()
        for path in folder.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    return replace(patch, folder=str(target))


def draft(folder: Path, work: Work, source: GitSource, *, title: str = "") -> Patch:
    """Write the patch of *work* to the empty *folder*, whose name it gets; raises as `new`."""
    _check_text(source, work)
    return _smallest(source, work, folder, _metadata(work, title or work.subject or folder.name))


def check_name(name: str, root: Path) -> None:
    """Raise `BadInput` for an invalid or existing name."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"invalid patch name {name!r}", hint="lower-case letters, digits, dashes: my-fix"
        )
    if (root / name).exists():
        raise BadInput(f"patch {name} already exists", hint="another name")


def _smallest(source: GitSource, work: Work, folder: Path, metadata: str) -> Patch:
    """Return the patch with the least context that is unambiguous, also once it is applied.

    If no context is, return the patch with the least context that applies at all.
    """
    failed = ""
    usable: list[bytes] = []
    for context in CONTEXTS:
        text = _diff(source, work, context)
        patch = _write(text, folder, work.base, metadata)
        with touched(source, work.base, [patch]) as tree:
            sure = all(_once(change, tree) for diff in patch.diffs for change in diff.changes)
            try:
                patch.apply(tree)
            except PatchFailed as error:
                failed = error.message
                continue
            if sure and _is_there(patch, tree):
                return patch
            usable.append(text)
    if usable:
        return _write(usable[0], folder, work.base, metadata)
    raise BadInput(
        f"the change is ambiguous in its own base: {failed}",
        hint=f"{words(PatchNew, base='R')}, or a change that includes more of its context",
    )


def _once(change: Change, tree: Path) -> bool:
    text = (tree / change.path).read_text(errors="replace")
    return len(diffs.places(change, text)) == 1


def _is_there(patch: Patch, tree: Path) -> bool:
    try:
        patch.apply(tree)
    except PatchFailed as error:
        return error.already
    return False


def _write(text: bytes, folder: Path, base: Revision, metadata: str) -> Patch:
    if not text.strip():
        raise BadInput(f"no changes since {base.ref}", hint=words(PatchNew, base="R"))
    name = f"{folder.name}.patch"
    (folder / name).write_bytes(text)
    files = ", ".join(map(tomltext.string, diffs.parse(name, text).files))
    (folder / "patch.toml").write_text(f"{metadata}files = [{files}]\n")
    return patches.load(str(folder))


def _diff(source: GitSource, work: Work, context: int, *files: str) -> bytes:
    """Return the diff of the change, or only of *files* if there are any, byte for byte.

    Raises `BadInput` if it is too large for a patch.
    """
    with paths.scratch("diff") as tmp:
        out = tmp / "out"
        _git_diff(source, work, f"-U{context}", "--full-index", f"--output={out}", files=files)
        if out.stat().st_size > MOST_BYTES:
            raise BadInput(
                f"the diff from {work.base.ref} is too large: {out.stat().st_size // 10**6} MB",
                hint=f"{words(PatchNew, base='R')} of a commit nearer to your work, or leave out"
                " large files",
            )
        return out.read_bytes()


def _git_diff(source: GitSource, work: Work, *options: str, files: Sequence[str] = ()) -> str:
    return git(
        source.mirror.path,
        # Quoted, a path that is not ASCII is another text than the path.
        *(
            "-c",
            "core.quotePath=false",
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
        ),
        *("--no-indent-heuristic", *options, work.base.sha, work.tree, "--", *files),
        timeout=TIMEOUT,
        GIT_ALTERNATE_OBJECT_DIRECTORIES=work.objects,
    ).stdout


def _check_text(source: GitSource, work: Work) -> None:
    """Raise `BadInput` with the first file in the work that a patch cannot contain."""
    files = _files(_git_diff(source, work, "--raw", "--numstat", "-z"))
    least = CONTEXTS[0]
    whole = _diff(source, work, least)
    # CRLF and invalid UTF-8 are rare: files are checked one by one only if the whole has any.
    odd = b"\r\n" in whole or not _is_utf8(whole)
    for file in files:
        if not file.regular:
            raise BadInput(
                f"{file.path} is or was a symlink or submodule; a patch may only change text files",
                hint=f"leave it out of your work, or add {file.path} to .git/info/exclude",
            )
        if file.binary:
            raise BadInput(
                f"{file.path} is a binary file; a patch may only change text files",
                hint=f"leave it out: move it away, or add {file.path} to .git/info/exclude",
            )
        text = _diff(source, work, least, file.path) if odd else b""
        if b"\r\n" in text:
            raise BadInput(
                f"{file.path} has CRLF line endings in changed lines",
                hint=f"in your tree: sed -i 's/\\r$//' {shlex.quote(file.path)}; or leave it out",
            )
        if not _is_utf8(text):
            raise BadInput(
                f"{file.path} is not valid UTF-8",
                hint=f"convert it to UTF-8 in your tree (iconv), or leave {file.path} out",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """One file of a change, from git's listing."""

    path: str
    regular: bool  # not a symlink or submodule, before and after
    binary: bool


def _files(listed: str) -> list[_File]:
    """Parse the output of ``git diff --raw --numstat -z``."""
    words = iter(filter(None, listed.split("\0")))
    regular = {}
    found = []
    for word in words:
        if word.startswith(":"):
            modes = word[1:].split(" ")[:2]
            regular[next(words)] = all(mode[:3] in ("100", "000") for mode in modes)
        else:
            added, _, path = word.split("\t", 2)
            found.append(_File(path=path, regular=regular[path], binary=added == "-"))
    return found


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _metadata(work: Work, title: str) -> str:
    """Return ``patch.toml`` without its list of files."""
    known = {"title": title, "claim": work.body, "author": work.author, "source": work.origin}
    known["commit"] = work.commit
    lines = [f"{key} = {tomltext.string(value)}\n" for key, value in known.items() if value]
    issue = _ISSUE.search(work.body)
    return "".join(lines) + (f"issue = {issue[1]}\n" if issue else "")
