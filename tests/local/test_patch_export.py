"""patch-export on generated repositories, and branches as patches: the way there and back."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.patch import exporting, patches
from buildkit_bisect.patch.message import Person
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, base_files, buildkit_like, file_proxy, words
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.local, pytest.mark.alone]

WORDS = "util/words/words.go"
SAY = f'--- a/{WORDS}\n+++ b/{WORDS}\n@@ -3 +3 @@\n-const Cached = "ran"\n+const Cached = "{{}}"\n'
NEW = "--- /dev/null\n+++ b/{}\n@@ -0,0 +1 @@\n+package {}\n"
TITLES = ["words: say cached", "solver: add a file"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Desk:
    """Patches, a repository, a home with a name in git's configuration, and tasks."""

    def __init__(self, repo: GolangRepo, cache: Path, folder: Path) -> None:
        self.repo, self.folder, self.to = repo, folder, folder / "out"
        self.root, self.home = folder / "patches", folder / "home"
        self.env = {
            "BKBISECT_CACHE_DIR": str(cache),
            "BKBISECT_INTO": str(self.root),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "xdg"),
        }
        self.identity(name="Ada L", email="ada@example.org")
        self.patch(
            "say-cached", SAY.format("cached"), f'title = "{TITLES[0]}"\nclaim = "No add."\n'
        )
        self.patch(
            "add-file",
            NEW.format("solver/added.go", "solver"),
            f'title = "{TITLES[1]}"\nclaim = "It needs say-cached."\nissue = 42\n'
            'tests = ["t.patch"]\n',
        )
        (self.root / "add-file/t.patch").write_text(NEW.format("client/added_test.go", "client"))
        (self.root / "both").mkdir()
        text = 'title = "both"\nseries = ["say-cached", "add-file"]\n'
        (self.root / "both/patch.toml").write_text(text)

    def identity(self, **settings: str) -> None:
        self.home.mkdir(exist_ok=True)
        lines = [f"{key} = {value}\n" for key, value in settings.items()]
        (self.home / ".gitconfig").write_text("".join(["[user]\n", *lines]))

    def patch(self, name: str, diff: str, metadata: str) -> None:
        folder = self.root / name
        folder.mkdir(parents=True)
        (folder / "patch.toml").write_text(metadata)
        (folder / f"{name}.patch").write_text(diff)

    def task(self, *words: str, **env: str) -> TaskOutput:
        return inv(*words, env=self.env | env)

    def export(self, name: str = "both", *options: str, **env: str) -> TaskOutput:
        where = ("--to", str(self.to), "--repo", str(self.repo.path))
        return self.task("patch-export", name, *where, *options, **env)

    def git(self, *arguments: str) -> str:
        """Run git as a user does in the exported repository."""
        return GolangRepo(path=self.to).git(*arguments)


@pytest.fixture
def desk(template: GolangRepo, cache: Path, tmp_path: Path) -> Desk:
    return Desk(template.copy(tmp_path / "upstream"), cache, tmp_path)


def state(repo: GolangRepo) -> tuple[str, ...]:
    objects = sorted(str(p) for p in (repo.path / ".git").rglob("*"))
    return (repo.git("status", "--porcelain"), repo.git("for-each-ref"), *objects)


