from __future__ import annotations

import os
import pickle
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.builds import sweep
from buildkit_bisect.cli import leftovers
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.source import (
    GitSource,
    ModuleSource,
    Unreachable,
    mirror,
    open_source,
    remembered,
)
from buildkit_bisect.source import mirror as mirrors
from buildkit_bisect.system import gitcmd, paths, process, retry
from buildkit_bisect.system.deadlines import Deadlines
from golang_repo import GolangRepo, buildkit_like

pytestmark = [pytest.mark.local, pytest.mark.alone]


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


def _listing(root: Path) -> dict[str, tuple[int, int]]:
    """Return everything below *root*, with the attributes that a write would change."""
    found = {}
    for folder, _, files in os.walk(root):
        for name in files:
            status = (Path(folder) / name).stat()
            found[str(Path(folder) / name)] = (status.st_mtime_ns, status.st_nlink)
    return found


def test_every_way_to_name_a_commit(repo: GolangRepo, source: GitSource) -> None:
    commits = repo.commits
    names = {
        "v0.1.0": "base",
        "v0.1.1": "picked",
        "master": "tip",
        "master~1": "merge-culprit",
        "master~1^2": "polish",
        "v0.1": "picked",
        "HEAD": "tip",
        "HEAD~1": "merge-culprit",
        commits["broken"]: "broken",
        commits["broken"][:9]: "broken",
        "2023-11-14": "base",
    }
    assert {ref: source.resolve(ref).sha for ref in names} == {
        ref: commits[name] for ref, name in names.items()
    }


