"""Hunks of patches and of reverts, from a real repository; git applies every choice exactly."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from buildkit_bisect.campaign import verify
from buildkit_bisect.errors import BadInput
from buildkit_bisect.patch import hunk_files, patches
from buildkit_bisect.patch.hunk_files import Change
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.source import GitSource
from golang_repo import GolangRepo

pytestmark = pytest.mark.local

FILE = "solver/solver.go"
#: The same function again and again: the context of one is that of another.
SAME = "package solver\n\n" + "".join(
    f"func F{n}() {{\n\tstart()\n\ta()\n\tstop()\n}}\n\n" for n in range(8)
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def repo(tmp_path: Path) -> GolangRepo:
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.commit("old", {FILE: SAME, "gone.go": "package a\n", "solver/a_test.go": "package a\n"})
    changed = SAME.replace("\ta()", "\tb()").replace("func F3() {\n", "func F3() {\n\tmore()\n")
    files = {FILE: changed, "gone.go": None, "new/new.go": "package b\n"}
    repo.commit("culprit", {**files, "solver/a_test.go": "package b\n", "README.md": "two\n"})
    repo.commit("later", {FILE: changed.replace("func F6() {\n\tstart()", "func F6() {\n\tgo()")})
    return repo


@pytest.fixture
def source(repo: GolangRepo) -> GitSource:
    return GitSource.open(str(repo.path))


def tree(source: GitSource, ref: str, change: Change, folder: Path) -> Path:
    folder.mkdir()
    source.write(source.resolve(ref), {f.path for f in change.files}, folder)
    return folder


def expected(change: Change, chosen: tuple[int, ...]) -> dict[str, str | None]:
    """Return what the files are with these hunks, by counting lines alone."""
    made = {file.path: file.before for file in change.files}
    for hunk in reversed([change.hunks[n] for n in chosen]):
        lines = [f"{line}\n" for line in (made[hunk.path] or "").split("\n")[:-1]]
        lines[hunk.at : hunk.at + len(hunk.removed)] = hunk.added
        made[hunk.path] = None if hunk.deletes else "".join(lines)
    return made


def check(source: GitSource, ref: str, change: Change, tmp_path: Path, *, sizes: range) -> None:
    """Have git apply every choice of so many hunks."""
    for size in sizes:
        for number, chosen in enumerate(combinations(range(len(change.hunks)), size)):
            made = change.patch(chosen, tmp_path, name=f"p{size}-{number}", title="t")
            here = tree(source, ref, change, tmp_path / f"t{size}-{number}")
            made.apply(here)
            for path, text in expected(change, chosen).items():
                found = (here / path).read_bytes().decode() if (here / path).exists() else None
                assert found == text, (chosen, path)


def a_patch(repo: GolangRepo, folder: Path, *between: str) -> Patch:
    folder.mkdir()
    diff = repo.git("diff", "-U1", *between)
    (folder / "it.patch").write_text(f"{diff}\n")
    (folder / "patch.toml").write_text('title = "t"\n')
    return patches.load(str(folder))


def test_every_choice_of_a_patch_is_exact(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    fix = a_patch(repo, tmp_path / "fix", repo.commits["old"], repo.commits["culprit"])
    base = source.resolve(repo.commits["old"])
    change = hunk_files.of_patches(source, base, [fix], ())
    assert [h.path for h in change.hunks] == ["gone.go", "new/new.go"] + [FILE] * 9
    assert {h.path for h in change.left_out} == {"README.md", "solver/a_test.go"}
    assert [h.heading for h in change.hunks[2:5]] == ["func F0()", "func F1()", "func F2()"]
    for sizes in (range(1, 3), range(11, 12)):
        check(source, repo.commits["old"], change, tmp_path / str(sizes.start), sizes=sizes)


def test_patches_that_stay_are_applied_before(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    one = a_patch(repo, tmp_path / "one", repo.commits["old"], repo.commits["culprit"])
    two = a_patch(repo, tmp_path / "two", repo.commits["culprit"], repo.commits["later"])
    base = source.resolve(repo.commits["old"])
    change = hunk_files.of_patches(source, base, [one, two], ["one"])
    assert [h.lines for h in change.hunks] == ["41 (1 removed, 1 added)"]
    with pytest.raises(BadInput, match="without the other patches, two does not apply"):
        hunk_files.of_patches(source, base, [one, two], ["two"])


def test_a_revert_on_the_commit_itself_is_its_parent(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    culprit = source.resolve(repo.commits["culprit"])
    change = hunk_files.of_revert(source, culprit.sha, culprit, ())
    assert change.refused == ()
    everything = tuple(range(len(change.hunks)))
    made = expected(change, everything)
    assert (made[FILE], made["gone.go"], made["new/new.go"]) == (SAME, "package a\n", None)
    check(source, culprit.sha, change, tmp_path, sizes=range(1, 2))


def test_hunks_that_do_not_apply_are_named_and_the_others_chosen(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    tip = source.resolve(repo.commits["later"])
    change = hunk_files.of_revert(source, repo.commits["culprit"], tip, ())
    # The line above the one of F6 has changed since; all others apply.
    assert [h.heading for h in change.refused] == ["func F6()"]
    assert len(change.hunks) == 10
    check(source, tip.sha, change, tmp_path, sizes=range(1, 2))


def test_a_merge_is_compared_with_its_first_parent(repo: GolangRepo, source: GitSource) -> None:
    repo.branch("side", repo.commits["old"])
    repo.switch("side")
    repo.commit("on-side", {"side.go": "package side\n"})
    repo.switch("master")
    repo.merge("merge", "side")
    again = GitSource.open(str(repo.path))
    merge = again.resolve(repo.commits["merge"])
    change = hunk_files.of_revert(again, merge.sha, merge, ())
    assert [(h.path, h.deletes) for h in change.hunks] == [("side.go", True)]


@pytest.mark.parametrize("end", ["func Last() {\n\tend()\n}\n", "\nfunc Last() {\n\tend()\n}\n"])
def test_a_function_at_the_end_of_a_file(
    repo: GolangRepo, source: GitSource, tmp_path: Path, end: str
) -> None:
    """Its closing brace is that of the function before it: git applies this in reverse too."""
    old = (source.read(source.resolve("master"), FILE) or "").rstrip("\n") + "\n"
    repo.commit("stripped", {FILE: old})
    repo.commit("more", {FILE: f"{old}{end}"})
    again = GitSource.open(str(repo.path))
    tip = again.resolve(repo.commits["more"])
    change = hunk_files.of_revert(again, tip.sha, tip, ())
    assert [h.heading for h in change.hunks] == ["func Last()"]
    assert change.refused == ()
    check(again, tip.sha, change, tmp_path, sizes=range(1, 2))


@pytest.mark.parametrize(
    "text", ["package a\r// b\n", "package a\n// \x0c\n", "package a\n// \u2028\n"]
)
def test_what_no_diff_can_have_is_refused(repo: GolangRepo, text: str) -> None:
    repo.commit("odd", {"odd.go": text})
    source = GitSource.open(str(repo.path))
    odd = source.resolve(repo.commits["odd"])
    with pytest.raises(BadInput, match=r"odd\.go has a line separator"):
        hunk_files.of_revert(source, odd.sha, odd, ())


def test_what_is_in_no_program_may_have_any_line_separator(repo: GolangRepo) -> None:
    repo.commit("odd", {"odd.md": "a\x0cb\n", "plain.go": "package a\n"})
    source = GitSource.open(str(repo.path))
    odd = source.resolve(repo.commits["odd"])
    change = hunk_files.of_revert(source, odd.sha, odd, ())
    assert [h.path for h in change.hunks] == ["plain.go"]


def test_hunks_of_a_file_with_crlf_line_endings(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    """Where git applies them, they are found by their lines, not by the lines that Python sees."""
    old = (source.read(source.resolve("master"), FILE) or "").replace("\n", "\r\n")
    lines = old.splitlines(keepends=True)
    lines[-1:] = ["// more\r\n", lines[-1]]
    lines[1:1] = ["// above\r\n"]
    repo.commit("crlf", {FILE: old})
    repo.commit("changed", {FILE: "".join(lines)})
    again = GitSource.open(str(repo.path))
    changed = again.resolve(repo.commits["changed"])
    whole = verify.revert(again, changed.sha, changed, tmp_path / "whole")
    assert isinstance(whole, Patch)
    for revert in (whole, None):
        change = hunk_files.of_revert(again, changed.sha, changed, (), revert)
        assert [h.removed for h in change.hunks] == [("// above\r\n",), ("// more\r\n",)]
        assert change.refused == ()
        check(again, changed.sha, change, tmp_path / str(revert is None), sizes=range(1, 3))


def test_a_file_that_is_not_text_is_refused_and_the_others_are_not(repo: GolangRepo) -> None:
    repo.commit("odd", {"odd.go": "package \0\n", "odd.md": "\0", "plain.go": "package a\n"})
    source = GitSource.open(str(repo.path))
    odd = source.resolve(repo.commits["odd"])
    change = hunk_files.of_revert(source, odd.sha, odd, ())
    assert [h.path for h in change.hunks] == ["plain.go"]
    assert [(h.path, h.lines, h.heading) for h in change.refused] == [
        ("odd.go", "whole file", "not text")
    ]
