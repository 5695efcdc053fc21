from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch, PatchFailed

pytestmark = pytest.mark.local

OLD = "one\ntwo\nthree\nfour\nfive\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "solver").mkdir(parents=True)
    (tmp_path / "tree" / "solver" / "x.go").write_text(OLD)
    return tmp_path / "tree"


def patch(tmp_path: Path, *diffs: str) -> Patch:
    folder = tmp_path / f"p{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    (folder / "patch.toml").write_text('title = "t"\n')
    for number, body in enumerate(diffs):
        header = "" if body.startswith("diff ") else "--- a/solver/x.go\n+++ b/solver/x.go\n"
        (folder / f"{number}.patch").write_text(header + body)
    return patches.load(str(folder))


def refused(chosen: Patch, tree: Path) -> PatchFailed:
    """Return the failure; the tree must not have changed."""
    before = {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    with pytest.raises(PatchFailed) as caught:
        chosen.apply(tree)
    assert {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()} == before
    return caught.value


SWAP = "@@ -2,2 +2,2 @@\n-two\n+TWO\n three\n"


def test_a_patch_applies_at_another_line(tmp_path: Path, tree: Path) -> None:
    (tree / "solver/x.go").write_text(f"zero\n\n\n{OLD}")
    assert patch(tmp_path, SWAP).apply(tree) == "0.patch"
    assert (tree / "solver/x.go").read_text() == f"zero\n\n\n{OLD.replace('two', 'TWO')}"


def test_a_patch_does_not_apply_with_fuzz(tmp_path: Path, tree: Path) -> None:
    (tree / "solver/x.go").write_text(OLD.replace("three", "3"))
    failed = refused(patch(tmp_path, SWAP), tree)
    assert failed.message.startswith("p1 does not apply: patch failed: solver/x.go:2; ")
    assert not failed.already


@pytest.mark.parametrize(
    ("diff", "left"),
    [
        ("@@ -3,3 +3,1 @@\n three\n-four\n-five\n", "one\ntwo\nthree\n"),
        ("@@ -1,3 +1,1 @@\n-one\n-two\n three\n", "three\nfour\nfive\n"),
    ],
)
def test_lines_at_an_end_of_a_file_may_go(tmp_path: Path, tree: Path, diff: str, left: str) -> None:
    """They have context on one side only, which the file has with and without them."""
    chosen = patch(tmp_path, diff)
    chosen.apply(tree)
    assert (tree / "solver/x.go").read_text() == left
    # In the middle of a file, it is not known whether they are there.
    (tree / "solver/x.go").write_text(f"zero\n{OLD}six\n")
    assert "forwards and in reverse" in refused(chosen, tree).message


def test_a_patch_that_is_already_applied(tmp_path: Path, tree: Path) -> None:
    chosen = patch(tmp_path, SWAP)
    chosen.apply(tree)
    failed = refused(chosen, tree)
    assert (failed.message, failed.already) == ("p1 is already applied", True)


def test_the_diffs_are_tried_in_order(tmp_path: Path, tree: Path) -> None:
    other = SWAP.replace("three", "3")
    assert patch(tmp_path, other, SWAP).apply(tree) == "1.patch"
    chosen = patch(tmp_path, other, other.replace("two", "2"))
    (tree / "solver/x.go").write_text("nothing alike\n")
    failed = refused(chosen, tree)
    assert "0.patch: patch failed" in failed.message
    assert "1.patch: patch failed" in failed.message


def test_a_failed_hunk_leaves_the_tree_unchanged(tmp_path: Path, tree: Path) -> None:
    refused(patch(tmp_path, SWAP + "@@ -5 +5 @@\n-six\n+SIX\n"), tree)


def test_the_context_must_be_unambiguous(tmp_path: Path, tree: Path) -> None:
    (tree / "solver/x.go").write_text(f"{OLD}{OLD}")
    assert (
        "its context matches at 2 places"
        in refused(patch(tmp_path, SWAP.replace("-2,2 +2,2", "-4,2 +4,2")), tree).message
    )
    patch(tmp_path, SWAP).apply(tree)  # exactly at the diff's line numbers
    assert (tree / "solver/x.go").read_text() == OLD.replace("two", "TWO") + OLD


def test_a_diff_that_applies_in_both_directions(tmp_path: Path, tree: Path) -> None:
    (tree / "solver/x.go").write_text("x\na\nb\nc\na\nc\n")
    failed = refused(patch(tmp_path, "@@ -2,3 +2,2 @@\n a\n-b\n c\n"), tree)
    assert "applies forwards and in reverse" in failed.message


def test_a_missing_file_and_an_existing_new_file(tmp_path: Path, tree: Path) -> None:
    missing = SWAP.replace("@@", "@@", 1)
    new = (
        "diff --git a/solver/x.go b/solver/x.go\nnew file mode 100644\n"
        "--- /dev/null\n+++ b/solver/x.go\n@@ -0,0 +1 @@\n+new\n"
    )
    assert "already exists" in refused(patch(tmp_path, new), tree).message
    (tree / "solver/x.go").unlink()
    assert "solver/x.go: No such file" in refused(patch(tmp_path, missing), tree).message
    patch(tmp_path, new).apply(tree)
    assert (tree / "solver/x.go").read_text() == "new\n"


def test_a_renamed_file_that_also_changes(tmp_path: Path, tree: Path) -> None:
    """Its context is that of the old name: the new one does not exist yet."""
    moved = (
        "diff --git a/solver/x.go b/solver/y.go\nsimilarity index 60%\nrename from solver/x.go\n"
        f"rename to solver/y.go\n--- a/solver/x.go\n+++ b/solver/y.go\n{SWAP}"
    )
    twice = OLD + OLD
    (tree / "solver/x.go").write_text(f"zero\n{twice}")
    assert "matches at 2 places in solver/x.go" in refused(patch(tmp_path, moved), tree).message
    (tree / "solver/x.go").write_text(OLD)
    patch(tmp_path, moved).apply(tree)
    assert not (tree / "solver/x.go").exists()
    assert (tree / "solver/y.go").read_text() == OLD.replace("two", "TWO")


def test_symlinks_in_the_tree_are_not_followed(tmp_path: Path, tree: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.go").write_text(OLD)
    (tree / "solver/x.go").unlink()
    (tree / "solver").rmdir()
    (tree / "solver").symlink_to(outside)
    assert "beyond a symbolic link" in refused(patch(tmp_path, SWAP), tree).message
    (tree / "solver").unlink()
    (tree / "solver").mkdir()
    (tree / "solver/x.go").symlink_to(outside / "x.go")
    refused(patch(tmp_path, SWAP), tree)
    assert (outside / "x.go").read_text() == OLD


def test_a_tree_inside_another_repository(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["/usr/bin/env", "git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitconfig").write_text("[apply]\n\twhitespace = fix\n[core]\n\tautocrlf = true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    patch(tmp_path, SWAP.replace("+TWO", "+TWO  ")).apply(tree)
    assert (tree / "solver/x.go").read_bytes() == OLD.replace("two", "TWO  ").encode()
