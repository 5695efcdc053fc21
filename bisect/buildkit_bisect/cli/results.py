"""``report``, ``status``, ``resume``: campaigns that have a folder already."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from buildkit_bisect import result
from buildkit_bisect.campaign import record
from buildkit_bisect.cli import options, png
from buildkit_bisect.cli import post as posting
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.cli.options import Raw
from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.live import follow
from buildkit_bisect.render import compare, github, redact, reports
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import one_line
from buildkit_bisect.system import paths

#: Tasks that are campaigns: what `resume` may run again.
_CAMPAIGNS = ("run", "matrix", "bisect", "boundaries", "validate")

#: Exit code of `diff` where something got worse, as diff(1) has it.
WORSE = 1


def report(raw: Mapping[str, Raw]) -> int:
    """Render a result again, from its document alone."""
    folder = _folder(raw)
    done = result.read(folder)
    form = options.one_of("format", raw.get("format", ""), ("files", "github-matrix"))
    if form == "github-matrix":
        print(github.strategy_of(done))
        return DONE
    target = options.option("publish", raw.get("publish", ""))
    if target:
        done, folder = redact.cleaned(done), Path(target)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"cannot write to {folder}: {error.strerror}", hint="--publish DIR"
            ) from None
        result.write(done, folder)
    written = reports.write(done, folder, Templates(options.templates(raw.get("templates", ""))))
    for path in written:
        print(printable_line(path))
    if options.flag("png", raw.get("png", False)):
        for path in written:
            if path.suffix == ".svg":
                print(printable_line(png.png(path, path.with_suffix(".png"))))
    return DONE


def diff(raw: Mapping[str, Raw]) -> int:
    """What changed from one campaign to another; 1 where any cell got worse."""
    sides = [options.option(name, raw.get(name, "")) for name in ("before", "after")]
    if not all(sides):
        raise BadInput("diff needs two campaigns", hint="./inv diff ID ID")
    old, new = (result.read(_folder({**raw, "id": side})) for side in sides)
    found = compare.compare(old, new)
    print(compare.text(found), end="")
    return WORSE if found.worse else DONE


def post(raw: Mapping[str, Raw]) -> int:
    """Comment on an issue through ``gh``, after showing what would be posted."""
    folder = _folder(raw)
    issue = options.number("issue", raw.get("issue", ""), 1, 10**9)
    if issue is None:
        raise BadInput("which issue?", hint="./inv post ID --issue 6893")
    sure = options.flag("yes", raw.get("yes", False))
    repo = options.option("to", raw.get("to", "")) or "moby/buildkit"
    url = posting.post(
        result.read(folder),
        folder,
        issue=issue,
        repo=repo,
        confirm=lambda shown: _confirm(shown, sure=sure),
        templates=Templates(options.templates(raw.get("templates", ""))),
    )
    print(url or "nothing was posted")
    return DONE


def _confirm(shown: str, *, sure: bool) -> bool:
    print(shown, flush=True)
    if sure:
        return True
    try:
        return input("Post this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to ask
        print("\nno answer; --yes posts without asking")
        return False


def status(raw: Mapping[str, Raw]) -> int:
    """Every campaign in a line; with an id, one as its own terminal shows it."""
    if options.option("id", raw.get("id", "")):
        events = _folder(raw) / record.EVENTS
        if not events.is_file():
            raise BadInput(f"no campaign in {events.parent}", hint="./inv status")
        one = record.read(events.parent)
        follow(
            events,
            sys.stdout,
            watch=options.flag("watch", raw.get("watch", False)),
            alive=one.alive,
        )
        return DONE
    found = record.campaigns(_out(raw), _warn)
    for one in found:
        said = f"{one.status}: {one.reason}" if one.reason else one.status
        print(f"{printable_line(one.id)}  {one_line(said)}\n    {one_line(one.command)}")
    if not found:
        print(f"no campaigns in {printable_line(_out(raw))}")
    return DONE


def resume(raw: Mapping[str, Raw]) -> int:
    """Run an unfinished campaign's command again; builds and trials it paid for are reused."""
    if options.option("id", raw.get("id", "")):
        found = record.read(_folder(raw))
    else:
        known = record.campaigns(_out(raw), _warn)
        unfinished = [r for r in known if r.status in record.UNFINISHED]
        if not unfinished:
            raise BadInput(f"no unfinished campaign in {_out(raw)}", hint="./inv status")
        found = unfinished[-1]
    # One that cannot be seen from here may be dead, and its user knows: its id was given.
    if found.status == "running" and found.gone is False:
        raise BadInput(f"{found.id} is running, as process {found.pid}", hint="./inv status")
    words = _words(found)
    said = f"resuming {printable_line(found.id)}: {one_line(found.command)}"
    print(said, file=sys.stderr, flush=True)
    os.environ[options.RESUMED] = ",".join([*found.resumed, found.id])
    out = str(found.folder.parent.absolute())
    if found.cwd:
        os.chdir(found.cwd)
    argv = [sys.executable, "-m", "buildkit_bisect", "--search-root", str(paths.PROJECT)]
    os.execv(sys.executable, [*argv, *words[1:], "--out", out])


def _warn(text: str) -> None:
    print(f"warning: {printable_line(text)}", file=sys.stderr)


def _words(found: record.Record) -> list[str]:
    """The words of a campaign's command. Raises `BadInput` where it is not one of ours."""
    try:
        words = shlex.split(found.command)
    except ValueError:
        words = []
    if words[:2] not in (["./inv", kind] for kind in _CAMPAIGNS):
        raise BadInput(
            f"{found.folder}: not a campaign's command: {found.command!r}", hint="./inv status"
        )
    return words


def _out(raw: Mapping[str, Raw]) -> Path:
    return options.read("status", {"out": raw.get("out", "")}).out


def _folder(raw: Mapping[str, Raw]) -> Path:
    name = options.option("id", raw.get("id", ""))
    if not name:
        raise BadInput("which campaign?", hint="./inv status")
    direct = Path(name)
    below = _out(raw) / name
    return direct if direct.is_dir() and "/" in name else below
