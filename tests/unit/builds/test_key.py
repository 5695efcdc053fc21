from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect.builds import store
from buildkit_bisect.builds.compile import go_env
from buildkit_bisect.builds.key import Recipe, build_key, program_key, request_key
from buildkit_bisect.builds.store import sweep
from buildkit_bisect.golang.toolchain import Toolchain
from buildkit_bisect.model import Stage
from buildkit_bisect.system import paths

RECIPE = Recipe(goarch="amd64")

#: The key that a request had before binaries were linked without debug information.
EARLIER = "f4f15668a97cbc6f465f6ee20fb08225be0ff5b2fc099621e46fc9f8ab1e5406"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


def test_a_key_depends_on_everything_that_decides_the_bytes() -> None:
    keys = [
        program_key("buildkitd", "i", ("p", "q"), "1.25.5", RECIPE),
        program_key("buildctl", "i", ("p", "q"), "1.25.5", RECIPE),
        program_key("buildkitd", "j", ("p", "q"), "1.25.5", RECIPE),
        program_key("buildkitd", "i", ("q", "p"), "1.25.5", RECIPE),
        program_key("buildkitd", "i", (), "1.25.5", RECIPE),
        program_key("buildkitd", "i", ("pq",), "1.25.5", RECIPE),
        program_key("buildkitd", "i", ("p", "q"), "1.25.4", RECIPE),
        program_key("buildkitd", "i", ("p", "q"), "1.25.5", replace(RECIPE, goarch="arm64")),
        program_key("buildkitd", "i", ("p", "q"), "1.25.5", replace(RECIPE, goos="windows")),
        program_key("buildkitd", "i", ("p", "q"), "1.25.5", replace(RECIPE, tags="x")),
        program_key("buildkitd", "i", ("p", "q"), "1.25.5", replace(RECIPE, cover=True)),
        program_key("buildkitd", "i", ("p", "q"), "1.25.5", replace(RECIPE, debug_info=True)),
        request_key("git", "i", ("p", "q"), RECIPE),
        request_key("git", "i", ("p", "q"), replace(RECIPE, debug_info=True)),
        request_key("module", "i", ("p", "q"), RECIPE),
        build_key({"buildkitd": "a", "buildctl": "b"}),
        build_key({"buildkitd": "b", "buildctl": "a"}),
        build_key({"buildctl": "b"}),
    ]
    assert len(set(keys)) == len(keys)
    again = Recipe(goarch="amd64", programs=("buildkitd",))
    assert program_key("buildkitd", "i", ("p", "q"), "1.25.5", again) == keys[0]
    assert build_key({"buildctl": "b", "buildkitd": "a"}) == keys[-3]


def test_builds_of_earlier_versions_are_not_found() -> None:
    # Their keys are not those of programs, so no store could be asked for them either.
    recipe = Recipe(goarch="amd64", debug_info=True)
    assert request_key("git", "i", ("p", "q"), recipe) != EARLIER


def test_the_recipe() -> None:
    line = " ".join(RECIPE.arguments())
    for flag in ("-trimpath", "-buildvcs=false", "static_build seccomp", "Version=v0.0.0+bkbisect"):
        assert flag in line
    assert "-ldflags -s -w -X" in line
    assert "-s -w" not in " ".join(replace(RECIPE, debug_info=True).arguments())
    assert RECIPE.only(["buildctl"]).packages() == ["./cmd/buildctl"]
    assert RECIPE.packages() == ["./cmd/buildkitd", "./cmd/buildctl"]
    assert replace(RECIPE, goos="windows").binary("buildctl") == "buildctl.exe"


def test_a_compile_ignores_the_users_go_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOFLAGS", "GOAMD64", "GODEBUG", "GOEXPERIMENT", "GOCACHEPROG", "GOTOOLDIR"):
        monkeypatch.setenv(name, "junk")
    go = Toolchain(version="1.25.5", goroot="/go", origin="PATH")
    env = go_env(go, RECIPE, tmp=tmp_path)
    assert "junk" not in env.values()
    assert env["GOTOOLCHAIN"] == "local"
    assert env["GOENV"] == "off"
    assert env["CGO_ENABLED"] == "0"
    assert (env["GOOS"], env["GOARCH"], env["GOROOT"]) == ("linux", "amd64", "/go")


def test_requests_and_failures_are_stored(tmp_path: Path) -> None:
    assert store.answer("r") is None
    store.remember("r", "k")
    store.remember("r", "k")
    assert store.answer("r") == "k"
    made = paths.cache("tmp") / "made"
    made.mkdir()
    (made / "build.log").write_text("# example.org/x\nx.go:1:1: no\n")
    failed = store.save_failure(made, "k", Stage.BUILD, "x.go:1:1: no")
    assert store.failure("k") == failed
    assert Path(failed.log).read_text() == "# example.org/x\nx.go:1:1: no\n"
    assert store.load("k") is None
    assert store.history() == []
    assert store.expected_packages() == 0


def test_sweep_removes_what_dead_processes_left() -> None:
    dead = 2**22 + 12345  # above the kernel's largest process id
    tmp = paths.cache("tmp")
    for name in (f"build-{dead}-abc_1", f"worktree-{os.getpid()}-xyz", "unknown", "old"):
        (tmp / name / "deep").mkdir(parents=True)
    os.utime(tmp / "old", (0, 0))
    (tmp / f"file-{dead}-x").touch()
    messages: list[str] = []
    assert sweep(say=messages.append) == 3
    assert sorted(p.name for p in tmp.iterdir()) == ["unknown", f"worktree-{os.getpid()}-xyz"]
    assert len(messages) == 3
    with paths.scratch("mine") as mine:
        assert sweep() == 0
        assert mine.is_dir()
    assert not mine.exists()
