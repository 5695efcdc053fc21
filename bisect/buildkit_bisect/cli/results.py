"""The tasks on existing campaigns: ``report``, ``diff``, ``post``, ``status`` and ``resume``."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from buildkit_bisect import render, result
from buildkit_bisect.campaign import find, record
from buildkit_bisect.cli import png
from buildkit_bisect.cli import post as posting
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.live import follow
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import Format
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.groups import named
from buildkit_bisect.options.option import options_of
from buildkit_bisect.render import compare, github, redact, reports
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import one_line
from buildkit_bisect.result import CampaignStatus
from buildkit_bisect.system import checkout
from buildkit_bisect.system.addresses import is_link

#: The campaign tasks, which `resume` may run again.
#: Exit code of `diff` if a cell got worse, like that of diff(1) for a difference.
WORSE = 1


def report(request: requests.Report) -> int:
    """Render a campaign's reports again from its result document."""
    folder = find.find(request.id, request.out)
    done = result.read(folder)
    if request.format is Format.GITHUB_MATRIX:
        print(github.strategy_of(done))
        return DONE
    done = _with_page(done, request.publish)
    if request.copy:
        done, folder = redact.cleaned(done), Path(request.copy)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"cannot write to {folder}: {error.strerror}",
                hint=words(requests.Report, copy="DIR"),
            ) from None
        result.write(done, folder)
    written = reports.write(done, folder, Templates(request.templates))
    for path in written:
        print(printable_line(path))
    if request.png:
        for path in written:
            if path.suffix == ".svg":
                print(printable_line(png.png(path, path.with_suffix(".png"))))
    return DONE


def diff(request: requests.Diff) -> int:
    """Print what changed between two campaigns. Return 1 if any cell got worse."""
    sides = (request.before, request.after)
    if not all(sides):
        raise BadInput("diff needs two campaigns", hint=inv("diff", "ID", "ID"))
    old, new = (result.read(find.find(side, request.out)) for side in sides)
    found = compare.compare(old, new)
    print(compare.text(found), end="")
    return WORSE if found.worse else DONE


def post(request: requests.Post) -> int:
    """Post a report as a comment with ``gh``, after showing it; with ``--dry-run`` only show it."""
    folder = find.find(request.id, request.out)
    done = _with_page(result.read(folder), request.publish)
    if request.dry_run:
        print(posting.comment(done, folder, Templates(request.templates)), end="")
        return DONE
    if request.issue is None:
        raise BadInput("no issue given", hint=inv("post", "ID", issue=6893))
    url = posting.post(
        done,
        folder,
        issue=request.issue,
        repo=request.to,
        confirm=lambda shown: _confirm(shown, sure=request.yes),
        templates=Templates(request.templates),
    )
    print(url or "nothing was posted")
    if url:
        _keep_comment(done, url, folder, Templates(request.templates))
    return DONE


def _with_page(done: result.Result, publish: str) -> result.Result:
    """Return *done* with the address of its page, if *publish* says it."""
    return replace(done, page=publish.replace("{id}", done.id)) if publish else done


def _keep_comment(done: result.Result, url: str, folder: Path, templates: Templates) -> None:
    """Write where *done* was posted into its document, and the reports, which link there."""
    if not is_link(url):
        return
    posted = replace(done, comment=url)
    try:
        result.write(posted, folder)
        reports.write(posted, folder, templates)
    except OSError as error:
        _warn(f"the page has no link to the comment: {folder}: {error.strerror}")


