"""Campaigns of a user with odd and hostile settings: nothing in the home directory changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from buildkit_bisect.system import paths
from golang_repo import GolangRepo, base_files, buildkit_like, file_proxy
from tool import TaskOutput, figure, inv

pytestmark = [pytest.mark.system, pytest.mark.alone]

HOOKS = (
    *("post-checkout", "pre-commit", "post-index-change", "reference-transaction"),
    *("post-rewrite", "post-merge", "applypatch-msg"),
)

#: The program behind every hook, helper, filter and alias of the user.
TRAP = '#!/bin/sh\n(echo "$0 $*"; tr "\\0" " " < /proc/$PPID/cmdline; echo) >> "{sprung}"\n'

GITCONFIG = """
[user]
    name = A. User
    email = user@example.org
[core]
    hooksPath = {home}/hooks
    fsmonitor = {home}/hooks/post-checkout
    autocrlf = true
    whitespace = trailing-space,tab-in-indent
[init]
    templateDir = {home}/template
[alias]
    rev-parse = !{home}/hooks/post-checkout
    wt = !{home}/hooks/post-checkout
[filter "lfs"]
    smudge = {home}/hooks/post-checkout
    clean = cat
    required = true
[commit]
    gpgsign = true
[apply]
    whitespace = error
[diff]
    external = {home}/hooks/post-checkout
    noprefix = true
[color]
    ui = always
[url "{clone}"]
    insteadOf = https://upstream.example/moby/buildkit.git
"""

GOENV = """
GOPROXY={proxy}
GONOSUMDB=*
GOFLAGS=-mod=vendor -tags=nonsense
GOMODCACHE={home}/go/pkg/mod
GOCACHE={home}/.cache/go-build
GOBIN={home}/go/bin
CGO_CFLAGS=-nonsense
"""

SCRIPT = """#!/bin/sh
"$BKBISECT_BUILDKITD" | tee seen
grep -q cached seen
"""


class User:
    """A home directory with a clone, a GOPATH and settings; and a directory for marks."""

    def __init__(self, root: Path) -> None:
        self.home, self.outside = root / "home", root / "outside"
        self.sprung = self.outside / "sprung"
        for folder in (self.outside, self.home / ".config/go", self.home / ".docker"):
            folder.mkdir(parents=True)
        self.repo = buildkit_like(self.home / "src/buildkit", broken=False)
        self._traps()
        proxy = file_proxy(self.outside / "proxy", {"v0.1.0": base_files()})
        filled = {"home": self.home, "clone": self.repo.path, "proxy": proxy}
        (self.home / ".gitconfig").write_text(GITCONFIG.format(**filled))
        (self.home / ".config/go/env").write_text(GOENV.format(**filled))
        (self.home / ".docker/config.json").write_text('{"currentContext": "default"}')
        module = self.home / "go/pkg/mod/github.com/moby/buildkit@v0.1.0"
        module.mkdir(parents=True)
        (module / "go.mod").write_text("module example.org/not/what/it/says\n")
        # Work in progress: a changed file, an untracked file, a stale index.
        (self.repo.path / "README.md").write_text("work in progress\n")
        (self.repo.path / "untracked.go").write_text("package buildkit\n")
        self.cache = self.outside / "cache"
        self.cache.mkdir()
        (self.cache / "toolchains").symlink_to(paths.cache("toolchains"))

    def _traps(self) -> None:
        own = self.repo.path / ".git/hooks"
        for folder in (self.home / "hooks", self.home / "template/hooks", own):
            folder.mkdir(parents=True, exist_ok=True)
            for name in HOOKS:
                trap = folder / name
                trap.write_text(TRAP.format(sprung=self.sprung))
                trap.chmod(trap.stat().st_mode | stat.S_IXUSR)
        (self.repo.path / ".git/info").mkdir(exist_ok=True)
        (self.repo.path / ".git/info/attributes").write_text("* filter=lfs text\n")

    def run(self, *words: str) -> TaskOutput:
        return inv(*words, env={
            "HOME": str(self.home), "BKBISECT_CACHE_DIR": str(self.cache),
            "GOPATH": f"{self.home}/go", "GOFLAGS": "-mod=vendor", "GOWORK": f"{self.home}/go.work",
            "GOENV": f"{self.home}/.config/go/env", "GIT_DIR": f"{self.home}/nowhere",
            "GIT_INDEX_FILE": f"{self.home}/index", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "",
        }, timeout=600)  # fmt: skip

    def everything(self) -> dict[str, tuple[object, ...]]:
        """Return type, permissions, time and content of every path in the home directory."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted([self.home, *self.home.rglob("*")]):
            status = path.lstat()
            content = ""
            if path.is_symlink():
                content = os.readlink(path)  # noqa: PTH115
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            named = str(path.relative_to(self.home))
            found[named] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
        return found


