"""Revisions, repositories and patches in the forms in which people have them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

import github_repo
from buildkit_bisect.errors import BadInput, BisectError, InfraFailed
from buildkit_bisect.patch import given, patches
from buildkit_bisect.patch.given import Loader
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.source import GitSource, forms, mirror
from golang_repo import GolangRepo
from loopback import Served, serve
from tool import TaskOutput, inv

pytestmark = pytest.mark.local

PAGE = "https://github.com/moby/buildkit"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return github_repo.upstream(tmp_path_factory.mktemp("template") / "upstream")


@pytest.fixture
def repo(template: GolangRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GolangRepo:
    """A local repository with everything that moby/buildkit has, also its pull requests."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    github_repo.serve(template, tmp_path, monkeypatch)
    return template.copy(tmp_path / "upstream")


@pytest.fixture
def clone(repo: GolangRepo, tmp_path: Path) -> GolangRepo:
    """A contributor's clone: branches of two remotes, no pull requests."""
    path = tmp_path / "clone"
    repo.git("clone", "--quiet", "--origin", "upstream", str(repo.path), str(path))
    made = GolangRepo(path=path, commits=repo.commits, _clock=repo._clock)
    made.branch("mine", "upstream/master")
    made.commit("mine", {"README.md": "mine\n"})
    return made


FORMS = {
    "pr/7": ("pull", "pull/7"),
    "PR #7": ("pull", "pull/7"),
    "pull/7": ("pull", "pull/7"),
    "pr/7~1": ("pull-1", "pull/7~1"),
    "pull/7/head": ("pull", "pull/7"),
    "refs/pull/7/head": ("pull", "pull/7"),
    "origin/pr/7": ("pull", "pull/7"),
    "#7": ("pull", "pull/7"),
    "moby/buildkit#7": ("pull", "pull/7"),
    f"{PAGE}/pull/7": ("pull", "pull/7"),
    f"{PAGE}/pull/7/files#diff-1": ("pull", "pull/7"),
    f"{PAGE}/pull/7.diff": ("pull", "pull/7"),
    "github.com/moby/buildkit/pull/7": ("pull", "pull/7"),
    f"{PAGE}/tree/v0.1": ("branch-tip", "v0.1"),
    f"{PAGE}/releases/tag/v0.2.0": ("merge-culprit", "v0.2.0"),
    "0.2.0": ("merge-culprit", "v0.2.0"),
    "0.2.0-rc1": ("merge-fine", "v0.2.0-rc1"),
    "0.2.0~1": ("merge-fine", "v0.2.0~1"),
    "main": ("merge-8", "master"),
    "main~1": ("tip", "master~1"),
    "latest": ("merge-8", "v0.3.0"),
    "v0.1": ("branch-tip", "v0.1"),
    "0.1": ("branch-tip", "v0.1"),
    "v0.1.x": ("patched", "v0.1.2"),
    "0.1.X": ("patched", "v0.1.2"),
    "v0.2": ("merge-culprit", "v0.2.0"),
    "HEAD~1": ("tip", "HEAD~1"),
    "@~1": ("tip", "HEAD~1"),
    "upstream/v0.1": ("branch-tip", "v0.1"),
    "tags/v0.2.0": ("merge-culprit", "tags/v0.2.0"),
}


@pytest.mark.parametrize("where", ["local", "GitHub"])
def test_each_form_of_a_revision(repo: GolangRepo, where: str) -> None:
    source = GitSource.open(str(repo.path) if where == "local" else "moby/buildkit")
    found = {form: source.resolve(form) for form in FORMS}
    expected = {form: (repo.commits[name], ref) for form, (name, ref) in FORMS.items()}
    assert {form: (one.sha, one.ref) for form, one in found.items()} == expected


def test_commits_by_address(repo: GolangRepo) -> None:
    source = GitSource.open(str(repo.path))
    tip = repo.commits["tip"]
    for form in (f"{PAGE}/commit/{tip}", f"{PAGE}/commit/{tip}.patch", f"moby/buildkit@{tip[:9]}"):
        assert source.resolve(form).sha == tip
    page = f"{PAGE}/pull/7/commits/{repo.commits['pull-1']}"
    assert source.resolve(page).sha == repo.commits["pull-1"]


