"""Revisions with patches, as text."""

from __future__ import annotations

import pytest

from buildkit_bisect.cli.variants import asked_for, fixed
from buildkit_bisect.model import Revision
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.source import GitSource, ModuleSource

SHA = "ab" * 20
GIT = object.__new__(GitSource)  # only its kind matters


@pytest.mark.parametrize(
    ("ref", "same"),
    [
        ("v0.26.0", "v0.26.0"),
        ("master", SHA),
        ("master~3", SHA),
        ("2025-09-11", SHA),
        ("ababababab", SHA),
        (SHA, SHA),
        ("v0.26.0-rc1", SHA),
        # Their commits are on no branch, so that another clone would not find them.
        ("pr/7107", "pr/7107"),
        ("https://github.com/moby/buildkit/tree/master", "https://github.com/moby/buildkit/tree/master"),
    ],
)  # fmt: skip
def test_a_revision_that_cannot_move(ref: str, same: str) -> None:
    revision = Revision(ref=ref, sha=SHA)
    assert fixed(ref, revision, "", GIT) == same
    text = fixed(ref, revision, "one,two", GIT)
    assert text == f"{same}+one+two"
    assert asked_for(text, Matrix()) == (same, "one,two")


def test_a_revision_of_a_module_is_its_version() -> None:
    revision = Revision(ref="abababab", sha="", describe="v0.26.1-0.20251001-abababab")
    assert fixed("abababab", revision, "", ModuleSource()) == revision.describe
