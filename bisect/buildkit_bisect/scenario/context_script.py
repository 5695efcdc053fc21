"""The build context as bash commands, for the script of `reproduction`. Pure."""

from __future__ import annotations

import base64
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from buildkit_bisect.scenario import content, shell
from buildkit_bisect.scenario.definition import Action, Scenario, Step

#: The folder of the build context in the script.
CONTEXT = PurePosixPath("context")

#: Actions whose commands `action` returns.
ACTIONS = (Action.WRITE, Action.DELETE, Action.RENAME, Action.MKDIR)

#: Fails if a folder above a path is a link: as in a trial, nothing outside of the context changes.
_GUARD = """\
guard() {
  local path at rest
  for path; do
    at=${path%%/*} rest=${path#*/}
    while [[ $rest == */* ]]; do
      at+=/${rest%%/*} rest=${rest#*/}
      [ ! -L "$at" ] || { echo "$at is a symbolic link, which steps do not follow"; return 1; }
    done
  done
}"""


def functions(steps: Iterable[Step]) -> str:
    """Return the bash function that the commands of `action` use; "" if there are none."""
    return _GUARD if any(step.action in ACTIONS for step in steps) else ""


def begin(scenario: Scenario) -> Iterator[str]:
    """Yield the commands that make the initial context."""
    spec = scenario.context
    if spec.folder:
        for entry in content.tree(scenario.folder(spec.folder)):
            path = str(CONTEXT / entry.path)
            if entry.symlink:
                yield f"ln -s -- {shlex.quote(entry.symlink)} {shlex.quote(path)}"
            elif entry.source:
                yield bytes_to(path, entry.source.read_bytes())
                yield from _mode(path, "" if entry.mode == content.FILE_MODE else "755")
            else:
                yield f"mkdir {shlex.quote(path)}"
    if spec.busybox:
        yield f'install -m 755 "$(command -v busybox)" {CONTEXT}/busybox'
    if spec.folder or spec.busybox:
        yield f"find {CONTEXT} -exec touch -h -d @{content.MTIME} {{}} +"


def action(step: Step, scenario: Scenario, text: Callable[[str], str]) -> str:
    """Return the commands of a step that changes the context; *text* fills in placeholders.

    They are one command, in a subshell: it fails where the first of them does.
    """
    return "\n".join(["( set -e", *_commands(step, scenario, text), ")"])


def _commands(step: Step, scenario: Scenario, text: Callable[[str], str]) -> list[str]:
    path = CONTEXT / step.path
    quoted = _quoted(path)
    guard = f"guard {quoted}"
    match step.action:
        case Action.DELETE:
            return [guard, f"rm -r {quoted}"]
        case Action.RENAME:
            to = CONTEXT / step.to
            return [f"{guard} {_quoted(to)}", _parents(to), f"mv -T {quoted} {_quoted(to)}"]
        case Action.MKDIR:
            # With a slash at its end, the path itself must not be a link either.
            made = [f"guard {_quoted(path, '/')}", f"mkdir -p {quoted}"]
        case _:
            made = [guard, _parents(path), f"rm -f {quoted}"]
            if step.symlink:
                made += [f"ln -s -- {shlex.quote(text(step.symlink))} {quoted}"]
            else:
                made += [bytes_to(str(path), content.data(step, scenario, text))]
    made += _mode(str(path), step.mode)
    made += [f"touch -h -d @{step.mtime} {quoted}"] if step.mtime is not None else []
    return made


def bytes_to(path: str, data: bytes) -> str:
    """Return a command that writes *data* to *path*; as text, if it is text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if data and not all(c.isprintable() or c in "\t\n" for c in text or "\0"):
        lines = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 100))
        return f"base64 -d > {shlex.quote(path)} <<{shell.document(lines)}"
    if "\n" in text.rstrip("\n") and text.endswith("\n"):
        return shell.file(path, text)
    return f"printf %s {shlex.quote(text)} > {shlex.quote(path)}"


def _quoted(path: PurePosixPath, end: str = "") -> str:
    return shlex.quote(f"{path}{end}")


def _parents(path: PurePosixPath) -> str:
    return f"mkdir -p {_quoted(path.parent)}"


def _mode(path: str, mode: str) -> list[str]:
    return [f"chmod {mode} {shlex.quote(path)}"] if mode else []
