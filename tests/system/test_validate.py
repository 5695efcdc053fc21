"""Validations on a generated repository whose programs are compiled and run."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from buildkit_bisect import result
from buildkit_bisect.campaign import record
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, buildkit_like, words
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.alone]

_SHARED = ("toolchains", "gocache", "gomod")

#: Bad if the program prints "ran"; records the variants it ran for.
SCRIPT = """#!/bin/sh
echo "${BKBISECT_PATCHES:-none}" >> "$(dirname "$0")/asked"
"$BKBISECT_BUILDKITD" | grep -q cached
"""

#: Bad every other time, and never with a patch.
FLAKY = """#!/bin/sh
[ -n "$BKBISECT_PATCHES" ] && exit 0
cd "$(dirname "$0")"
echo >> turns
[ $(($(wc -l < turns) % 2)) = 0 ]
"""

TESTS = """package words

import (
	"os"
	"path/filepath"
	"testing"
)

// runs counts the runs of a test in a file, in a directory that the check removes.
func runs(t *testing.T) int {
	path := filepath.Join(os.TempDir(), t.Name())
	earlier, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(earlier, '.'), 0o600); err != nil {
		t.Fatal(err)
	}
	return len(earlier) + 1
}

func TestFirstRunFails(t *testing.T) {
	if runs(t) == 1 {
		t.Fatal("by chance, without the patch")
	}
}

// Without the patch once, with it twice, and without it again.
func TestFailsForAWhile(t *testing.T) {
	if n := runs(t); n >= 2 && n <= 4 {
		t.Fatal("by chance, with the patch twice and then without it")
	}
}

func TestSecondRunFails(t *testing.T) {
	if runs(t) == 2 {
		t.Fatal("by chance, with the patch")
	}
}

func TestBroken(t *testing.T) {
	t.Fatal("always")
}

func TestSomething(t *testing.T) {
	if Cached == "" {
		t.Fatal("Cached is empty")
	}
}
"""

NEW_TEST = """
func TestCached(t *testing.T) {
	if Cached != "cached again" {
		t.Fatal(Cached)
	}
}
"""

WORDS = "util/words/words.go"
SOLVER = "solver/solver.go"
TESTED = "util/words/words_test.go"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """``master`` is bad since ``culprit``; each branch below is one candidate."""
    repo = buildkit_like(tmp_path_factory.mktemp("repo") / "upstream", broken=False)
    repo.commit("tests", {TESTED: TESTS})
    solver = (repo.path / SOLVER).read_text()
    for name, files in {
        # Not the original text: with equal binaries, both variants would share their trials.
        "fix": {WORDS: words("cached again"), TESTED: TESTS + NEW_TEST},
        "silent": {WORDS: words("")},
        "comment": {SOLVER: solver.replace("all that the", "whatever the")},
        "broken-build": {SOLVER: solver.replace("return words", "return wrods")},
        # Both are needed: the second prints what the first defines.
        "part-one": {"util/words/wanted.go": 'package words\n\nvar Wanted = ""\n'},
        "part-two": {
            SOLVER: solver.replace("return words.Cached", "return words.Cached + words.Wanted")
        },
    }.items():
        repo.branch(name, "master")
        repo.commit(f"words: {name}", files)
    repo.branch("v0.25", "v0.1")
    repo.switch("master")
    return repo


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    for name in _SHARED:
        (root / name).symlink_to(paths.cache(name))
    return root


@pytest.fixture(scope="module")
def candidates(repo: GolangRepo, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one patch per branch, and series of them."""
    root = tmp_path_factory.mktemp("patches")
    for name in ("fix", "silent", "comment", "broken-build", "part-one", "part-two"):
        done = inv(
            *("patch-new", name, "--from-branch", name, "--repo", str(repo.path)),
            *("--into", str(root)),
            env={"BKBISECT_CACHE_DIR": str(cache)},
        )
        assert done.code == 0, done.stderr
    one = root / "part-one" / "part-one.patch"
    one.write_text(one.read_text().replace('""', '", cached"'))
    for name, parts in {"both": ["part-one", "part-two"], "more": ["fix", "comment"]}.items():
        (root / name).mkdir()
        listed = ", ".join(f'"{root / part}"' for part in parts)
        (root / name / "patch.toml").write_text(f'title = "{name}"\nseries = [{listed}]\n')
    return root


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def script(tmp_path: Path) -> Path:
    # Stored trials depend on the script's text, so each test has its own script.
    return executable(tmp_path / "script", f"{SCRIPT}# {tmp_path.name}\n")