def test_a_series_is_a_branch_of_commits(desk: Desk) -> None:
    before = state(desk.repo)
    done = desk.export("both", "--onto", "v0.2.0", "--json")
    assert done.code == 0, done.stderr
    assert state(desk.repo) == before, "the user's repository is only read"
    made = done.document
    base = desk.repo.git("rev-parse", "v0.2.0^{commit}")
    assert (made["branch"], made["base"]) == ("both", base)
    assert desk.git("rev-parse", "base/both", "both~2").split() == [base, base]
    assert desk.git("symbolic-ref", "HEAD") == "refs/heads/both"
    assert desk.git("status", "--porcelain") == ""
    assert desk.git("for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/both"
    assert desk.git("remote", "get-url", "origin") == str(desk.repo.path / ".git")
    log = desk.git("log", "--reverse", "--format=%an <%ae>, %cn <%ce>%n%B", "base/both..both")
    who = "Ada L <ada@example.org>"
    assert log.split("\n") == [
        *(f"{who}, {who}", TITLES[0], "", "No add.", ""),
        *(f"{who}, {who}", TITLES[1], "", f'It needs "{TITLES[0]}".', "", "Relates to #42"),
    ]
    assert [c["files"] for c in made["commits"]] == [
        [WORDS],
        ["client/added_test.go", "solver/added.go"],
    ]
    assert made["commits"][1]["tests"] == "t.patch"
    assert desk.git("show", f"both~1:{WORDS}") == words("cached").strip()
    assert "No commit has a Signed-off-by" in done.stderr
    assert left_behind() == []


def test_the_mails_make_the_same_tree(desk: Desk) -> None:
    assert desk.export("both", "--onto", "v0.2.0").code == 0
    mails = sorted(map(str, (desk.folder / "out.mails").iterdir()))
    assert [Path(mail).name for mail in mails] == [
        "0001-words-say-cached.patch",
        "0002-solver-add-a-file.patch",
    ]
    desk.repo.branch("mine", "v0.2.0")
    desk.repo.git("am", "--quiet", *mails)
    tree = "HEAD^{tree}"
    assert desk.repo.git("rev-parse", tree) == desk.git("rev-parse", tree)


def test_a_sign_off_is_the_users_own_and_asked_for(desk: Desk) -> None:
    done = desk.export("both", "--signoff")
    assert done.code == 0, done.stderr
    assert "Signed-off-by" not in done.stderr
    for commit in ("both", "both~1"):
        trailers = desk.git("log", "-1", "--format=%(trailers:key=Signed-off-by)", commit)
        assert trailers.strip() == "Signed-off-by: Ada L <ada@example.org>"


def test_the_command_that_signs_off_later(desk: Desk) -> None:
    done = desk.export()
    command = done.stderr.rpartition("git -C ")[2].split()
    assert command[0] == str(desk.to)
    desk.git(*command[1:])
    assert desk.git("log", "--format=%B", "base/both..both").count("Signed-off-by: ") == 2


def test_names_for_a_shell_are_quoted(desk: Desk) -> None:
    done = desk.export("both", "--branch", "it's;$x")
    assert done.code == 0, done.stderr
    command = shlex.split(done.stderr.rpartition("git -C ")[2])
    assert command[1:] == ["rebase", "--signoff", "base/it's;$x"]


def test_the_tag_of_an_earlier_export_is_replaced(desk: Desk) -> None:
    desk.repo.git("tag", "base/both", "v0.1.0")
    done = desk.export("both", "--onto", "v0.2.0")
    assert done.code == 0, done.stderr
    assert desk.git("rev-parse", "base/both") == desk.repo.git("rev-parse", "v0.2.0^{commit}")


def test_only_the_files_of_the_diff_that_applies(desk: Desk) -> None:
    gone = "--- a/old/gone.go\n+++ b/old/gone.go\n@@ -1 +1 @@\n-package old\n+package gone\n"
    desk.patch("of-two", gone, 'title = "of two"\ndiffs = ["of-two.patch", "b.patch"]\n')
    (desk.root / "of-two/b.patch").write_text(SAY.format("cached"))
    done = desk.export("of-two", "--json")
    assert done.code == 0, done.stderr
    assert done.document["commits"][0]["files"] == [WORDS]


def test_a_clone_may_set_its_own_name(desk: Desk) -> None:
    desk.repo.git("config", "user.name", "Ada of the clone")
    assert desk.export().code == 0
    assert desk.git("log", "-1", "--format=%an") == "Ada of the clone"


def test_what_is_refused_leaves_nothing(desk: Desk) -> None:
    there = desk.folder / "there"
    there.mkdir()
    desk.repo.branch("moved", "v0.1.0")
    desk.repo.commit("moved", {WORDS: words("something else")})
    cases: tuple[tuple[tuple[str, ...], int, str], ...] = (
        (("both", "--onto", "moved"), 2, "on moved, say-cached does not apply"),
        (("both", "--onto", "v0.1.0"), 2, "on v0.1.0, already applied: say-cached"),
        (("both", "--onto", "v0.9"), 2, "v0.9"),
        (("nothing",), 2, "no patch 'nothing'"),
        (("both", "--branch", "a..b"), 2, "'a..b' is not the name of a branch"),
        (("both", "--branch=-x"), 2, "'-x' is not the name of a branch"),
        (("say-cached,add-file",), 2, "--branch BRANCH"),
        (("pr/7107",), 2, "pr/7107 is not the name of a branch (try: --branch BRANCH)"),
    )
    for options, code, text in cases:
        done = desk.export(*options)
        assert done.code == code, (options, done.stderr)
        assert text in done.stderr
        assert "Traceback" not in done.stderr
        names = {path.name for path in desk.folder.iterdir()}
        assert names == {"home", "patches", "upstream", "there"}, options
    assert desk.task("patch-export", "both").code == 2, "no directory"
    for to in ("/", f"{desk.folder}/new/.."):
        unnamed = desk.task("patch-export", "both", "--to", to)
        assert unnamed.code == 2
        assert f"error: {to} is not the name of a new directory (try: --to DIR)" in unnamed.stderr
    assert not (desk.folder / "new").exists()
    onto_it = desk.task("patch-export", "both", "--to", str(there))
    assert f"{there} already exists (try: --to ANOTHER_DIR)" in onto_it.stderr
    assert desk.export().code == 0
    again = desk.export()
    assert again.code == 2
    assert f"{desk.to} already exists (try: --to ANOTHER_DIR)" in again.stderr
    for path in sorted(desk.to.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    desk.to.rmdir()
    assert "out.mails already exists" in desk.export().stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "git has no user.name to write commits with (try: git config --global user.name"),
        ({"name": "Ada"}, "git has no user.email to write commits with"),
        ({"name": "<>", "email": "a@b"}, "git cannot write the name '<>' in a commit"),
    ],
)
def test_an_author_is_never_made_up(desk: Desk, settings: dict[str, str], message: str) -> None:
    desk.identity(**settings)
    done = desk.export()
    assert done.code == 2
    assert message in done.stderr
    assert not desk.to.exists()


