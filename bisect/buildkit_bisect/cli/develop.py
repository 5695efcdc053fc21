"""The ``test`` and ``check`` tasks, for this project itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.cli import doctor
from buildkit_bisect.options import requests
from buildkit_bisect.phrases import plural
from buildkit_bisect.system import checkout

#: pytest's exit code if it ran no test: a pass may have none, and a tier none that matches ``-k``.
_NONE_CHOSEN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """Tests with the same requirements."""

    name: str  # of the option, and of the folder in tests/
    passes: tuple[tuple[str, ...], ...] = ((),)  # options of pytest each time it runs
    prepared: bool = False  # needs root, and the programs that `doctor` installs


#: Each file on one core, as its tests share fixtures; then what runs real BuildKit, kills tasks, or
#: looks for what killed tasks left anywhere on the machine.
_BESIDE_AND_ALONE = (("-n", "auto", "--dist", "loadfile", "-m", "not alone"), ("-m", "alone"))

#: In the order in which they run: the fastest first.
TIERS = (
    # Unit tests share nothing.
    Tier(name="unit", passes=(("-n", "auto"),)),
    Tier(name="local", passes=_BESIDE_AND_ALONE),
    Tier(name="system", passes=_BESIDE_AND_ALONE, prepared=True),
)


def test(request: requests.Test) -> int:
    """Install what the tests need, and run all of them or those requested."""
    asked = {"unit": request.unit, "local": request.local, "system": request.system}
    wanted = [tier for tier in TIERS if asked[tier.name]] or list(TIERS)
    name = request.matching
    _install_tools()
    runs = (
        _changed(wanted) if request.changed else [(tier, [f"tests/{tier.name}"]) for tier in wanted]
    )
    if request.dry_run:
        _say("would run: " + (", ".join(f"tests/{tier.name}" for tier, _ in runs) or "nothing"))
        return 0
    if any(tier.prepared for tier, _ in runs):
        doctor.ensure(_say, trials=True, also=doctor.FOR_TESTS)
    codes = [
        _python("-m", "pytest", *options, *paths, *(("-k", name) if name else ()))
        for tier, paths in runs
        for options in tier.passes
    ]
    if codes:
        codes = [code for code in codes if code != _NONE_CHOSEN] or [_NONE_CHOSEN]
    return next((code for code in codes if code), 0)


def _changed(wanted: Sequence[Tier]) -> list[tuple[Tier, list[str]]]:
    """Return the test files of each tier that recent changes can affect, and print why."""
    # Imports grimp, which _install_tools has just installed.
    from buildkit_bisect.cli import changed  # noqa: PLC0415

    since = changed.since_main(checkout.PROJECT)
    choices = changed.choose(checkout.PROJECT, since.paths)
    whose = f", the merge base with {since.branch}" if since.branch else "; no main branch found"
    _say(f"{plural(len(since.paths), 'file')} changed since {since.base}{whose}")
    runs = []
    for tier in wanted:
        chosen = [c for c in choices if c.path.startswith(f"tests/{tier.name}/")]
        count = sum(1 for _ in (checkout.PROJECT / "tests" / tier.name).rglob("test_*.py"))
        _say(f"{tier.name}: {len(chosen)} of {plural(count, 'test file')} can be affected")
        for choice in chosen:
            _say(f"  {choice}")
        if chosen:
            runs.append((tier, [c.path for c in chosen]))
    return runs


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def check(_: requests.Check) -> int:
    """Check lint, format, types and import contracts. Return the exit code of the first failure."""
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
    """Install the ``test`` extra into this environment unless it is up to date."""
    if os.environ.get("BKBISECT_LOCK"):
        return  # ./inv has installed all of it, with hashes
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
    # Not process.run: the output goes straight to the terminal.
    return subprocess.run(argv, cwd=checkout.PROJECT, check=False).returncode
