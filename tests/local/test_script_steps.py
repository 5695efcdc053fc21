"""A test script as a step of a trial: what it finds beside it, and what must not change."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import steps
from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime import Runtime

pytestmark = pytest.mark.local


class Nothing:
    """A runtime of which a script gets nothing."""

    def environment(self) -> dict[str, str]:
        return {}


def run_script(tmp_path: Path, text: str, *, later: str = "") -> StepResult:
    """Run a script that declares helper.sh, which gets other content before if *later*."""
    (tmp_path / "helper.sh").write_text("echo first; exit 7")
    program = tmp_path / "test.sh"
    program.write_text(f"#!/bin/sh\n# bkbisect-files: helper.sh\n{text}\n")
    program.chmod(0o755)
    made = scenario.from_script(str(program), timeout=10)
    if later:
        (tmp_path / "helper.sh").write_text(later)
    work = tmp_path / "work"
    work.mkdir()
    bench = steps.Bench(
        scenario=made, axes=(), images={}, registry="", work=work, context=work, evidence=tmp_path
    )
    return steps.run(bench, cast(Runtime, Nothing()), made.steps[0])


def test_a_script_finds_its_files_beside_it(tmp_path: Path) -> None:
    done = run_script(tmp_path, '. "$(dirname "$0")/helper.sh"')
    assert (done.exit, done.stderr) == (7, "first\n")


def test_a_file_that_changed_since_the_campaign_began_makes_no_trial(tmp_path: Path) -> None:
    with pytest.raises(InfraFailed, match=r"^helper.sh changed since the campaign began"):
        run_script(tmp_path, f"touch {tmp_path}/ran", later="exit 0")
    assert not (tmp_path / "ran").exists()


def test_a_script_that_changes_its_own_file_makes_no_trial(tmp_path: Path) -> None:
    with pytest.raises(InfraFailed, match=r"^helper.sh changed while the script ran"):
        run_script(tmp_path, 'echo more >> "$(dirname "$0")/helper.sh"')
