"""What cannot be built, and is known before anything is compiled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.model import NoBuild, Revision, Stage, Variant


@pytest.mark.parametrize(
    ("dockerfile", "reason", "hint"),
    [
        ("ARG GO_VERSION=1.17\n", "the commit needs Go 1.17, which is too old", "v0.10.6 or later"),
        ("FROM scratch\n", "the commit has no Go version", "a later revision"),
    ],
)
def test_a_commit_without_a_suitable_go_is_skipped(dockerfile: str, reason: str, hint: str) -> None:
    files = {"Dockerfile": dockerfile, "go.mod": "module x\n"}
    source: Any = SimpleNamespace(kind="git", read=lambda _, name: files[name])
    builder = Builder(source=source, recipe=Recipe(goarch="amd64"))
    made = builder.build(Variant(revision=Revision(ref="v0.9.3", sha="a" * 40)))
    assert isinstance(made, NoBuild)
    assert (made.stage, made.infra, made.hint) == (Stage.TOOLCHAIN, False, hint)
    assert made.reason.startswith(reason)
