"""The files of a Go module: read-only in the module cache, and copied for whoever changes them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import NoReturn

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Revision
from buildkit_bisect.source.module import MODULE, ModuleSource
from buildkit_bisect.system import cache_limit, paths

FILES = {"go.mod": "module x\n", "solver/exporter.go": "package solver\n", "solver/a/b.go": "b\n"}
REVISION = Revision(ref="v0.26.0", sha="", describe="v0.26.0")


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """The module as the go command leaves it in the module cache."""
    folder = paths.cache("gomod") / f"{MODULE}@v0.26.0"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o444)
    zips = paths.cache("gomod") / "cache" / "download" / MODULE / "@v"
    zips.mkdir(parents=True)
    (zips / "v0.26.0.ziphash").write_text("h1:one=")
    for below in [*folder.rglob("*"), folder]:
        if below.is_dir():
            below.chmod(0o555)
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_checkout_is_a_copy_that_may_be_changed(cached: Path) -> None:
    with ModuleSource().checkout(REVISION) as tree:
        assert texts(tree) == FILES
        assert not tree.is_relative_to(cached.parent)
        for path in [tree, *tree.rglob("*")]:
            assert path.stat().st_mode & 0o200, f"{path} is not writable"
        (tree / "solver/exporter.go").write_text("changed\n")
        shutil.rmtree(tree / "solver/a")
    assert not tree.exists()
    assert list(paths.cache("tmp").iterdir()) == []
    assert texts(cached) == FILES


def test_a_build_without_patches_needs_no_copy(cached: Path) -> None:
    with ModuleSource().build_tree(REVISION) as tree:
        assert tree == cached


def test_a_repository_in_a_zip_is_not_copied(cached: Path) -> None:
    """Git would use its settings, which may name programs."""
    cached.chmod(0o755)
    (cached / ".GIT").mkdir()
    (cached / ".GIT" / "config").write_text("[filter]\n")
    (cached / "solver").chmod(0o755)
    (cached / "solver" / ".git").write_text("gitdir: /elsewhere\n")
    with ModuleSource().checkout(REVISION) as tree:
        assert texts(tree) == FILES


def test_single_files_are_copied_if_the_module_has_them(cached: Path, tmp_path: Path) -> None:
    assert cached.is_dir()
    folder = tmp_path / "touched"
    folder.mkdir()
    names = ["solver/a/b.go", "solver/none.go", "vendor/x/y.go", "solver", "go.mod/file"]
    ModuleSource().write(REVISION, names, folder)
    assert texts(folder) == {"solver/a/b.go": "b\n"}


def test_a_full_disk_is_not_the_fault_of_the_source(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, target: Path) -> NoReturn:
        raise OSError(28, "No space left on device", str(target))

    assert cached.is_dir()
    monkeypatch.setattr(shutil, "copyfile", full)
    with (
        pytest.raises(InfraFailed, match=r"cannot copy the files of v0\.26\.0: .*No space left"),
        ModuleSource().checkout(REVISION),
    ):
        pass
    assert list(paths.cache("tmp").iterdir()) == []


def test_another_zip_of_the_same_version_is_another_source(cached: Path) -> None:
    source = ModuleSource()
    before = source.inputs(REVISION), source.content(REVISION, ["solver/exporter.go"])
    assert cached.is_dir()
    zips = paths.cache("gomod") / "cache" / "download" / MODULE / "@v"
    (zips / "v0.26.0.ziphash").write_text("h1:two=")
    after = source.inputs(REVISION), source.content(REVISION, ["solver/exporter.go"])
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert source.affected(REVISION, ["solver/exporter.go"]) == {"buildkitd", "buildctl"}


def test_the_module_cache_is_kept_while_a_module_is_used(cached: Path) -> None:
    """No go command runs for a module that is there, so nothing else says that it is in use."""
    cache = paths.cache("gomod")
    os.utime(cache, (time.time() - 90_000,) * 2)
    assert ModuleSource().read(REVISION, "go.mod") == "module x\n"
    assert cache_limit.trim(0) == []
    assert cached.is_dir()


def test_without_a_checksum_a_module_has_no_identity(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zips = paths.cache("gomod") / "cache" / "download" / MODULE / "@v"
    (zips / "v0.26.0.ziphash").write_text("\n")
    monkeypatch.setattr(ModuleSource, "_go", lambda *_, **__: {"Dir": str(cached)})
    source = ModuleSource()
    for ask in (source.inputs, lambda revision: source.content(revision, [])):
        with pytest.raises(InfraFailed, match=r"no checksum of .*@v0\.26\.0"):
            ask(REVISION)
