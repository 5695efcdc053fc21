"""Generates docs/errors.md: ``python -m buildkit_bisect.cli.error_table``.

Every place that raises an error is found in the syntax tree, so the table is complete.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.options import command, requests
from buildkit_bisect.options.command import inv, words

_PACKAGE = Path(__file__).parents[1]

#: The exit code of each error class. Subclasses defined outside `errors` have their base class's.
#: A failed process without an explanation is an infrastructure failure.
_KINDS = {
    "BadInput": 2,
    "Missing": 3,
    "NoAnswer": 4,
    "InfraFailed": 5,
    "NotServed": 5,
    "NotServedNow": 5,
    "Unreachable": 5,
    "WheelRefused": 5,
}
_MEANS = {
    2: ("bad input", "The input is invalid or does not exist. Nothing was changed.",
        "`./inv --help TASK`"),
    3: ("missing requirement", "This machine lacks a program, a privilege or a download.",
        f"`{inv('doctor')}`"),
    4: ("no answer", "The request was valid, but has no certain answer.",
        f"read the report; other endpoints, or more `{words(requests.Campaign, trials=True)}`"),
    5: ("infrastructure failure", "A registry, disk, Engine or network failed, not BuildKit.",
        f"`{inv('doctor')}`, then `{inv('resume')}`"),
}  # fmt: skip

#: Where the keys of TOML files are explained.
_SCENARIO = "docs/scenarios.md"
_FILES = f"{_SCENARIO}, or docs/patches.md for patch.toml"

_HEAD = """# Errors

Every error is one line on stderr, `error: MESSAGE (try: REMEDY)`, and an exit code. The message
states the cause. Words in capitals and `...` stand for what varies; `HINT` is a remedy that depends
on the cause. Exit code 1 is a bug in this tool (it prints a report to send) or, from `diff`, a cell
that got worse; 130 is Ctrl-C. Generated from the code by
`python -m buildkit_bisect.cli.error_table`.
"""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Row:
    """One error in the table."""

    code: int
    module: str
    line: int
    message: str
    hint: str


def rows() -> list[Row]:
    """Return a row for each error that has its own message; the others pass one on."""
    return [row for row in _every() if row.message.strip(" .")]


def _every() -> list[Row]:
    """Return every error that the package raises, by exit code, module and line."""
    return sorted(row for path in sorted(_PACKAGE.rglob("*.py")) for row in _in_module(path))


def text() -> str:
    """Return the content of docs/errors.md."""
    parts = [_HEAD]
    found = rows()
    for code, (name, means, remedy) in _MEANS.items():
        parts.append(f"\n## {code}: {name}\n\n{means} If a row has no remedy: {remedy}.\n")
        last = ""
        for row in found:
            if row.code != code:
                continue
            if row.module != last:
                parts.append(
                    f"\n### {row.module}\n\n| message and cause | remedy |\n| --- | --- |\n"
                )
                last = row.module
            parts.append(f"| {_cell(row.message)} | {_cell(row.hint)} |\n")
    return "".join(parts)


def _cell(content: str) -> str:
    content = " ".join(content.split()).replace("|", "\\|")
    return f"`` {content} ``" if content else ""


def _in_module(path: Path) -> Iterator[Row]:
    module = path.relative_to(_PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")
    tree = ast.parse(path.read_text())
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        if about := _about_key(node):
            yield Row(code=2, module=module, line=node.lineno, message=f"KEY: {about}",
                      hint=_SCENARIO if module.startswith("scenario/") else _FILES)  # fmt: skip
        if not isinstance(node.func, ast.Name):
            continue
        hint = next((_words(k.value, constants) for k in node.keywords if k.arg == "hint"), "")
        if node.func.id in _KINDS:
            message = _words(node.args[0], {})
            if message not in ("MESSAGE", "WHERE: MESSAGE", "REASON"):  # passed on from elsewhere
                yield Row(code=_KINDS[node.func.id], module=module, line=node.lineno,
                          message=message, hint=hint)  # fmt: skip


def _about_key(call: ast.Call) -> str:
    """Return the message of a call that checks a key of a TOML file; "" if it is another call."""
    match call:
        case ast.Call(func=ast.Name(id="require"), args=[_, _, message]):  # scenario/require.py
            return _words(message, {})
        case ast.Call(func=ast.Attribute(attr="_wrong"), args=[_, message]):  # system/typed.py
            return _words(message, {})
    return ""


def _words(node: ast.expr, constants: dict[str, ast.expr]) -> str:  # noqa: C901, PLR0911 - a table
    """Return the text of an expression, with the names of variables in capitals."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_words(value, constants) for value in values)
        case ast.FormattedValue(value=value):
            return _words(value, constants)
        case ast.IfExp(body=body, orelse=other):
            both = [_words(part, constants) for part in (body, other)]
            return " or ".join(filter(None, both))
        case ast.Name(id=name) if name in constants:
            return _words(constants[name], constants)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").upper()
        case ast.Subscript(value=value):
            return _words(value, constants)
        case ast.Call(func=ast.Name(id="inv" | "words" as called)):
            return command_line(called, node, lambda part: _words(part, constants))
        case ast.Call(func=ast.Name(id="shown"), args=[value]):
            return _words(value, constants)
        case ast.Call(func=ast.Name(id="not_one_of"), args=[word, *_]):
            return f"{_words(word, constants)} is not one of ..."
    return "..."


def command_line(called: str, call: ast.Call, text_of: Callable[[ast.expr], str]) -> str:
    """Return what a call of `inv` or `words` returns; *text_of* converts non-constant arguments.

    Raises `LookupError` if the task or an option does not exist.
    """

    def value(part: ast.expr) -> command.Value:
        constant = part.value if isinstance(part, ast.Constant) else None
        return constant if isinstance(constant, str | int | float) else text_of(part)

    options = {str(k.arg): value(k.value) for k in call.keywords}
    if called == "inv":
        return command.inv(*(str(value(part)) for part in call.args), **options)
    return command.words(getattr(requests, ast.unparse(call.args[0]).rpartition(".")[2]), **options)


if __name__ == "__main__":
    print(text(), end="")
