"""What a command loads: a rerun of a small one is mostly imports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.local

#: The modules that only some commands use, by the time that they take.
LATE = (
    "numpy",
    "docker",
    "requests",
    "minisign",
    "git",
    "tenacity",
    "buildkit_bisect.golang.pypi",
    "buildkit_bisect.engine.client",
    "buildkit_bisect.sharing.store",
    "buildkit_bisect.search.posterior",
)


def loaded(*modules: str) -> set[str]:
    """Return which of `LATE` a new Python has loaded after it imported *modules*."""
    code = f"import {', '.join(modules)}, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(LATE) & set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("campaigns", set()),  # run, matrix
        ("boundaries", set()),
        ("validating", set()),
        ("warming", set()),
        ("learning", set()),
        ("results", set()),
        ("patching", set()),
        ("bisecting", {"numpy", "buildkit_bisect.search.posterior"}),
        ("building", {"docker", "requests", "buildkit_bisect.engine.client"}),  # for --image
    ],
)
def test_a_command_loads_what_it_needs(command: str, needed: set[str]) -> None:
    assert loaded("buildkit_bisect.cli.program", f"buildkit_bisect.cli.{command}") == needed


def test_every_late_module_exists() -> None:
    """Otherwise it is never loaded, and the test above cannot fail."""
    assert loaded(*LATE) == set(LATE)
