"""Bisections of a generated repository whose programs are compiled and run."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from buildkit_bisect.system import paths
from golang_repo import GolangRepo, buildkit_like, merges_that_do_not_compile, words
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.alone]

_SHARED = ("toolchains", "gocache", "gomod")

#: Bad if the program prints "ran".
SCRIPT = """#!/bin/sh
"$BKBISECT_BUILDKITD" | tee seen
grep -q cached seen
"""

#: Options of a prior, and what is said of it.
PRIORS = {
    ("--prior", "coverage"): "the reproducer runs 3 functions of BuildKit",
    ("--prior", "packages"): "packages of BuildKit that buildkitd imports are changed by",
    ("--suspect", "util/*,version"): "--suspect util/*,version: touched by",
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("repo") / "upstream")


@pytest.fixture(scope="module")
def buildable(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """Return the same history in which every commit builds, with a fix on the branch ``fixed``."""
    repo = buildkit_like(tmp_path_factory.mktemp("buildable") / "upstream", broken=False)
    repo.branch("fixed")
    repo.commit("before-the-fix", {"util/words/doc.go": "package words\n"})
    repo.commit("fix", {"util/words/words.go": words("cached")})
    repo.commit("after-the-fix", {"README.md": "four\n"})
    repo.switch("master")
    return repo


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """Bad, fixed and bad again inside one merge; fixed at the tip of the next.

    The first branch lacks ``meanwhile``. The second forks from its merge's first parent, so its tip
    and its merge have the same tree. A third, ``quiet``, turns bad and is fixed again inside.
    """
    repo = GolangRepo.create(tmp_path_factory.mktemp("turning") / "upstream")
    repo.tag("v0.1.0")
    repo.branch("turns")
    for name, word in (("bad", "ran"), ("fixed", "cached"), ("again", "ran")):
        repo.commit(name, {"util/words/words.go": words(word)})
        repo.commit(f"after-{name}", {"util/words/doc.go": f"// {name}\npackage words\n"})
    repo.switch("master")
    repo.commit("meanwhile", {"version/more.go": "package version\n"})
    repo.merge("merge-turns", "turns")
    repo.tag("v0.2.0")
    repo.branch("fixes")
    repo.commit("try", {"util/words/doc.go": "// try\npackage words\n"})
    repo.commit("fix", {"util/words/words.go": words("cached")})
    repo.switch("master")
    repo.merge("merge-fixes", "fixes")
    repo.branch("quiet")
    repo.commit("quiet-bad", {"util/words/words.go": words("ran")})
    repo.commit("quiet-fix", {"util/words/words.go": words("cached")})
    repo.switch("master")
    repo.merge("merge-quiet", "quiet")
    return repo


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    for name in _SHARED:
        (root / name).symlink_to(paths.cache(name))
    return root


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def bisect(
    repo: GolangRepo,
    cache: Path,
    script: Path,
    out: Path,
    *words: str,
    automatic: bool = False,
) -> TaskOutput:
    return inv(
        *("bisect", "--repo", str(repo.path), "--script", str(script)),
        *(() if automatic else ("--trials", "1")),
        *("--json", "--out", str(out), *words),
        env={"BKBISECT_CACHE_DIR": str(cache)},
    )


def test_a_commit_that_does_not_build_leaves_a_range(
    repo: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    done = bisect(repo, cache, script, tmp_path, "--good", "v0.1.0", "--bad", "master")
    assert done.code == 4, done.stderr
    found = done.document["bisect"]
    assert found["status"] == "range"
    assert {c["sha"] for c in found["candidates"]} == {
        repo.commits["broken"],
        repo.commits["culprit"],
    }
    assert any("undefined: missing" in c["reason"] for c in found["candidates"])
    assert found["first_bad"] == ""


MODES = [("--trials", "1"), ("--trials", "3"), (), ("--trials", "1", "--no-first-parent")]


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GolangRepo]:
    """Return histories by their culprit: in a plain merge, in an octopus merge, on the line."""
    return {
        culprit: merges_that_do_not_compile(
            tmp_path_factory.mktemp(culprit) / "upstream", culprit=culprit
        )
        for culprit in ("four-1", "three-2", "repair")
    }


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: " ".join(mode) or "automatic")
def test_a_commit_is_found_inside_merges_that_do_not_compile(
    hiding: dict[str, GolangRepo],
    cache: Path,
    script: Path,
    tmp_path: Path,
    mode: tuple[str, ...],
) -> None:
    culprit = "three-2" if "1" in mode else "four-1"
    repo = hiding[culprit]
    words = ("--good", "v0.1.1", "--bad", "master", "--no-verify", *mode)
    done = bisect(repo, cache, script, tmp_path, *words, automatic=True)
    assert done.code == 0, done.stderr
    found = done.document["bisect"]
    assert found["status"] == "found"
    assert found["first_bad"] == repo.commits[culprit]
    assert repo.commits["fork"] in [s["sha"] for s in found["gate"]]  # the merge base


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: " ".join(mode) or "automatic")
def test_a_range_of_merges_that_do_not_compile_has_only_tried_commits(
    hiding: dict[str, GolangRepo],
    cache: Path,
    script: Path,
    tmp_path: Path,
    mode: tuple[str, ...],
) -> None:
    repo = hiding["repair"]
    words = ("--good", "v0.1.1", "--bad", "master", *mode)
    done = bisect(repo, cache, script, tmp_path, *words, automatic=True)
    assert done.code == 4, done.stderr
    found = done.document["bisect"]
    assert found["status"] == "range", found["reason"]
    expected = {repo.commits[n] for n in ("merge-one", "merge-two", "merge-four", "repair")}
    assert {c["sha"] for c in found["candidates"]} == expected
    steps = {s["sha"]: s for s in found["steps"]}
    assert expected <= set(steps)
    assert {repo.commits[f"{n}-2"] for n in ("one", "two", "three", "four")} <= set(steps)
    for candidate in found["candidates"]:
        reason = candidate["reason"]
        if candidate["sha"] == repo.commits["repair"]:
            assert reason.startswith("bad: script-bad (")
        else:
            assert "could not be tested: build: " in reason
            assert "undefined: missing" in reason
    report = (tmp_path / done.document["id"] / "report.md").read_text()
    assert report.startswith("**The first bad commit is one of 4: ")
    assert "- Reason: " in report
    assert "3 commits could not be tested" in report
    assert found["hint"].startswith("./inv build --rev ")
    assert repo.commits["merge-one"][:12] in found["hint"]


def test_the_commit_inside_the_merge_is_found_and_reverted(
    buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    done = bisect(buildable, cache, script, tmp_path, "--good", "v0.1.0", "--bad", "master")
    assert done.code == 0, done.stderr
    found = done.document["bisect"]
    assert found["status"] == "found"
    assert found["first_bad"] == buildable.commits["culprit"]
    assert found["merge"] == buildable.commits["merge-culprit"]
    assert found["reverted"].startswith("confirmed: master without this commit is script-good")
    assert found["parents"] == [buildable.commits["refactor"]]
    report = (tmp_path / done.document["id"] / "report.md").read_text()
    assert buildable.commits["culprit"][:12] in report
    assert left_behind() == []


def test_the_same_command_says_the_same(
    buildable: GolangRepo, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without ``--trials``: the builds of the first search are there now, and cost nothing."""
    fresh = tmp_path_factory.mktemp("fresh")
    for name in _SHARED:
        (fresh / name).symlink_to(paths.cache(name))
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    told = []
    for out in ("first", "again"):
        done = inv(
            *("bisect", "--repo", str(buildable.path), "--script", str(path)),
            *("--good", "v0.1.0", "--bad", "master", "--json", "--out", str(tmp_path / out)),
            env={"BKBISECT_CACHE_DIR": str(fresh)},
        )
        assert done.code == 0, done.stderr
        found = done.document["bisect"]
        steps = [
            (s["phase"], s["sha"], s["verdict"], s["counts"])
            for s in (*found["gate"], *found["steps"])
        ]
        told.append((steps, found["confidence"], found["candidates"]))
    assert told[0] == told[1]
    assert all(s["reused"] for s in found["steps"])