class Bench:
    """Runs ``validate`` with the options that all tests here share."""

    def __init__(self, repo: GolangRepo, cache: Path, candidates: Path, script: Path) -> None:
        self.repo, self.cache, self.candidates, self.script = repo, cache, candidates, script
        self.out = script.parent / "out"

    def validate(
        self, patch: str, *options: str, env: Mapping[str, str] | None = None
    ) -> TaskOutput:
        return inv(
            *("validate", "--patches", str(self.candidates / patch), "--json"),
            *("--repo", str(self.repo.path), "--script", str(self.script)),
            *("--out", str(self.out), "--trials", "3", *options),
            env={"BKBISECT_CACHE_DIR": str(self.cache), **(env or {})},
        )

    def report(self, done: TaskOutput, name: str = "report.md") -> str:
        return Path(self.out, done.document["id"], name).read_text()

    def asked(self) -> list[str]:
        return (self.script.parent / "asked").read_text().split()


@pytest.fixture
def bench(repo: GolangRepo, cache: Path, candidates: Path, script: Path) -> Bench:
    return Bench(repo, cache, candidates, script)


def test_a_patch_that_fixes_the_failure(bench: Bench, repo: GolangRepo) -> None:
    done = bench.validate("fix", "--culprit", repo.commits["culprit"])
    assert done.code == 0, done.stderr
    found = done.document["validation"]
    assert found["status"] == "fixes"
    (cell,) = found["cells"]
    assert (cell["change"], cell["before"], cell["after"]) == (
        *("fixed", "script-bad 3 of 3", "script-good 3 of 3"),
    )
    assert bench.asked()[:4] == ["none", "fix"] * 2, "a trial each in turn"
    assert (found["trials"], found["reused"]) == (6, 0)
    assert found["reverted"].startswith("fixes 1 of 1 broken cell (")
    assert {b["ref"]: b["state"] for b in found["backports"]} == {
        "v0.25": "conflicts",
        "master": "applies",
    }
    tests, vet, *builds = found["checks"]
    assert tests["known"] == ["TestBroken"], "it fails without the patch as well"
    assert (tests["worse"], tests["better"]) == ([], []), "chance neither breaks nor fixes a test"
    assert tests["flaky"] == ["TestFailsForAWhile", "TestFirstRunFails", "TestSecondRunFails"]
    assert tests["added"] == ["TestCached"]
    assert (tests["subject"], tests["change"]) == ("./util/words", "pre-existing")
    assert (vet["before"], vet["after"]) == ("clean", "clean")
    assert [b["change"] for b in builds] == ["same", "same"]
    assert found["verdict"].startswith("fix fixes the one broken cell on master")
    report = bench.report(done)
    assert report.splitlines()[0].startswith("**fix fixes the one broken cell")
    assert "pre-existing: TestBroken" in report
    assert len(report) < 60_000
    assert "Where it applies" in bench.report(done, "report.html")
    assert left_behind() == []


def test_a_patch_that_does_not_fix_it_and_breaks_a_test(bench: Bench) -> None:
    done = bench.validate("silent")
    assert done.code == 0, done.stderr
    found = done.document["validation"]
    assert found["status"] == "regresses"
    tests = found["checks"][0]
    assert (tests["change"], tests["worse"]) == ("worse", ["TestSomething"])
    assert tests["known"] == ["TestBroken"]
    assert any("Cached is empty" in line for line in tests["log"])
    first = bench.report(done).splitlines()[0]
    assert "does not fix the one broken cell" in first
    assert "It breaks upstream" in first
    assert "TestSomething" in first


def test_a_comment_changes_nothing(bench: Bench) -> None:
    done = bench.validate("comment", "--checks", "cells")
    found = done.document["validation"]
    assert (done.code, found["status"]) == (0, "no")
    assert found["checks"] == []
    assert any("are identical" in note for note in found["notes"])


def test_a_patch_that_does_not_compile(bench: Bench) -> None:
    done = bench.validate("broken-build", "--checks", "cells")
    found = done.document["validation"]
    assert (done.code, found["status"]) == (4, "inconclusive")
    assert "undefined: wrods" in found["verdict"]
    assert "undefined: wrods" in bench.report(done).splitlines()[0]


def test_nothing_to_fix(bench: Bench, repo: GolangRepo) -> None:
    done = bench.validate("part-one", "--base", repo.commits["refactor"])
    assert done.code == 4, done.stderr
    found = done.document["validation"]
    assert found["status"] == "refused"
    assert "script script-good 3 of 3" in found["reason"], "the reason has the outcome"
    assert bench.report(done).startswith("**There is nothing to fix: ")
    assert {c["outcome"] for c in done.document["cells"]} == {"script-good"}
    assert all(not cell["patches"] for cell in done.document["cells"])


