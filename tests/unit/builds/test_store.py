from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from buildkit_bisect.builds import store
from buildkit_bisect.builds.key import build_key
from buildkit_bisect.model import Build, NoBuild, Stage
from buildkit_bisect.system import cache_limit, paths

COMPLAINT = "solver/x.go:3:9: undefined: missing"
BROKEN = f"a/b\n# github.com/moby/buildkit/solver\n{COMPLAINT}\n"
KEY = "ab" * 32


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


def stored(stage: str, reason: str, log: str | None, key: str = KEY) -> Path:
    """Store a failure as earlier versions did, whatever its reason."""
    entry = paths.cache("failures") / key
    entry.mkdir()
    (entry / "failure.json").write_text(json.dumps({"format": 1, "stage": stage, "reason": reason}))
    if log is not None:
        (entry / "build.log").write_text(log)
    return entry


def test_a_complaint_about_the_source_is_remembered() -> None:
    entry = stored("build", COMPLAINT, BROKEN)
    log = str(entry / "build.log")
    assert store.failure(KEY) == NoBuild(stage=Stage.BUILD, reason=COMPLAINT, log=log)
    assert store.forget_unproven() == 0
    assert entry.is_dir()


def test_a_patch_that_does_not_apply_is_remembered() -> None:
    reason = "p does not apply: patch failed: f:1; f: patch does not apply"
    stored("patch", reason, None)
    assert store.failure(KEY) == NoBuild(stage=Stage.PATCH, reason=reason)
    assert store.forget_unproven() == 0


@pytest.mark.parametrize(
    ("stage", "reason", "log"),
    [
        ("build", "GOCACHEPROG exited pre-Close with 1 pending requests", "GOCACHEPROG exited\n"),
        ("build", "GOCACHEPROG exited pre-Close with 1 pending requests", None),
        ("build", COMPLAINT, None),
        ("build", COMPLAINT, f"{BROKEN}GOCACHEPROG exited pre-Close with 1 pending requests\n"),
        ("build", "solver/x.go:3:9: undefined: other", BROKEN),
        ("patch", "p does not apply: git apply exited -9", None),
        ("toolchain", "cannot find Go 1.99: PATH has no Go", None),
        ("build", 'solver/x.go:2:8: p@v1: Get "https://p.invalid": dial tcp: i/o timeout',
         'solver/x.go:2:8: p@v1: Get "https://p.invalid": dial tcp: i/o timeout\n'),
        ("nonsense", COMPLAINT, BROKEN),
    ],
)  # fmt: skip
def test_any_other_failure_is_forgotten(stage: str, reason: str, log: str | None) -> None:
    entry = stored(stage, reason, log)
    assert store.failure(KEY) is None
    assert store.forget_unproven() == 1
    assert not entry.exists()
    assert list(paths.cache("tmp").iterdir()) == []


def test_a_damaged_entry_is_forgotten() -> None:
    entry = stored("build", COMPLAINT, BROKEN)
    (entry / "failure.json").write_text("[]")
    assert store.failure(KEY) is None
    assert store.forget_unproven() == 1


def test_a_build_that_runs_keeps_its_entry() -> None:
    entry = stored("build", "killed", None)
    with store.lock(KEY):
        assert store.forget_unproven() == 0
        assert entry.exists()
        assert store.failure(KEY) is None
    assert store.forget_unproven() == 1


def built(programs: dict[str, str]) -> Build:
    """Store a build whose programs are stored too: file name -> key."""
    with paths.scratch("build") as made:
        for name, key in programs.items():
            if not store.program(key, name):
                (made / name).write_text(f"{name} {key}")
                store.save_program(made / name, key)
        (made / "entry").mkdir()
        store.link_programs(made / "entry", programs)
        meta = dict.fromkeys(("go", "source", "buildkitd_sha256", "buildctl_sha256"), "x")
        key = build_key(programs)
        return store.save(made / "entry", {"key": key, "seconds": 1.0, "packages": 1, **meta})


def test_builds_share_programs() -> None:
    one = built({"buildkitd": "d1", "buildctl": "c1"})
    other = built({"buildkitd": "d2", "buildctl": "c1"})
    assert sorted(p.name for p in paths.cache("programs").iterdir()) == ["c1", "d1", "d2"]
    for build, daemon in ((one, "d1"), (other, "d2")):
        assert (Path(build.directory) / "buildkitd").read_text() == f"buildkitd {daemon}"
        assert (Path(build.directory) / "buildctl").read_text() == "buildctl c1"
        loaded = store.load(build.key)
        assert loaded
        assert loaded.reused
    assert list(paths.cache("tmp").iterdir()) == []


def test_a_build_without_one_of_its_programs_is_none() -> None:
    one = built({"buildkitd": "d1", "buildctl": "c1"})
    shutil.rmtree(paths.cache("programs") / "c1")
    assert store.load(one.key) is None
    assert [b.key for b in store.history()] == [one.key], "its time still counts"
    again = built({"buildkitd": "d1", "buildctl": "c1"})
    assert store.load(one.key) is not None
    assert again.key == one.key


def test_programs_of_builds_in_use_are_not_removed() -> None:
    one = built({"buildkitd": "d1", "buildctl": "c1"})
    for entry in (*paths.cache("programs").iterdir(), Path(one.directory)):
        os.utime(entry, (1, 1))
    assert store.load(one.key)
    gone = cache_limit.surplus(cache_limit.entries(), 0)
    assert [e for e in gone if e.kind in {"builds", "programs"}] == []


def test_a_build_of_an_earlier_version_holds_its_programs() -> None:
    with paths.scratch("build") as made:
        (made / "entry").mkdir()
        (made / "entry" / "buildkitd").write_text("d")
        (made / "entry" / "buildctl").write_text("c")
        meta = dict.fromkeys(("go", "source", "buildkitd_sha256", "buildctl_sha256"), "x")
        store.save(made / "entry", {"key": KEY, "seconds": 1.0, "packages": 1, **meta})
    assert store.load(KEY)
    (paths.cache("builds") / KEY / "buildctl").unlink()
    assert store.load(KEY) is None


def test_a_failure_in_use_is_not_removed() -> None:
    entry = stored("build", COMPLAINT, BROKEN)
    os.utime(entry, (1, 1))
    assert [e.path for e in cache_limit.surplus(cache_limit.entries(), 0)] == [entry]
    assert store.failure(KEY)
    assert cache_limit.surplus(cache_limit.entries(), 0) == []


def test_of_two_builds_that_compile_a_program_at_once_the_first_stays() -> None:
    """Several compiles may run at once; whoever uses the program already must not lose it."""
    for made in ("first", "second"):
        with paths.scratch("build") as folder:
            (folder / "buildctl").write_text(made)
            store.save_program(folder / "buildctl", "a-key")
    stored = store.program("a-key", "buildctl")
    assert stored
    assert stored.read_text() == "first"
