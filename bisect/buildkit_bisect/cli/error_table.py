"""docs/errors.md, made from the code by ``python -m buildkit_bisect.cli.error_table``.

Every place that makes an error is found in the syntax tree, so the table cannot forget one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.options import command, requests
from buildkit_bisect.options.command import inv, words

_PACKAGE = Path(__file__).parents[1]

#: Classes that are no branch of the tree in `errors` but descend from it, by the root they
#: are shown under; a failed process that nobody explains is a failure around the experiment.
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
    2: ("bad input", "What was named does not exist or makes no sense. Nothing was changed.",
        "`./inv --help TASK`"),
    3: ("something is missing", "A program, privilege or download that this machine lacks.",
        f"`{inv('doctor')}`"),
    4: ("no answer", "The question was understood, and has no (sure) answer.",
        f"read the report; other ends, or more `{words(requests.Campaign, trials=True)}`"),
    5: ("infrastructure failed", "A registry, disk, engine or network; no word on BuildKit.",
        f"`{inv('doctor')}`, then `{inv('resume')}`"),
}  # fmt: skip

_HEAD = """# Errors

Every error is one line on stderr, `error: MESSAGE (try: REMEDY)`, and an exit code. The message
is the cause. Capitals stand for what differs. Exit 1 is a bug in this tool (it prints a report to
send) or, from `diff`, a cell that got worse; 130 is Ctrl-C. Made from the code by
`python -m buildkit_bisect.cli.error_table`.
"""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Row:
    """One error as the table shows it."""

    code: int
    module: str
    line: int
    message: str
    hint: str


def rows() -> list[Row]:
    """A row an error that has words of its own; others pass on what something else said."""
    return [row for row in _every() if row.message.strip(" .")]


def _every() -> list[Row]:
    """Every error that the package makes, by exit code, module and line."""
    return sorted(row for path in sorted(_PACKAGE.rglob("*.py")) for row in _in_module(path))


def text() -> str:
    """The whole of docs/errors.md."""
    parts = [_HEAD]
    found = rows()
    for code, (name, means, remedy) in _MEANS.items():
        parts.append(f"\n## {code}: {name}\n\n{means} Where a row has no remedy: {remedy}.\n")
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


def _cell(said: str) -> str:
    said = " ".join(said.split()).replace("|", "\\|")
    return f"`` {said} ``" if said else ""


def _in_module(path: Path) -> Iterator[Row]:
    module = path.relative_to(_PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")
    tree = ast.parse(path.read_text())
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        hint = next((_words(k.value, constants) for k in node.keywords if k.arg == "hint"), "")
        if node.func.id == "_require":  # scenario/check.py: condition, key, message
            said = f"KEY: {_words(node.args[2], {})}"
            yield Row(code=2, module=module, line=node.lineno, message=said,
                      hint="docs/scenarios.md")  # fmt: skip
        elif node.func.id in _KINDS:
            said = _words(node.args[0], {})
            if said not in ("MESSAGE", "WHERE: MESSAGE", "REASON"):  # passed on from elsewhere
                yield Row(code=_KINDS[node.func.id], module=module, line=node.lineno,
                          message=said, hint=hint)  # fmt: skip


def _words(node: ast.expr, constants: dict[str, ast.expr]) -> str:  # noqa: PLR0911 - a table
    """The text that an expression makes, with a name in capitals for what it puts in."""
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
    return "..."


def command_line(called: str, call: ast.Call, text_of: Callable[[ast.expr], str]) -> str:
    """What a call of `inv` or `words` makes, with *text_of* for what is no constant.

    Raises `LookupError` for a task or an option that does not exist.
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
