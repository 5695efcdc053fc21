"""Which hunks of a real change are needed, with real compiles of small programs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.minimize import Minimization, Place, Question
from buildkit_bisect.events import Silent
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, NoBuild, Observation, Outcome, Variant, Verdict
from buildkit_bisect.patch import hunk_files
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import MinimizeInfo
from buildkit_bisect.scenario import Action, Scenario, Step, outcome
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from golang_repo import GO, GolangRepo

pytestmark = [pytest.mark.system, pytest.mark.alone]

SCENARIO = Scenario(
    name="s", title="t", issue="", steps=(Step(id="go", action=Action.PRUNE),), outcomes=()
)
CACHED = Outcome(name="cached", verdict=Verdict.GOOD)
DROPPED = Outcome(name="dropped", verdict=Verdict.BAD)

OLD = """package solver

import "strings"

// Answer is what the programs print.
func Answer() string {
	return strings.ToLower("CACHED")
}

// Other is not called.
func Other() int {
	return 1
}
"""

#: `drop` needs its function, its import and its call; the rest of the change is beside it.
NEW = """package solver

import (
	"strconv"
	"strings"
)

// Answer is what the programs print, always.
func Answer() string {
	return drop(strings.ToLower("CACHED"))
}

// Other is not called.
func Other() int {
	return 2
}

func drop(text string) string {
	return "dropped " + strconv.Itoa(len(text))
}
"""


class SmallLab:
    """Builds variants, and judges them by what their daemon prints."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def add_patch(self, patch: Patch) -> None:
        self._builder.patches = (*self._builder.patches, patch)

    def build(self, variant: Variant) -> Build | NoBuild:
        return self._builder.build(variant)

    def cell(
        self, variant: Variant, scenario: Scenario, axes: Axes, trials: int, *, after: int = 0
    ) -> Cell:
        assert after >= 0
        build = self.build(variant)
        assert isinstance(build, Build)
        printed = subprocess.run(
            [f"{build.directory}/buildkitd"], capture_output=True, text=True, check=True
        ).stdout
        seen = (CACHED if "cached" in printed else DROPPED,) * trials
        combined, counts = outcome.combine(seen)
        trial = Trial(observation=Observation(steps=(), seconds=1.0), origin=Origin.NOW)
        return Cell(
            variant=variant, scenario=scenario, axes=axes, build=build, outcome=combined,
            counts=counts, judged=seen, trials=(trial,) * trials,
        )  # fmt: skip


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitSource:
    Toolchains().find(GoWanted(minor=(1, int(GO.split(".")[1]))))
    shared = {name: paths.cache(name) for name in ("toolchains", "gocache", "gomod")}
    (tmp_path / "cache").mkdir()
    for name, path in shared.items():
        (tmp_path / "cache" / name).symlink_to(path)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.commit("good", {"solver/solver.go": OLD})
    repo.commit("bad", {"solver/solver.go": NEW, "solver/solver_test.go": "package solver\n"})
    repo.tag("v0.2.0")
    repo.commit("fixed", {"solver/solver.go": OLD})
    repo.tag("v0.3.0")
    return GitSource.open(str(repo.path))


def minimized(source: GitSource, folder: Path, ref: str, to: Verdict) -> MinimizeInfo:
    """Return which hunks of the revert of *ref*, on itself, are needed."""
    tip = source.resolve(ref)
    lab = SmallLab(Builder(source=source))
    question = Question(
        of="the revert",
        change=hunk_files.of_revert(source, tip.sha, tip, ()),
        without=Variant(revision=tip),
        whole=None,
        places=(Place(scenario=SCENARIO, axes=(), to=to),),
        trials=3,
    )
    work = Work(lab=cast(Lab, lab), events=Silent(), folder=folder)
    return Minimization(work, question).info()


def needed(info: MinimizeInfo) -> list[tuple[str, str]]:
    return [(h.heading, h.role) for h in info.hunks if h.role not in ("not-needed", "test")]


def test_one_hunk_is_enough(source: GitSource, tmp_path: Path) -> None:
    info = minimized(source, tmp_path / "one", "v0.2.0", Verdict.GOOD)
    assert (info.status, info.reason) == ("minimal", "")
    assert (info.before, info.needed) == ("dropped 5 of 5", "cached 5 of 5")
    # Go compiles a function that is not called: the call alone has to go.
    assert needed(info) == [("func Answer() string", "outcome")]
    assert sum(h.role == "not-needed" for h in info.hunks) > 1
    assert [h.file for h in info.hunks if h.role == "test"] == ["solver/solver_test.go"]
    reasons = [one.shown for one in info.tried if one.seen == "untestable"]
    assert any("strconv" in why for why in reasons), reasons
    assert minimized(source, tmp_path / "again", "v0.2.0", Verdict.GOOD) == info


def test_hunks_that_compile_only_together(source: GitSource, tmp_path: Path) -> None:
    info = minimized(source, tmp_path, "v0.3.0", Verdict.BAD)
    assert info.status == "minimal"
    found = needed(info)
    assert ("func Answer() string", "outcome") in found
    assert ("func drop(text string) string", "build") in found
    assert {role for _, role in found} == {"outcome", "build"}
    without = {h.heading: h.without for h in info.hunks}
    assert without["func drop(text string) string"].startswith("build: solver/solver.go:")
    assert without["func Answer() string"] == "cached 3 of 3"
    assert "not-needed" in {h.role for h in info.hunks}  # the comment, and the other function