def test_tests_that_do_not_apply_are_left_out(desk: Desk) -> None:
    desk.repo.commit("taken", {"client/added_test.go": "package client\n\n// Other.\n"})
    done = desk.export("both", "--onto", "master", "--json")
    assert done.code == 0, done.stderr
    assert done.document["commits"][1]["files"] == ["solver/added.go"]
    assert "the tests of 'solver: add a file' are left out: add-file does not apply" in done.stderr


def test_what_is_there_already_is_no_answer(desk: Desk) -> None:
    desk.repo.commit("fixed", {WORDS: words("cached")})
    done = desk.export("say-cached", "--onto", "master")
    assert (done.code, desk.to.exists()) == (4, False), done.stderr
    assert "say-cached is already in master" in done.stderr


def test_an_export_of_a_module(desk: Desk) -> None:
    proxy = {
        "GOPROXY": file_proxy(
            desk.folder / "proxy", {"v0.21.0": base_files() | {WORDS: words("ran")}}
        ),
        "GONOSUMDB": "*",
        "BKBISECT_CACHE_DIR": str(desk.folder / "cache"),
    }
    done = desk.export("both", "--source", "module", **proxy)
    assert done.code == 0, done.stderr
    assert "v0.21.0 is a Go module here" in done.stdout
    assert desk.git("rev-list", "--count", "both") == "3"
    first = desk.git("log", "-1", "--format=%P%B", "base/both")
    assert first.startswith("The files of the Go module github.com/moby/buildkit v0.21.0\n")
    assert desk.git("status", "--porcelain") == ""
    names = set(desk.git("ls-tree", "-r", "--name-only", "base/both").split())
    assert names == set(base_files()), "every file, and no other"
    back = desk.task("patch-check", f"branch:{desk.to}", "--json", **proxy)
    assert back.code == 0, back.stderr
    mails = sorted(map(str, (desk.folder / "out.mails").iterdir()))
    desk.repo.branch("mine", "v0.2.0")
    desk.repo.git("am", "--quiet", *mails)