def changed(
    before: dict[str, tuple[object, ...]],
    after: dict[str, tuple[object, ...]],
    *,
    times: bool = True,
) -> list[str]:
    def seen(of: dict[str, tuple[object, ...]], name: str) -> object:
        return of.get(name) if times or name not in of else (of[name][:2], of[name][3])

    names = sorted(before.keys() | after.keys())
    return [name for name in names if seen(before, name) != seen(after, name)]


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_no_campaign_changes_the_home(user: User) -> None:
    before = user.everything()
    clone, out = str(user.repo.path), str(user.outside / "out")
    script = user.outside / "script"
    script.write_text(SCRIPT)
    script.chmod(0o755)

    found = user.run(
        "bisect", "--repo", clone, "--good", "v0.1.0", "--bad", "master", "--trials", "1",
        "--script", str(script), "--json", "--out", out,
    )  # fmt: skip
    assert found.code == 0, found.stderr
    assert found.document["bisect"]["first_bad"] == user.repo.commits["culprit"]

    # insteadOf and GOPROXY are used, because users reach their upstream through them.
    there = user.run(
        "build", "--rev", "v0.2.0", "--repo", "https://upstream.example/moby/buildkit.git",
        "--source", "git", "--json",
    )  # fmt: skip
    assert there.code == 0, there.stderr
    module = user.run("build", "--rev", "v0.1.0", "--source", "module", "--json")
    assert module.code == 0, module.stderr
    assert json.loads(module.stdout)["source"] == "module"

    assert user.run("clean", "--dry-run").code == 0
    assert changed(before, user.everything()) == []

    made = user.run(
        "patch-new", "mine", "--from-worktree", clone, "--repo", clone, "--base", "master",
        "--title", "Mine", "--into", str(user.outside / "patches"),
    )  # fmt: skip
    assert made.code == 0, made.stderr
    # Our `git add`, into another directory, updates the time of objects that the clone has.
    renewed = changed(before, user.everything())
    assert [name for name in renewed if "/.git/objects/" not in name] == []
    assert changed(before, user.everything(), times=False) == []
    assert not user.sprung.exists(), user.sprung.read_text()
    figure(
        "files of a user's home, clone and GOPATH changed by bisect, build, clean and patch new",
        f"0 of {len(before)}; 0 of its hooks, filters and aliases run",
    )


def test_the_users_settings_do_not_change_a_build(user: User, tmp_path: Path) -> None:
    theirs = user.run("build", "--rev", "v0.2.0", "--repo", str(user.repo.path), "--json")
    assert theirs.code == 0, theirs.stderr
    plain = GolangRepo(path=tmp_path / "plain")
    shutil.copytree(user.repo.path / ".git", plain.path / ".git")
    shutil.rmtree(plain.path / ".git/hooks")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "toolchains").symlink_to(paths.cache("toolchains"))
    ours = inv("build", "--rev", "v0.2.0", "--repo", str(plain.path), "--json",
               env={"BKBISECT_CACHE_DIR": str(cache)})  # fmt: skip
    assert ours.code == 0, ours.stderr
    for name in ("key", "buildkitd_sha256", "buildctl_sha256"):
        assert theirs.document[name] == ours.document[name]
