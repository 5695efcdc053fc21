from __future__ import annotations

import ast

from buildkit_bisect.cli import error_table
from buildkit_bisect.system import checkout

PACKAGE = checkout.PROJECT / "bisect" / "buildkit_bisect"


def test_the_published_table_is_up_to_date() -> None:
    published = (checkout.PROJECT / "docs" / "errors.md").read_text()
    assert published == error_table.text(), (
        "run: python -m buildkit_bisect.cli.error_table > docs/errors.md"
    )


def test_every_exit_code_is_in_it() -> None:
    assert {row.code for row in error_table.rows()} == {2, 3, 4, 5}
    assert all(row.message.strip(" .") for row in error_table.rows())


def test_every_error_has_a_hint() -> None:
    assert [f"{row.module}:{row.line}" for row in error_table.rows() if not row.hint] == []


def test_messages_are_in_it_with_placeholders() -> None:
    table = error_table.text()
    assert "`` --NAME GIVEN is not an integer ``" in table
    assert "is not a loopback address" in table
    assert "KEY: must not be empty" in table


def test_no_process_is_started_through_a_shell() -> None:
    """Nor outside `process`; only `develop` and `results` start this program's own tools."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert not any(k.arg == "shell" for k in node.keywords), (path, node.lineno)
            assert called not in ("os.system", "os.popen", "eval", "exec"), (path, node.lineno)
            starts = called.startswith(("subprocess.", "os.exec", "os.spawn", "os.posix_spawn"))
            known = ("system/process.py", "cli/develop.py", "cli/results.py")
            assert not starts or str(path.relative_to(PACKAGE)) in known, (path, node.lineno)