def test_a_ref_that_exists_is_not_another_one(repo: GolangRepo) -> None:
    commits = repo.commits
    for name in ("main", "pr/7", "latest"):
        repo.git("branch", name, commits["docs"])
    repo.git("tag", "0.2.0", commits["docs"])
    source = GitSource.open(str(repo.path))
    for form in ("main", "pr/7", "latest", "0.2.0"):
        assert source.resolve(form).sha == commits["docs"], form


def test_a_clone_without_pull_requests_gets_them_from_github(
    clone: GolangRepo, tmp_path: Path
) -> None:
    refs = clone.git("for-each-ref")
    said: list[str] = []
    source = GitSource.open(str(clone.path), say=said.append)
    assert source.resolve("pr/7").sha == clone.commits["pull"]
    assert "fetching pull request 7 from https://github.com/moby/buildkit.git" in said
    assert source.resolve("upstream/master").sha == clone.commits["merge-8"]
    assert source.resolve("mine").sha == clone.commits["mine"]
    assert source.resolve("main").sha == clone.commits["merge-8"]
    assert clone.git("for-each-ref") == refs
    # Without GitHub it is used as fetched, and another one is an error with the remedy.
    shutil.rmtree(tmp_path / "github" / "moby")
    again = GitSource.open(str(clone.path), say=said.append)
    assert again.resolve("pr/7").sha == clone.commits["pull"]
    assert f"using pull request 7 as last fetched, {clone.commits['pull'][:12]}" in said[-1]
    with pytest.raises(InfraFailed, match="pull request 8: cannot fetch") as caught:
        again.resolve("pr/8")
    assert caught.value.hint == (
        "git fetch origin pull/8/head:pr-8 in the clone, then pr-8 instead"
    )


def test_a_clone_that_fetches_pull_requests_itself(clone: GolangRepo, tmp_path: Path) -> None:
    clone.git("fetch", "--quiet", "upstream", "+refs/pull/*/head:refs/remotes/upstream/pr/*")
    shutil.rmtree(tmp_path / "github")
    source = GitSource.open(str(clone.path))
    for form in ("pr/7", "upstream/pr/7", "#7"):
        assert source.resolve(form).sha == clone.commits["pull"]


def test_a_pull_request_is_fetched_again(repo: GolangRepo, tmp_path: Path) -> None:
    assert GitSource.open("moby/buildkit").resolve("pull/7/head").sha == repo.commits["pull"]
    bare = str(tmp_path / "github" / "moby" / "buildkit.git")
    repo.git("--git-dir", bare, "update-ref", "refs/pull/7/head", repo.commits["pull-1"])
    assert GitSource.open("moby/buildkit").resolve("pull/7/head").sha == repo.commits["pull-1"]


def test_revisions_of_a_fork(repo: GolangRepo) -> None:
    said: list[str] = []
    source = GitSource.open(str(repo.path), say=said.append)
    lost = repo.commits["lost"]
    branch = source.resolve("https://github.com/me/buildkit/tree/their/fix")
    assert (branch.sha, branch.ref) == (repo.commits["pull"], "me/their/fix")
    assert "fetching their/fix from https://github.com/me/buildkit.git" in said
    assert source.resolve(f"https://github.com/me/buildkit/commit/{lost}").sha == lost
    assert source.resolve("me/buildkit#7").ref == "me/buildkit#7"
    with pytest.raises(BadInput, match=r"no pull request 99 in https://github\.com/me/"):
        source.resolve("me/buildkit#99")
    with pytest.raises(BadInput, match=r"no revision 'gone' in https://github\.com/me/"):
        source.resolve("https://github.com/me/buildkit/tree/gone")


