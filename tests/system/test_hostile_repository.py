"""A hostile repository: none of its programs run, and nothing outside the cache is written."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hostile_repo
from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BadInput, BisectError, InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.patch import backports, contribution, patches, patchmaker
from buildkit_bisect.patch.contribution import Work
from buildkit_bisect.source import GitSource, Unreachable
from buildkit_bisect.source import git as source_git
from buildkit_bisect.system import gitcmd, paths
from golang_repo import GO, GolangRepo, words
from hostile_repo import Hostile, snapshot
from tool import TaskOutput, inv

pytestmark = pytest.mark.system

_SHARED = ("toolchains", "gocache", "gomod")

SCRIPT = '#!/bin/sh\n"$BKBISECT_BUILDKITD" | grep -q cached\n'

#: Branches whose trees git refuses to check out, whose programs do not build, and others.
REFUSED = ("dotgit", "dotgit-case", "dotgit-short", "dotgit-zero-width", "dotdot")
BROKEN = ("link-folder", "link-gomod", "module-gomod", "module-package")
BRANCHES = (
    *REFUSED,
    *BROKEN,
    *("link-file", "link-endless", "link-dockerfile", "module-dockerfile", "message"),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    return hostile_repo.make(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def hostile(template: Hostile) -> Hostile:
    assert template.worked() == [], "making it ran a payload"
    return template


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    Toolchains().find(
        GoWanted(minor=(1, int(GO.split(".")[1])))
    )  # pip writes to the home directory
    root = tmp_path_factory.mktemp("cache")
    for name in _SHARED:
        (root / name).symlink_to(paths.cache(name))
    return root


@pytest.fixture(autouse=True)
def untouched(hostile: Hostile, cache: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Check after every test: no mark; repository and outside directory unchanged."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(cache))
    watched = hostile.marks.parent
    before = snapshot(watched)
    yield
    assert hostile.worked() == []
    assert snapshot(watched) == before


def inside(*words: str, cache: Path, home: Path) -> TaskOutput:
    """Run a task that may write to *cache* but not to *home*; check that there is no traceback."""
    home.mkdir(exist_ok=True)
    env = {"BKBISECT_CACHE_DIR": str(cache), "HOME": str(home)}
    done = inv(*words, env=env, timeout=300)
    assert "bug in buildkit-bisect" not in done.stderr, done.stderr
    assert list(home.iterdir()) == []
    return done


def test_the_payloads_work_where_git_trusts_the_repository(tmp_path: Path) -> None:
    """Otherwise the other tests would prove nothing."""
    other = hostile_repo.make(tmp_path / "hostile")
    (other.repo.path / "README.md").write_text("changed\n")
    other.repo.git("add", "README.md")
    other.repo.git("checkout", "--quiet", "--force", "HEAD~1")
    wanted = {"filter-evil-process", "hook-post-checkout", "hook-reference-transaction"}
    assert wanted <= {*other.worked()}


@contextlib.contextmanager
def served(repo: Path) -> Iterator[str]:
    """Yield the URL at which a git daemon on loopback serves *repo*."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    child = subprocess.Popen(
        [
            *("/usr/bin/env", "git", "-c", "safe.directory=*", "daemon", "--export-all"),
            *("--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={repo.parent}"),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield f"git://127.0.0.1:{port}/{repo.name}"
    finally:
        child.terminate()
        child.wait(10)


@pytest.mark.parametrize("form", ["path", "bare", "url", "loopback"])
def test_tasks_on_the_hostile_branches(
    form: str, hostile: Hostile, cache: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    with contextlib.ExitStack() as stack:
        repo_of: dict[str, Callable[[], str]] = {
            "path": lambda: str(hostile.repo.path),
            "bare": lambda: str(hostile.repo.path / ".git"),
            "url": hostile.repo.path.as_uri,
            "loopback": lambda: stack.enter_context(served(hostile.repo.path)),
        }
        repo = repo_of[form]()
        out = ("--out", str(tmp_path / "out"))
        git = ("--repo", repo, "--source", "git")
        run = ("--script", str(script), "--trials", "1", *git, *out)
        for code, *task in (
            (0, "patch-check", "--repo", repo, "--revs", "master"),
            (0, "plan", "matrix", *git, "--revs", "master,message"),
            (0, "build", "--rev", "v0.3.0", *git),
            (0, "run", "--rev", "message", *run),
            (0, "bisect", "--good", "v0.1.0", "--bad", "master", *run),
            (2, "build", "--rev=--output=x", *git),
        ):
            done = inside(*task, cache=cache, home=tmp_path / "home")
            assert done.code == code, done


@pytest.mark.parametrize("branch", BRANCHES)
def test_builds_and_patches_stay_inside_the_tree(
    branch: str, hostile: Hostile, tmp_path: Path
) -> None:
    source = GitSource.open(str(hostile.repo.path))
    revision = source.resolve(branch)
    patch = solver_patch(tmp_path / "through")
    with contextlib.suppress(BisectError):
        backports.fit(source, revision, [patch, readme_patch(tmp_path / "endless")])
    if branch in REFUSED:
        with pytest.raises(InfraFailed, match="invalid path"), source.checkout(revision):
            pass
    else:
        with source.checkout(revision) as tree:
            assert [p for p in tree.rglob("*") if p.is_symlink()] == []
            with contextlib.suppress(BisectError):
                patch.apply(tree)
    try:
        made = Builder(source=source).build(Variant(revision=revision))
    except BisectError:
        assert branch in REFUSED
    else:
        assert isinstance(made, Build) is (branch not in BROKEN), made
        assert "root:" not in getattr(made, "reason", ""), "a line of /etc/passwd"


def solver_patch(folder: Path) -> patches.Patch:
    """Return a patch without modes, so that git uses those of the tree."""
    text = "--- a/solver/solver.go\n+++ b/solver/solver.go\n@@ -1,2 +1,2 @@\n"
    return written(folder, f"{text}-package solver\n+package solver // patched\n \n")


def readme_patch(folder: Path) -> patches.Patch:
    """Return a patch of a symlink's target, which git would apply to the symlink."""
    text = "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n"
    return written(folder, f"{text}-/dev/zero\n\\ No newline at end of file\n+/etc/passwd\n")


def written(folder: Path, text: str) -> patches.Patch:
    folder.mkdir()
    (folder / "patch.toml").write_text('title = "through a link"\n')
    (folder / "it.patch").write_text(text)
    return patches.load(str(folder))


def test_a_tree_that_would_fill_any_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A billion files in a dozen objects; and one file with too many bytes."""
    repo = GolangRepo.create(tmp_path / "bomb")
    blob = repo.git("hash-object", "-w", "--stdin", stdin="x" * 1000)
    entries = "".join(f"100644 blob {blob}\t{n}\n" for n in range(10))
    for _ in range(8):
        tree = repo.git("mktree", stdin=entries)
        entries = "".join(f"040000 tree {tree}\t{n}\n" for n in range(10))
    bomb = repo.git("commit-tree", "-m", "bomb", repo.git("mktree", stdin=entries))
    repo.git("tag", "v9.9.9", bomb)
    source = GitSource.open(str(repo.path))
    started = time.monotonic()
    with (
        pytest.raises(BadInput, match="it is not BuildKit's"),
        source.checkout(source.resolve("v9.9.9")),
    ):
        pass
    assert time.monotonic() - started < 60
    monkeypatch.setattr(source_git, "MOST_BYTES", 100)
    with (
        pytest.raises(BadInput, match="it is not BuildKit's"),
        source.checkout(source.resolve("master")),
    ):
        pass
    assert list(paths.cache("tmp").iterdir()) == []


def test_odd_names_are_listed_and_are_not_options(hostile: Hostile) -> None:
    source = GitSource.open(str(hostile.repo.path))
    assert [r.ref for r in source.releases()] == ["v0.3.0", "v0.2.0", "v0.1.1", "v0.1.0"]
    refs = ("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/remotes")
    branches = gitcmd.lines(gitcmd.git(source.mirror.path, *refs).stdout)
    assert f"--output={hostile.outside}/output" in branches
    assert [r.ref for r in backports.lines(source)] == ["master"], "v0.25<line>v0.26 is none"
    tip = source.resolve("message")
    assert tip.subject.startswith("-x\x0bone\x1ftwo\x1ethree\u2028four")
    work = contribution.described(
        source, Work(base=source.resolve("master"), tree=tip.sha), tip.sha
    )
    assert work.author == "A. Nother"
    assert "one\x1ftwo" in work.body
    for ref in branches:
        with contextlib.suppress(BisectError):
            source.resolve(ref)


def test_missing_objects_are_not_fetched_from_the_repositorys_remote(
    template: Hostile, tmp_path: Path
) -> None:
    """A partial clone names a remote and a command; older versions of git use them when reading."""
    made = hostile_repo.make(tmp_path / "partial")
    folder = made.repo.path / ".git"
    with (folder / "config").open("a") as config:
        config.write("[extensions]\n\tpartialClone = origin\n[core]\n")
        config.write("\trepositoryFormatVersion = 1\n")
        config.write('[remote "origin"]\n\tpromisor = true\n\turl = /nowhere\n')
    blob = made.repo.git("rev-parse", "master:README.md")
    (folder / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Unreachable):
        GitSource.open(str(made.repo.path))
    assert made.worked() == []


def test_a_hostile_work_tree_becomes_a_patch(tmp_path: Path) -> None:
    made = hostile_repo.make(tmp_path / "hostile")
    repo = made.repo.path
    (repo / "util/words/words.go").write_text(words("fixed"))
    nested = hostile_repo.make(tmp_path / "nested")
    shutil.copytree(nested.repo.path, repo / "nested", symlinks=True)
    made.repo.git("-c", "core.fsmonitor=false", "update-index", "--add", "--cacheinfo",
                  f"160000,{nested.repo.commits['base']},nested")  # fmt: skip
    _forget(made, nested)
    before = snapshot(tmp_path)
    source = GitSource.open(str(repo))
    with contribution.of_worktree(repo, source, base="master") as work:
        assert (made.worked(), nested.worked()) == ([], [])
        with pytest.raises(BadInput, match="nested is or was a symlink or submodule"):
            patchmaker.new("it", work, source, root=tmp_path / "cache" / "patches")
    shutil.rmtree(repo / "nested")
    with contribution.of_worktree(repo, source, base="master") as work:
        patch = patchmaker.new("it", work, source, root=tmp_path / "cache" / "patches")
    assert "util/words/words.go" in patch.files
    assert (made.worked(), nested.worked()) == ([], [])
    changed = {p for p, s in snapshot(tmp_path).items() if before.get(p) != s}
    assert [p for p in changed if not p.startswith((str(tmp_path / "cache"), str(repo)))] == []


def _forget(*those: Hostile) -> None:
    """Delete the marks that the test's own use of git left."""
    for one in those:
        for mark in one.marks.iterdir():
            mark.unlink()