def test_many_revisions_take_few_git_processes(
    repo: GolangRepo, source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = ["v0.1.0", "v0.1.1", "v0.2.0", "v0.1.0", " v0.2.0"]
    one_by_one = [source.resolve(ref) for ref in releases]
    started: list[str] = []
    original = process.start

    def start(argv: Sequence[str], **more: Any) -> process.Child:
        started.append(argv[3])
        return original(argv, **more)

    monkeypatch.setattr(process, "start", start)
    assert source.resolve_all(releases[:4]) == one_by_one[:4]
    assert started == ["cat-file", "describe", "log"]
    assert source.resolve_all(releases) == one_by_one
    with pytest.raises(BadInput, match=r"v0\.9\.0"):
        source.resolve_all(["v0.1.0", "v0.9.0"])
    # A branch with the name of a release is not a release: it may be behind its remote's.
    repo.branch("v0.3.0")
    again = GitSource.open(str(repo.path))
    assert again.resolve_all(["v0.3.0", "v0.1.0"])[0].sha == repo.git("rev-parse", "HEAD")


def test_a_date_is_resolved_on_the_first_parent_line(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "days")  # on 2023-11-14
    repo.branch("topic")
    for hour in range(28):
        repo.commit(f"topic-{hour}", {"README.md": f"{hour}\n"})
    repo.switch("master")
    repo.merge("merge", "topic")  # on 2023-11-16
    source = GitSource.open(str(repo.path))
    assert source.resolve("2023-11-15").sha == repo.commits["base"]
    assert source.resolve("2023-11-16").sha == repo.commits["merge"]
    with pytest.raises(BadInput, match="no commit on or before 2001-01-01"):
        source.resolve("2001-01-01")


def test_the_fields_of_a_revision(repo: GolangRepo, source: GitSource) -> None:
    revision = source.resolve("master")
    assert revision.ref == "master"
    assert revision.describe == f"v0.2.0-1-g{repo.commits['tip'][:12]}"
    assert revision.subject == "tip"
    assert revision.date.startswith("2023-11-1")
    assert source.resolve("v0.1.0").describe == "v0.1.0"


@pytest.mark.parametrize("ref", ["v0.1.7", "v0.1.0-rc9"])
def test_the_error_for_an_unknown_version_names_its_neighbours(source: GitSource, ref: str) -> None:
    with pytest.raises(BadInput) as caught:
        source.resolve(ref)
    assert f"no revision '{ref}'" in caught.value.message
    assert caught.value.hint.startswith("one of v0.1.1, v0.1.0")


@pytest.mark.parametrize(
    "ref",
    [
        "--output=/tmp/x",
        "-n1",
        "",
        "master\n",
        "v0.1.0..v0.2.0",
        ":/fine",
        "master:README.md",
        "a b",
        "x" * 300,
        "\x1b[31m",
    ],
)
def test_a_ref_that_is_not_one_commit_is_refused(source: GitSource, ref: str) -> None:
    if ref.strip() == "master":  # a line end is ignored
        assert source.resolve(ref).ref == "master"
        return
    with pytest.raises(BadInput, match="is not a revision"):
        source.resolve(ref)


def test_an_id_of_another_kind_of_object_is_unknown(repo: GolangRepo, source: GitSource) -> None:
    blob = repo.git("rev-parse", "HEAD:README.md")
    with pytest.raises(BadInput, match="no revision"):
        source.resolve(blob)


def test_an_ambiguous_id_lists_the_candidates(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "many")
    who = "committer a <a@example.org> 1700000000 +0000"
    stream = [f"commit refs/heads/m{n}\n{who}\ndata {len(str(n))}\n{n}\n" for n in range(1000)]
    repo.git("fast-import", "--quiet", stdin="\n".join(stream))
    four = [line[:4] for line in repo.git("rev-list", "--all").split()]
    twice = next(f for f in four if four.count(f) == 2)
    with pytest.raises(BadInput, match="is ambiguous: 2 commit ids") as caught:
        GitSource.open(str(repo.path)).resolve(twice)
    assert caught.value.hint.count(twice) == 2


def test_the_mirror_follows_a_local_repository(repo: GolangRepo, source: GitSource) -> None:
    before = source.resolve("master").sha
    moved = repo.commit("later", {"README.md": "four\n"})
    again = GitSource.open(str(repo.path))
    assert (before, again.resolve("master").sha) == (repo.commits["tip"], moved)
    repo.tag("v0.3.0")
    assert GitSource.open(str(repo.path)).resolve("v0.3.0").sha == moved
    repo.git("update-ref", "refs/pull/7/head", repo.commits["broken"])
    assert GitSource.open(str(repo.path)).resolve("pull/7").sha == repo.commits["broken"]


def test_the_given_repository_is_only_read(repo: GolangRepo) -> None:
    before = _listing(repo.path)
    source = GitSource.open(str(repo.path))
    for ref in ("master", "HEAD", "2023-11-14", "f" * 40):
        try:
            revision = source.resolve(ref)
        except BadInput:
            continue
        with source.checkout(revision) as tree:
            (tree / "README.md").write_text("scribble\n")
    assert _listing(repo.path) == before


def test_another_users_repository_without_a_config_file(repo: GolangRepo) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    repo.git("gc", "--quiet")
    bare = repo.path.parent / "bare"
    shutil.copytree(repo.path / ".git", bare)
    (bare / "config").unlink()
    for path in (bare, *bare.rglob("*")):
        os.chown(path, 12345, 12345)
    source = GitSource.open(str(bare))
    assert source.resolve("v0.2.0").sha == repo.commits["merge-culprit"]
    os.chown(bare / "packed-refs", 0, 0)
    (bare / "packed-refs").write_text(
        (bare / "packed-refs").read_text() + f"{repo.commits['tip']} refs/tags/v0.2.1\n"
    )
    assert GitSource.open(str(bare)).resolve("v0.2.1").sha == repo.commits["tip"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such directory"),
        (".", "is not a git repository"),
        ("--upload-pack=touch x", "is not a repository"),
        ("ext::sh -c true", "unknown kind of URL"),
        ("", "is not a repository"),
    ],
)
def test_a_path_that_is_not_a_repository(tmp_path: Path, name: str, message: str) -> None:
    named = str(tmp_path / name) if name in ("nowhere", ".") else name
    with pytest.raises(BadInput, match=message):
        GitSource.open(named)
    assert list(paths.cache("mirrors").glob("*.git")) == []


def test_auto_falls_back_to_modules_and_reports_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSE", 0.05)
    messages: list[str] = []
    unreachable = "git://127.0.0.1:9/moby/buildkit.git"
    assert isinstance(open_source("auto", unreachable, say=messages.append), ModuleSource)
    assert [text[:9] for text in messages[:-1]] == ["warning: "] * (retry.TRIES - 1)
    assert messages[-1].startswith(f"source: Go modules (cannot reach {unreachable}: ")
    with pytest.raises(Missing, match="cannot reach "):
        open_source("git", unreachable)
    with pytest.raises(BadInput, match="unknown source 'svn'"):
        open_source("svn", unreachable)
    assert list(paths.cache("tmp").iterdir()) == []


def test_a_remote_that_accepts_and_never_responds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="no answer within"):
            GitSource.open(
                f"git://127.0.0.1:{server.getsockname()[1]}/x.git",
                deadlines=Deadlines(connect=1.0),
            )
    assert time.monotonic() - started < 10


