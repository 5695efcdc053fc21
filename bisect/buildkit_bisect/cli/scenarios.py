"""The ``scenario new`` task: a scenario of an issue's text."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from buildkit_bisect import scenario
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.errors import BadInput, printable
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import ScenarioNew
from buildkit_bisect.phrases import plural
from buildkit_bisect.scenario import paste_draft, paste_writer
from buildkit_bisect.scenario.load import NAME
from buildkit_bisect.scenario.paste_draft import Draft
from buildkit_bisect.source import github
from buildkit_bisect.system import paths, strictjson, web
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines

#: Longest text that is read, in bytes; GitHub's limit for an issue is 65,536 characters.
LONGEST = 1 << 18

#: Where new scenarios are, in the current directory.
FOLDER = "scenarios"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Text:
    text: str
    where: str  # for messages
    title: str = ""
    issue: str = ""


def new(request: ScenarioNew) -> int:
    """Write a scenario's folder, and print its steps and what was not taken."""
    if not request.from_:
        raise BadInput(
            "scenario new takes an issue's text",
            hint=inv("scenario-new", "NAME", from_="FILE"),
        )
    name, folder = _place(request.name)
    source = _read(request.from_)
    draft = paste_draft.draft(source.text)
    draft = replace(draft, title=source.title or draft.title, issue=source.issue or draft.issue)
    if not draft.steps:
        _refuse(draft, source)
    _write(folder, name, draft)
    _report(draft, folder, as_json=request.json)
    return DONE


def _place(text: str) -> tuple[str, Path]:
    """Return the name of a new scenario and its folder. Raises `BadInput`."""
    folder = paths.expanded(text) if "/" in text else Path(FOLDER) / text
    name = folder.name if "/" in text else text
    if not NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise BadInput(
            f"{name[:80]!r} is not a name of a scenario: a-z, 0-9 and -, at most"
            f" {_LONGEST_NAME} characters",
            hint=inv("scenario-new", "my-issue", from_="FILE"),
        )
    if os.path.lexists(folder):
        raise BadInput(
            f"{folder} exists already",
            hint=inv("scenario-new", "OTHER-NAME", from_="FILE"),
        )
    return name, folder


#: As `require.require_name` has it.
_LONGEST_NAME = 41


def _read(text: str) -> _Text:
    """Return the text of a file, of an address or of standard input. Raises `BadInput`."""
    if text == "-":
        return _Text(text=_decoded(sys.stdin.buffer.read(LONGEST + 1), "standard input"),
                     where="standard input")  # fmt: skip
    if (issue := github.issue(text)) and not Path(text).exists():
        return _of_issue(issue)
    if "://" in text:
        where = web.shown(text)
        if not re.match(r"[a-z]+://[^/]", text, re.IGNORECASE):
            raise BadInput(f"{where} has no host", hint=words(ScenarioNew, from_="URL"))
        data = _fetched(text, where)
        if data.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
            raise BadInput(
                f"{where} is a web page, not a text",
                hint="the address of an issue on GitHub, or save the text in a file",
            )
        return _Text(text=_decoded(data, where), where=where)
    return _Text(text=_decoded(_file(paths.expanded(text), text), text), where=text)


def _file(path: Path, text: str) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a FIFO is never read to its end
            raise BadInput(f"{text} is not a file", hint=words(ScenarioNew, from_="FILE"))
        with path.open("rb") as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        raise BadInput(
            f"cannot read {text}: {error.strerror or error}", hint=words(ScenarioNew, from_="FILE")
        ) from None


def _decoded(data: bytes, where: str) -> str:
    if len(data) > LONGEST:
        raise BadInput(f"{where} is larger than {LONGEST} bytes", hint="the part with the commands")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{where} is not UTF-8 (byte {error.start})", hint=words(ScenarioNew, from_="FILE")
        ) from None
    if not text.strip():
        raise BadInput(f"{where} is empty", hint=words(ScenarioNew, from_="FILE"))
    return text


