"""A go command that fails in many ways that are not the source's fault.

It is the machine's own go behind scripts: a fault is a line of shell that runs before ``go build``
or instead of a tool of Go's. Each has to be reported as infrastructure, and to leave nothing that
the next build without the fault would trust.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.model import Build, NoBuild, Stage, Variant
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths, retry
from buildkit_bisect.system.deadlines import Deadlines
from golang_repo import GO, GolangRepo, buildkit_like, words
from tool import inv

pytestmark = pytest.mark.system

_SHARED = ("toolchains", "gocache", "gomod")
REASON = "solver/extra.go:3:9: undefined: missing"


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """A GOROOT of links, whose programs ``go``, ``compile`` and ``link`` may fail."""

    root: Path

    def breaks(self, program: str, shell: str) -> None:
        """Let *program* run *shell* before it does its work."""
        (self.root / f"{program}.fault").write_text(shell)

    def works(self) -> None:
        """Remove every fault."""
        for file in self.root.glob("*.fault"):
            file.unlink()


def scripted(root: Path, real: Path) -> Scripted:
    """Make *root* a GOROOT whose programs are those of *real*, behind scripts."""
    root.mkdir()
    (tools,) = (real / "pkg" / "tool").iterdir()
    for part in real.iterdir():
        if part.name not in ("bin", "pkg"):
            (root / part.name).symlink_to(part)
    (root / "bin").mkdir()
    (root / "pkg" / "tool" / tools.name).mkdir(parents=True)
    for part in (real / "pkg").iterdir():
        if part.name != "tool":
            (root / "pkg" / part.name).symlink_to(part)
    for part in tools.iterdir():
        if part.name not in ("compile", "link"):
            (root / "pkg" / "tool" / tools.name / part.name).symlink_to(part)
    script(root / "bin" / "go", real / "bin" / "go", root / "go.fault", 'build "$@"')
    for name in ("compile", "link"):
        place = root / "pkg" / "tool" / tools.name / name
        # Go asks a tool for its version before it uses it.
        script(place, tools / name, root / f"{name}.fault", "tool")
    return Scripted(root=root)


def script(path: Path, real: Path, fault: Path, kind: str) -> None:
    when = '[ "$1" = build ]' if kind != "tool" else 'case "$*" in *-V=full*) false;; esac'
    path.write_text(
        f'#!/bin/sh\nif {when} && [ -f {fault} ]; then . {fault}; fi\nexec {real} "$@"\n'
    )
    path.chmod(0o755)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Put the scripted Go on PATH, and use a separate cache with the user's expensive parts."""
    real = Toolchains().find(GoWanted(minor=(1, int(GO.split(".")[1]))))
    shared = {name: paths.cache(name) for name in _SHARED}
    (tmp_path / "cache").mkdir()
    for name, path in shared.items():
        (tmp_path / "cache" / name).symlink_to(path)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    made = scripted(tmp_path / "go", Path(real.goroot))
    monkeypatch.setenv("PATH", f"{made.root / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(retry, "PAUSE", 0.01)
    return made


@pytest.fixture
def repo(template: GolangRepo, tmp_path: Path) -> GolangRepo:
    """A history whose newest commit no Go cache of this machine has compiled."""
    made = template.copy(tmp_path / "upstream")
    made.commit("new", {"util/words/words.go": words(str(time.time_ns()))})
    return made


def remembered() -> list[str]:
    found = [p.name for p in paths.cache("failures").iterdir()]
    return found + [p.name for p in (paths.cache("builds")).glob("*/build.json")]


#: A program, what happens instead of its work, and a part of the message.
FAULTS = {
    "killed": ("go", "kill -9 $$", "killed by signal 9"),
    "terminated": ("go", "kill -15 $$", "killed by signal 15"),
    "silent": ("go", "exit 1", "it exited with 1"),
    "status-137": ("go", "exit 137", "it exited with 137"),
    "cannot-start": ("go", "exec /nonexistent", "not found"),
    "cache-program-fails": ("go", "export GOCACHEPROG=/bin/false", "GOCACHEPROG"),
    "cache-program-missing": ("go", "export GOCACHEPROG=/nonexistent", "GOCACHEPROG program"),
    "cache-cannot-be-written": ("go", "export GOCACHE=/proc/x", "initialize build cache"),
    "cache-off": ("go", "export GOCACHE=off", "build cache is disabled"),
    "flags-of-the-user": ("go", "export GOFLAGS=-nosuch", r"parsing \$GOFLAGS"),
    "toolexec-fails": ("go", "export GOFLAGS=-toolexec=/bin/false", "go tool compile"),
    "no-goroot": ("go", "export GOROOT=/nonexistent", "cannot find GOROOT"),
    "empty-goroot": ("go", "export GOROOT=$PWD/util", "is not in std"),
    "unknown-architecture": ("go", "export GOARCH=armv7l", "unsupported GOOS/GOARCH"),
    "unknown-experiment": ("go", "export GOEXPERIMENT=nope", "unknown GOEXPERIMENT"),
    "workspace-missing": ("go", "export GOWORK=/nonexistent", "go.work"),
    # With a cache that go cannot write, it says that its own packages are missing.
    "files-too-large": ("go", "ulimit -f 1", "file too large|signal: |is not in std"),
    "too-few-files": ("go", "ulimit -n 12", "too many open files"),
    "too-little-memory": ("go", "ulimit -v 300000", "page summary memory|out of memory"),
    "proxy-down": (
        "go",
        "echo 'solver/x.go:2:8: a.b/c@v1: Get \"https://p.x\": dial tcp: i/o timeout' >&2; exit 1",
        "dial tcp",
    ),
    "checksum": ("go", "echo 'verifying a.b/c@v1: checksum mismatch' >&2; exit 1", "checksum"),
    "compiler-killed": ("compile", "kill -9 $$", "signal: killed"),
    "compiler-crashes": ("compile", "kill -11 $$", "signal: segmentation fault"),
    "compiler-silent": ("compile", "exit 1", "compile: exit status 1"),
    "compiler-panics": (
        "compile",
        "echo 'panic: runtime error: index out of range' >&2; exit 2",
        "panic: runtime error",
    ),
    "compiler-fails-in-a-file": (
        "compile",
        "echo 'solver/solver.go:3:8: internal compiler error: out of memory' >&2; exit 2",
        "internal compiler error",
    ),
    "cache-lost-a-package": (
        "compile",
        "echo 'solver/solver.go:3:8: could not import fmt (open : no such file)' >&2; exit 1",
        "could not import",
    ),
    "linker-killed": ("link", "kill -9 $$", "signal: killed"),
    "linker-without-space": (
        "link",
        "echo 'link: mapping output file failed: no space left on device' >&2; exit 2",
        "no space left on device",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_infrastructure_and_is_forgotten(
    fault: str, go: Scripted, repo: GolangRepo
) -> None:
    program, shell, message = FAULTS[fault]
    source = GitSource.open(str(repo.path))
    asked, broken = (
        Variant(revision=source.resolve(ref)) for ref in ("master", repo.commits["broken"])
    )
    warnings: list[str] = []
    go.breaks(program, shell)
    with pytest.raises(InfraFailed, match=f"need not be the source's fault: .*({message})") as err:
        Builder(source=source, say=warnings.append).build(asked)
    assert "the same command again" in err.value.hint
    assert len([text for text in warnings if text.startswith("warning: ")]) == retry.TRIES - 1
    if program == "go":  # it fails before the compiler can complain
        with pytest.raises(InfraFailed):
            Builder(source=source).build(broken)
    assert Builder(source=source).cached(asked) is None
    assert remembered() == []
    go.works()
    built = Builder(source=source).build(asked)
    assert isinstance(built, Build)
    assert not built.reused
    failed = Builder(source=source).build(broken)
    assert isinstance(failed, NoBuild)
    assert (failed.stage, failed.reason, failed.infra) == (Stage.BUILD, REASON, False)
    assert Builder(source=source).cached(broken) == failed


def test_a_fault_that_passes_is_only_a_warning(go: Scripted, repo: GolangRepo) -> None:
    source = GitSource.open(str(repo.path))
    go.breaks("compile", f"if mkdir {go.root}/once 2>/dev/null; then kill -9 $$; fi")
    warnings: list[str] = []
    asked = Variant(revision=source.resolve("master"))
    assert isinstance(Builder(source=source, say=warnings.append).build(asked), Build)
    assert len(warnings) == 1
    assert "signal: killed; retrying in " in warnings[0]


def test_a_late_compile_is_infrastructure(go: Scripted, repo: GolangRepo) -> None:
    source = GitSource.open(str(repo.path))
    go.breaks("go", "sleep 60")
    asked = Variant(revision=source.resolve("master"))
    late = Builder(source=source, deadlines=Deadlines(compile=1.0)).build(asked)
    assert isinstance(late, NoBuild)
    assert late.infra
    assert late.hint == "--deadline compile=SECONDS, or the same command again"
    assert remembered() == []
    go.works()
    assert isinstance(Builder(source=source).build(asked), Build)


def test_the_users_settings_do_not_reach_go(
    go: Scripted, repo: GolangRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = GitSource.open(str(repo.path))
    settings = {
        "GOCACHEPROG": "/bin/false", "GOFLAGS": "-nosuch", "GOTOOLDIR": "/nonexistent",
        "GOTMPDIR": "/nonexistent", "GODEBUG": "x=1", "GOROOT": "/nonexistent",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "goenv").write_text("GOCACHEPROG=/bin/false\nGOFLAGS=-nosuch\n")
    monkeypatch.setenv("GOENV", str(tmp_path / "goenv"))
    built = Builder(source=source).build(Variant(revision=source.resolve("master")))
    assert isinstance(built, Build)


def test_what_earlier_versions_stored_is_forgotten(go: Scripted, repo: GolangRepo) -> None:
    source = GitSource.open(str(repo.path))
    broken = Variant(revision=source.resolve(repo.commits["broken"]))
    failed = Builder(source=source).build(broken)
    assert isinstance(failed, NoBuild)
    log = Path(failed.log)
    log.write_text("GOCACHEPROG exited pre-Close with 1 pending requests\n")
    assert Builder(source=source).cached(broken) is None
    again = Builder(source=source).build(broken)
    assert again == failed
    assert "undefined: missing" in log.read_text()


def test_a_search_stops_where_this_machine_fails(
    go: Scripted, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = buildkit_like(tmp_path_factory.mktemp("sound") / "upstream", broken=False)
    (tmp_path / "script").write_text('#!/bin/sh\n"$BKBISECT_BUILDKITD" | grep -q cached\n')
    (tmp_path / "script").chmod(0o755)
    asked = (
        *("bisect", "--repo", str(made.path), "--script", str(tmp_path / "script")),
        *("--good", "v0.1.0", "--bad", "master", "--trials", "1", "--out", str(tmp_path / "out")),
    )
    # One commit in the middle: everything else builds.
    go.breaks("go", "if grep -q 'all that the' solver/solver.go && grep -q cached util/words/*.go;"
              " then kill -9 $$; fi")  # fmt: skip
    stopped = inv(*asked)
    assert stopped.code == 5, stopped
    assert "need not be the source's fault: killed by signal 9" in stopped.stderr
    assert "then the same command again" in stopped.stderr
    assert "skipped" not in stopped.stderr + stopped.stdout
    assert list((tmp_path / "out").rglob("result.json")) == []
    go.works()
    found = inv(*asked, "--json")
    assert found.code == 0, found
    assert found.document["bisect"]["first_bad"] == made.commits["culprit"]
    assert not [s for s in found.document["bisect"]["steps"] if s["verdict"] == "skip"]