def test_a_remote_that_is_gone_later_is_only_a_warning(repo: GolangRepo, source: GitSource) -> None:
    repo.path.rename(repo.path.with_name("moved"))
    messages: list[str] = []
    again = GitSource(mirror=source.mirror, say=messages.append)
    assert again.resolve("master").sha == repo.commits["tip"]
    assert "using the mirror as last fetched" in messages[0]
    with pytest.raises(Unreachable):
        again.refresh()


def test_queries_of_the_history(repo: GolangRepo, source: GitSource) -> None:
    c = repo.commits
    assert source.first_parent_line(c["base"], c["tip"]) == [
        c[n] for n in ("docs", "merge-fine", "merge-culprit", "tip")
    ]
    inside = source.parents([c["merge-culprit"]], [c["merge-fine"]])
    assert list(inside) == [
        c[n] for n in ("merge-culprit", "polish", "culprit", "broken", "refactor")
    ]
    assert inside[c["merge-culprit"]] == (c["merge-fine"], c["polish"])
    assert set(source.parents()) == set(c.values())
    assert source.merge_base(c["picked"], c["tip"]) == c["base"]
    assert source.is_ancestor(c["base"], c["base"])
    assert not source.is_ancestor(c["picked"], c["tip"])
    assert source.contains(c["fine"]).tags == ("v0.2.0-rc1", "v0.2.0")
    assert source.contains(c["picked"]).branches == ("v0.1",)
    assert source.patch_id(c["fine"]) == source.patch_id(c["picked"]) != ""
    assert source.patch_id(c["merge-fine"]) == ""
    assert source.patch_ids([]) == {}
    assert [r.ref for r in source.releases()] == ["v0.2.0", "v0.1.1", "v0.1.0"]
    assert [r.sha for r in source.releases()][-1] == c["base"]
    assert [r.subject for r in source.revisions([c["culprit"], c["docs"]])] == ["culprit", "docs"]


def test_what_commits_change(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "upstream")
    body = "package solver\n\nfunc (s *state) run() {\n\tone()\n\ttwo()\n}\n"
    repo.commit("start", {"solver/run.go": body})
    repo.branch("side")
    repo.commit("side", {"solver/run.go": body.replace("one", "uno"), "docs/ü.md": "x\n"})
    repo.switch("master")
    repo.commit("line", {"solver/run_test.go": "package solver\n\nfunc TestRun() {}\n"})
    repo.merge("merge", "side")
    vendored = {"vendor/x.org/y/z.go": "package y\n\nfunc Z() {}\n", "go.sum": "\n"}
    repo.commit("vendored", vendored)
    source = GitSource.open(str(repo.path))
    found = source.changes(list(repo.commits.values()))
    by_name = {name: found[sha] for name, sha in repo.commits.items()}
    assert by_name["base"].functions == {"solver.Answer", "cmd/buildkitd.main", "cmd/buildctl.main"}
    assert by_name["side"].functions == by_name["start"].functions == {"solver.state.run"}
    assert by_name["side"].files == {"solver/run.go", "docs/ü.md"}
    assert by_name["line"].files == {"solver/run_test.go"}
    assert not by_name["line"].functions
    assert not by_name["merge"].files | by_name["merge"].functions  # equal to a parent each
    assert by_name["vendored"].files == set(vendored)
    assert not by_name["vendored"].functions
    assert source.changes([]) == {}


def test_the_packages_of_the_daemon(repo: GolangRepo, source: GitSource) -> None:
    found = source.daemon_packages(repo.commits["base"])
    assert {"cmd/buildkitd", "solver", "util/words", "version"} <= found
    assert found.isdisjoint({"cmd/buildctl", "util/unused"})


def test_commits_with_equal_inputs_have_equal_keys(repo: GolangRepo, source: GitSource) -> None:
    c = repo.commits
    keys = source.input_keys(list(c.values()))
    same = [("base", "docs"), ("fine", "fine-test"), ("fine", "merge-fine"), ("culprit", "polish")]
    same += [("merge-culprit", "tip"), ("fine", "picked")]  # unused package; other base
    different = ["base", "fine", "refactor", "broken", "culprit"]
    for one, other in same:
        assert keys[c[one]] == keys[c[other]], (one, other)
    assert len({keys[c[n]] for n in different}) == len(different)
    # The keys are the same if remembered, and if computed one by one.
    assert source.input_keys(list(c.values())) == keys
    shutil.rmtree(paths.cache("inputs"))
    assert {s: source.input_keys([s])[s] for s in c.values()} == keys


