"""``patch-new``, ``patch-list``, ``patch-check``: the candidates, and where each applies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from buildkit_bisect.cli import options
from buildkit_bisect.cli.guard import BAD_INPUT, DONE
from buildkit_bisect.cli.options import Raw
from buildkit_bisect.errors import BadInput, printable
from buildkit_bisect.patch import backports, patches, patchmaker
from buildkit_bisect.patch.backports import Fit
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.patch.patchmaker import Work
from buildkit_bisect.render.symbols import FITS
from buildkit_bisect.source import DEFAULT_REPO, GitSource, open_source
from buildkit_bisect.system import paths

Loaded = TypeVar("Loaded")

_ORIGINS = ("from-worktree", "from-branch", "from-pr")


def new(raw: Mapping[str, Raw]) -> int:
    """Make a patch folder of a contributor's work, and say where it applies."""
    name = _text("name", raw)
    given = {origin: _text(origin, raw) for origin in _ORIGINS}
    named = [origin for origin, value in given.items() if value]
    if not name or len(named) != 1:
        raise BadInput(
            "a patch is made from one place",
            hint="./inv patch-new NAME --from-worktree DIR, --from-branch REF or --from-pr N",
        )
    root = _root(raw)
    patchmaker.check_name(name, root)
    with _work(raw, named[0], given[named[0]]) as (source, work):
        if doubt := patchmaker.doubt(work):
            _tell(f"warning: {doubt}")
        made = patchmaker.new(name, work, source, root=root, title=_text("title", raw))
    found = backports.table(source, backports.lines(source), [made])
    if _json(raw):
        _print({"name": name, "folder": made.folder, "base": work.base.sha, **_facts(made, found)})
        return DONE
    print(f"{name}: {made.meta.title}, made on {work.base.ref}\n{made.folder}")
    for line in _lines(found):
        print(line)
    return DONE


@contextmanager
def _work(raw: Mapping[str, Raw], origin: str, value: str) -> Iterator[tuple[GitSource, Work]]:
    repo, base = _text("repo", raw), _text("base", raw)
    match origin:
        case "from-worktree":
            folder = Path(value).absolute()
            patchmaker.check_worktree(folder)
            source = _open(repo or str(folder))
            with patchmaker.of_worktree(folder, source, base=base) as work:
                yield source, work
        case "from-branch":
            source = _open(repo or DEFAULT_REPO)
            yield source, patchmaker.of_commits(source, value, base=base)
        case _:
            number = options.number("from-pr", value, 1, 10**9)
            assert number
            source = _open(repo or DEFAULT_REPO)
            url = patchmaker.pull_url(repo or DEFAULT_REPO, number)
            yield source, patchmaker.of_commits(source, f"pull/{number}", base=base, origin=url)


def list_(raw: Mapping[str, Raw]) -> int:
    """Every patch and series; a folder with a mistake is listed with it, exit 2."""
    root = _root(raw)
    found, mistakes = _each(patches.names(root), lambda name: _listed(name, root))
    known = list(found.values())
    if _json(raw):
        _print(known)
    else:
        for one in known:
            print(f"{one['name']}: {one['title']}")
            what = f"series: {', '.join(one['series'])}" if one["series"] else (
                f"touches {', '.join(one['files'])}")  # fmt: skip
            print(f"    {what}")
        if not known and not mistakes:
            print(f"no patches in {root}")
    return _told(mistakes)


def _each(
    names: Sequence[str], load: Callable[[str], Loaded]
) -> tuple[dict[str, Loaded], dict[str, BadInput]]:
    """What *load* makes of each name, and the mistakes of those of which it makes nothing."""
    found, mistakes = {}, {}
    for name in names:
        try:
            found[name] = load(name)
        except BadInput as error:
            mistakes[name] = error
    return found, mistakes


def _told(mistakes: Mapping[str, BadInput]) -> int:
    """The exit code, once the mistakes are on stderr, a line each."""
    for name, mistake in mistakes.items():
        _tell(f"error: {name if name.isprintable() else ascii(name)}: {mistake}")
    return BAD_INPUT if mistakes else DONE


def _listed(name: str, root: Path) -> dict[str, Any]:
    meta = patches.metadata(root / name)
    parts = patches.load_many(name, root)
    return {
        "name": name,
        "title": meta.title,
        "claim": meta.claim.strip(),
        "source": meta.source,
        "series": list(meta.series),
        "files": sorted({f for part in parts for f in part.files}),
        "digests": [part.digest for part in parts],
    }


def check(raw: Mapping[str, Raw]) -> int:
    """Where patches apply, are already there, or conflict; exit 2 where one has a mistake."""
    root = _root(raw)
    named = [n for n in _text("patches", raw).split(",") if n]
    names = named or patches.names(root)
    loaded, mistakes = _each(names, lambda name: patches.load_many(name, root))
    if mistakes and not loaded:
        return _told(mistakes)
    if not loaded:
        raise BadInput(f"no patches in {root}", hint="./inv patch-new NAME --from-branch REF")
    source = _open(_text("repo", raw) or DEFAULT_REPO)
    revs = [r for r in _text("revs", raw).split(",") if r]
    revisions = [source.resolve(r) for r in revs] if revs else backports.lines(source)
    found = {name: backports.table(source, revisions, parts) for name, parts in loaded.items()}
    if _json(raw):
        _print([
            {"name": name, "applies": [asdict(fit) for fit in fits]}
            for name, fits in found.items()
        ])  # fmt: skip
        return _told(mistakes)
    for name, fits in found.items():
        print(name)
        for line in _lines(fits):
            print(line)
    return _told(mistakes)


def _lines(found: Sequence[Fit]) -> Iterator[str]:
    width = max((len(fit.ref) for fit in found), default=0)
    for fit in found:
        detail = f": {fit.detail}" if fit.detail else ""
        yield f"  {fit.ref:{width}}  {fit.sha[:12]}  {FITS[fit.state]}{detail}"


def _facts(made: Patch, found: Sequence[Fit]) -> dict[str, Any]:
    return {
        "title": made.meta.title,
        "files": list(made.files),
        "digest": made.digest,
        "applies": [asdict(fit) for fit in found],
    }


def _open(repo: str) -> GitSource:
    source = open_source("git", repo, say=_tell)
    assert isinstance(source, GitSource)
    return source


def _tell(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _root(raw: Mapping[str, Raw]) -> Path:
    named = _text("into", raw)
    return Path(named).absolute() if named else paths.PATCHES


def _text(name: str, raw: Mapping[str, Raw]) -> str:
    return options.option(name, raw.get(name.replace("-", "_"), ""))


def _json(raw: Mapping[str, Raw]) -> bool:
    return options.flag("json", raw.get("json", False))


def _print(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))