NEAR = {
    "v0.1.9": "no revision 'v0.1.9' in PATH (try: one of v0.1.2, v0.1.1, v0.1.0)",
    "0.2.7": "no revision '0.2.7' in PATH (try: one of v0.2.0, v0.2.0-rc1)",
    "mastr": "no revision 'mastr' in PATH (try: master)",
    "upstrem/mastr": "no revision 'upstrem/mastr' in PATH (try: master)",
    "v0.9.x": "no revision 'v0.9.x' in PATH (try: one of v0.3.0, v0.2.0, v0.1.2, v0.1.1, v0.1.0)",
    "newest": "no revision 'newest' in PATH (try: one of v0.3.0, v0.2.0, v0.1.2, v0.1.1, v0.1.0)",
    "7": "no revision '7' in PATH (try: pr/7, if you mean the pull request)",
    "pr/99": "no pull request 99 in https://github.com/moby/buildkit.git (try: the number of a"
    " pull request of that repository; if 99 is an issue: gh issue view 99 -R moby/buildkit)",
    "0123abcd": "no revision '0123abcd' in PATH (try: git fetch in the clone, all 40 digits of the"
    " commit id, or a tag)",
    f"{PAGE}/issues/6893": "moby/buildkit#6893 is linked as an issue, not as a pull request or"
    f" commit (try: {PAGE}/pull/N, or /commit/SHA)",
    PAGE: f"'{PAGE}' is a repository, not a revision (try: --repo {PAGE})",
    f"{PAGE}/actions": f"'{PAGE}/actions' is neither a pull request nor a commit"
    f" (try: {PAGE}/pull/7107, or /commit/SHA)",
    "v0.1.0..v0.2.0": "'v0.1.0..v0.2.0' is not a revision but a range; this takes one revision"
    " (try: ./inv bisect v0.1.0..v0.2.0)",
    "v0.1.*": "'v0.1.*' is not a revision but a pattern; this takes one revision"
    " (try: ./inv matrix --revs 'v0.1.*')",
    "moby/buildkit:v0.1.0": "'moby/buildkit:v0.1.0' is not a revision but an image (try: v0.1.0)",
}


@pytest.mark.parametrize("form", NEAR)
def test_what_is_not_a_revision_gets_one_line_with_the_next_word(
    repo: GolangRepo, form: str
) -> None:
    with pytest.raises(BadInput) as caught:
        GitSource.open(str(repo.path)).resolve(form)
    where = str(repo.path / ".git")
    assert str(caught.value).replace(where, "PATH") == NEAR[form]


@pytest.mark.parametrize(
    "given",
    [
        "moby/buildkit",
        "github.com/moby/buildkit",
        PAGE,
        f"{PAGE}/",
        f"{PAGE}.git",
        f"{PAGE}/pull/7",
    ],
)
@pytest.mark.usefixtures("repo")
def test_each_form_of_a_repository_is_one_mirror(given: str) -> None:
    source = GitSource.open(given)
    assert source.where == "https://github.com/moby/buildkit.git"
    assert source.resolve("latest").ref == "v0.3.0"