def test_a_damaged_database_of_inputs_has_a_remedy_that_works(
    repo: GolangRepo, source: GitSource
) -> None:
    commits = list(repo.commits.values())
    keys = source.input_keys(commits)
    (file,) = paths.cache("inputs").iterdir()
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(remembered, "PATIENCE", 0.1)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InfraFailed, match="locked") as caught:
            source.input_keys(commits)
        assert "rm" not in (caught.value.hint or ""), "another process works there"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(InfraFailed, match="not a database") as caught:
        source.input_keys(commits)
    subprocess.run(["/bin/sh", "-c", caught.value.hint or ""], check=True)
    assert source.input_keys(commits) == keys


def test_a_new_import_in_a_patch_adds_inputs(repo: GolangRepo, source: GitSource) -> None:
    one, other = (source.resolve(r) for r in ("v0.2.0", "master"))  # differ in util/unused
    extra = ("github.com/moby/buildkit/util/unused",)
    assert source.inputs(one) == source.inputs(other)
    assert source.inputs(one, extra) != source.inputs(other, extra)


def test_which_programs_a_patch_may_change(repo: GolangRepo) -> None:
    """The import of a package that is not there yet counts too, and whole modules."""
    daemon = (repo.path / "cmd/buildkitd/main.go").read_text()
    late = daemon.replace('"fmt"', '"fmt"\n\t_ "github.com/moby/buildkit/late"')
    tip = repo.commit("late", {"cmd/buildkitd/main.go": late})
    source = GitSource.open(str(repo.path))
    revision = source.resolve(tip)

    def affected(*files: str, extra: tuple[str, ...] = ()) -> list[str]:
        return sorted(source.affected(revision, files, extra))

    both = ["buildctl", "buildkitd"]
    assert affected("README.md", "docs/x.go", "util/unused/unused.go") == []
    assert affected("late/late.go") == affected("cmd/buildkitd/default.pgo") == ["buildkitd"]
    assert affected("util/words/words.go") == affected("solver/renamed.go") == both
    for name in ("go.mod", "go.sum", "vendor/modules.txt", "util/go.mod"):
        assert affected(name) == both
    assert (
        affected("util/unused/unused.go", extra=("github.com/moby/buildkit/util/unused",)) == both
    )


def test_the_content_of_files(repo: GolangRepo, source: GitSource) -> None:
    one, other = (source.resolve(r) for r in ("v0.2.0", "master"))  # differ in util/unused
    same: list[list[str]] = [["README.md", "util/none.go", "none/x"], ["util/unused"], []]
    for names in same:
        assert source.content(one, names) == source.content(other, names)
    for changed in (["README.md", "util/unused/unused.go"], None):
        assert source.content(one, changed) != source.content(other, changed)
    moved = [source.content(one, [name]) for name in ("README.md", "util/none.go")]
    assert len(set(moved)) == 2


def test_read_and_checkout(repo: GolangRepo, source: GitSource) -> None:
    old = source.resolve("v0.1.0")
    assert source.read(old, "README.md") == "one\n"
    assert source.read(old, "solver/nothing.go") is None
    assert source.read(old, "no/such/folder.go") is None
    with source.checkout(old) as tree, source.checkout(source.resolve("master")) as other:
        assert (tree / "README.md").read_text() == "one\n"
        assert (other / "README.md").read_text() == "three\n"
    assert list(paths.cache("tmp").iterdir()) == []
    assert not list((source.mirror.path / "worktrees").glob("*"))


