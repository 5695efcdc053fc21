from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.patch import diffs, patches
from buildkit_bisect.patch.patches import PatchFailed

DIFF = """\
--- a/solver/exporter.go
+++ b/solver/exporter.go
@@ -2,3 +2,4 @@ import (
 a
-b
+c
+\t"github.com/moby/buildkit/util/x"
 d
"""


def folder(root: Path, name: str = "p", toml: str = 'title = "t"\n', **files: str | bytes) -> Path:
    path = root / name
    path.mkdir(parents=True)
    (path / "patch.toml").write_text(toml)
    for file, data in (files or {"it.patch": DIFF}).items():
        (path / file.replace("__", ".")).write_bytes(
            data if isinstance(data, bytes) else data.encode()
        )
    return path


def copied(value: Any) -> Any:
    """Return *value* as another process would receive it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301


def test_a_loaded_patch(tmp_path: Path) -> None:
    toml = """
title = "solver: root it"
claim = "fixes"
author = "A. Nother"
source = "https://example.org/1"
credit = "B. Fore, in #1"
issue = 6893
introduced-by = "051818cf3"
fixed-by = "abc"
requires = ["051818cf3"]
conflicts = ["other"]
files = ["solver/exporter.go"]
diffs = ["it.patch"]
"""
    folder(tmp_path, toml=toml)
    patch = patches.load("p", tmp_path)
    assert patch.files == ("solver/exporter.go",)
    assert patch.imports == ("github.com/moby/buildkit/util/x",)
    assert (patch.meta.issue, patch.meta.introduced_by, patch.meta.fixed_by) == (
        *(6893, "051818cf3", "abc"),
    )
    assert (patch.ref.title, patch.meta.credit) == ("solver: root it", "B. Fore, in #1")
    assert patches.load(str(tmp_path / "p")) == patch == copied(patch)


@pytest.mark.parametrize(
    ("line", "reveals"),
    [
        ('+\t"github.com/moby/buildkit/util/x"', False),
        ("+// a comment", False),
        ("+const text = `raw`", True),  # it looks like an import, and costs a build at most
        ("+import (", False),
        ("-//go:build ignore", True),
        ("+// +build linux", True),
        ("+//go:embed data", True),
        ("-/*", True),
        ("+*/", True),
        ("+import `github.com/moby/buildkit/util/x`", True),
        ("+\tx `github.com/moby/buildkit/util/x`", True),
        ('+import "a.b/c"; import "d.e/f"', True),
        ('+text := "x" + `y`', False),
    ],
)
def test_lines_that_may_reveal_imports(line: str, reveals: bool, tmp_path: Path) -> None:
    old, new = (2 + (line[0] == sign) for sign in "-+")
    text = f"--- a/x.go\n+++ b/x.go\n@@ -1,{old} +1,{new} @@\n a\n{line}\n b\n"
    folder(tmp_path, it__patch=text)
    assert patches.load("p", tmp_path).reveals is reveals


def test_a_moved_file_reveals_imports(tmp_path: Path) -> None:
    moved = "diff --git a/y b/z.go\nsimilarity index 100%\nrename from y\nrename to z.go\n"
    folder(
        tmp_path, it__patch=f"{moved}diff --git a/solver/exporter.go b/solver/exporter.go\n{DIFF}"
    )
    assert patches.load("p", tmp_path).reveals


def test_the_digest_depends_on_the_diffs_and_not_on_the_metadata(tmp_path: Path) -> None:
    folder(tmp_path, "one")
    folder(tmp_path, "two", toml='title = "something else"\n')
    folder(tmp_path, "three", it__patch=DIFF.replace("+c", "+e"))
    one, two, three = (patches.load(n, tmp_path) for n in ("one", "two", "three"))
    assert one.digest == two.digest != three.digest


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('title = "t"\nfixed_by = "x"\n', "fixed_by: unknown key; did you mean fixed-by?"),
        ('title = "t"\nclaims = "x"\n', "claims: unknown key; did you mean claim?"),
        ("claim = 'x'\n", "title: is missing"),
        ("title = ' '\n", "title is empty"),
        ("title = 1\n", "title: must be a text, not a whole number (1)"),
        ("title = 't'\nissue = '1'\n", "issue: must be a whole number, not a text ('1')"),
        ("title = 't'\nissue = true\n", "issue: must be a whole number, not true"),
        ("title = 't'\nrequires = 'abc'\n", "requires: must be a list, not a text ('abc')"),
        ("title = 't'\nrequires = [1]\n", "requires[0]: must be a text, not a whole number (1)"),
        ("title = \n", "invalid TOML"),
        ("title = 't'\ndiffs = ['no.patch']\n", "no diff 'no.patch' in that folder"),
        ("title = 't'\ndiffs = ['../x/it.patch']\n", "no diff"),
        ("title = 't'\nfiles = ['other.go']\n", "files must list what the diffs touch"),
        ("title = 't'\nseries = ['a']\ndiffs = ['it.patch']\n", "cannot have its own diffs"),
    ],
)
def test_bad_metadata(tmp_path: Path, toml: str, message: str) -> None:
    folder(tmp_path, toml=toml)
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        patches.load("p", tmp_path)
    assert "p/patch.toml" in caught.value.message


GIT = "diff --git a/x b/x\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("hello\n", "not a unified diff"),
        ("package main\n\nfunc main() {}\n", "not a unified diff"),
        (DIFF.replace("\n", "\r\n"), "CRLF"),
        (b"\0" + DIFF.encode(), "binary"),
        (f"{GIT}GIT binary patch\nliteral 3\nKcmZQ\n", "binary"),
        (f"{GIT}Binary files a/x and b/x differ\n", "binary"),
        (DIFF.encode() + b"\xff\xfe", "not valid UTF-8"),
        (DIFF.replace("solver/exporter.go", "../../etc/passwd"), "outside the tree"),
        (DIFF.replace("+++ b/solver/", "+++ b/solver/../../"), "outside the tree"),
        (DIFF.replace("a/solver", "/etc").replace("b/solver", "/etc"), "outside the tree"),
        (DIFF.replace("solver/", ".git/hooks/"), "outside the tree"),
        (DIFF.replace("solver/", ".GIT/"), "outside the tree"),
        (DIFF.replace("a/solver", "solver").replace("b/solver", "solver"), "must start with a/"),
        (DIFF.replace(" d\n", ""), "not a unified diff"),
        (f"diff --git a/x b/../y\nrename from x\nrename to ../y\n{DIFF}", "outside the tree"),
        (f"{GIT}new file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc\n", "link"),
        (f"{GIT}old mode 100644\nnew mode 120000\n{DIFF}", "link"),
        (f"{GIT}new file mode 160000\n{DIFF}", "link"),
        (f"{GIT}old mode 100644\nnew mode 100755\n", "changes no lines: modes, names or"),
        (f"{GIT}new file mode 100644\nindex 0000000..e69de29\n", "changes no lines"),
        ('--- a/x\n+++ "b/\\303\\274"\n@@ -1 +1 @@\n-a\n+b\n', "has the quoted path"),
        ("--- a/x\n+++ b/x\n@@ -3,0 +4 @@\n+only added\n", "its position is ambiguous"),
    ],
)
def test_bad_diffs(tmp_path: Path, data: str | bytes, message: str) -> None:
    folder(tmp_path, it__patch=data)
    with pytest.raises(BadInput, match=message) as caught:
        patches.load("p", tmp_path)
    assert caught.value.message.startswith(f"{tmp_path}/p/it.patch"), "the file to fix"
    if "CRLF" in message:
        assert caught.value.hint == f"sed -i 's/\\r$//' {tmp_path}/p/it.patch"


def test_a_file_with_another_name(tmp_path: Path) -> None:
    path = tmp_path / "my fix.txt"
    path.touch()
    with pytest.raises(BadInput, match=r"does not end in \.patch or \.diff") as caught:
        patches.load(str(path), tmp_path)
    assert caught.value.hint == f"mv '{path}' '{path}.patch', if it is a patch"


def test_a_folder_without_metadata(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for name in ("bare", str(tmp_path / "bare")):
        with pytest.raises(BadInput, match=r"no patch\.toml in the folder .*/bare ") as caught:
            patches.load(name, tmp_path)
        assert caught.value.hint.startswith("create it with title = ")


@pytest.mark.parametrize("digits", [11, 5000])
@pytest.mark.parametrize(
    "header", ["@@ -1,N +1 @@", "@@ -N +1 @@", "@@ -1 +1,N @@", " a\u2028@@ -1,N +1 @@"]
)
def test_a_huge_number_in_a_hunk_header(header: str, digits: int) -> None:
    text = f"--- a/x\n+++ b/x\n{header.replace('N', '9' * digits)}\n-a\n+b\n"
    with pytest.raises(BadInput, match="a number in a hunk header is too large"):
        diffs.parse("x", text.encode())


def test_header_lookalikes_inside_a_hunk_are_content() -> None:
    text = "--- a/x\n+++ b/x\n@@ -1,3 +1,2 @@\n a\n--- /etc/passwd\n b\n"
    assert diffs.parse("d", text.encode()).files == ("x",)


def test_new_and_deleted_files() -> None:
    text = (
        "diff --git a/n.go b/n.go\nnew file mode 100644\n--- /dev/null\n+++ b/n.go\n"
        "@@ -0,0 +1 @@\n+package n\n"
        "diff --git a/o.go b/o.go\ndeleted file mode 100644\n--- a/o.go\n+++ /dev/null\n"
        "@@ -1 +0,0 @@\n-package o\n"
    )
    assert diffs.parse("d", text.encode()).files == ("n.go", "o.go")


def test_a_missing_final_newline_is_added() -> None:
    assert diffs.parse("d", DIFF.rstrip("\n").encode()).text == DIFF


def test_places() -> None:
    (change,) = diffs.parse("d", DIFF.encode()).changes
    assert change.before == ("a", "b", "d")
    assert diffs.places(change, "a\nb\nd\nx\na\nb\nd\n") == [1, 5]
    assert diffs.places(change, "a\nb\n") == []


def test_series_and_conflicts(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    folder(
        tmp_path, "b", toml='title = "t"\nconflicts = ["c"]\n', it__patch=DIFF.replace("+c", "+B")
    )
    folder(tmp_path, "c", it__patch=DIFF.replace("+c", "+C"))
    for name, parts in {
        "both": '"a", "b"',
        "nested": '"both", "a"',
        "round": '"a", "round-2"',
        "round-2": '"round"',
        "lost": '"gone"',
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "patch.toml").write_text(f'title = "t"\nseries = [{parts}]\n')

    def names(text: str) -> list[str]:
        return [p.name for p in patches.load_many(text, tmp_path)]

    assert names("") == []
    assert names(" a , b ") == names("nested") == names("b,a")[::-1] == ["a", "b"]
    for text, message in {
        "round": "round > round-2 > round is a cycle",
        "b,c": "patches b and c conflict",
        "lost": "no patch 'gone'",
        "a,x": "no patch 'x'",
    }.items():
        with pytest.raises(BadInput, match=message):
            patches.load_many(text, tmp_path)
    with pytest.raises(BadInput, match="is a series"):
        patches.load("both", tmp_path)
    with pytest.raises(BadInput) as caught:
        patches.load("x", tmp_path)
    assert caught.value.message.startswith("no patch 'x'; known patches: a, b, both, c, lost")


def test_a_diff_is_for_builds_or_with_tests(tmp_path: Path) -> None:
    toml = 'title = "t"\ndiffs = ["it.patch"]\ntests = ["it.patch"]\n'
    folder(tmp_path, "a", toml=toml)
    with pytest.raises(BadInput, match=r"a/patch\.toml: it\.patch is in diffs, which builds app"):
        patches.load("a", tmp_path)


def test_the_shipped_patches_load() -> None:
    names = patches.names()
    assert "record-ctx-opts" in names
    for name in names:
        for patch in patches.load_many(name):
            assert patch.meta.title
            assert patch.meta.claim, f"{name} has no claim"


def test_a_failure_survives_pickling() -> None:
    failed = copied(PatchFailed("no", already=True))
    assert (failed.message, failed.already) == ("no", True)