def test_both_parts_of_a_series_are_needed(bench: Bench) -> None:
    found = bench.validate("both", "--checks", "cells").document["validation"]
    assert found["status"] == "fixes"
    assert {tuple(s["patches"]): s["fixed"] for s in found["subsets"] if not s["reason"]} == {
        ("part-one",): 0
    }
    alone = next(s for s in found["subsets"] if s["patches"] == ["part-two"])
    assert "undefined: words.Wanted" in alone["reason"]
    assert found["needed"] == ["part-one", "part-two"]


def test_a_part_that_is_not_needed(bench: Bench) -> None:
    done = bench.validate("more", "--checks", "cells")
    found = done.document["validation"]
    assert found["needed"] == ["fix"]
    assert any("fix alone fixes as many" in note for note in found["notes"])
    assert "| fix | fixes 1 of 1 |" in bench.report(done)


def test_a_flaky_failure_is_not_fixed_by_chance(bench: Bench) -> None:
    executable(bench.script, FLAKY)
    found = bench.validate("fix", "--checks", "none").document["validation"]
    (cell,) = found["cells"]
    assert cell["change"] == "fixed"
    trials = found["trials"] // 2
    assert trials > 3, "three good trials of a failure that shows every second time are luck"
    assert cell["after"] == f"script-good {trials} of {trials}"


def test_trials_are_reused_only_if_one_campaign_ran_both_sides(bench: Bench) -> None:
    earlier = inv(
        *("bisect", "--good", "v0.1.0", "--bad", "master", "--script", str(bench.script)),
        *("--repo", str(bench.repo.path), "--out", str(bench.out), "--trials", "2"),
        env={"BKBISECT_CACHE_DIR": str(bench.cache)},
    )
    assert earlier.code == 0, earlier.stderr
    before = len(bench.asked())
    first = bench.validate("fix", "--checks", "none").document["validation"]
    assert bench.asked()[before:] == ["none", "fix"] * 3, "master's old trials do not count"
    assert first["reused"] == 0
    again = bench.validate("fix", "--checks", "none").document["validation"]
    assert len(bench.asked()) == before + 6
    assert again["reused"] == again["trials"] == 6


def test_a_resumed_validation_counts_trials_from_before_the_interruption(
    bench: Bench,
) -> None:
    first = bench.validate("fix", "--checks", "none")
    going_on = {record.RESUMED: first.document["id"]}
    again = bench.validate("fix", "--checks", "none", "--fresh", env=going_on)
    found = again.document["validation"]
    assert (found["trials"], found["reused"], found["resumed"]) == (6, 0, 6)
    note = "the patch: 6 in total, all of them from before the interruption\n"
    assert note in bench.report(again)
    assert "from before the interruption" in bench.report(again, "report.html")


def test_a_patch_made_against_another_base(bench: Bench) -> None:
    done = bench.validate("fix", "--base", "v0.1.1")
    assert done.code == 2
    assert "on v0.1.1, patch failed" in done.stderr
    assert "--base master, where it applies" in done.stderr
    assert not bench.out.exists()


def test_a_patch_that_is_already_applied(bench: Bench) -> None:
    done = bench.validate("fix", "--base", "fix")
    assert done.code == 4
    assert "is already in fix" in done.stderr
    assert not bench.out.exists()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--checks", "some"), "all, cells, none"),
        (("--culprit", "v9.9.9"), "no revision 'v9.9.9'"),
        (("--culprit", "v0.25"), "is not an ancestor of master"),
        (("--base", "nowhere"), "no revision 'nowhere'"),
    ],
)
def test_errors_of_validate(bench: Bench, options: tuple[str, ...], names: str) -> None:
    done = bench.validate("fix", *options)
    assert done.code == 2, done.stderr
    assert names in done.stderr
    assert "Traceback" not in done.stderr
    assert not bench.out.exists()


_DIFF = "--- a/util/words/words.go\n+++ b/util/words/words.go\n@@ -3 +3 @@\n-{}\n+x\n"


