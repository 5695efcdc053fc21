from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.model import Build, NoBuild, Revision, Variant
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.system import paths
from golang_repo import GO, base_files, file_proxy, words

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module proxy on disk, and a cache that shares nothing about modules with the user's."""
    Toolchains().find(GoWanted(minor=(1, int(GO.split(".")[1]))))
    (tmp_path / "cache").mkdir()
    for name in ("toolchains", "gocache"):
        (tmp_path / "cache" / name).symlink_to(paths.cache(name))
    versions = {
        "v0.1.0": base_files(),
        "v0.2.0-rc1": base_files(),
        "v0.2.0": base_files() | {"util/words/words.go": words("ran")},
        "v0.3.0": base_files(go="1.99"),
        # A module's zip has the list of a vendored tree, but none of its packages.
        "v0.4.0": base_files() | {"vendor/modules.txt": "# example.org/x v1.0.0\n"},
    }
    url = file_proxy(tmp_path / "proxy", versions)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GOPROXY", url)
    monkeypatch.setenv("GONOSUMDB", "*")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path / "proxy"


def test_a_tag_and_a_commit_id() -> None:
    source = ModuleSource()
    assert source.resolve("v0.1.0") == Revision(
        ref="v0.1.0", sha="", describe="v0.1.0", date="2025-09-30T15:55:59Z"
    )
    by_id = source.resolve("abcdef123456")
    assert (by_id.ref, by_id.describe, by_id.sha) == ("abcdef123456", "v0.2.0", "ab" * 20)
    assert [r.ref for r in source.releases()] == ["v0.4.0", "v0.3.0", "v0.2.0", "v0.1.0"]


def test_unknown_refs() -> None:
    source = ModuleSource()
    with pytest.raises(BadInput) as caught:
        source.resolve("v0.2.7")
    assert caught.value.hint == "one of v0.2.0, v0.2.0-rc1"
    assert caught.value.message.endswith("in the Go module github.com/moby/buildkit")
    with pytest.raises(BadInput, match=r"the module proxy has no .*@0123456789ab") as caught:
        source.resolve("0123456789ab")
    assert "--source git" in caught.value.hint
    with pytest.raises(BadInput, match="is a date"):
        source.resolve("2025-09-11")
    with pytest.raises(BadInput, match="is not a revision"):
        source.resolve("-x")


def test_a_proxy_that_does_not_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    with pytest.raises(InfraFailed, match=r"cannot download .*connection refused"):
        ModuleSource().resolve("v0.1.0")
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(InfraFailed, match="GOPROXY=off"):
        ModuleSource().releases()


def test_files_and_inputs() -> None:
    source = pickle.loads(pickle.dumps(ModuleSource()))  # noqa: S301
    revision = source.resolve("v0.1.0")
    assert source.read(revision, "README.md") == "one\n"
    assert source.read(revision, "nothing") is None
    inputs = source.inputs(revision)
    assert set(inputs) == {"buildkitd", "buildctl"}
    assert inputs["buildkitd"].startswith("github.com/moby/buildkit@v0.1.0 h1:")
    assert source.inputs(revision) != source.inputs(source.resolve("v0.2.0"))
    with source.build_tree(revision) as tree:
        assert (tree / "cmd/buildkitd/main.go").is_file()
        assert not (tree / "go.mod").stat().st_mode & 0o222  # Go's own protection is kept


def test_a_fetched_module_needs_no_network(proxy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ModuleSource()
    first = source.inputs(source.resolve("v0.1.0"))
    monkeypatch.setenv("GOPROXY", "off")
    again = ModuleSource()
    assert again.inputs(again.resolve("v0.1.0")) == first


def test_a_build_through_modules() -> None:
    source = ModuleSource()
    builder = Builder(source=source)
    asked = Variant(revision=source.resolve("v0.2.0"))
    build = builder.build(asked)
    assert isinstance(build, Build)
    assert build.source == "module"
    output = subprocess.run(
        [f"{build.directory}/buildkitd"], capture_output=True, text=True, check=True
    ).stdout
    assert output == "buildkitd ran v0.0.0+bkbisect bkbisect\n"
    again = builder.build(asked)
    assert isinstance(again, Build)
    assert again.reused
    other = builder.build(Variant(revision=source.resolve("v0.4.0")))
    assert isinstance(other, Build)
    assert other.key != build.key
    assert list(paths.cache("tmp").iterdir()) == []


def test_a_module_that_wants_an_unavailable_go() -> None:
    source = ModuleSource()
    failed = Builder(source=source).build(Variant(revision=source.resolve("v0.3.0")))
    assert isinstance(failed, NoBuild)
    assert failed.stage == "toolchain"
    assert failed.reason.startswith("cannot find Go 1.99: ")
    assert failed.infra, "another machine may have it"
