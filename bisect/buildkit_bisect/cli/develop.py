"""``test`` and ``check``: this project's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from buildkit_bisect.cli import doctor, options
from buildkit_bisect.cli.options import Raw
from buildkit_bisect.system import checkout

#: pytest's status where it ran no test: one of the two suites may have none of that name.
_NONE_CHOSEN = 5


def test(raw: Mapping[str, Raw]) -> int:
    """Install what the tests need, and run all of them, or those asked for."""
    unit = options.flag("unit", raw.get("unit", False))
    _install_tools()
    if not unit:
        doctor.ensure(
            lambda text: print(text, file=sys.stderr, flush=True),
            trials=True,
            also=doctor.FOR_TESTS,
        )
    chosen = options.option("k", raw.get("k", ""))
    named = ("-k", chosen) if chosen else ()
    # Unit tests share nothing, so each processor takes some; system tests share the machine.
    codes = [_python("-m", "pytest", "-n", "auto", "tests/unit", *named)]
    if not unit:
        codes.append(_python("-m", "pytest", "tests/system", *named))
    if chosen and _NONE_CHOSEN in codes and len(set(codes)) > 1:
        codes.remove(_NONE_CHOSEN)
    return next((code for code in codes if code), 0)


def check(raw: Mapping[str, Raw]) -> int:  # noqa: ARG001 - has no options
    """Lint, format, types and floors; every one is run, the first failure is the status."""
    _install_tools()
    lint_imports = str(Path(sys.executable).with_name("lint-imports"))  # has no `python -m`
    codes = [
        _python("-m", "ruff", "check", "."),
        _python("-m", "ruff", "format", "--check", "."),
        _python("-m", "mypy"),
        _run(lint_imports, "--no-logo"),
    ]
    return next((code for code in codes if code), 0)


def _install_tools() -> None:
    """The ``test`` extra, into this environment, where it is not there yet."""
    if os.environ.get("BKBISECT_LOCK"):
        return  # ./inv installed all of it, with hashes
    stamp = checkout.PROJECT / "pyproject.toml"
    mark = Path(sys.prefix) / "installed-test-extra.toml"
    if mark.is_file() and mark.read_bytes() == stamp.read_bytes():
        return
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    code = _python(*pip, "--editable", f"{checkout.PROJECT}[test]")
    if code:
        sys.exit(code)
    mark.write_bytes(stamp.read_bytes())


def _python(*argv: str) -> int:
    return _run(sys.executable, *argv)


def _run(*argv: str) -> int:
    # Not through process.run: its output belongs on the terminal as it comes.
    return subprocess.run(argv, cwd=checkout.PROJECT, check=False).returncode
