"""patch-new, patch-list and patch-check on a contributor's repository, which they only read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit_bisect.patch import patches
from golang_repo import GolangRepo, buildkit_like, words
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.local, pytest.mark.alone]

WORDS = "util/words/words.go"
LINES = "".join(f"const L{n} = {n}\n" for n in range(12))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """``master``, and release branches v0.25 (unchanged), v0.26 (with the fix), v0.27 (moved)."""
    repo = buildkit_like(tmp_path_factory.mktemp("template") / "upstream", broken=False)
    repo.commit("lines", {"util/words/lines.go": f"package words\n\n{LINES}"})
    for branch in ("v0.19", "v0.25", "v0.26", "v0.27"):
        repo.branch(branch, "master")
    repo.commit("moved", {WORDS: words("something else")})
    repo.branch("fix", "master")
    message = "words: say cached\n\nIt printed ran. Fixes #42\n\nSigned-off-by: A. Nother <a@b.c>"
    repo.commit(message, {WORDS: words("cached")})
    repo.git("update-ref", "refs/pull/7/head", "fix")
    repo.switch("v0.26")
    repo.cherry_pick("picked-fix", repo.commits[message])
    repo.switch("master")
    return repo


@pytest.fixture
def repo(template: GolangRepo, tmp_path: Path) -> GolangRepo:
    return template.copy(tmp_path / "upstream")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Desk:
    """A folder of patches, and tasks that use it."""

    def __init__(self, repo: GolangRepo, cache: Path, root: Path) -> None:
        self.repo, self.cache, self.root = repo, cache, root

    def task(self, *words: str) -> TaskOutput:
        env = {"BKBISECT_CACHE_DIR": str(self.cache), "BKBISECT_INTO": str(self.root)}
        return inv(*words, env=env)

    def new(self, *words: str, name: str = "my-fix") -> TaskOutput:
        return self.task("patch-new", name, "--repo", str(self.repo.path), *words)

    def diff(self, name: str = "my-fix") -> str:
        return (self.root / name / f"{name}.patch").read_text()


@pytest.fixture
def desk(repo: GolangRepo, cache: Path, tmp_path: Path) -> Desk:
    return Desk(repo, cache, tmp_path / "patches")


def cloned(desk: Desk, tmp_path: Path) -> GolangRepo:
    """Clone *desk*'s repository, as a contributor does; *desk* then uses the clone."""
    path = tmp_path / "clone"
    desk.repo.git("clone", "--quiet", str(desk.repo.path), str(path))
    desk.repo = GolangRepo(path=path, commits=desk.repo.commits, _clock=desk.repo._clock)
    return desk.repo


def states(fits: list[dict[str, str]]) -> dict[str, str]:
    return {fit["ref"]: fit["state"] for fit in fits}


def test_a_patch_from_a_branch(desk: Desk) -> None:
    done = desk.new("--from-branch", "fix", "--json")
    assert done.code == 0, done.stderr
    made = done.document
    assert states(made["applies"]) == {
        "v0.25": "applies",
        "v0.26": "there",
        "v0.27": "conflicts",
        "master": "applies",
    }, "v0.19 is too old to be asked"
    assert "patch failed: util/words/words.go" in made["applies"][2]["detail"]
    patch = patches.load(str(desk.root / "my-fix"))
    assert patch.meta.title == "words: say cached"
    assert patch.meta.claim == "It printed ran. Fixes #42", "without the trailers"
    assert (patch.meta.author, patch.meta.issue) == ("A. Nother", 42)
    assert patch.files == (WORDS,)
    assert "@@ -2,2 +2,2 @@" in desk.diff(), "one line of context will do"
    assert left_behind() == []


def test_a_patch_from_a_pull_request(desk: Desk) -> None:
    done = desk.new("--from-pr", "7")
    assert done.code == 0, done.stderr
    assert "already applied" in done.stdout
    meta = patches.load(str(desk.root / "my-fix")).meta
    assert meta.source == "https://github.com/moby/buildkit/pull/7"


