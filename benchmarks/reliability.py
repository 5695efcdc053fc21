"""Measures what docs/reliability.md says, and prints it.

    .venv/bin/python benchmarks/reliability.py > docs/reliability.md

Runs the tests that measure: about twenty minutes on an idle machine. Where one fails there are no
figures, and the exit status is 1. A run of all tests that start processes measures the same:

    BKBISECT_FIGURES=told .venv/bin/python -m pytest tests/local tests/system --junit-xml=report.xml
    .venv/bin/python benchmarks/reliability.py told report.xml > docs/reliability.md
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

#: Test files below tests/, in the order of the table. What tells no figures is shown as tests
#: that passed.
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

which runs the tests named here; they run in CI as well, and fail where a figure is worse than
what it has to be. Each line can be measured alone: `.venv/bin/python -m pytest -s` and the file.

| what | measured | by |
| --- | --- | --- |
"""


def run(folder: Path) -> tuple[Path, Path]:
    """Run the tests that measure; the figures they told, and pytest's report of them."""
    figures_file, report = folder / "told", folder / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}"]
        + [f"tests/{name}" for name in FILES],
        cwd=PROJECT,
        env={**os.environ, "BKBISECT_FIGURES": str(figures_file)},
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        sys.exit(f"pytest: exit {done.returncode}")
    return figures_file, report


def table(figures_file: Path, report: Path) -> Iterator[tuple[str, str, str]]:
    """(what, measured, file) of each figure; for a file without any, how many of its tests passed.

    Exits where one of the tests failed, or none of a file was run.
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
        rows = list(table(*(given if len(given) == len(("told", "report")) else run(Path(folder)))))
    print(HEAD.format(date=datetime.now(UTC).date(), commit=commit, cores=os.cpu_count()), end="")
    for what, found, name in rows:
        print(f"| {what} | {found} | `tests/{name}` |")


if __name__ == "__main__":
    main()