def test_the_users_git_configuration_does_not_change_files(
    repo: GolangRepo, source: GitSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[core]\n\tautocrlf = true\n\teol = crlf\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    with source.checkout(source.resolve("master")) as tree:
        assert (tree / "README.md").read_bytes() == b"three\n"


def test_a_killed_checkout_is_removed(repo: GolangRepo, source: GitSource) -> None:
    script = (
        "import os, pickle, sys\n"
        "source = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "with source.checkout(source.resolve('master')):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    child = subprocess.run([sys.executable, "-c", script, pickle.dumps(source).hex()], check=False)
    assert child.returncode == -9
    assert len(list(paths.cache("tmp").iterdir())) == 1
    assert sweep() == 1
    assert list(paths.cache("tmp").iterdir()) == []
    with source.checkout(source.resolve("master")):
        assert len(list((source.mirror.path / "worktrees").iterdir())) == 1


def test_an_interrupted_clone_leaves_no_mirror(
    repo: GolangRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mirror.Mirror, "fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            GitSource.open(str(repo.path))
    assert list(paths.cache("tmp").iterdir()) == []
    assert list(paths.cache("mirrors").glob("*.git")) == []
    assert GitSource.open(str(repo.path)).resolve("v0.1.0").sha == repo.commits["base"]


def test_a_repository_without_commits(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = GolangRepo(path=tmp_path / "empty")
    empty.git("init", "--quiet", "--template=")
    source = GitSource.open(str(empty.path))
    for ref in ("master", "HEAD", "v0.1.0"):
        with pytest.raises(BadInput, match="no revision"):
            source.resolve(ref)
    with pytest.raises(BadInput, match="has no branch"):
        source.resolve("2025-09-11")
    assert source.releases() == []


def test_a_warning_reports_a_shallow_clone(repo: GolangRepo, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=2", repo.path.as_uri(), str(shallow))
    messages: list[str] = []
    source = GitSource.open(str(shallow), say=messages.append)
    assert source.resolve("master~1").sha == repo.commits["merge-culprit"]
    assert "is a shallow clone" in messages[-1]
    with pytest.raises(BadInput, match="no revision"):
        source.resolve("v0.1.0")


def test_concurrent_opens_make_one_mirror(
    repo: GolangRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloned: list[mirrors.Mirror] = []
    clone = mirrors._clone

    def counted(mirror: mirrors.Mirror, say: Callable[[str], None]) -> None:
        cloned.append(mirror)
        clone(mirror, say)

    monkeypatch.setattr(mirrors, "_clone", counted)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: GitSource.open(str(repo.path)), range(4)))
        assert len({source.mirror for source in made}) == 1
        found = list(pool.map(lambda s: s.resolve("v0.2.0").sha, made))
        assert set(found) == {repo.commits["merge-culprit"]}

        def readme(source: GitSource) -> str:
            with source.checkout(source.resolve("master")) as tree:
                return (tree / "README.md").read_text()

        assert set(pool.map(readme, made)) == {"three\n"}
    assert len(cloned) == 1


def test_without_git_modules_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "from buildkit_bisect.source import open_source\n"
        f"print(open_source('auto', {str(tmp_path)!r}, say=print).kind)\n"
    )
    env = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["source: Go modules (git is not installed)", "module"]


def test_a_git_command_that_hangs_is_ended(
    source: GitSource, repo: GolangRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GitPython runs git once when it is imported, for its version, and waits for it.
    source.input_keys([repo.commits["docs"]])
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 61.25\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in ("git", "patch_ids"):
        defaults = getattr(gitcmd, name).__kwdefaults__
        monkeypatch.setitem(defaults, "timeout", 0.3)
    with pytest.raises(InfraFailed, match=r"git .* cat-file .* timed out"):
        source.resolve("v0.1.0")
    with pytest.raises(InfraFailed, match=r"patch-id .* timed out"):
        source.patch_ids([repo.commits["base"]])
    with pytest.raises(InfraFailed, match=r"git .* log .* timed out"):
        source.input_keys([repo.commits["base"]])
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"61.25" in _bytes(p)]
    assert left == []


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""


def test_a_failed_log_has_no_patch_ids(source: GitSource) -> None:
    with pytest.raises(InfraFailed, match=r"patch ids: git log in .* exited 128") as caught:
        source.patch_ids(["0" * 40])
    assert caught.value.hint == "./inv clean --cache (recreates the mirror)"


@pytest.mark.parametrize("sweeper", ["prune", "clean"])
def test_a_work_tree_that_git_was_adding_when_killed(source: GitSource, sweeper: str) -> None:
    """Git locks a work tree while adding it, and keeps a locked one even if its process is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    entries = source.mirror.path / "worktrees"
    ours, theirs = (entries / f"worktree-{pid}-abcdefgh" for pid in (os.getpid(), gone.pid))
    for entry in (ours, theirs):
        entry.mkdir(parents=True)
        (entry / "gitdir").write_text("/nowhere/.git\n")
        (entry / "commondir").write_text("../..\n")
        (entry / "HEAD").write_text("0" * 40 + "\n")
        (entry / "locked").write_text("initializing")
    if sweeper == "prune":
        source.prune()
    else:
        assert leftovers.find() == [theirs]
        leftovers.remove(theirs)
    assert list(entries.iterdir()) == [ours]
