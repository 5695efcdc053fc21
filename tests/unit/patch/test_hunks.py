"""Hunks that are chosen one by one, and the diffs that they make."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from unidiff.patch import PatchSet

from buildkit_bisect.patch import diffs
from buildkit_bisect.patch.hunks import FileChange, Hunk, composed, hunks, is_test

_BEFORE = "package a\n\nfunc One() {\n\ta()\n\tb()\n}\n\nfunc Two() {\n\tc()\n}\n"
_AFTER = "package a\n\nfunc One() {\n\tb()\n}\n\nfunc New() {}\n\nfunc Two() {\n\td()\n}\n"


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [
        last for last in text.split("\n")[-1:] if last
    ]


def _u0(before: str, after: str) -> str:
    """Return the headers that ``git diff -U0`` has for this change."""
    found = []
    matcher = difflib.SequenceMatcher(None, _lines(before), _lines(after), autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            old, new = (f"{s + bool(e - s)},{e - s}" for s, e in ((a, b), (c, d)))
            found.append(f"@@ -{old} +{new} @@\n")
    return "".join(found)


def _change(before: str | None, after: str | None) -> tuple[FileChange, tuple[Hunk, ...]]:
    change = FileChange(path="a/b.go", before=before, after=after)
    return change, hunks(change, _u0(before or "", after or ""))


def _applied(before: str, diff: str) -> str:
    """Apply *diff* at exactly the lines that it names, and check that they are as it says."""
    old, made, here = _lines(before), list[str](), 0
    for hunk in PatchSet(_lines(diff))[0] if diff else ():
        start = hunk.source_start - bool(hunk.source_length)
        made += old[here:start]
        assert len(made) == hunk.target_start - bool(hunk.target_length)
        gone = [str(line.value) for line in hunk if line.is_removed or line.is_context]
        assert "".join(old[start : start + len(gone)]).rstrip("\n") == "".join(gone).rstrip("\n")
        made += [str(line.value) for line in hunk if line.is_added or line.is_context]
        here = start + hunk.source_length
    return "".join([*made, *old[here:]])


def test_each_hunk_says_where_it_is() -> None:
    _, found = _change(_BEFORE, _AFTER)
    assert [(h.lines, h.heading) for h in found] == [
        ("4 (1 removed)", "func One()"),
        ("after 7 (2 added)", "func New() {}"),
        ("9 (1 removed, 1 added)", "func Two()"),
    ]


def test_every_choice_is_exact() -> None:
    change, found = _change(_BEFORE, _AFTER)
    assert composed([change], []) == ""
    for count in range(1, len(found) + 1):
        for chosen in combinations(found, count):
            diff = composed([change], chosen)
            made = _applied(_BEFORE, diff)
            assert made == _replaced(_BEFORE, chosen)
            assert diffs.parse("x.patch", diff.encode()).files == ("a/b.go",)
    assert _applied(_BEFORE, composed([change], found)) == _AFTER


def _replaced(before: str, chosen: Sequence[Hunk]) -> str:
    lines = _lines(before)
    for hunk in sorted(chosen, key=lambda h: (h.at, bool(h.removed)), reverse=True):
        lines[hunk.at : hunk.at + len(hunk.removed)] = hunk.added
    return "".join(lines)


_TEXT = st.lists(
    st.sampled_from(["a\n", "b\n", "call(a)\n", "call(b)\n", "}\n", "\n"]), max_size=30
).map("".join)


@settings(deadline=None, max_examples=100)
@given(_TEXT, _TEXT, st.sets(st.integers(0, 20)))
def test_any_choice_is_exact(before: str, after: str, numbers: set[int]) -> None:
    change, found = _change(before, after)
    chosen = [h for n, h in enumerate(found) if n in numbers]
    assert _applied(before, composed([change], chosen)) == _replaced(before, chosen)
    assert _applied(before, composed([change], found)) == after


def test_files_that_come_and_go_are_one_hunk_each() -> None:
    change, (one,) = _change(None, "package a\n")
    assert (one.lines, one.creates) == ("new file (1 added)", True)
    assert composed([change], [one]) == (
        "diff --git a/a/b.go b/a/b.go\nnew file mode 100644\n--- /dev/null\n+++ b/a/b.go\n"
        "@@ -0,0 +1,1 @@\n+package a\n"
    )
    change, (one,) = _change("package a\n", None)
    assert (one.lines, one.deletes) == ("whole file (1 removed)", True)
    assert composed([change], [one]) == (
        "diff --git a/a/b.go b/a/b.go\ndeleted file mode 100644\n--- a/a/b.go\n+++ /dev/null\n"
        "@@ -1,1 +0,0 @@\n-package a\n"
    )


def test_a_last_line_without_an_end_stays_so() -> None:
    change, found = _change("a\nb", "a\nc")
    assert composed([change], found).endswith(
        "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n"
    )


def test_files_keep_their_order_and_their_own_hunks() -> None:
    one = FileChange(path="a.go", before="a\n", after="b\n")
    two = FileChange(path="b.go", before="a\n", after="b\n")
    both = [h for c in (one, two) for h in hunks(c, "@@ -1 +1 @@\n")]
    assert composed([one, two], both[::-1]).count("@@ -1,1 +1,1 @@") == 2
    assert "b.go" not in composed([one, two], both[:1])
    assert is_test("solver/x_test.go")
    assert not is_test("solver/testing.go")


def test_repeated_lines_get_more_context() -> None:
    """Git would apply the diff in reverse too, where the same lines have the new word."""
    one = "{\n1\n2\n3\nold\n4\n5\n6\n}\n"
    before = f"a {one}b {one}c {one}".replace("old", "new", 1)
    change, found = _change(before, before.replace("old", "new"))
    assert "@@ -11,7 +11,7 @@" not in composed([change], found[:1])
    assert "a {" not in composed([change], found[1:])
    made = composed([change], found[:1])
    assert _applied(before, made) == _replaced(before, found[:1])
    assert " b {\n" in made


def test_new_lines_beside_replaced_ones_are_hunks_of_their_own() -> None:
    before = "func A() {\n\tif e.opts != nil {\n\t\trun()\n\t}\n}\n"
    after = before.replace("\tif e.opts", "\tmain := ctx\n\tif getter(ctx) == nil && e.opts")
    change, found = _change(before, after)
    assert [h.lines for h in found] == ["after 1 (1 added)", "2 (1 removed, 1 added)"]
    for chosen in ([found[0]], [found[1]], found):
        assert _applied(before, composed([change], chosen)) == _replaced(before, chosen)
    assert _applied(before, composed([change], found)) == after


def test_lines_that_are_not_alike_stay_together() -> None:
    _, found = _change("one thing\nanother\nend\n", "xyz\nqqq\nend\n")
    assert [h.lines for h in found] == ["1-2 (2 removed, 2 added)"]
    _, found = _change("call(a)\ncall(b)\n" * 15, "call(c)\ncall(d)\n" * 15)
    assert [h.lines for h in found] == ["1-30 (30 removed, 30 added)"]


def test_runs_of_counterparts_are_one_hunk() -> None:
    before = "a := first(x)\nb := second(x)\nend\n"
    after = "a := first(y)\nb := second(y)\nlog.Print()\nend\n"
    _, found = _change(before, after)
    assert [h.lines for h in found] == ["1-2 (2 removed, 2 added)", "after 2 (1 added)"]
