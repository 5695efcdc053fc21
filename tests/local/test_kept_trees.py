"""Trees that stay: each has exactly the commit's files, whatever happened to it before."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hostile_repo
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.source import GitSource, kept_trees
from buildkit_bisect.system import cache_limit, gitcmd, owner, paths
from golang_repo import GolangRepo, buildkit_like

pytestmark = pytest.mark.local


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream")


@pytest.fixture
def repo(template: GolangRepo, tmp_path: Path) -> GolangRepo:
    return template.copy(tmp_path / "upstream")


@pytest.fixture
def source(repo: GolangRepo) -> GitSource:
    return GitSource.open(str(repo.path))


def content(tree: Path) -> dict[str, tuple[int, bytes]]:
    """Return the type, mode and bytes of all that is below *tree*, but for git's own file."""
    found = {}
    for path in sorted(tree.rglob("*")):
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(tree))] = (path.lstat().st_mode, data)
    found.pop(".git", None)
    return found


def fresh(source: GitSource, ref: str) -> dict[str, tuple[int, bytes]]:
    with source.checkout(source.resolve(ref)) as tree:
        return content(tree)


def kept(source: GitSource, ref: str) -> dict[str, tuple[int, bytes]]:
    with source.build_tree(source.resolve(ref)) as tree:
        return content(tree)


def folders() -> list[str]:
    return sorted(p.name for p in paths.cache("trees").iterdir())


def test_files_that_do_not_change_keep_their_times(source: GitSource) -> None:
    with source.build_tree(source.resolve("v0.1.0")) as tree:
        at = tree
        before = {p: p.stat().st_mtime_ns for p in tree.rglob("*") if p.is_file()}
        assert not (tree / ".git").exists()
    time.sleep(0.05)
    with source.build_tree(source.resolve("v0.2.0")) as tree:
        assert tree == at
        after = {p: p.stat().st_mtime_ns for p in tree.rglob("*") if p.is_file()}
    changed = {p.relative_to(at).as_posix() for p in before if before[p] != after.get(p)}
    assert changed == {"README.md", "solver/solver.go", "util/words/words.go"}
    assert kept(source, "v0.1.0") == fresh(source, "v0.1.0")
    assert folders() == ["0"]
    assert list(paths.cache("tmp").iterdir()) == []


def test_the_mirror_and_the_given_repository_are_not_moved(
    repo: GolangRepo, source: GitSource
) -> None:
    def state() -> tuple[str, ...]:
        heads = gitcmd.git(source.mirror.path, "for-each-ref").stdout
        head = (source.mirror.path / "HEAD").read_text()
        return heads, head, repo.git("status", "--porcelain"), repo.git("rev-parse", "HEAD")

    before = state()
    for ref in ("v0.1.0", "v0.2.0", "v0.1.1"):
        kept(source, ref)
    assert state() == before
    assert not (source.mirror.path / "worktrees").exists()
    assert not (source.mirror.path / "index").exists()


def test_a_tree_moves_through_hostile_commits(tmp_path: Path) -> None:
    """Links for files, files for folders, submodules for both, attributes: in any order."""
    made = hostile_repo.make(tmp_path / "hostile")
    repo = made.repo
    _line_ends(repo)
    for mark in made.marks.iterdir():
        mark.unlink()  # of the commits that this test made
    source = GitSource.open(str(repo.path))
    refused = {"dotgit", "dotgit-case", "dotgit-short", "dotgit-zero-width", "dotdot"}
    branches = [
        *("master", "link-file", "link-folder", "link-gomod", "module-gomod", "module-package"),
        *("line-ends", "no-line-ends", "file-for-folder", "v0.1.0", *sorted(refused)),
    ]
    want = {b: fresh(source, b) for b in branches if b not in refused}
    choose = random.Random(6)  # noqa: S311
    for _ in range(60):
        branch = choose.choice(branches)
        if branch in refused:
            with pytest.raises(InfraFailed, match="invalid path"):
                kept(source, branch)
        else:
            assert kept(source, branch) == want[branch], branch
    assert made.worked() == [], "a program of the repository ran"


def _line_ends(repo: GolangRepo) -> None:
    """Add branches whose attributes ask for other line ends of a file that they share."""
    repo.branch("no-line-ends", "master")
    shared = repo.commit("shared", {"solver/text.txt": "one\ntwo\n", ".gitattributes": None})
    repo.branch("line-ends", shared)
    repo.commit("line-ends", {".gitattributes": "*.txt text eol=crlf\n*.go ident\n"})
    repo.branch("file-for-folder", shared)
    repo.git("rm", "-r", "--quiet", "solver", "util")
    repo.commit("file-for-folder", {"solver": "a file\n", "util/words": "another\n"})
    repo.switch("master")