@pytest.mark.parametrize("words", [*PRIORS])
def test_a_prior_finds_the_same_commit(
    buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    ends = ("--good", "v0.1.0", "--bad", "master")
    done = bisect(buildable, cache, script, tmp_path, *ends, *words)
    assert done.code == 0, done.stderr
    assert done.document["bisect"]["first_bad"] == buildable.commits["culprit"]
    assert PRIORS[words] in done.stderr
    keys = {cell["build"]["key"] for cell in done.document["cells"]}
    counting = {p.parent.name for p in (cache / "builds").glob("*/instrumented")}
    assert not keys & counting  # no trial of an instrumented build counts
    assert bool(counting) or "coverage" not in words
    assert left_behind() == []


def test_the_fix_is_found(buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path) -> None:
    words = ("--find-fix", "--bad", "v0.2.0", "--good", "fixed")
    done = bisect(buildable, cache, script, tmp_path, *words)
    assert done.code == 0, done.stderr
    found = done.document["bisect"]
    assert found["first_bad"] == buildable.commits["fix"]
    assert found["reverted"].startswith("confirmed")


def test_a_good_endpoint_on_a_release_branch(
    buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    done = bisect(buildable, cache, script, tmp_path, "--good", "v0.1.1", "--bad", "v0.2.0")
    found = done.document["bisect"]
    gate = [s["sha"] for s in found["gate"]]
    assert buildable.commits["base"] in gate, (
        "good is not an ancestor of bad, so their merge base is tested"
    )
    # If no other test has built the good end, its merge base is run in its place.
    (end,) = [r["sha"] for r in done.document["revisions"] if r["ref"] == "v0.1.1"]
    said = [n for n in found["notes"] if n.startswith("v0.1.1 was not run in this search, but ")]
    assert len(said) == (end not in gate)
    assert len(gate) == 3 - len(said)
    assert found["first_bad"] == buildable.commits["culprit"]


def test_swapped_endpoints_are_refused(
    repo: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    done = bisect(repo, cache, script, tmp_path, "--good", "master", "--bad", "v0.1.0")
    assert done.code == 4
    assert done.document["bisect"]["status"] == "refused"
    assert done.document["bisect"]["hint"]


def test_a_plan_names_the_campaign_that_tested_the_ends(
    buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.sh"  # trials of the shared script are known from other campaigns
    own.write_text(f"{script.read_text()}# own\n")
    own.chmod(0o755)
    at = ("--repo", str(buildable.path), "--script", str(own), "--trials", "1")
    env = {"BKBISECT_CACHE_DIR": str(cache)}
    ends = ("--good", "v0.1.0", "--bad", "master")
    unknown = inv("plan", "bisect", *at, *ends, "--fresh", "--json", env=env).document
    assert "known" not in unknown
    ran = inv("matrix", *at, "--revs", "v0.1.0,master", "--json", "--out", str(tmp_path), env=env)
    assert ran.code == 0, ran.stderr
    plan = inv("plan", "bisect", *at, *ends, "--json", env=env).document
    known = f"known from {ran.document['id']})"
    assert plan["known"] == [
        f"v0.1.0 is good (script-good 1 of 1, {known}",
        f"master is bad (script-bad 1 of 1, {known}",
    ]
    stored = inv("plan", "matrix", *at, "--revs", "v0.1.0,master", "--json", env=env).document
    assert stored["stored"] == {"v0.1.0": [1], "master": [1]}
    assert stored["seconds"] == 0


def test_the_users_repository_is_not_changed(
    repo: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    before = (
        repo.git("for-each-ref"),
        repo.git("status", "--porcelain"),
        repo.git("worktree", "list"),
    )
    bisect(repo, cache, script, tmp_path, "--good", "v0.1.0", "--bad", "master", "--fresh")
    after = (
        repo.git("for-each-ref"),
        repo.git("status", "--porcelain"),
        repo.git("worktree", "list"),
    )
    assert before == after


def test_the_revert_is_judged_by_the_given_outcomes(
    buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    words = ("--good", "v0.2.0", "--bad", "fixed")
    named = ("--good-when", "script-bad", "--bad-when", "script-good")
    found = bisect(buildable, cache, script, tmp_path, *words, *named).document["bisect"]
    assert found["first_bad"] == buildable.commits["fix"]
    assert found["reverted"] == "confirmed: fixed without this commit is script-bad 1 of 1"


def test_a_good_endpoint_is_found_among_the_releases(
    buildable: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    done = bisect(buildable, cache, script, tmp_path, "--find-good", "--bad", "master")
    assert done.code == 0, done.stderr
    found = done.document["bisect"]
    assert found["good"] in ("v0.1.0", "v0.1.1")
    assert found["first_bad"] == buildable.commits["culprit"]


def test_boundaries_lists_every_change_inside_the_merges(
    turning: GolangRepo, cache: Path, script: Path, tmp_path: Path
) -> None:
    done = inv(
        *("boundaries", "--repo", str(turning.path), "--script", str(script), "--trials", "1"),
        *("--from", "v0.1.0", "--to", "master", "--resolution", "1"),
        *("--json", "--out", str(tmp_path)),
        env={"BKBISECT_CACHE_DIR": str(cache)},
    )
    assert done.code == 0, done.stderr
    at, found = turning.commits, done.document["bisect"]
    good, bad = "script-good", "script-bad"
    assert [(c["sha"], c["merge"], c["before"], c["after"]) for c in found["changes"]] == [
        (at["bad"], at["merge-turns"], good, bad),
        (at["fixed"], at["merge-turns"], bad, good),
        (at["again"], at["merge-turns"], good, bad),
        (at["fix"], at["merge-fixes"], bad, good),
    ]
    assert not {at["quiet-bad"], at["quiet-fix"]} & {s["sha"] for s in found["steps"]}
    assert any("merges at which no cell changed are not searched inside" in n
               for n in found["notes"])  # fmt: skip
    folder = tmp_path / done.document["id"]
    report, picture = ((folder / name).read_text() for name in ("report.md", "timeline.svg"))
    for name in ("bad", "fixed", "again", "fix"):
        assert at[name][:12] in report
        assert at[name][:10] in picture
    assert left_behind() == []
