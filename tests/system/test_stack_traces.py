"""What panics print: with function names, files and lines, though binaries are stripped."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.gochecks.run import check
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.patch import patches
from buildkit_bisect.runtime.host import _children, host_runtime
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from golang_repo import MODULE, GolangRepo, words

pytestmark = [pytest.mark.system, pytest.mark.alone]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {name: paths.cache(name) for name in ("toolchains", "gocache", "gomod")}
    (tmp_path / "cache").mkdir()
    for name, path in shared.items():
        (tmp_path / "cache" / name).symlink_to(path)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def repo(tmp_path: Path) -> GolangRepo:
    return GolangRepo.create(tmp_path / "upstream")


FILLS = """package solver

import "github.com/moby/buildkit/util/words"

// Answer is what the programs print.
func Answer() string {
	return fill(map[string]string{}, words.Cached)
}

//go:noinline
func fill(all map[string]string, word string) string {
	all["a"] = word
	return all["a"]
}
"""

TESTS = {
    "solver/solver_test.go": """package solver

import "testing"

func TestAnswer(t *testing.T) {
	if Answer() == "" {
		t.Fatal("no answer")
	}
}
""",
    "util/words/words_test.go": """package words

import "testing"

func TestCached(t *testing.T) {
	if Cached != "cached" {
		t.Errorf("it says %q", Cached)
	}
}
""",
}


def test_the_evidence_of_go_test(repo: GolangRepo, tmp_path: Path) -> None:
    """One package has a test that panics, another one a test that fails."""
    base = repo.commit("tested", {**TESTS, "solver/solver.go": FILLS})
    broken = FILLS.replace("map[string]string{},", "nil,")
    repo.commit("broken", {"solver/solver.go": broken, "util/words/words.go": words("ran")})
    folder = tmp_path / "p"
    folder.mkdir()
    repo.git("diff", f"--output={folder / 'it.patch'}", base, "HEAD")
    (folder / "patch.toml").write_text('title = "test"\n')
    source = GitSource.open(str(repo.path))
    chosen = [patches.load(str(folder))]
    panics, fails, vet = check(source, source.resolve(base), chosen)
    assert (panics.subject, panics.worse) == ("./solver", ("TestAnswer",)), panics
    shown = "\n".join(panics.log)
    assert panics.log[0].startswith("panic: assignment to entry in nil map"), shown
    for part in (
        r"goroutine \d+ \[running\]:",
        rf"{MODULE}/solver\.fill\(",
        rf"\t{MODULE}/solver/solver\.go:12 \+0x",
        rf"{MODULE}/solver\.TestAnswer\(",
        rf"\t{MODULE}/solver/solver_test\.go:6 \+0x",
    ):
        assert re.search(part, shown), f"{part} is not in\n{shown}"
    assert (fails.subject, fails.worse) == ("./util/words", ("TestCached",)), fails
    assert [line.strip() for line in fails.log] == ['words_test.go:7: it says "ran"']
    assert vet.change == "same"


#: Serves until a signal comes, and then panics in a goroutine of its own.
DAEMON = """package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/moby/buildkit/solver"
)

func main() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	os.Create(os.Args[2] + "/ready")
	<-asked
	go func() { println(solver.Answer()) }()
	select {}
}
"""


def _until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_log_of_a_daemon_that_panics(repo: GolangRepo, tmp_path: Path) -> None:
    broken = FILLS.replace("map[string]string{},", "nil,")
    repo.commit("panics", {"solver/solver.go": broken, "cmd/buildkitd/main.go": DAEMON})
    control = 'package main\n\nfunc main() { println("ready") }\n'
    repo.commit("control", {"cmd/buildctl/main.go": control})
    source = GitSource.open(str(repo.path))
    build = Builder(source=source).build(Variant(revision=source.resolve("master")))
    assert isinstance(build, Build), build
    assert b".symtab" not in (Path(build.directory) / "buildkitd").read_bytes()
    with host_runtime(
        binaries=Path(build.directory), home=tmp_path, snapshotter="native"
    ) as daemon:
        _until((tmp_path / "state/ready").exists)
        assert daemon._child
        os.kill(_children(daemon._child.pid)[0], signal.SIGUSR1)
        _until(lambda: not daemon.alive())
        assert daemon.trouble() == "", "the daemon's own end"
        log = daemon.log.read_text()
    for part in (
        r"panic: assignment to entry in nil map",
        r"goroutine \d+ \[running\]:",
        rf"{MODULE}/solver\.fill\(",
        rf"\t{MODULE}/solver/solver\.go:12 \+0x",
        rf"{MODULE}/cmd/buildkitd/main\.go:16 \+0x",
    ):
        assert re.search(part, log), f"{part} is not in\n{log}"