@pytest.mark.parametrize(
    ("diff", "names"),
    [
        ("this is no diff\n", "not a unified diff"),
        ("", "is empty"),
        ("GIT binary patch\0", "binary"),
        (_DIFF.format("a").replace("a/util", "a/../../etc"), "outside the tree"),
        (_DIFF.format("a").replace("\n", "\r\n"), "CRLF"),
        (_DIFF.format('const Cached = "another base"'), "does not apply"),
    ],
)
def test_invalid_patches(bench: Bench, tmp_path: Path, diff: str, names: str) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "patch.toml").write_text('title = "odd"\n')
    (folder / "odd.patch").write_bytes(diff.encode())
    done = bench.validate(str(folder))
    assert done.code == 2, done.stderr
    assert names in done.stderr
    assert not bench.out.exists()
    assert [p for p in (bench.cache / "tmp").iterdir() if paths.owner_alive(p)] == []


def test_a_series_with_a_cycle(bench: Bench, tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / name).mkdir()
        listed = f'title = "t"\nseries = ["{tmp_path / other}"]\n'
        (tmp_path / name / "patch.toml").write_text(listed)
    done = bench.validate(str(tmp_path / "one"))
    assert done.code == 2
    assert "is a cycle" in done.stderr


def test_without_a_patch_it_is_refused(repo: GolangRepo) -> None:
    done = inv("validate", "--repo", str(repo.path))
    assert done.code == 2
    assert "no patches given" in done.stderr


def test_the_plan_lists_everything_and_does_nothing(bench: Bench, repo: GolangRepo) -> None:
    done = bench.validate("more", "--culprit", repo.commits["culprit"], "--dry-run")
    assert done.code == 0, done.stderr
    plan = done.document
    assert plan["kind"] == "validate"
    assert plan["rows"] == [
        *("master", "master + fix + comment", "master + fix", "master + comment"),
    ]
    assert any(text.startswith("revert ") for text in plan["also"])
    assert not bench.out.exists()


def test_the_culprit_of_one_part_of_a_series_is_reverted(
    bench: Bench, repo: GolangRepo, tmp_path: Path
) -> None:
    culprit = repo.commits["culprit"]
    blaming = shutil.copytree(bench.candidates / "fix", tmp_path / "blaming")
    meta = blaming / "patch.toml"
    meta.write_text(f'introduced-by = "{culprit}"\n{meta.read_text()}')
    both = tmp_path / "series"
    both.mkdir()
    parts = f'["{blaming}", "{bench.candidates / "comment"}"]'
    (both / "patch.toml").write_text(f'title = "both"\nseries = {parts}\n')
    done = bench.validate(str(both), "--dry-run")
    assert done.code == 0, done.stderr
    assert any(t.startswith(f"revert {culprit[:12]} on") for t in done.document["also"])


def test_a_workflows_strategy_is_printed_before_anything_runs(
    bench: Bench, repo: GolangRepo
) -> None:
    done = inv(
        *("matrix", "--repo", str(repo.path), "--revs", "master,v0.1.0"),
        *("--patches", str(bench.candidates / "fix"), "--format", "github-matrix"),
        *("--out", str(bench.out)),
        env={"BKBISECT_CACHE_DIR": str(bench.cache)},
    )
    assert done.code == 0, done.stderr
    jobs = done.document["include"]
    assert [job["rev"] for job in jobs] == ["master", "v0.1.0"] * 2
    assert [job["patches"] for job in jobs] == ["", "", *[str(bench.candidates / "fix")] * 2], (
        "as asked"
    )
    assert not bench.out.exists()


def test_a_revision_can_name_its_patches(bench: Bench, repo: GolangRepo) -> None:
    fix, comment = (bench.candidates / name for name in ("fix", "comment"))
    done = inv(
        *("matrix", "--repo", str(repo.path), "--dry-run", "--json"),
        *("--revs", f"v0.1.0,master,master+{fix},master+{comment}+{fix}"),
        env={"BKBISECT_CACHE_DIR": str(bench.cache)},
    )
    assert done.code == 0, done.stderr
    assert done.document["rows"] == [
        *("v0.1.0", "master", "master + fix", "master + comment + fix")
    ], "as asked, and in that order"


def test_the_users_repository_is_not_changed(bench: Bench, repo: GolangRepo) -> None:
    def state() -> tuple[str, ...]:
        return tuple(
            repo.git(*ask)
            for ask in (("for-each-ref",), ("status", "--porcelain"), ("worktree", "list"))
        )

    before = state()
    done = bench.validate("fix", "--checks", "cells", "--culprit", repo.commits["culprit"])
    assert state() == before
    assert repo.git("-C", str(_mirror(bench.cache)), "worktree", "list").count("\n") == 0
    result.read(bench.out / done.document["id"])


def _mirror(cache: Path) -> Path:
    return next((cache / "mirrors").glob("*.git"))
