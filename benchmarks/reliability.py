"""Measures what docs/reliability.md says, and prints it.

    .venv/bin/python benchmarks/reliability.py > docs/reliability.md

Runs the tests that measure, one file after the other: about a quarter of an hour on an idle
machine. Where one fails there are no figures, and the exit status is 1.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

PROJECT = Path(__file__).resolve().parents[1]

#: Test files in the order of the table. What tells no figures is shown as tests that passed.
FILES = (
    "test_kills.py",
    "test_journal_files.py",
    "test_processes.py",
    "test_no_growth.py",
    "test_two_campaigns.py",
    "test_deadlines.py",
    "test_bad_inputs_in_bulk.py",
    "test_hostile_repository.py",
    "test_downloads.py",
    "test_isolation.py",
)

HEAD = """# Reliability

Measured on {date} at {commit}, on {cores} cores, by

    .venv/bin/python benchmarks/reliability.py > docs/reliability.md

which runs the tests named here; they run in CI as well, and fail where a figure is worse than
what it has to be. Each line can be measured alone: `.venv/bin/python -m pytest -s` and the file.

| what | measured | by |
| --- | --- | --- |
"""


def measure(name: str) -> list[tuple[str, str]]:
    """What the tests of one file tell, or what it is and how many passed.

    Exits where one of them fails.
    """
    path = PROJECT / "tests" / "system" / name
    with tempfile.TemporaryDirectory() as folder:
        told, report = Path(folder) / "figures", Path(folder) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", str(path)],
            cwd=PROJECT,
            env={**os.environ, "BKBISECT_FIGURES": str(told)},
            stdout=sys.stderr,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{name}: exit {done.returncode}")
        if told.exists():
            return [tuple(json.loads(line)) for line in told.read_text().splitlines()]
        count = len(list(ET.parse(report).iter("testcase")))  # noqa: S314 - pytest's own
    about = (ast.get_docstring(ast.parse(path.read_text())) or name).splitlines()[0]
    return [(about.rstrip("."), f"all {count} tests pass")]


def main() -> None:
    """Measure and print."""
    commit = subprocess.run(
        ["/usr/bin/env", "git", "-C", str(PROJECT), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    rows = [(what, found, name) for name in FILES for what, found in measure(name)]
    print(HEAD.format(date=datetime.now(UTC).date(), commit=commit, cores=os.cpu_count()), end="")
    for what, found, name in rows:
        print(f"| {what} | {found} | `tests/system/{name}` |")


if __name__ == "__main__":
    main()