def _of_issue(issue: github.Issue) -> _Text:
    where = f"{issue.repo}#{issue.number}"
    data = _fetched(issue.data, where)
    try:
        found: Any = strictjson.loads(data.decode())
        title, body = found.get("title"), found["body"]
    except (ValueError, KeyError, AttributeError):
        raise BadInput(
            f"{where}: GitHub's answer has no text of an issue",
            hint="save the text in a file",
        ) from None
    if not isinstance(body, str) or not body.strip():
        raise BadInput(f"{where} has no text", hint="a comment: its address with #issuecomment-N")
    return _Text(
        text=_decoded(body.encode(errors="replace"), where),
        where=where,
        title=title if isinstance(title, str) else "",
        issue=issue.page,
    )


def _fetched(url: str, where: str) -> bytes:
    try:
        with announce(f"downloading {where}"):
            return web.read(url, most=LONGEST, within=Deadlines().connect)
    except web.NotServed as error:
        if error.passing:
            raise
        raise BadInput(
            f"cannot download {where}: {error.message.removeprefix(f'{where}: ')}",
            hint="save the text in a file",
        ) from None


def _refuse(draft: Draft, source: _Text) -> None:
    """Raise `BadInput` for a text without a build, after a line for each of its lines."""
    for line in paste_writer.unresolved(draft):
        _log(line)
    if refused := {one.number for one in draft.left if one.build}:
        were = "was" if len(refused) == 1 else "were"
        raise BadInput(
            f"{source.where}: {plural(len(refused), 'build')} {were} not taken, for the reasons"
            " above, and there is no other",
            hint="a file with the Dockerfile and the build's command",
        )
    raise BadInput(
        f"{source.where} has no build that can be a step: neither a Dockerfile nor a line with"
        " docker build, docker buildx build or buildctl build",
        hint="a file with the Dockerfile and the build's command",
    )


def _write(folder: Path, name: str, draft: Draft) -> None:
    """Write the folder as a whole. Raises `BadInput`, and leaves nothing, if it does not load."""
    new = not folder.parent.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    tmp = folder.parent / f".{name}.{os.getpid()}"
    try:
        tmp.mkdir()
        for file, text in paste_writer.files(draft, name).items():
            (tmp / file).write_text(text, encoding="utf-8", errors="replace")
        try:
            scenario.load(f"{tmp}/scenario.toml")
        except BadInput as error:
            what = error.message.replace(str(tmp), str(folder))
            raise BadInput(f"the scenario would not load: {what}", hint=error.hint) from None
        tmp.rename(folder)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        if new and not folder.exists():
            folder.parent.rmdir()


def _report(draft: Draft, folder: Path, *, as_json: bool) -> None:
    shown = str(folder) if "/" in str(folder) else f"./{folder}"
    if as_json:
        print(json.dumps(_facts(draft, shown), indent=1, ensure_ascii=False))
        return
    for line in paste_writer.summary(draft, shown):
        print(printable(line))
    print(f"next: {_next(draft, shown)}")


def _facts(draft: Draft, folder: str) -> Mapping[str, Any]:
    return {
        "folder": folder,
        "issue": draft.issue,
        "steps": [{"line": step.number, **step.values} for step in draft.steps],
        "images": {twin.name: twin.public for twin in draft.twins},
        "not_taken": [
            {"line": one.number, "text": one.source, "reason": one.reason} for one in draft.left
        ],
        "notes": list(draft.notes),
        "outcomes": [dict(rule) for rule in draft.outcomes],
        "next": _next(draft, folder),
    }


def _next(draft: Draft, folder: str) -> str:
    """Return what follows: a run, with the last release that the text names, or rules to learn."""
    releases = draft.releases
    run = inv("run", rev=releases[-1] if releases else "v0.26.0", scenario=folder)
    if draft.said.cached or draft.said.error:
        return run
    # Every outcome is weak: what tells a good revision from a bad one can be seen only at both.
    ends = sorted(set(releases), key=lambda tag: [int(part) for part in tag[1:].split(".")])
    good = ends[0] if len(ends) > 1 else "R"
    return f"{run}, or {inv('scenario-learn', folder, good=good, bad=ends[-1] if ends else 'R')}"


def _log(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
