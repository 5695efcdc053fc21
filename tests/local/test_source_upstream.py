"""How upstream's branches are found in a contributor's clone, which also has a fork's."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from buildkit_bisect.campaign import verify
from buildkit_bisect.patch import backports
from buildkit_bisect.source import GitSource, mirror, upstream
from golang_repo import GolangRepo, buildkit_like

pytestmark = pytest.mark.local


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def repo(tmp_path: Path) -> GolangRepo:
    return buildkit_like(tmp_path / "upstream")


def test_upstreams_branches_in_a_contributors_clone(repo: GolangRepo, tmp_path: Path) -> None:
    clone = tmp_path / "fork"
    repo.git("clone", "--quiet", str(repo.path), str(clone))
    source = GitSource.open(str(clone / "solver"))  # a directory inside works too
    assert source.resolve("v0.1").sha == repo.commits["picked"]
    assert source.resolve("origin/v0.1").sha == repo.commits["picked"]
    assert source.resolve("origin/culprit").sha


def test_in_a_contributors_clone_upstreams_branches_are_used(
    repo: GolangRepo, tmp_path: Path
) -> None:
    c = repo.commits
    messages: list[str] = []
    fork = repo.copy(tmp_path / "fork")
    fork.git("branch", "--force", "v0.1", "v0.1.0")  # its tip before the cherry-pick
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", fork.path, clone], check=True)  # noqa: S607
    git = partial(subprocess.run, cwd=clone, check=True)
    alone = GitSource.open(str(clone))
    assert alone.release_branches() == {(0, 1): "origin/v0.1"}
    assert alone.default_branch() == "refs/remotes/origin/master"
    git(["git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/v0.1"])
    assert GitSource.open(str(clone)).default_branch() == "refs/remotes/origin/master"
    assert alone.resolve("v0.1").sha == c["base"]
    git(["git", "remote", "add", "upstream", repo.path])
    git(["git", "fetch", "--quiet", "upstream"])
    git(["git", "branch", "--quiet", "mine", "v0.1.0"])
    repo.switch("master")
    newest = repo.commit("newest", {"newest.txt": "n"})
    git(["git", "fetch", "--quiet", "upstream"])
    source = GitSource.open(str(clone), say=messages.append)
    assert source.resolve("v0.1").sha == c["picked"]
    assert source.release_branches() == {(0, 1): "upstream/v0.1"}
    assert source.default_branch() == "refs/remotes/upstream/master"
    assert source.resolve("upstream/master").sha == newest
    assert source.resolve("mine").sha == source.resolve("origin/v0.1").sha == c["base"]
    assert messages == [], "nothing was asked for that has moved"
    assert [source.resolve("master").sha for _ in range(2)] == [c["tip"]] * 2
    assert source.resolve("master~1")
    behind = "1 commit behind upstream/master"
    assert messages == [f"master is the clone's own branch and is {behind}"]
    git(["git", "branch", "--quiet", "me@topic", "v0.1.0"])
    git(["git", "update-ref", "refs/remotes/origin/master", newest])
    git(["git", "update-ref", "refs/remotes/upstream/master", c["base"]])
    messages.clear()
    stale = GitSource.open(str(clone), say=messages.append)
    assert stale.resolve("me@topic").sha == c["base"]
    assert [stale.resolve("2100-01-01").sha for _ in range(2)] == [c["base"]] * 2
    newer = stale._behind(c["base"], newest)
    assert newer > 1
    assert messages == [
        f"upstream/master, used as upstream's branch, is {newer} commits behind origin/master"
    ]
    assert [r.ref for r in backports.lines(source)] == ["upstream/master"], "since v0.20"
    assert verify.elsewhere(source, c["fine"])[0] == {"upstream/v0.1": c["picked"]}


@pytest.mark.parametrize(
    ("also", "conflicts"),
    [
        ("solver/solver_test.go", ""),
        ("docs/a b.md", ""),
        ("solver/answer.go", "the revert conflicts in solver/answer.go"),
    ],
)
def test_a_revert_leaves_out_conflicts_in_files_that_are_not_built(
    repo: GolangRepo, tmp_path: Path, also: str, conflicts: str
) -> None:
    """584ec4008581 (moby/moby#47693) conflicts on v0.13.0 in a test only."""
    repo.switch("master")
    first = repo.commit("first", {also: "// one\n", "solver/fault.go": "package solver\n"})
    second = repo.commit("second", {also: "// two\n", "solver/fault.go": "package solver // x\n"})
    tip = repo.commit("third", {also: "// three\n"})
    assert first
    source = GitSource.open(str(repo.path))
    made = verify.revert(source, second, source.resolve(tip), tmp_path)
    if conflicts:
        assert made == conflicts
        return
    assert not isinstance(made, str)
    assert made.files == ("solver/fault.go",)
    assert made.ref.title == f"revert of {second[:12]} on {tip} without the conflicts in {also}"


MOBY = "https://github.com/moby/buildkit"


def _remotes(folder: Path, **urls: str) -> tuple[str, ...]:
    texts = [f'[remote "{name}"]\n\turl = {url}\n' for name, url in urls.items()]
    (folder / "config").write_text("".join(texts))
    return upstream.remotes(mirror.Mirror(repo=str(folder), path=folder))


@pytest.mark.parametrize(
    "url",
    [
        *(MOBY, f"{MOBY}.git", f"{MOBY}/", "https://github.com/Moby/BuildKit"),
        *("git@github.com:moby/buildkit.git", "ssh://git@github.com/moby/buildkit"),
        "https://me:token@github.com/moby/buildkit",
    ],
)
def test_a_remote_is_upstream_by_its_url(tmp_path: Path, url: str) -> None:
    mine = "git@github.com:me/buildkit"
    assert _remotes(tmp_path, a=url, origin=mine) == ("a", "upstream")
    assert _remotes(tmp_path, a=url, origin=url) == ("origin", "a", "upstream")
    assert _remotes(tmp_path, a=url, origin=url, upstream=url) == ("upstream", "origin", "a")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "/home/me/go/src/github.com/moby/buildkit",
            "https://example.org/github.com/moby/buildkit",
        ),
        *("https://github.com.example.org/moby/buildkit", f"{MOBY}-fork", f"{MOBY}/x"),
        *("https://github.com@example.org/moby/buildkit", "git@example.org:moby/buildkit"),
    ],
)
def test_other_urls_are_not_upstream(tmp_path: Path, url: str) -> None:
    assert _remotes(tmp_path, a=url) == ("upstream",)


def test_a_repository_without_a_config_and_one_on_a_server(tmp_path: Path) -> None:
    assert upstream.remotes(mirror.Mirror(repo=str(tmp_path), path=tmp_path)) == ("upstream",)
    url = "https://github.com/moby/buildkit"
    assert upstream.remotes(mirror.Mirror(repo=url, path=tmp_path)) == ("upstream",)
