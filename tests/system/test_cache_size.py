"""The limit of the cache, with real builds: entries in use are kept, removed ones rebuilt."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from buildkit_bisect.system import paths
from golang_repo import GolangRepo, buildkit_like, words
from tool import TaskOutput, argv, environment, inv

pytestmark = [pytest.mark.system, pytest.mark.alone]

OLD = 100_000.0


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("repo") / "upstream")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    root = tmp_path / "cache"
    root.mkdir()
    for name in ("toolchains", "gocache", "gomod"):  # links to directories with their own limits
        (root / name).symlink_to(paths.cache(name))
    return root


def build(repo: GolangRepo, cache: Path, rev: str, *words: str) -> TaskOutput:
    done = inv("build", "--rev", rev, "--repo", str(repo.path), "--json", *words,
               env={"BKBISECT_CACHE_DIR": str(cache)})  # fmt: skip
    assert done.code == 0, done.stderr
    return done


def age(folder: Path) -> None:
    then = time.time() - OLD
    os.utime(folder, (then, then))


def test_a_removed_build_is_built_again(repo: GolangRepo, cache: Path) -> None:
    first = build(repo, cache, "v0.1.0").document
    folder = Path(first["directory"])
    age(folder)
    age(next(cache.glob("mirrors/*.git")))
    shown = inv("clean", "--dry-run", "--cache-size", "1MB", env={"BKBISECT_CACHE_DIR": str(cache)})
    assert "would remove for --cache-size 1.0 MB: " in shown.stdout
    assert "  builds " in shown.stdout
    assert folder.is_dir()

    done = build(repo, cache, "v0.2.0", "--cache-size", "1MB")
    assert "from the cache to keep it below 1.0 MB" in done.stderr
    assert not folder.exists()
    assert Path(done.document["directory"]).is_dir(), "what this run made is in use"

    again = build(repo, cache, "v0.1.0").document
    assert (again["reused"], again["key"]) == (False, first["key"])
    assert again["buildkitd_sha256"] == first["buildkitd_sha256"]


def test_entries_of_a_running_campaign_are_kept(
    repo: GolangRepo, cache: Path, tmp_path: Path
) -> None:
    # Not a commit of the range: a search prefers builds that are there, and this one would be used.
    repo.branch("aside", repo.commits["tip"])
    aside = repo.commit("aside", {"util/words/words.go": words("aside")})
    repo.switch("master")
    others = Path(build(repo, cache, aside).document["directory"])
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/began\nsleep 60\n")
    script.chmod(0o755)
    asked = ("bisect", "--repo", str(repo.path), "--good", "v0.1.0", "--bad", "v0.2.0",
             "--trials", "1", "--script", str(script), "--out", str(tmp_path / "out"))  # fmt: skip
    with subprocess.Popen(
        argv(*asked), env=environment({"BKBISECT_CACHE_DIR": str(cache)}),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            until = time.monotonic() + 120
            while not (tmp_path / "began").exists():
                assert time.monotonic() < until, "no trial began"
                assert running.poll() is None
                time.sleep(0.05)
            age(others)
            used = {b for b in (cache / "builds").glob("*/build.json") if b.parent != others}
            assert used
            env = {"BKBISECT_CACHE_DIR": str(cache)}
            assert inv("clean", "--cache-size", "0", env=env).code == 0
            assert not others.exists()
            assert {b for b in used if b.exists()} == used
            assert list(cache.glob("mirrors/*.git"))
            refused = inv("clean", "--cache", env=env)
            assert refused.code == 2
            assert "the cache is in use by process" in refused.stderr
            assert {b for b in used if b.exists()} == used
        finally:
            running.terminate()
            running.wait(30)
    assert inv("clean", "--cache-size", "0", env=env).code == 0
    assert not list((cache / "builds").glob("*/build.json"))


def test_trials_whose_evidence_was_removed_still_count(
    repo: GolangRepo, cache: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\n"$BKBISECT_BUILDKITD" | grep -q cached\n')
    script.chmod(0o755)
    words = ("bisect", "--repo", str(repo.path), "--good", "v0.1.0", "--bad", "v0.2.0", "--trials",
             "1", "--script", str(script), "--json", "--out", str(tmp_path / "out"))  # fmt: skip
    env = {"BKBISECT_CACHE_DIR": str(cache)}
    first = inv(*words, env=env).document
    for folder in (tmp_path / "out").iterdir():
        subprocess.run(["/usr/bin/env", "rm", "-r", str(folder)], check=True)
    assert list((cache / "evidence").iterdir())
    assert inv("clean", "--cache-size", "0", env=env).code == 0
    assert not list((cache / "evidence").iterdir())
    again = inv(*words, env=env)
    assert "first_bad" in again.document["bisect"]
    assert again.document["bisect"]["candidates"] == first["bisect"]["candidates"]
    trials = [t for c in again.document["cells"] for t in c["trials"]]
    assert trials
    assert all(t["reused"] for t in trials), json.dumps(trials)