def test_a_folder_with_the_name_of_a_repository_is_a_folder(
    repo: GolangRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.copy(tmp_path / "here" / "moby" / "buildkit")
    monkeypatch.chdir(tmp_path / "here")
    assert GitSource.open("moby/buildkit").where.startswith(str(tmp_path))
    with pytest.raises(BadInput, match="no such directory"):
        mirror.open_mirror("./moby/buildkitt", say=print)


@pytest.mark.parametrize(
    ("pattern", "tags"),
    [
        ("v0.1.*", "v0.1.0 v0.1.1 v0.1.2"),
        ("0.1.*", "v0.1.0 v0.1.1 v0.1.2"),
        ("v0.[12].x", "v0.1.2 v0.2.0"),
        ("v0.?.0", "v0.1.0 v0.2.0 v0.3.0"),
        ("v0.2.0-rc*", "v0.2.0-rc1"),
        ("v0.x", "v0.1.2 v0.2.0 v0.3.0"),
        ("v0.*", "v0.1.0 v0.1.1 v0.1.2 v0.2.0 v0.3.0"),
    ],
)
def test_patterns(repo: GolangRepo, pattern: str, tags: str) -> None:
    said: list[str] = []
    source = GitSource.open(str(repo.path))
    assert forms.expanded(pattern, source.tags, said.append) == tags.split()
    assert said == [f"{pattern}: {tags.replace(' ', ', ')}"]


# patches


def loader(
    repo: GolangRepo,
    said: list[str] | None = None,
    *,
    root: Path | None = None,
    kept: Path | None = None,
) -> Loader:
    def say(text: str) -> None:
        if said is not None:
            said.append(text)

    return Loader(
        open_source=lambda: GitSource.open(str(repo.path), say=say),
        say=say,
        seconds=10,
        root=root,
        kept=kept,
    )


def only(found: list[Patch]) -> Patch:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("form", ["pr/7", "#7", f"{PAGE}/pull/7.patch", "moby/buildkit#7"])
@pytest.mark.parametrize("kind", ["repo", "clone"])
def test_a_pull_request_as_a_patch(form: str, kind: str, request: pytest.FixtureRequest) -> None:
    repo: GolangRepo = request.getfixturevalue(kind)
    patch = only(loader(repo).load(form))
    assert (patch.name, patch.given) == ("pr-7", form)
    assert patch.meta.source == f"{PAGE}/pull/7"
    assert patch.meta.commit == repo.commits["pull"]
    assert patch.meta.title == "pull-1 (and 1 more)"
    assert patch.files == ("util/words/extra.go",)
    assert "Extra = 2" in patch.diffs[0].text


def test_a_merged_pull_request_as_a_patch(repo: GolangRepo) -> None:
    said: list[str] = []
    patch = only(loader(repo, said).load("pr/8"))
    assert patch.files == ("util/words/merged.go",)
    assert patch.meta.commit == repo.commits["merged"]
    base = repo.commits["merge-fine"][:12]
    assert said[-1:] == [f"pr-8 is {patch.meta.commit[:12]} since master at {base}"]


def test_a_commit_or_a_forks_branch_as_a_patch(repo: GolangRepo) -> None:
    tip = repo.commits["tip"]
    patch = only(loader(repo).load(f"{PAGE}/commit/{tip}"))
    assert (patch.name, patch.meta.commit) == (f"commit-{tip[:12]}", tip)
    assert patch.meta.source == f"{PAGE}/commit/{tip}"
    assert patch.files == ("util/unused/unused.go",)
    branch = only(loader(repo).load("https://github.com/me/buildkit/tree/their/fix"))
    assert (branch.name, branch.meta.commit) == ("their-fix", repo.commits["pull"])
    with pytest.raises(BadInput, match="is a merge or the first commit"):
        loader(repo).load(f"moby/buildkit@{repo.commits['merge-8']}")


def test_files_as_patches(repo: GolangRepo, tmp_path: Path) -> None:
    base, pull = repo.commits["merge-fine"], repo.commits["pull"]
    plain = tmp_path / "My Fix.diff"
    plain.write_text(repo.git("diff", base, pull) + "\n")
    mails = tmp_path / "series.patch"
    mails.write_text(repo.git("format-patch", "--stdout", f"{base}..{pull}") + "\n")
    patch = only(loader(repo).load(str(plain)))
    assert (patch.name, patch.meta.title, patch.meta.commit) == ("my-fix", "My Fix.diff", "")
    assert len(patch.meta.sha256) == 64
    assert patch.files == ("util/words/extra.go",)
    series = loader(repo).load(f"{mails},{plain}")
    assert [p.name for p in series] == ["series-1", "series-2", "my-fix"]
    assert [p.meta.title for p in series[:2]] == ["pull-1", "pull"]
    assert series[0].meta.author == "A. Nother"
    source = GitSource.open(str(repo.path))
    with source.checkout(source.resolve("v0.2.0")) as tree:
        patches.apply(tree, series[:2])
        assert "Extra = 2" in (tree / "util/words/extra.go").read_text()


def test_mixed_lists_and_equal_patches(repo: GolangRepo, tmp_path: Path) -> None:
    folder = tmp_path / "patches" / "own"
    folder.mkdir(parents=True)
    (folder / "patch.toml").write_text('title = "own"\n')
    (folder / "own.patch").write_text(repo.git("diff", "v0.2.0", "v0.3.0", "--", "util") + "\n")
    found = loader(repo, root=folder.parent).load(f"own,pr/7,{folder},#7")
    assert [p.name for p in found] == ["own", "pr-7"]
    other = tmp_path / "own.diff"
    other.write_text(repo.git("diff", "v0.1.0", "v0.2.0", "--", "util") + "\n")
    with pytest.raises(BadInput, match="two different patches are called own"):
        loader(repo, root=folder.parent).load(f"own,{other}")


WRONG = {
    "pr/99": "no pull request 99 in https://github.com/moby/buildkit.git",
    "my-fx": "no patch 'my-fx'; did you mean my-fix? (try: --patches my-fix, or a folder,"
    " FILE.patch, FILE.diff, URL or pr/N)",
    "7107": "(try: --patches pr/7107, if it is a pull request)",
    "0123abcd": "(try: --patches moby/buildkit@0123abcd, if it is a commit)",
    "my-fx.diff": "cannot read the patch my-fx.diff: No such file or directory"
    " (try: --patches my-fix.diff)",
    "my-fixx.patch": "(try: --patches my-fix.diff)",
    "empty.patch": "empty.patch is empty (try: git diff -U1 > NAME.patch)",
    "text.diff": "text.diff is not a unified diff",
    "http://example.org/x.patch": "cleartext protocols are allowed only on loopback (try: the",
    "ftp://example.org/x.patch": "cleartext protocols are allowed only on loopback (try: the",
    PAGE: "is a repository, not a patch (try: --patches pr/N)",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_not_a_patch(
    repo: GolangRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    root = tmp_path / "patches"
    for name in ("my-fix", "other"):
        (root / name).mkdir(parents=True)
        (root / name / "patch.toml").write_text(f'title = "{name}"\n')
    monkeypatch.chdir(tmp_path)
    Path("empty.patch").touch()
    Path("text.diff").write_text("words\n")
    Path("my-fix.diff").write_text("x\n")
    with pytest.raises(BisectError) as caught:
        loader(repo, root=root).load(text)
    assert WRONG[text] in str(caught.value)


def test_a_campaign_keeps_its_patches(repo: GolangRepo, tmp_path: Path) -> None:
    file = tmp_path / "fix.diff"
    file.write_text(repo.git("diff", "v0.1.0", "v0.2.0", "--", "util") + "\n")
    found = loader(repo).load(f"pr/7,{file}")
    kept = tmp_path / "campaign" / "patches"
    given.keep(found, kept)
    assert json.loads((kept / "given.json").read_text()) == {"pr/7": ["pr-7"], str(file): ["fix"]}
    # What was given changes or is gone, and a resumed campaign uses the copies.
    file.unlink()
    shutil.rmtree(repo.path)
    again = loader(repo, kept=kept).load(f"pr/7,{file}")
    assert [(p.name, p.digest) for p in again] == [(p.name, p.digest) for p in found]
    assert patches.load(str(kept / "fix")).digest == found[1].digest
    with pytest.raises(BadInput, match="cannot read the patch"):
        loader(repo).load(str(file))
    os.mkfifo(file)
    with pytest.raises(BadInput, match=f"the patch {file} is not a file"):
        loader(repo).load(str(file))


def test_a_patch_from_a_url(repo: GolangRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "MOST_BYTES", 100_000)
    text = repo.git("diff", "v0.1.0", "v0.2.0", "--", "util").encode() + b"\n"
    files: dict[str, bytes | Path] = {
        "/a/Fix-1.patch": text,
        "/page": b"<!DOCTYPE html><html></html>",
        "/endless.diff": b"x" * 200_000,
        "/words.txt": b"words\n",
    }
    said: list[str] = []
    with serve(Served(files=files, redirects={"/away": "http://example.org/x.diff"})) as served:
        url = f"{served.url}/a/Fix-1.patch?raw=1"
        patch = only(loader(repo, said).load(url))
        assert (patch.name, patch.meta.title) == ("fix-1", "Fix-1.patch?raw=1")
        digest = hashlib.sha256(text).hexdigest()
        assert (patch.meta.source, patch.meta.sha256) == (url, digest)
        assert said[-1] == f"downloaded {len(text)} bytes with sha256 {digest}"
        for path, message in {
            "/page": "is a web page, not a patch (try: the address of the raw text of a diff)",
            "/gone.diff": "cannot download a patch: http://127.0.0.1",
            "/endless.diff": "is larger than 100000 bytes (try: the address of the raw text",
            "/words.txt": "is not a unified diff",
            "/away": "redirects to http://example.org/x.diff: cleartext protocols are allowed only",
        }.items():
            with pytest.raises(BadInput) as caught:
                loader(repo).load(served.url + path)
            assert message in str(caught.value)
        served.troubles += [503]
        with pytest.raises(InfraFailed, match="HTTP 503"):
            loader(repo).load(f"{served.url}/a/Fix-1.patch")


# the command line


def plan(repo: GolangRepo, *words: str) -> TaskOutput:
    return inv(*words, "--repo", str(repo.path), "--dry-run")


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("run", "0.2.0"), ["v0.2.0"]),
        (("run", "--rev", "v0.2.0+pr/7"), ["v0.2.0 + pr-7"]),
        (("validate", "pr/7"), ["master", "master + pr-7"]),
        (("matrix", "v0.1.x,pr/8", "--patches", "pr/7"),
         ["v0.1.2", "pull/8", "v0.1.2 + pr-7", "pull/8 + pr-7"]),
        (("matrix", "v0.[12].*"), ["v0.1.0", "v0.1.1", "v0.1.2", "v0.2.0"]),
    ],
)  # fmt: skip
def test_the_rows_of_a_plan(repo: GolangRepo, words: tuple[str, ...], rows: list[str]) -> None:
    done = plan(repo, *words, "--json")
    assert done.code == 0, done.stderr
    assert done.document["rows"] == rows


