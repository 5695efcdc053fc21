"""The ``patch new``, ``patch list`` and ``patch check`` tasks."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from buildkit_bisect.cli import fit_table
from buildkit_bisect.cli.guard import BAD_INPUT, DONE
from buildkit_bisect.errors import BadInput, printable
from buildkit_bisect.model import DEFAULT_REPO
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import PatchCheck, PatchList, PatchNew
from buildkit_bisect.patch import backports, contribution, patches, patchmaker
from buildkit_bisect.patch.backports import Fit
from buildkit_bisect.patch.contribution import Work
from buildkit_bisect.patch.given import Loader
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.render.symbols import FITS
from buildkit_bisect.source import GitSource, Source, forms, open_source
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines

Loaded = TypeVar("Loaded")


def new(request: PatchNew) -> int:
    """Create a patch folder from a contributor's work, and print where it applies."""
    name, root = request.name, request.into
    origins = (request.from_worktree, request.from_branch, request.from_pr)
    if not name or sum(map(bool, origins)) != 1:
        raise BadInput(
            "patch new takes a name and exactly one source of changes",
            hint=f"{inv('patch-new', 'NAME', from_worktree='DIR')},"
            f" {words(PatchNew, from_branch='REF')} or {words(PatchNew, from_pr='N')}",
        )
    patchmaker.check_name(name, root)
    with _work(request) as (source, work):
        if doubt := contribution.doubt(work):
            _log(f"warning: {doubt}")
        made = patchmaker.new(name, work, source, root=root, title=request.title)
    found = backports.table(source, backports.lines(source), [made])
    if request.json:
        _print({"name": name, "folder": made.folder, "base": work.base.sha, **_facts(made, found)})
        return DONE
    print(f"{name}: {made.meta.title}, based on {work.base.ref}\n{made.folder}")
    for line in fit_table.table({name: found}, shutil.get_terminal_size().columns):
        print(line)
    return DONE


@contextmanager
def _work(request: PatchNew) -> Iterator[tuple[GitSource, Work]]:
    base = request.base
    if request.from_worktree:
        folder = Path(request.from_worktree).absolute()
        contribution.check_worktree(folder)
        source = _open(request.repo or str(folder))
        with contribution.of_worktree(folder, source, base=base) as work:
            yield source, work
        return
    repo = request.repo or DEFAULT_REPO
    source = _open(repo)
    if request.from_branch:
        yield source, contribution.of_commits(source, request.from_branch, base=base)
        return
    if request.from_pr:
        url = contribution.pull_url(repo, request.from_pr)
        pull = f"pull/{request.from_pr}"
        yield source, contribution.of_commits(source, pull, base=base, origin=url)


def list_(request: PatchList) -> int:
    """Print every patch and series. Print the errors of invalid folders, and return 2."""
    root = request.into
    found, errors = _each(patches.names(root), lambda name: _listed(name, root))
    known = list(found.values())
    if request.json:
        _print(known)
    else:
        for one in known:
            print(f"{one['name']}: {one['title']}")
            what = f"series: {', '.join(one['series'])}" if one["series"] else (
                f"touches {', '.join(one['files'])}")  # fmt: skip
            print(f"    {what}")
            if one["credit"]:
                print(f"    based on the work of {one['credit']}")
        if not known and not errors:
            print(f"no patches in {root}")
    return _exit_code(errors)


def _each(
    names: Sequence[str], load: Callable[[str], Loaded]
) -> tuple[dict[str, Loaded], dict[str, BadInput]]:
    """Return what *load* returns for each name, and the errors of the names it rejects."""
    found, errors = {}, {}
    for name in names:
        try:
            found[name] = load(name)
        except BadInput as error:
            errors[name] = error
    return found, errors


def _exit_code(errors: Mapping[str, BadInput]) -> int:
    """Print *errors* to stderr, one per line, and return the exit code."""
    for name, error in errors.items():
        # Many messages begin with what was given.
        text, shown = str(error), name if name.isprintable() else ascii(name)
        _log(f"error: {text if text.startswith(name) else f'{shown}: {text}'}")
    return BAD_INPUT if errors else DONE


def _listed(name: str, root: Path) -> dict[str, Any]:
    meta = patches.metadata(root / name)
    parts = patches.load_many(name, root)
    return {
        "name": name,
        "title": meta.title,
        "claim": meta.claim.strip(),
        "source": meta.source,
        "credit": meta.credit,
        "series": list(meta.series),
        "files": sorted({f for part in parts for f in part.files}),
        "digests": [part.digest for part in parts],
    }


def check(request: PatchCheck) -> int:
    """Print where patches apply, are already applied, or conflict. Return 2 if one is invalid."""
    root = request.into
    names = request.patches or patches.names(root)
    source: list[Source] = []  # opened once, and only if there is a patch to check

    def opened() -> Source:
        source[:] = source or [open_source(request.source, request.repo, say=_log)]
        return source[0]

    loader = Loader(open_source=opened, say=_log, seconds=Deadlines().connect, root=root)
    loaded, errors = _each(names, loader.load)
    if errors and not loaded:
        return _exit_code(errors)
    if not loaded:
        raise BadInput(f"no patches in {root}", hint=inv("patch-new", "NAME", from_branch="REF"))
    asked = [ref for item in request.revs for ref in forms.expanded(item, opened().tags, _log)]
    revisions = opened().resolve_all(asked) or backports.lines(opened())
    with announce("checking where the patches apply"):
        found = backports.tables(opened(), revisions, loaded)
    if request.json:
        _print([
            {"name": name, "applies": [asdict(fit) for fit in fits]}
            for name, fits in found.items()
        ])  # fmt: skip
        return _exit_code(errors)
    if request.verbose:
        for name, fits in found.items():
            print(name)
            for line in _lines(fits):
                print(line)
        return _exit_code(errors)
    for line in fit_table.table(found, shutil.get_terminal_size().columns):
        print(line)
    if not isinstance(opened(), GitSource):
        print(
            "Whether a release contains what a patch fixes or requires, or the patch itself, needs"
            " a git source."
        )
    print(f"{words(PatchCheck, verbose=True)} prints every revision with git's reason.")
    return _exit_code(errors)


def _lines(found: Sequence[Fit]) -> Iterator[str]:
    width = max((len(fit.ref) for fit in found), default=0)
    for fit in found:
        detail = f": {fit.detail}" if fit.detail else ""
        sha = f"{fit.sha[:12]}  " if fit.sha else ""
        yield f"  {fit.ref:{width}}  {sha}{FITS[fit.state]}{detail}"


def _facts(made: Patch, found: Sequence[Fit]) -> dict[str, Any]:
    return {
        "title": made.meta.title,
        "files": list(made.files),
        "digest": made.digest,
        "applies": [asdict(fit) for fit in found],
    }


def _open(repo: str) -> GitSource:
    source = open_source("git", repo, say=_log)
    assert isinstance(source, GitSource)
    return source


def _log(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _print(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))