def test_a_patch_from_a_work_tree_with_and_without_commits(desk: Desk) -> None:
    repo = desk.repo
    repo.branch("mine", "master")
    repo.commit("words: a first step", {"util/words/step.go": "package words\n"})
    (repo.path / WORDS).write_text(words("cached"))
    (repo.path / "util/words/new.go").write_text("package words\n\nvar New = 1\n")
    (repo.path / ".git/info").mkdir(exist_ok=True)
    (repo.path / ".git/info/exclude").write_text("*.swp\n")
    (repo.path / "x.swp").write_text("junk")

    def state() -> tuple[str, ...]:
        objects = sorted(str(p) for p in (repo.path / ".git/objects").rglob("*"))
        return (repo.git("status", "--porcelain"), repo.git("for-each-ref"), *objects)

    before = state()
    done = desk.task("patch-new", "my-fix", "--from-worktree", str(repo.path / "util"))
    assert done.code == 0, done.stderr
    assert state() == before
    patch = patches.load(str(desk.root / "my-fix"))
    assert patch.files == ("util/words/new.go", "util/words/step.go", WORDS)
    assert patch.meta.title == "words: a first step"


def test_a_patch_from_a_release_branch(desk: Desk) -> None:
    desk.repo.branch("backport", "v0.27")
    desk.repo.commit("words: say nothing", {WORDS: words("nothing")})
    done = desk.new("--from-branch", "backport")
    assert "based on v0.27 at " in done.stdout
    assert patches.load(str(desk.root / "my-fix")).files == (WORDS,), "not what v0.27 had before"


def test_a_commit_on_the_main_branch_itself(desk: Desk, tmp_path: Path) -> None:
    clone = cloned(desk, tmp_path)
    unchanged = ("master", "origin/master", "v0.27", "origin/v0.27")
    clone.git("branch", "v0.27", "origin/v0.27")
    for branch in unchanged:
        done = desk.new("--from-branch", branch)
        assert done.code == 2, done.stdout
        assert f"no changes since origin/{branch.removeprefix('origin/')} at " in done.stderr
    clone.commit("words: say mine", {WORDS: words("mine")})
    for origin in (("--from-branch", "master"), ("--from-worktree", str(clone.path))):
        done = desk.new(*origin, name=f"of{origin[0][1:]}")
        assert "based on origin/master at " in done.stdout, done.stderr
        assert "warning" not in done.stderr
        assert "used as upstream's branch" not in done.stderr, "a local branch needs no fetch"
        assert patches.load(str(desk.root / f"of{origin[0][1:]}")).files == (WORDS,)


def test_the_base_for_a_fork_that_is_behind_upstream(desk: Desk, tmp_path: Path) -> None:
    upstream = desk.repo
    clone = cloned(desk, tmp_path)
    clone.git("remote", "add", "real", str(upstream.path))
    for number in range(30):
        upstream.commit(f"step {number}", {"util/words/step.go": f"package words // {number}\n"})
    clone.git("fetch", "--quiet", "real")
    clone.branch("topic", "real/master")
    clone.commit("words: say mine", {WORDS: words("mine")})
    for origin in (("--from-branch", "topic"), ("--from-worktree", str(clone.path))):
        done = desk.new(*origin, name=f"of{origin[0][1:]}")
        assert "words: say mine, based on real/master at " in done.stdout, done.stderr
    clone.git("push", "--quiet", "origin", "real/master:refs/heads/main")
    clone.git("fetch", "--quiet", "origin")
    clone.git("remote", "set-url", "real", "git@github.com:moby/buildkit.git")
    assert "based on real/master" in desk.new("--from-branch", "topic", name="tie").stdout
    done = desk.new("--from-branch", "topic", "--base", "origin/v0.27", name="old")
    assert "warning: the patch contains 31 commits by A. Nother since origin/v0.27" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "--base R" in done.stderr


def test_more_context_if_one_line_is_ambiguous(desk: Desk) -> None:
    same = "package words\n\n" + "func init() {\n\tuse()\n}\n" * 4
    desk.repo.commit("same", {"util/words/same.go": same})
    desk.repo.branch("third", "master")
    lines = same.splitlines(keepends=True)
    lines[9] = "\tuse(3)\n"
    desk.repo.commit("words: use the third", {"util/words/same.go": "".join(lines)})
    done = desk.new("--from-branch", "third")
    assert done.code == 0, done.stderr
    assert "@@ -5," in desk.diff(), "with three lines, the second would do as well"
    desk.repo.switch("master")
    check = desk.task("patch-check", "--revs", "master,third", "--repo", str(desk.repo.path))
    assert "master" in check.stdout
    assert "already applied" in check.stdout


