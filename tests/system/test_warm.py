"""A machine without Go and without builds bisects what another one has put into a store."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.runtime import registry
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, words
from tool import TaskOutput, inv

pytestmark = [pytest.mark.system, pytest.mark.alone]

#: Commits on master whose programs differ, and those between them that change no program.
BUILDS, DOCUMENTS = 12, 24

#: The number of the build that prints "ran".
CULPRIT = 8

SCRIPT = """#!/bin/sh
"$BKBISECT_BUILDKITD" | tee seen
grep -q cached seen
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """A line of commits, of which one merges a branch of two builds, the culprit first."""
    made = GolangRepo.create(tmp_path_factory.mktemp("repo") / "upstream")
    made.tag("v0.1.0")
    for number in range(1, BUILDS + 1):
        change = {"util/words/doc.go": f"// Build {number}.\npackage words\n"}
        if number == CULPRIT:
            made.branch("topic")
            made.commit("culprit", {"util/words/words.go": words("ran")})
            made.commit("after", change)
            made.switch("master")
            made.commit("beside", {"README.md": "beside\n"})
            made.merge("merge", "topic")
        else:
            made.commit(f"build {number}", change)
        for more in range(DOCUMENTS // BUILDS):
            made.commit(f"docs {number}.{more}", {"README.md": f"{number} {more}\n"})
    made.tag("v0.2.0")
    return made


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A cache of its own."""

    cache: Path

    def inv(self, *words: str, **env: str) -> TaskOutput:
        return inv(*words, env={"BKBISECT_CACHE_DIR": str(self.cache), **env})

    @property
    def compiled(self) -> list[Path]:
        """Builds that this machine has made itself."""
        entries = (self.cache / "builds").glob("*/build.json")
        return [e.parent for e in entries if not (e.parent / "pulled.json").exists()]


@pytest.fixture
def first(tmp_path: Path) -> Machine:
    """A machine with Go."""
    made = tmp_path / "first"
    made.mkdir()
    for name in ("toolchains", "gocache", "gomod"):
        (made / name).symlink_to(paths.cache(name))
    return Machine(cache=made)


def without_go(folder: Path) -> dict[str, str]:
    """Return an environment in which there is no Go, nor a place to download one from."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            link = folder / program.name
            if program.name not in {"go", "gofmt"} and not link.exists():
                link.symlink_to(program)
    return {
        "PATH": str(folder),
        "GOPROXY": "off",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_CONFIG_FILE": os.devnull,
    }


def test_a_bisection_with_the_builds_of_another_machine(
    repo: GolangRepo, first: Machine, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with registry.serve(tmp_path / "storage") as at:
        store = ("--store", f"oci://{at.address}/builds")
        where = ("--repo", str(repo.path), *store)
        warming = ("warm", "--from", "v0.1.0", "--to", "v0.2.0", *where, "--store-push")
        plan = json.loads(first.inv(*warming, "--dry-run", "--json").stdout)
        assert (plan["builds"], plan["missing"]) == (BUILDS + 2, BUILDS + 2)
        done = first.inv(*warming, "--json")
        assert done.code == 0, done.stderr
        assert done.document == {
            "builds": BUILDS + 2,
            "already built": 0,
            "pulled": 0,
            "compiled": BUILDS + 2,
            "not buildable": 0,
            "failed": 0,
        }
        assert "nothing to compile" in first.inv(*warming, "--dry-run").stdout

        second = Machine(cache=tmp_path / "second")
        second.cache.mkdir()
        # The mirror of the repository is in place.
        shutil.copytree(first.cache / "mirrors", second.cache / "mirrors", symlinks=True)
        assert "nothing to compile" in second.inv(*warming[:-1], "--dry-run").stdout
        found = second.inv(
            *("bisect", "--good", "v0.1.0", "--bad", "v0.2.0", *where, "--script", str(script)),
            *("--json", "--out", str(tmp_path / "out")),
            **without_go(tmp_path / "bin"),
        )
    assert found.code == 5, found.stderr  # the revert needs a Go
    answer = found.document["bisect"]
    assert answer["first_bad"] == repo.commits["culprit"]
    assert answer["parents"] == [repo.commits["docs 7.1"]]
    assert answer["reverted"].startswith("not tried: toolchain: cannot find Go")
    assert not second.compiled
    builds = [cell["build"] for cell in found.document["cells"] if cell["build"]]
    assert {b["pulled_from"] for b in builds} == {store[1]}
    assert any("this machine did not compile them" in note for note in found.document["notes"])
    told = found.stderr.index("first bad commit: " + repo.commits["culprit"][:12])
    assert told < found.stderr.index("cannot find Go")