def applies(desk: Desk, value: str, *options: str) -> TaskOutput:
    repo = ("--repo", str(desk.repo.path))
    return desk.task("patch-check", value, "--revs", "v0.2.0", "--json", *repo, *options)


def test_a_branch_is_a_series_again(desk: Desk) -> None:
    assert desk.export("both", "--onto", "v0.2.0").code == 0
    for value in (f"branch:{desk.to}", f"branch:{desk.to}:both"):
        done = applies(desk, value)
        assert done.code == 0, done.stderr
        assert "both has 2 commits since base/both" in done.stderr
        assert done.documents[0]["applies"][0]["state"] == "applies"
    plan = desk.task(
        *("validate", "--from-branch", str(desk.to), "--base", "v0.2.0", "--dry-run"),
        *("--repo", str(desk.repo.path), "--checks", "cells"),
    )
    assert plan.code == 0, plan.stderr
    assert "both-1 + both-2" in plan.stdout.replace("+both", " + both"), plan.stdout


def test_a_branch_of_the_repository_itself(desk: Desk) -> None:
    desk.repo.branch("topic", "v0.2.0")
    desk.repo.commit("words: say cached\n\nRelates to #7", {WORDS: words("cached")})
    done = applies(desk, "branch:topic")
    assert done.code == 0, done.stderr
    assert "topic has 1 commit since master" in done.stderr


def test_a_branch_with_names_that_are_not_ascii(desk: Desk) -> None:
    desk.repo.branch("fö/ü", "v0.2.0")
    files = {WORDS: words("cached"), "solver/ü ö.go": "package solver\n"}
    desk.repo.commit("wörds: say cached", files)
    done = desk.export("branch:fö/ü", "--branch", "ö", "--onto", "v0.2.0")
    assert done.code == 0, done.stderr
    assert (desk.to / "solver/ü ö.go").read_text() == "package solver\n"


def test_the_nearest_base_counts_after_a_rebase(desk: Desk) -> None:
    assert desk.export("both", "--onto", "v0.2.0").code == 0
    desk.git("rebase", "--quiet", "--onto", "origin/master", "base/both", "both")
    done = applies(desk, f"branch:{desk.to}:both")
    assert "both has 2 commits since origin/master" in done.stderr, "not 3 since base/both"


def test_branches_that_are_no_series(desk: Desk) -> None:
    desk.repo.branch("merged", "v0.2.0")
    desk.repo.commit("one", {"x": "1"})
    desk.repo.branch("side", "v0.2.0")
    desk.repo.commit("two", {"y": "1"})
    desk.repo.switch("merged")
    desk.repo.merge("both", "side")
    desk.repo.branch("empty", "master")
    desk.repo.branch("long", "master")
    for number in range(31):
        desk.repo.commit(f"commit {number}", {"z": str(number)})
    desk.repo.branch("mode", "master")
    (desk.repo.path / WORDS).chmod(0o755)
    desk.repo.commit("a mode", {})
    desk.repo.branch("twice", "v0.2.0")
    for said in ("cached", "ran", "cached"):
        desk.repo.commit(f"say {said}", {WORDS: words(said)})
    for name, text in (
        ("merged", "merged contains the merge "),
        ("empty", "empty has no commits since master"),
        ("long", "long has 31 commits since master"),
        ("absent", "absent"),
        ("mode", "changes no lines: modes, names or empty files only (try: git rebase -i "),
        (f"{desk.folder}:x", "is not a git repository"),
        ("twice", "makes the change of an earlier commit again (try: git rebase -i "),
        ("", "no branch is named (try: --patches branch:BRANCH)"),
        (f"{desk.repo.path}:", "no branch is named (try: --patches branch:BRANCH)"),
        ("~no-such-user:x", "no such directory"),
        ("~no-such-user", "~no-such-user"),
    ):
        done = applies(desk, f"branch:{name}")
        assert done.code == 2, (name, done.stderr)
        assert text in done.stderr
        assert f"branch:{name}: branch:{name}: " not in done.stderr
        assert "Traceback" not in done.stderr


