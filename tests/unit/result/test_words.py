"""Every word of a closed choice is written once, in its enum."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from buildkit_bisect import model
from buildkit_bisect.model import Stage, ToolOutcome, Verdict, VertexState
from buildkit_bisect.result import words
from buildkit_bisect.system.checkout import PROJECT

PACKAGE = Path(model.__file__).parent

#: Where the words are defined; `symbols` names its styles as the outcomes are named.
HOMES = {"model.py", "result/words.py", "render/symbols.py", "search/vocabulary.py"}

#: Fields and parameters that hold such a word.
FIELDS = {"change", "effect", "kind", "outcome", "phase", "stage", "state", "status", "verdict"}

CHOICES: list[type[StrEnum]] = [
    Stage,
    ToolOutcome,
    Verdict,
    VertexState,
    *(kind for kind in vars(words).values() if isinstance(kind, type) and kind is not StrEnum),
]
WORDS = {str(word) for choice in CHOICES for word in choice}

#: Those that mean nothing else, so that no other text is equal to one.
TELLING = {word for word in WORDS if "-" in word} | {
    *("infra", "flaky", "unclassified", "regressed", "regresses", "inconclusive", "interrupted"),
}


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, word) of each word that is written out instead of its enum's member."""
    for node in ast.walk(tree):
        for part in _telling(node):
            for leaf in ast.walk(part):
                if isinstance(leaf, ast.Constant) and leaf.value in WORDS:
                    yield leaf.lineno, leaf.value
        if isinstance(node, ast.Constant) and node.value in TELLING:
            yield node.lineno, node.value


def _telling(node: ast.AST) -> list[ast.expr]:
    """The expressions that *node* compares with one of `FIELDS`, or passes as one."""
    match node:
        case ast.Compare(left=left, comparators=others) if any(map(_is_field, [left, *others])):
            return [part for part in [left, *others] if not _is_field(part)]
        case ast.keyword(arg=name, value=value) if name in FIELDS:
            return [value] if isinstance(value, ast.Constant | ast.IfExp) else []
        case ast.Match(subject=subject, cases=cases) if _is_field(subject):
            return [c.pattern.value for c in cases if isinstance(c.pattern, ast.MatchValue)]
    return []


def _is_field(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=name)):
            return name in FIELDS
    return False


MODULES = sorted(
    name
    for path in PACKAGE.rglob("*.py")
    if (name := path.relative_to(PACKAGE).as_posix()) not in HOMES
)


@pytest.mark.parametrize("name", MODULES)
def test_no_module_writes_one_out(name: str) -> None:
    assert list(literals(ast.parse((PACKAGE / name).read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        'cell.verdict == "bad"',
        '"bad" != cell.verdict',
        'check.change in ("worse", "other")',
        'vertex["state"] == "failed"',
        'Result(kind="matrix")',
        'Info(status="range" if rest else "found")',
        'match info.status:\n case "refused": pass',
        '{"control-failed": 1}',
    ],
)
def test_one_that_is_written_out_is_found(code: str) -> None:
    assert list(literals(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ['source.kind == "git"', 'paths.scratch("build")', "cell.verdict == Verdict.BAD"]
)
def test_other_texts_are_none(code: str) -> None:
    assert list(literals(ast.parse(code))) == []


def test_the_documentation_has_the_tools_own_outcomes() -> None:
    text = (PROJECT / "docs" / "scenarios.md").read_text()
    reserved = text.partition("These names are reserved for outcomes")[2].partition("\n## ")[0]
    for outcome in ToolOutcome:
        (row,) = (line for line in reserved.splitlines() if line.startswith(f"| `{outcome}` |"))
        _, _, verdict, when, _ = row.split("|")
        assert verdict.strip().split(";")[0] == outcome.verdict
        assert when.strip() == outcome.means
