"""The files that a test uses, beyond its own imports."""

from __future__ import annotations

import pytest

from buildkit_bisect.cli import uses
from buildkit_bisect.system.checkout import PROJECT

A = "buildkit_bisect.a"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import worlds, os.path", {"worlds", "os.path"}),
        ("from buildkit_bisect.a import b as c", {A, f"{A}.b"}),
        ("def f():\n    from buildkit_bisect.a import (\n        b,\n    )", {A, f"{A}.b"}),
        ("from . import x", set()),
        # Code for another interpreter; an f-string may contain only part of it.
        ("RUN = 'import sys\\nfrom buildkit_bisect.a import b, c\\n'", {A, f"{A}.b", f"{A}.c"}),
        ("f'from buildkit_bisect.a import b; b({x})'", {A, f"{A}.b"}),
        ("patch('buildkit_bisect.a.b.f', None)", {A, f"{A}.b", f"{A}.b.f"}),
    ],
)
def test_imports(text: str, found: set[str]) -> None:
    assert uses._imports(text) == found


@pytest.mark.parametrize(
    ("text", "path", "named"),
    [
        ('(PROJECT / "docs" / "errors.md")', "docs/errors.md", True),
        ('(PROJECT / "docs/errors.md")', "docs/errors.md", True),
        ('(PROJECT / "docs" / "errors.md")', "docs/search.md", False),
        ('(PROJECT / "results").glob("*")', "results/issue-1/matrix/result.json", True),
        ('"bisect" / "buildkit_bisect"', "bisect/buildkit_bisect/model.py", True),
        ('"buildkit_bisect.model"', "bisect/buildkit_bisect/errors.py", False),
        ('repo.commit({"README.md": "two"})', "README.md", False),
        ('str(PROJECT / "inv")', "inv", True),
        ("from tool import inv", "inv", False),
    ],
)
def test_files_named_in_strings(text: str, path: str, named: bool) -> None:
    assert uses._names(text, path) is named


@pytest.mark.parametrize(
    ("text", "path", "joined"),
    [
        ('PROJECT / "docs" / "architecture.md"', "docs/architecture.md", True),
        ('PROJECT / "docs/architecture.md"', "docs/architecture.md", True),
        ('Path(__file__).with_name("proxy.go.txt")', f"{uses.SOURCE}runtime/proxy.go.txt", True),
        ('BadInput("wrong", hint="docs/scenarios.md")', "docs/scenarios.md", False),
        ('folder / "__init__.py"', f"{uses.SOURCE}render/__init__.py", False),
    ],
)
def test_files_that_modules_read(text: str, path: str, joined: bool) -> None:
    assert uses._joins(text, path) is joined


MODULE, DOCUMENT = f"{uses.SOURCE}render/junit.py", "docs/style.md"


@pytest.mark.parametrize(
    ("text", "walked"),
    [
        ('HERE = Path(model.__file__).parent\nHERE.rglob("*.py")', [MODULE]),
        ('HERE = Path(model.__file__).parent / "x.txt"', []),
        ('HERE = Path(__file__).parents[3]\nHERE.rglob("*.py")', []),  # the place of the test
        ('(PROJECT / "docs").glob("*.md")', [DOCUMENT, "README.md"]),
        ('(PROJECT / "docs" / "x.json").read_text()', []),
    ],
)
def test_folders_that_tests_walk(text: str, walked: list[str]) -> None:
    changed = [MODULE, DOCUMENT, "README.md", "docs/result.schema.json", "patches/a/b.md"]
    assert list(uses._walked(text, changed, uses._PLACE_OF_MODULE)) == walked


def test_the_real_checkout() -> None:
    used = uses.build(PROJECT, ["templates/report.css", "docs/errors.md"])
    assert used["inv"] == {"bisect/buildkit_bisect/__main__.py"}
    assert "bisect/buildkit_bisect/cli/develop.py" in used["tasks.py"]
    assert "bisect/buildkit_bisect/cli/module_map.py" not in used["tasks.py"]
    assert used["bisect/buildkit_bisect/render/templates.py"] >= {"templates/report.css"}
    assert "bisect/buildkit_bisect/cli/uses.py" in used["tests/unit/cli/test_uses.py"]
    assert "tests/unit/conftest.py" in used["tests/unit/cli/test_uses.py"]