def test_check_prints_a_table_for_each_patch(desk: Desk) -> None:
    desk.new("--from-branch", "fix")
    (desk.root / "two").mkdir()
    listed = f'title = "both"\nseries = ["{desk.root / "my-fix"}"]\n'
    (desk.root / "two" / "patch.toml").write_text(listed)
    done = desk.task("patch", "check", "--repo", str(desk.repo.path), "--json")
    assert done.code == 0, done.stderr
    found = {one["name"]: states(one["applies"]) for one in done.documents}
    assert found["my-fix"] == found["two"]
    assert found["two"]["v0.26"] == "there"
    done = desk.task("patch", "check", "--repo", str(desk.repo.path), "--patches", "my-fix")
    assert done.stdout.splitlines()[1:-1] == [
        "my-fix  v0.25      applies",
        "        v0.26      already applied",
        "        v0.27      conflicts in util/words/words.go",
        "        master     applies",
    ]
    ask = ("patch", "check", "--repo", str(desk.repo.path), "--patches", "my-fix", "--verbose")
    verbose = desk.task(*ask).stdout
    assert "conflicts: patch failed: util/words/words.go" in verbose
    assert verbose.count("\n") == 5, "a line per revision"
    shown = desk.task("patch", "list")
    assert "my-fix: words: say cached\n    touches util/words/words.go" in shown.stdout
    assert "two: both\n    series: " in shown.stdout


def test_check_reports_a_patch_that_would_need_fuzz(desk: Desk) -> None:
    lines = f"package words\n\n{LINES}"
    folder = desk.root / "fuzzy"
    folder.mkdir(parents=True)
    (folder / "patch.toml").write_text('title = "t"\n')
    body = "".join(f" const L{n} = {n}\n" for n in range(2, 5))
    after = "".join(f" const L{n} = {n}\n" for n in range(6, 9))
    (folder / "it.patch").write_text(
        "--- a/util/words/lines.go\n+++ b/util/words/lines.go\n@@ -5,7 +5,7 @@\n"
        f"{body}-const L5 = 5\n+const L5 = 50\n{after}"
    )
    desk.repo.commit("near", {"util/words/lines.go": lines.replace("L2 = 2", "L2 = 22")})
    done = desk.task(
        "patch-check", "--patches", "fuzzy", "--revs", "v0.27,master", "--json",
        "--repo", str(desk.repo.path),
    )  # fmt: skip
    older, newer = done.documents[0]["applies"]
    assert older["state"] == "applies"
    assert newer["state"] == "conflicts"
    assert "would apply with fuzz" in newer["detail"]


@pytest.mark.parametrize(
    ("key", "what"), [('requires = ["{}"]', "requires"), ('introduced-by = "{}"', "fixes")]
)
def test_check_reports_missing_commits(desk: Desk, key: str, what: str) -> None:
    desk.new("--from-branch", "fix")
    toml = desk.root / "my-fix" / "patch.toml"
    text = toml.read_text()
    toml.write_text(f"{text}{key.format(desk.repo.commits['moved'])}\n")
    ask = ("patch-check", "--repo", str(desk.repo.path), "--json", "--revs", "v0.25,v0.27")
    fits = desk.task(*ask).documents[0]["applies"]
    assert "does not contain " in fits[0]["detail"]
    assert f", which the patch {what}" in fits[0]["detail"]
    assert states(fits) == {"v0.25": "lacking", "v0.27": "conflicts"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), "exactly one source of changes"),
        (("--from-branch", "fix", "--from-pr", "7"), "exactly one source of changes"),
        (("--from-branch", "nowhere"), "no revision 'nowhere'"),
        (("--from-branch", "--upload-pack=x"), "not a revision"),
        (("--from-branch", "v0.25", "--base", "v0.25"), "no changes since v0.25"),
        (("--from-pr", "fix"), "not an integer"),
        (("--from-worktree", "/nowhere"), "no such directory (try: --from-worktree DIR"),
        (("--from-worktree", "/"), "not a git repository (try: --from-worktree DIR"),
    ],
)
def test_errors_of_patch_new(desk: Desk, options: tuple[str, ...], names: str) -> None:
    done = (
        desk.task("patch-new", "my-fix", *options)
        if "--from-worktree" in options
        else desk.new(*options)
    )
    assert done.code == 2, done.stderr
    assert names in done.stderr
    assert "Traceback" not in done.stderr
    assert not desk.root.exists() or list(desk.root.iterdir()) == []


