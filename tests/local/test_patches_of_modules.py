"""Patches on the source of a Go module, without a repository. Nothing is compiled."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from buildkit_bisect.builds import Builder, Recipe, builder, job
from buildkit_bisect.builds.compile import Compiled
from buildkit_bisect.campaign import validate
from buildkit_bisect.errors import BadInput, BisectError, InfraFailed, Missing
from buildkit_bisect.model import Build, NoBuild, Revision, Stage, Variant
from buildkit_bisect.patch import backports, given, patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import FitState
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.source.module import MODULE
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from golang_repo import base_files, words

pytestmark = pytest.mark.local

WORDS = "util/words/words.go"
FIX = f'--- a/{WORDS}\n+++ b/{WORDS}\n@@ -3 +3 @@\n-const Cached = "ran"\n+const Cached = "fixed"\n'
MODULES = (
    "--- a/vendor/modules.txt\n+++ b/vendor/modules.txt\n@@ -1 +1 @@\n"
    "-# the zip of v0.13.2 has it\n+# x\n"
)
NEW = "--- /dev/null\n+++ b/{}\n@@ -0,0 +1 @@\n+package new\n"


@pytest.fixture(autouse=True)
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache inside a repository, with two releases as the go command leaves them there."""
    subprocess.run(["/usr/bin/env", "git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    zips = paths.cache("gomod") / "cache" / "download" / MODULE / "@v"
    zips.mkdir(parents=True)
    for version, text in {"v0.20.1": "cached", "v0.21.0": "ran"}.items():
        folder = paths.cache("gomod") / f"{MODULE}@{version}"
        for name, content in (base_files() | {WORDS: words(text)}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
            (folder / name).chmod(0o444)
        (zips / f"{version}.ziphash").write_text(f"h1:{version}=")
        (zips / f"{version}.info").write_text(f'{{"Version": "{version}"}}')
    return paths.cache("gomod") / f"{MODULE}@v0.21.0"


def source() -> ModuleSource:
    return ModuleSource(_versions=["v0.19.9", "v0.20.1", "v0.21.0"])


def at(version: str) -> Revision:
    return source().resolve(version)


def patch(tmp_path: Path, name: str, *diffs: str, metadata: str = "") -> Patch:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "patch.toml").write_text(f'title = "t"\n{metadata}')
    for number, diff in enumerate(diffs):
        (folder / f"{number}.patch").write_text(diff)
    return patches.load(str(folder))


class Compiler:
    """Replaces ``go build``: its programs are what the tree says they print."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trees: list[Path] = []
        here = SimpleNamespace(version="1.25.5")
        monkeypatch.setattr(builder, "local", lambda _: here)
        monkeypatch.setattr(builder, "Toolchains", lambda **_: SimpleNamespace(find=lambda _: here))
        monkeypatch.setattr(job, "compile_tree", self.compile)

    def compile(
        self, tree: Path, out: Path, *, recipe: Recipe, vendored: bool, log: Path, **_: Any
    ) -> Compiled:
        assert not vendored
        self.trees.append(tree)
        log.write_text("")
        for program in recipe.programs:
            (out / program).write_text(f"{program}: {(tree / WORDS).read_text()}")
        return Compiled(seconds=1.0, packages=1)


def build(version: str, *chosen: Patch) -> Build | NoBuild:
    variant = Variant(revision=at(version), patches=tuple(p.ref for p in chosen))
    return Builder(source=source(), patches=chosen, recipe=Recipe(goarch="amd64")).build(variant)


def test_a_patched_build(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = Compiler(monkeypatch)
    before = {p: p.read_bytes() for p in cached.rglob("*") if p.is_file()}
    plain, fixed = build("v0.21.0"), build("v0.21.0", patch(tmp_path, "fix", FIX))
    assert isinstance(plain, Build)
    assert isinstance(fixed, Build)
    assert Path(fixed.directory, "buildkitd").read_text() == f"buildkitd: {words('fixed')}"
    assert plain.key != fixed.key
    assert compiler.trees[0] == cached, "nothing is copied without a patch"
    assert not compiler.trees[1].exists()
    assert {p: p.read_bytes() for p in cached.rglob("*") if p.is_file()} == before
    assert list(paths.cache("tmp").iterdir()) == []


def test_a_patch_that_does_not_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = Compiler(monkeypatch)
    refused = build("v0.20.1", patch(tmp_path, "fix", FIX))
    assert isinstance(refused, NoBuild)
    assert refused.stage == Stage.PATCH
    assert refused.reason.startswith("fix does not apply: patch failed: util/words/words.go:3")
    assert compiler.trees == []


LEFT_OUT = (
    "odd changes {}, which is not in the Go module (nested modules and symlinks are left out): it"
    " needs a git source"
)
VENDORED = "odd changes {}, and vendored packages are not in the Go module: it needs a git source"


@pytest.mark.parametrize(
    ("diffs", "file"),
    [
        ([FIX.replace(WORDS, "hack/tool/main.go")], "hack/tool/main.go"),
        ([FIX.replace(WORDS, "vendor/example.org/x/x.go")], "vendor/example.org/x/x.go"),
        # It would apply, and change nothing.
        ([FIX, NEW.format("vendor/example.org/x/y.go")], "vendor/example.org/x/y.go"),
        ([FIX + NEW.format("vendor/modules.txt")], "vendor/modules.txt"),
        ([MODULES], "vendor/modules.txt"),  # which the zips of some releases have
        # In the repository, the first diff might have been used.
        ([FIX.replace(WORDS, "hack/a.go"), FIX.replace("ran", "run")], "hack/a.go"),
    ],
)
def test_a_patch_of_files_that_no_module_has(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diffs: list[str], file: str
) -> None:
    compiler = Compiler(monkeypatch)
    (cached / "vendor").mkdir()
    (cached / "vendor/modules.txt").write_text("# the zip of v0.13.2 has it\n")
    reason = (VENDORED if file.startswith("vendor/") else LEFT_OUT).format(file)
    odd = patch(tmp_path, "odd", *diffs)
    refused = build("v0.21.0", odd)
    assert isinstance(refused, NoBuild)
    assert (refused.stage, refused.reason) == (Stage.PATCH, reason)
    assert not refused.infra
    assert build("v0.21.0", odd) == refused, "also if it is stored"
    assert compiler.trees == []
    fit = backports.fit(source(), at("v0.21.0"), [odd])
    assert (fit.state, fit.detail) == (FitState.UNKNOWN, reason)


def test_a_file_that_an_earlier_patch_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Compiler(monkeypatch)
    adds = patch(tmp_path, "adds", NEW.format("util/new/new.go"))
    changes = "--- a/util/new/new.go\n+++ b/util/new/new.go\n@@ -1 +1,2 @@\n package new\n+\n"
    made = build("v0.21.0", adds, patch(tmp_path, "changes", changes))
    assert isinstance(made, Build), made


GONE = f"--- a/{WORDS}\n+++ /dev/null\n@@ -1,3 +0,0 @@\n" + "".join(
    f"-{line}\n" for line in words("ran").splitlines()
)
MOVED = (
    f"diff --git a/{WORDS} b/util/new.go\nsimilarity index 50%\nrename from {WORDS}\n"
    "rename to util/new.go\n" + FIX.replace(f"b/{WORDS}", "b/util/new.go")
)


@pytest.mark.parametrize("removal", [GONE, MOVED])
def test_a_file_that_an_earlier_patch_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removal: str
) -> None:
    """The module has the file: the second patch does not apply with any source."""
    Compiler(monkeypatch)
    series = [patch(tmp_path, "first", removal), patch(tmp_path, "second", FIX)]
    refused = build("v0.21.0", *series)
    reason = f"second does not apply: {WORDS}: No such file or directory"
    assert isinstance(refused, NoBuild)
    assert (refused.stage, refused.reason) == (Stage.PATCH, reason)
    fit = backports.fit(source(), at("v0.21.0"), series)
    assert (fit.state, fit.short) == (FitState.CONFLICTS, WORDS)
    assert fit.detail == reason


def test_a_file_that_earlier_patches_add_and_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Compiler(monkeypatch)
    name = "util/new/new.go"
    series = [
        patch(tmp_path, "adds", NEW.format(name)),
        patch(tmp_path, "gone", f"--- a/{name}\n+++ /dev/null\n@@ -1 +0,0 @@\n-package new\n"),
        patch(tmp_path, "late", f"--- a/{name}\n+++ b/{name}\n@@ -1 +1,2 @@\n package new\n+\n"),
    ]
    refused = build("v0.21.0", *series)
    assert isinstance(refused, NoBuild)
    assert refused.reason == f"late does not apply: {name}: No such file or directory"


def test_a_later_diff_is_used_if_the_first_one_is_for_another_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Compiler(monkeypatch)
    either = patch(tmp_path, "either", FIX.replace('"ran"', '"walked"'), FIX)
    assert isinstance(build("v0.21.0", either), Build)


def test_where_patches_apply() -> None:
    found = backports.lines(source())
    assert [r.ref for r in found] == ["v0.20.1", "v0.21.0"], "since v0.20; a module has no branch"
    assert backports.newest(source()) == "latest"


class Lacking(ModuleSource):
    """A module of which v0.20.1 cannot be read."""

    error: BisectError = InfraFailed("cannot download it: connection refused", hint="later")

    def write(self, revision: Revision, files: Iterable[str], folder: Path) -> None:
        if revision.ref == "v0.20.1":
            raise self.error
        super().write(revision, files, folder)


@pytest.mark.parametrize("kind", [BadInput, InfraFailed, Missing])
def test_a_release_that_cannot_be_read(tmp_path: Path, kind: type[BisectError]) -> None:
    lacking = Lacking(_versions=["v0.20.1", "v0.21.0"])
    lacking.error = kind("no v0.20.1", hint="another")
    one, two = patch(tmp_path, "fix", FIX), patch(tmp_path, "new", NEW.format("util/new/new.go"))
    found = backports.tables(lacking, backports.lines(lacking), {"fix": [one], "new": [two]})
    for unread, read in found.values():
        assert (unread.ref, unread.state) == ("v0.20.1", FitState.UNKNOWN)
        assert unread.detail == "cannot be read: no v0.20.1"
        assert read.state == FitState.APPLIES
    with pytest.raises(kind, match=r"no v0\.20\.1"):  # the base of a validation
        backports.fit(lacking, at("v0.20.1"), [one])


def test_a_release_that_is_listed_and_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: ModuleSource, *asked: str, **__: Any) -> dict[str, str]:
        return {"Error": f"reading https://proxy.invalid/{asked[-1]}.info: 404 Not Found"}

    monkeypatch.setattr(ModuleSource, "_go", gone)
    lacking = ModuleSource(_versions=["v0.20.1", "v0.21.0", "v0.22.0"])
    revisions = backports.lines(lacking)
    found = backports.table(lacking, revisions, [patch(tmp_path, "fix", FIX)])
    assert [(f.ref, f.state) for f in found] == [
        ("v0.20.1", FitState.CONFLICTS),
        ("v0.21.0", FitState.APPLIES),
        ("v0.22.0", FitState.UNKNOWN),
    ]
    assert found[-1].detail.startswith("cannot be read: ")


def test_a_proxy_that_hangs_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the module cache has is read all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("GONOSUMDB", MODULE)
        said: list[str] = []
        hanging = ModuleSource(deadlines=Deadlines(module=3.0), say=said.append)
        versions = ("v0.19.0", "v0.20.1", "v0.20.2", "v0.20.3", "v0.21.0")
        asked = [Revision(ref=v, sha="", describe=v) for v in versions]
        found = backports.table(hanging, asked, [patch(tmp_path, "fix", FIX)])
        first, cached, second, third, last = found
        assert "timed out after 3 s" in first.detail
        assert cached.state == FitState.CONFLICTS
        assert last.state == FitState.APPLIES
        for late in (second, third):
            assert late.state == FitState.UNKNOWN
            assert late.detail.startswith("cannot be read: the module proxy was not asked, as it")
        (once,) = [text for text in said if "is not asked again" in text]
        assert once.endswith("; releases that are not in the module cache are left out")
        # Another question of the same source is asked.
        with pytest.raises(InfraFailed, match="timed out after 3 s"):
            hanging.read(asked[0], "go.mod")


def test_the_base_is_refused_whatever_else_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The releases are only looked up for a hint."""
    odd = patch(tmp_path, "odd", FIX.replace("ran", "walked"))
    lacking = Lacking(_versions=["v0.20.1", "v0.21.0"])
    base = at("v0.21.0")
    with pytest.raises(BadInput, match=r"on v0\.21\.0, patch failed: util/words/words\.go:3"):
        validate._check_fit(lacking, base, [odd])

    def unlisted(_: object) -> NoReturn:
        raise InfraFailed("cannot list the Go module")

    monkeypatch.setattr(ModuleSource, "releases", unlisted)
    with pytest.raises(BadInput, match=r"on v0\.21\.0, patch failed: util/words/words\.go:3"):
        validate._check_fit(lacking, base, [odd])


def test_what_a_module_contains_is_not_known(tmp_path: Path) -> None:
    limits = f'introduced-by = "{"1" * 40}"\nrequires = ["{"2" * 40}"]\n'
    fix = patch(tmp_path, "fix", FIX, metadata=limits)
    one, other = backports.table(source(), backports.lines(source()), [fix])
    unknown = (
        f"whether it contains {'1' * 12}, which the patch fixes, and {'2' * 12}, which the patch"
        " requires, needs a git source"
    )
    assert one.state == FitState.CONFLICTS
    assert one.detail.startswith(f"{unknown}; patch failed: {WORDS}:3; ")
    assert (other.state, other.detail, other.sha) == (FitState.APPLIES, unknown, "")


@pytest.mark.parametrize("fixes", ["", "1" * 40])
def test_whether_a_module_contains_the_patch_itself_is_not_known(
    tmp_path: Path, fixes: str
) -> None:
    """It may be in the release, and what it changed may have changed since."""
    limits = f'commit = "{"3" * 40}"\nintroduced-by = "{fixes}"\n'
    fix = patch(tmp_path, "fix", FIX, metadata=limits)
    one, other = backports.table(source(), backports.lines(source()), [fix])
    more = f" and {fixes[:12]}, which the patch fixes," if fixes else ""
    unknown = f"whether it contains {'3' * 12}, which is the patch itself,{more} needs a git source"
    assert one.state == FitState.CONFLICTS
    assert one.detail.startswith(f"{unknown}; patch failed: {WORDS}:3; ")
    # If it was there, it would not apply.
    assert other.state == FitState.APPLIES
    assert "itself" not in other.detail


def test_a_patch_that_is_already_in_the_module(tmp_path: Path) -> None:
    fix = patch(tmp_path, "fix", FIX.replace("ran", "walked").replace("fixed", "ran"))
    assert backports.fit(source(), at("v0.21.0"), [fix]).state == FitState.THERE


def test_what_can_be_given_without_a_repository(tmp_path: Path) -> None:
    (tmp_path / "fix.diff").write_text(FIX)
    loader = given.Loader(open_source=source, say=lambda _: None, seconds=5.0)
    (found,) = loader.load(str(tmp_path / "fix.diff"))
    assert found.files == (WORDS,)
    for text in ("pr/7", "moby/buildkit@1234567", "https://github.com/moby/buildkit/tree/x"):
        with pytest.raises(BadInput, match="as a patch needs a git source") as refused:
            loader.load(text)
        assert "--patches FILE.diff" in refused.value.hint
