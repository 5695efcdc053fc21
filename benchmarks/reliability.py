"""Measures the figures of docs/reliability.md, and prints the document.

    .venv/bin/python benchmarks/reliability.py > docs/reliability.md

Runs the tests that measure, about twenty minutes on an idle machine. If a test fails, nothing is
printed and the exit status is 1. A run of all tests that start processes measures the same:

    export BKBISECT_FIGURES=$PWD/figures BKBISECT_TESTS=whole
    .venv/bin/python -m pytest tests/local tests/system --junit-xml=report.xml
    .venv/bin/python benchmarks/reliability.py figures report.xml > docs/reliability.md
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

PROJECT = Path(__file__).resolve().parents[1]

#: Test files below tests/, in the order of the table. For files that report no figures, the table
#: shows how many tests passed.
FILES = (
    "system/test_kills.py",
    "system/test_journal_files.py",
    "local/test_processes.py",
    "system/test_scripts_and_mirrors.py",
    "system/test_no_growth.py",
    "system/test_two_campaigns.py",
    "system/test_deadlines.py",
    "system/test_bad_inputs_in_bulk.py",
    "system/test_hostile_repository.py",
    "system/test_downloads.py",
    "system/test_isolation.py",
)

HEAD = """# Reliability

Measured on {date} at {commit}, on {cores} cores, by

    .venv/bin/python benchmarks/reliability.py > docs/reliability.md

which runs the tests in the last column. They also run in CI, some with fewer repetitions except at
night, and fail if a figure is worse than its limit. To measure one line, run
`BKBISECT_TESTS=whole .venv/bin/python -m pytest -s` with its file.

| what | measured | by |
| --- | --- | --- |
"""


def run(folder: Path) -> tuple[Path, Path]:
    """Run the tests that measure; return the file with their figures, and pytest's report."""
    figures_file, report = folder / "figures", folder / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}"]
        + [f"tests/{name}" for name in FILES],
        cwd=PROJECT,
        env={**os.environ, "BKBISECT_FIGURES": str(figures_file), "BKBISECT_TESTS": "whole"},
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        sys.exit(f"pytest: exit {done.returncode}")
    return figures_file, report


def table(figures_file: Path, report: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (what, measured, file) for each figure; for a file without figures, its passed tests.

    Exits if a test failed, or if no test of a file ran.
    """
    figures = [json.loads(line) for line in figures_file.read_text().splitlines()]
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - pytest's own
    for name in FILES:
        module = f"tests.{name.removesuffix('.py').replace('/', '.')}"
        ours = [case for case in cases if case.get("classname") == module]
        bad = [c.get("name") for c in ours if any(c.iter("failure")) or any(c.iter("error"))]
        if bad or not ours:
            sys.exit(f"{name}: {', '.join(map(str, bad)) or 'not run'}")
        found = [
            (what, measured, name) for file, what, measured in figures if file == Path(name).name
        ]
        text = (PROJECT / "tests" / name).read_text()
        about = (ast.get_docstring(ast.parse(text)) or name).splitlines()[0].rstrip(".")
        yield from found or [(about, f"all {len(ours)} tests pass", name)]


def main() -> None:
    """Measure and print."""
    commit = subprocess.run(
        ["/usr/bin/env", "git", "-C", str(PROJECT), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        given = [Path(word) for word in sys.argv[1:]]
        rows = list(
            table(*(given if len(given) == len(("figures", "report")) else run(Path(folder))))
        )
    print(HEAD.format(date=datetime.now(UTC).date(), commit=commit, cores=os.cpu_count()), end="")
    for what, found, name in rows:
        print(f"| {what} | {found} | `tests/{name}` |")


if __name__ == "__main__":
    main()