def test_a_pull_request_that_neither_the_clone_nor_github_has(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(
        f'[url "file://{tmp_path}/nothing/"]\n    insteadOf = https://github.com/\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    done = desk.new("--from-pr", "99")
    assert done.code == 5
    assert "git fetch origin pull/99/head:pr-99 in the clone, then pr-99 instead" in done.stderr


@pytest.mark.parametrize("name", ["../x", "Fix", "a b", "-x", ""])
def test_invalid_names(desk: Desk, name: str) -> None:
    done = desk.new("--from-branch", "fix", name=name)
    assert done.code == 2
    assert not (desk.root / "..").resolve().joinpath("x").exists()


def test_a_name_that_exists(desk: Desk) -> None:
    desk.new("--from-branch", "fix")
    before = desk.diff()
    done = desk.new("--from-pr", "7")
    assert done.code == 2
    assert "patch my-fix already exists" in done.stderr
    assert desk.diff() == before


@pytest.mark.parametrize(
    ("content", "names", "remedy"),
    [
        (b"\0\1\2" * 50, "is a binary file", "leave it out"),
        (b"package words\r\n\r\nvar X = 1\r\n", "has CRLF", "in your tree: sed -i 's/\\r$//' {}"),
        (b"package words // caf\xe9\n", "is not valid UTF-8", "iconv"),
        (None, "is or was a symlink", "add {} to .git/info/exclude"),
    ],
)
def test_work_that_is_not_text(desk: Desk, content: bytes | None, names: str, remedy: str) -> None:
    name = "util/words/odd.go"
    desk.repo.branch("odd", "master")
    (desk.repo.path / "util/words/fine.go").write_text("package words\n")
    if content is None:
        (desk.repo.path / name).symlink_to("words.go")
    else:
        (desk.repo.path / name).write_bytes(content)
    work = ("patch-new", "my-fix", "--from-worktree", str(desk.repo.path))
    untracked = desk.task(*work)
    desk.repo.commit("odd", {})
    desk.repo.branch("next")
    for done in (untracked, desk.new("--from-branch", "next")):
        assert done.code == 2
        assert f"error: {name} {names}" in done.stderr
        assert remedy.format(name) in done.stderr
        assert "my-fix.patch" not in done.stderr
    assert not (desk.root / "my-fix").exists()


def test_a_warning_about_a_base_that_is_too_far_away(desk: Desk) -> None:
    desk.repo.branch("far", "master")
    desk.repo.commit("much", {"much.txt": "something\n" * 1_700_000})
    done = desk.new("--from-branch", "far", "--base", "v0.25")
    assert done.code == 2, done.stderr
    assert "error: the diff from v0.25 is too large: 18 MB" in done.stderr
    assert "(try: --base R of a commit nearer" in done.stderr


def test_a_list_with_an_invalid_patch(desk: Desk) -> None:
    desk.new("--from-branch", "fix")
    for name, toml in {
        "round": 'title = "r"\nseries = ["round"]\n',
        "empty": 'title = "e"\n',
    }.items():
        (desk.root / name).mkdir()
        (desk.root / name / "patch.toml").write_text(toml)
    meta = desk.root / "my-fix" / "patch.toml"
    meta.write_text(f'credit = "B. Fore"\n{meta.read_text()}')
    assert "\n    based on the work of B. Fore\n" in desk.task("patch-list").stdout
    done = desk.task("patch-list", "--json")
    assert done.code == 2
    assert [one["name"] for one in json.loads(done.stdout)] == ["my-fix"]
    assert "round > round is a cycle" in done.stderr
    assert "has no diff" in done.stderr
    check = ("patch-check", "--repo", str(desk.repo.path), "--revs", "master")
    done = desk.task(*check, "--json")
    assert done.code == 2
    assert [one["name"] for one in json.loads(done.stdout)] == ["my-fix"]
    assert "error: empty: patch empty has no diff" in done.stderr
    assert "error: round: " in done.stderr
    assert desk.task(*check).stdout.splitlines()[1].startswith("my-fix  master     applies")
    done = desk.task(*check, "--patches", "round")
    assert (done.code, done.stdout) == (2, "")