def test_attributes_do_not_change_files(tmp_path: Path) -> None:
    repo = buildkit_like(tmp_path / "other")
    repo.commit("attributes", {"a.txt": "one\n$Id$\n", ".gitattributes": "* text eol=crlf ident\n"})
    source = GitSource.open(str(repo.path))
    for tree in (fresh(source, "master"), kept(source, "master")):
        assert tree["a.txt"][1] == b"one\n$Id$\n"


def _scribble(tree: Path) -> None:
    (tree / "README.md").write_text("changed\n")
    (tree / "new.go").write_text("package x\n")
    (tree / "ignored").mkdir()
    (tree / ".gitignore").write_text("ignored\n")
    (tree / "ignored" / "file").write_text("x")
    shutil.rmtree(tree / "solver")
    (tree / "solver").write_text("a file for a folder")
    (tree / "go.mod").unlink()
    (tree / "go.mod").mkdir()
    (tree / "go.mod" / "x").write_text("a folder for a file")
    (tree / "util" / "link").symlink_to("/etc")
    (tree / "version" / "version.go").chmod(0o755)
    subprocess.run(["/usr/bin/env", "git", "init", "-q", str(tree / "nested")], check=True)


def _same_size_and_time(tree: Path) -> None:
    path = tree / "util/words/words.go"
    times = path.stat()
    path.write_text(path.read_text().replace("cached", "cackle"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _link_for_folder(tree: Path) -> None:
    """Leave a link to files with the names, the sizes and the times of those that it hides."""
    outside = tree.parent.parent.parent / "outside"
    shutil.copytree(tree / "solver", outside)
    shutil.rmtree(tree / "solver")
    (tree / "solver").symlink_to(outside)


def _untouched(tree: Path) -> bool:
    outside = tree.parent.parent.parent / "outside"
    return not outside.exists() or (outside / "solver.go").is_file()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "scribbled": _scribble,
    "same-size-and-time": _same_size_and_time,
    "link-for-folder": _link_for_folder,
    "locked": lambda tree: (tree.parent / "index.lock").write_text(""),
    "no-index": lambda tree: (tree.parent / "index").unlink(),
    "empty-index": lambda tree: (tree.parent / "index").write_bytes(b""),
    "broken-index": lambda tree: (tree.parent / "index").write_bytes(b"DIRC" + b"x" * 500),
    "empty-owner": lambda tree: (tree.parent / ".owner").write_text(""),
    "no-owner": lambda tree: (tree.parent / ".owner").unlink(),
    "no-files": shutil.rmtree,
    "no-folder": lambda tree: shutil.rmtree(tree.parent),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("ref", ["v0.1.0", "v0.2.0"])
def test_a_damaged_tree_is_repaired(damage: str, ref: str, source: GitSource) -> None:
    want = fresh(source, ref)
    with source.build_tree(source.resolve("v0.1.0")) as tree:
        DAMAGE[damage](tree)
    assert kept(source, ref) == want
    assert folders() == ["0"]
    assert _untouched(tree), "what a link leads to is nobody's to change"


_MOVES = (
    "import itertools, pickle, sys\n"
    "source = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
    "many = [source.resolve(ref) for ref in sys.argv[2:]]\n"
    "print(flush=True)\n"
    "for revision in itertools.cycle(many):\n"
    "    with source.build_tree(revision) as tree:\n"
    "        (tree / 'solver' / 'solver.go').write_text('patched')\n"
)


def _big(repo: GolangRepo) -> None:
    """Commit two sets of many files that share names, so that a move takes a while."""
    for name, numbers in (("some", range(400)), ("others", range(200, 600))):
        for number in range(600):
            (repo.path / f"util/f{number}.go").unlink(missing_ok=True)
        repo.commit(name, {f"util/f{n}.go": f"package util // {name}\n" for n in numbers})
        repo.tag(f"v0.9.{len(numbers) - 400 + (name == 'others')}", annotated=False)


def test_a_killed_move_is_repaired(repo: GolangRepo) -> None:
    _big(repo)
    source = GitSource.open(str(repo.path))
    refs = ("v0.9.0", "v0.9.1", "v0.1.0")
    want = {ref: fresh(source, ref) for ref in refs}
    choose = random.Random(7)  # noqa: S311
    halves = 0
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", _MOVES, pickle.dumps(source).hex(), *refs],
            stdout=subprocess.PIPE,
        )
        assert child.stdout
        with child:
            child.stdout.readline()
            time.sleep(choose.uniform(0.1, 0.4))
            child.send_signal(signal.SIGKILL)
        halves += (paths.cache("trees") / "0" / "index.lock").exists()
        ref = choose.choice(refs)
        assert kept(source, ref) == want[ref]
        # As if this process had ended, so that the next one takes the same tree.
        ended = f"{owner.machine()}:{os.getpid()}:1"
        (paths.cache("trees") / "0" / ".owner").write_text(ended)
    assert folders() == ["0"]
    assert halves, "none was killed while git wrote"


def test_a_tree_of_a_machine_that_stopped_is_written_again(
    source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What git wrote may be lost, and the index not."""
    with source.build_tree(source.resolve("v0.1.0")) as tree:
        before = (tree / "go.mod").stat().st_mtime_ns
    (tree.parent / paths.OWNER).write_text("another-boot-1:1:1")
    monkeypatch.setattr(kept_trees, "MOST", 1)
    with source.build_tree(source.resolve("v0.1.0")) as again:
        assert again == tree
        assert (tree / "go.mod").stat().st_mtime_ns != before


def test_a_tree_of_another_container_is_taken_last(
    source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody here can say whether its process still runs. Its files are as that one left them."""
    with source.build_tree(source.resolve("v0.1.0")) as tree:
        before = (tree / "go.mod").stat().st_mtime_ns
    other = f"{owner.boot(owner.me())}-1:1:1"
    (tree.parent / paths.OWNER).write_text(other)
    kept(source, "v0.2.0")
    assert folders() == ["0", "1"]
    assert (tree.parent / paths.OWNER).read_text() == other
    shutil.rmtree(tree.parent.parent / "1")
    monkeypatch.setattr(kept_trees, "MOST", 1)
    with source.build_tree(source.resolve("v0.2.0")) as again:
        assert again == tree
        assert (tree / "go.mod").stat().st_mtime_ns == before


def _elsewhere(source: GitSource, body: str) -> subprocess.Popen[bytes]:
    script = (
        "import pickle, sys\n"
        "source = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        f"{body}\nprint(flush=True)\nsys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, pickle.dumps(source).hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    child.stdout.readline()
    return child


def test_each_process_keeps_to_its_own_tree(source: GitSource) -> None:
    other = _elsewhere(source, "with source.build_tree(source.resolve('v0.1.0')): pass")
    with other:
        assert folders() == ["0"]
        for ref in ("v0.2.0", "v0.1.0"):
            kept(source, ref)
        assert folders() == ["0", "1"]
        other.kill()
    with _elsewhere(source, "with source.build_tree(source.resolve('v0.1.0')): pass") as third:
        assert folders() == ["0", "1"], "the tree of a process that ended is used again"
        third.kill()


def test_the_number_of_trees_is_bounded(source: GitSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_trees, "MOST", 2)
    one, other = source.resolve("v0.1.0"), source.resolve("v0.2.0")
    want = fresh(source, "v0.2.0")
    with source.build_tree(one), source.build_tree(one), source.build_tree(other) as third:
        assert folders() == ["0", "1"]
        assert third.is_relative_to(paths.cache("tmp")), "a tree for this block alone"
        assert content(third) == want
    assert list(paths.cache("tmp").iterdir()) == []
    assert not list((source.mirror.path / "worktrees").glob("*"))


def test_a_tree_that_the_cache_limit_removes_is_written_again(
    source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree is safe from when it is in use; before, it may go at any moment."""
    want = fresh(source, "v0.2.0")
    kept(source, "v0.1.0")
    in_use = cache_limit.used

    def removed_just_before(folder: Path) -> None:
        shutil.rmtree(folder)
        in_use(folder)

    monkeypatch.setattr(cache_limit, "used", removed_just_before)
    assert kept(source, "v0.2.0") == want
    assert folders() == ["0"]


def test_trees_of_two_repositories(source: GitSource, tmp_path: Path) -> None:
    """A tree moves from one to the other: its index names content, whoever has it."""
    repo = GolangRepo.create(tmp_path / "fork")
    repo.commit("fork", {"README.md": "fork\n", "more/more.go": "package more\n"})
    fork = GitSource.open(str(repo.path))
    want = [fresh(source, "master"), fresh(fork, "master")]
    for _ in range(2):
        assert [kept(source, "master"), kept(fork, "master")] == want
    assert folders() == ["0"]
