"""GitHub without a network: git's own configuration sends its addresses to repositories here."""

from __future__ import annotations

from pathlib import Path

import pytest

from golang_repo import GolangRepo, buildkit_like

#: A line of text at the end of the file that pull request 7 changes.
CHANGED = "util/words/words.go"


def upstream(path: Path) -> GolangRepo:
    """Create `buildkit_like` with the releases v0.1.2 and v0.3.0, and two pull requests.

    Pull request 7 has two commits, ``pull-1`` and ``pull``, since ``merge-fine``, and 8 is merged.
    The commit ``lost`` is on no branch.
    """
    repo = buildkit_like(path, broken=False)
    repo.branch("work", repo.commits["merge-fine"])
    repo.commit("pull-1", {"util/words/extra.go": "package words\n\nconst Extra = 1\n"})
    repo.commit("pull", {"util/words/extra.go": "package words\n\nconst Extra = 2\n"})
    repo.git("update-ref", "refs/pull/7/head", "work")
    repo.branch("merged", repo.commits["merge-fine"])
    repo.commit("merged", {"util/words/merged.go": "package words\n\nconst Merged = 1\n"})
    repo.git("update-ref", "refs/pull/8/head", "merged")
    repo.switch("master")
    repo.merge("merge-8", "merged")
    repo.tag("v0.3.0")
    repo.switch("v0.1")
    repo.commit("patched", {"README.md": "patched\n"})
    repo.tag("v0.1.2")
    repo.commit("branch-tip", {"README.md": "unreleased\n"})
    repo.git("switch", "--quiet", "--detach")
    repo.commit("lost", {"util/words/lost.go": "package words\n\nconst Lost = 1\n"})
    repo.switch("master")
    repo.git("branch", "--quiet", "-D", "work", "merged")
    return repo


def serve(repo: GolangRepo, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make moby/buildkit and the fork me/buildkit out of *repo*; return git's home directory."""
    for owner in ("moby", "me"):
        bare = root / "github" / owner / "buildkit.git"
        bare.parent.mkdir(parents=True)
        repo.git("clone", "--quiet", "--mirror", str(repo.path), str(bare))
        repo.git("--git-dir", str(bare), "config", "uploadpack.allowAnySHA1InWant", "true")
        lost = repo.commits["lost"]
        repo.git("push", "--quiet", str(bare), f"{lost}:refs/unlisted/lost")
    fork = root / "github" / "me" / "buildkit.git"
    repo.git("--git-dir", str(fork), "update-ref", "refs/heads/their/fix", "refs/pull/7/head")
    home = root / "home"
    home.mkdir()
    home.joinpath(".gitconfig").write_text(
        f'[url "file://{root}/github/"]\n    insteadOf = https://github.com/\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home
