"""A validation of the base that a bisection has run, and the same again: what is run twice.

Builds and trials are made up, so that each takes no time.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import stored_machine

import small_scenario
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Observation, StepResult

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

CONTROLLED = """
[axes.at]
values = ["lazy", "eager"]
controls = ["eager"]

"""

#: The release with the fault, and the last one.
CULPRIT, LAST = 5, 8


def test_a_validation_after_a_bisection_of_its_base_runs_nothing_again(
    tmp_path: Path,
) -> None:
    """The fix is the revert that the bisection ran, so one trial of its control is stored."""
    ran: list[str] = []

    def observed(job: TrialJob, built_from: str) -> Observation:
        ran.append(job.of.label)
        bad = f"n{CULPRIT}.go" in built_from and dict(job.axes)["at"] == "lazy"
        step = StepResult(id="build", exit=int(bad), seconds=1.0)
        return Observation(steps=(step,), seconds=2.0)

    name = f"solver/n{CULPRIT}.go"
    fix = tmp_path / "fix"
    fix.mkdir()
    (fix / "patch.toml").write_text('title = "Remove the culprit"\n')
    (fix / "fix.patch").write_text(
        f"diff --git a/{name} b/{name}\ndeleted file mode 100644\n--- a/{name}\n+++ /dev/null\n"
        f"@@ -1,3 +0,0 @@\n-package solver\n-\n-const N{CULPRIT} = {CULPRIT}\n"
    )
    repo, out = tmp_path / "repo.git", tmp_path / "out"
    scenario = small_scenario.written(tmp_path / "small", CONTROLLED) / "scenario.toml"
    with stored_machine.own_cache(tmp_path, ("registry", "toolchains", "tools")):
        tags = stored_machine.repository(repo, LAST + 1, apart=True)
        asked = ("--repo", str(repo), "--scenario", str(scenario), "--trials", "3",
                 "--out", str(out))  # fmt: skip
        bisect = ("bisect", "--good", tags[0], "--bad", tags[LAST], *asked)
        validate = ("validate", "--patches", str(fix), "--base", tags[LAST], "--checks", "cells",
                    *asked)  # fmt: skip
        stored_machine.made_once(bisect, observed)
        ran.clear()
        stored_machine.made_once(validate, observed)
        base = tags[LAST]
        assert sorted(ran) == [base, base, f"{base} + fix", f"{base} + fix"], "two controls a side"
        ran.clear()
        for _ in range(2):
            stored_machine.made_once(validate, observed)
        assert ran == []
