"""``test`` and ``check``: this project's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from buildkit_bisect.cli import doctor
from buildkit_bisect.options import requests
from buildkit_bisect.system import paths

#: pytest's status where it ran no test: one of the two suites may have none of that name.
_NONE_CHOSEN = 5


def test(request: requests.Test) -> int:
    """Install what the tests need, and run all of them, or those asked for."""
    _install_tools()
    if not request.unit:
        doctor.ensure(
            lambda text: print(text, file=sys.stderr, flush=True),
            trials=True,
            also=doctor.FOR_TESTS,
        )
    chosen = request.matching
    named = ("-k", chosen) if chosen else ()
    # Unit tests share nothing, so each processor takes some; system tests share the machine.
    codes = [_python("-m", "pytest", "-n", "auto", "tests/unit", *named)]
    if not request.unit:
        codes.append(_python("-m", "pytest", "tests/system", *named))
    if chosen and _NONE_CHOSEN in codes and len(set(codes)) > 1:
        codes.remove(_NONE_CHOSEN)
    return next((code for code in codes if code), 0)


def check(_: requests.Check) -> int:
    """Lint, format and types; every one is run, the first failure is the status."""
    _install_tools()
    codes = [
        _python("-m", "ruff", "check", "."),
        _python("-m", "ruff", "format", "--check", "."),
        _python("-m", "mypy"),
    ]
    return next((code for code in codes if code), 0)


def _install_tools() -> None:
    """The ``test`` extra, into this environment, where it is not there yet."""
    if os.environ.get("BKBISECT_LOCK"):
        return  # ./inv installed all of it, with hashes
    stamp = paths.PROJECT / "pyproject.toml"
    mark = Path(sys.prefix) / "installed-test-extra.toml"
    if mark.is_file() and mark.read_bytes() == stamp.read_bytes():
        return
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    code = _python(*pip, "--editable", f"{paths.PROJECT}[test]")
    if code:
        sys.exit(code)
    mark.write_bytes(stamp.read_bytes())


def _python(*argv: str) -> int:
    # Not through process.run: its output belongs on the terminal as it comes.
    return subprocess.run([sys.executable, *argv], cwd=paths.PROJECT, check=False).returncode