@pytest.mark.parametrize(
    "words",
    [
        ("bisect", "0.1.0..main"),
        ("bisect", "--good", "0.1.0..main"),
        ("bisect", "--good", "0.1.0", "--bad", "main"),
        ("boundaries", "v0.1.0..latest"),
        ("boundaries", "--from", f"{PAGE}/compare/v0.1.0...v0.3.0"),
    ],
)
def test_both_ends_at_once(repo: GolangRepo, words: tuple[str, ...]) -> None:
    done = plan(repo, *words)
    assert done.code == 0, done.stderr
    assert re.search(r"^search \d+ candidates between v0\.1\.0 and \S+ ", done.stdout, re.MULTILINE)


MISTAKES = {
    "run --axis": "error: --axis needs a value",
    "run --rev v0.2.0 --axis": "error: --axis needs a value",
    "run v0.2.0 --axis snapshotter=startgz": "error: axis snapshotter has no value 'startgz'; did"
    " you mean stargz? (try: --axis snapshotter=stargz)",
    "run v0.2.0 --axis snapshoter=stargz": "error: no axis 'snapshoter'; did you mean snapshotter?"
    " (try: --axis snapshotter=stargz)",
    "run v0.2.0 --axis snapshotter=zfs": "error: axis snapshotter has no value 'zfs'; known values:"
    " overlayfs, native, stargz (try: --axis snapshotter=overlayfs)",
    "run v0.2.0 --scenario cross-stage-lasy": "error: unknown scenario 'cross-stage-lasy'; did you"
    " mean cross-stage-lazy or cross-stage-dedup? (try: --scenario cross-stage-lazy, or the path",
    "run v0.2.0 --runtime dokcer": "error: --runtime 'dokcer' is not one of auto, host, docker,"
    " buildx (try: --runtime docker)",
    "validate record-ctx-opt": "error: no patch 'record-ctx-opt'; did you mean record-ctx-opts",
    "validate": "error: no patches given (try: ./inv validate pr/7107 --repo /",
    "run v0.1.0..v0.2.0": "(try: ./inv bisect v0.1.0..v0.2.0 --repo /",
    "bisect v0.1.0": "is not a range OLDER..NEWER (try: ./inv bisect v0.1.0..master --repo",
    "matrix v7.*": "error: no release matches 'v7.*' (try: 'v0.2[4-9].x'; the newest are v0.3.0",
}  # fmt: skip


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line(repo: GolangRepo, line: str) -> None:
    end = line.endswith("--axis")
    done = inv(*line.split()) if end else plan(repo, *line.split())
    assert done.code == 2
    *before, error = done.stderr.splitlines()
    assert all("cloning " in text for text in before)
    assert MISTAKES[line] in error


def test_where_patches_apply_in_each_form(repo: GolangRepo, tmp_path: Path) -> None:
    file = tmp_path / "fix.diff"
    file.write_text(repo.git("diff", "v0.1.0", "v0.2.0", "--", "util/words") + "\n")
    done = inv("patch", "check", f"pr/7,pr/8,{file}", "--revs", "v0.[13].x", "--json",
               "--repo", str(repo.path))  # fmt: skip
    assert done.code == 0, done.stderr
    found = {one["name"]: [fit["state"] for fit in one["applies"]] for one in done.documents}
    assert found == {
        "pr/7": ["applies", "applies"],
        "pr/8": ["applies", "there"],
        str(file): ["conflicts", "there"],
    }