def test_a_branch_that_is_not_checked_out_and_one_without_a_base(desk: Desk) -> None:
    assert desk.export().code == 0
    desk.git("checkout", "--quiet", "--detach")
    done = applies(desk, f"branch:{desk.to}")
    assert done.code == 2
    assert f"no branch is checked out in {desk.to} (try: --patches branch:" in done.stderr
    desk.git("switch", "--quiet", "--orphan", "lonely")
    desk.git("commit", "--quiet", "--allow-empty", "-m", "x")
    done = applies(desk, f"branch:{desk.to}:lonely")
    assert done.code == 2
    assert "lonely has no base: " in done.stderr
    assert "(try: git tag base/lonely COMMIT)" in done.stderr


def test_a_branch_and_patches_cannot_be_combined(desk: Desk) -> None:
    done = desk.task("validate", "say-cached", "--from-branch", "x", "--repo", str(desk.repo.path))
    assert done.code == 2
    assert (
        "--from-branch and patches cannot be combined (try: --patches say-cached,branch:x)"
        in done.stderr
    )


def test_what_git_makes_of_the_repository(desk: Desk) -> None:
    """A user's git finds nothing wrong, and no alternates: our cache may be removed."""
    assert desk.export().code == 0
    done = subprocess.run(
        ["/usr/bin/env", "git", "-C", str(desk.to), "fsck", "--full", "--strict"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (desk.to / ".git/objects/info/alternates").exists()


def test_a_directory_that_appears_meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mails are left then: the next export would refuse to write its own."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", desk.env["BKBISECT_CACHE_DIR"])
    rename = Path.rename

    def raced(self: Path, target: Path) -> Path:
        if self.name == "tree":
            desk.to.mkdir()
            (desk.to / "theirs").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", raced)
    source = GitSource.open(str(desk.repo.path), say=lambda _: None)
    with pytest.raises(BadInput, match=r"cannot write to .*/out: Directory not empty"):
        exporting.export(
            source,
            source.resolve("v0.2.0"),
            patches.load_many("say-cached", desk.root),
            folder=desk.to,
            branch="x",
            author=Person(name="Ada L", email="ada@example.org"),
        )
    assert {p.name for p in desk.folder.iterdir()} == {"home", "patches", "upstream", "out"}


def test_what_a_killed_export_has_left_is_removed_by_the_next_one(desk: Desk) -> None:
    wrapper = desk.folder / "bin" / "git"
    wrapper.parent.mkdir()
    real = shutil.which("git")
    wrapper.write_text(
        '#!/bin/sh\nfor word; do\n    [ "$word" = format-patch ] && kill -9 $PPID && exit 1\n'
        f'done\nexec {real} "$@"\n'
    )
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    where = ("--to", str(desk.to), "--repo", str(desk.repo.path))
    killed = inv("patch-export", "both", *where, env=desk.env | {"PATH": path}, cold=True)
    assert killed.code == -signal.SIGKILL
    (left,) = desk.folder.glob(".out-*")
    assert (left / "tree/.git").is_dir()
    foreign, others, running = (desk.folder / f".out-{x}" for x in ("foreign1", "x", "running1"))
    for folder in (foreign, running):
        folder.mkdir()
    others.symlink_to(left)
    paths.claim(running)
    assert desk.export().code == 0
    assert not left.exists()
    assert {p.name for p in desk.folder.glob(".out-*")} == {foreign.name, others.name, running.name}
