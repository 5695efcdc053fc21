from __future__ import annotations

from dataclasses import replace

import pytest

from buildkit_bisect.render import redact
from buildkit_bisect.result import PatchInfo, Result

DIFF = "--- a/x.go\n+++ b/x.go\n@@ -1 +1 @@\n-\ta()\n+\tb()\n"


@pytest.fixture
def full() -> Result:
    patch = PatchInfo(name="p", digest="d" * 64, title="t", diffs={"p.patch": DIFF})
    return Result(
        kind="matrix", id="i", created="", command="./inv matrix --repo /home/me/src", tool="",
        host={}, source={"repo": "/home/me/src"}, scenarios=(), revisions=(), patches=(patch,),
        cells=(),
    )  # fmt: skip


def test_a_diff_is_published_unchanged(full: Result) -> None:
    made = redact.cleaned(full)
    assert made.patches[0].diffs == {"p.patch": DIFF}
    assert "/home/me" not in str(made)


@pytest.mark.parametrize(
    "line", ["password = hunter22", "/home/me/src", "a\x1b[31m", "a\u202eb", "a\r"]
)
def test_a_diff_that_cleaning_would_change_is_not_published(full: Result, line: str) -> None:
    other = {"p.patch": DIFF, "q.patch": f"{DIFF}+{line}\n"}
    full = replace(full, patches=(replace(full.patches[0], diffs=other),))
    assert redact.cleaned(full).patches[0].diffs == {"p.patch": DIFF}