def _confirm(shown: str, *, sure: bool) -> bool:
    print(shown, flush=True)
    if sure:
        return True
    try:
        return input("Post this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # not interactive
        print(f"\nno answer; {words(requests.Post, yes=True)} posts without asking")
        return False


def status(request: requests.Status) -> int:
    """List all campaigns and show the latest; with an ID, show only that one.

    A campaign is shown as on its own terminal.
    """
    if not request.id:
        found = record.campaigns(request.out, _warn)
        if not request.watch:
            for one in found:
                _list(one)
        if not found:
            print(f"no campaigns in {printable_line(request.out)}")
        elif request.watch or (found[-1].folder / record.EVENTS).is_file():
            print(flush=True)
            _show(found[-1].folder, watch=request.watch)
        return DONE
    _show(find.find(request.id, request.out), watch=request.watch)
    return DONE


def _list(one: record.Record) -> None:
    state = f"{one.status}: {one.reason}" if one.reason else one.status
    print(f"{printable_line(one.id)}  {one_line(state)}\n    {one_line(one.command)}")


def _show(folder: Path, *, watch: bool) -> None:
    """Show a campaign by its events, or by its document if it was published without them."""
    events = folder / record.EVENTS
    if events.is_file():
        one = record.read(folder)
        follow(events, sys.stdout, watch=watch, alive=one.alive)
        return
    if (folder / record.FILE).is_file() and not (folder / "result.json").is_file():
        _list(record.read(folder))  # it ended before its first event
        return
    done = result.read(folder)
    print(f"{printable_line(done.id)}  {one_line(done.status)}\n    {one_line(done.command)}")
    print(one_line(render.finding(done)))


_TWINS = {option.key: option.twin for option in options_of(requests.Campaign)}
_STORE, _STORE_KEY, _EXECUTOR = (_TWINS[key] for key in ("store", "store_key", "executor"))


def resume(request: requests.Resume) -> int:
    """Run an unfinished campaign's command again; completed builds and trials are reused."""
    if request.id:
        folder = find.find(request.id, request.out)
        if not (folder / record.FILE).is_file():
            raise BadInput(
                f"{folder} is a copy of a campaign's reports: nothing in it can be resumed",
                hint=inv("status"),
            )
        found = record.read(folder)
    else:
        known = record.campaigns(request.out, _warn)
        unfinished = [r for r in known if r.status in record.UNFINISHED]
        if not unfinished:
            raise BadInput(f"no unfinished campaign in {request.out}", hint=inv("status"))
        found = unfinished[-1]
    # A process that cannot be seen from here may be dead: the user, who gave the ID, must know.
    if found.status == CampaignStatus.RUNNING and found.gone is False:
        raise BadInput(f"{found.id} is running, as process {found.pid}", hint=inv("status"))
    command = _words_of(found)
    message = f"resuming {printable_line(found.id)}: {one_line(found.command)}"
    print(message, file=sys.stderr, flush=True)
    os.environ[record.RESUMED] = ",".join([*found.resumed, found.id])
    os.environ[record.KEPT] = str((found.folder / record.PATCHES).absolute())
    if found.store_key and _STORE in os.environ:
        # The command does not name it, and a store without it is another degree of trust.
        os.environ.setdefault(_STORE_KEY, found.store_key)
    if found.executor:  # nor this
        os.environ.setdefault(_EXECUTOR, found.executor)
    out = str(found.folder.parent.absolute())
    if found.cwd:
        os.chdir(found.cwd)
    argv = [sys.executable, "-m", "buildkit_bisect", "--search-root", str(checkout.PROJECT)]
    place = words(requests.Campaign, out=True)
    os.execv(sys.executable, [*argv, *command[1:], place, out])


def _warn(text: str) -> None:
    print(f"warning: {printable_line(text)}", file=sys.stderr)


def _words_of(found: record.Record) -> list[str]:
    """Return the words of a campaign's command. Raises `BadInput` if it is not a campaign's."""
    try:
        command = shlex.split(found.command)
    except ValueError:
        command = []
    kind = named(command[1], command[2:]) if len(command) > 1 else None
    if kind is None or not issubclass(kind, requests.Campaign) or command[0] != "./inv":
        raise BadInput(
            f"{found.folder}: not the command of a campaign: {found.command!r}", hint=inv("status")
        )
    return command
