"""Other names of revisions, patterns and ranges."""

from __future__ import annotations

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.source import forms

TAGS = ["v0.9.0", "v0.26.0", "v0.26.3", "v0.27.0-rc1", "v0.27.0", "dockerfile/1.2.0"]


@pytest.mark.parametrize(
    ("ref", "first"),
    [
        ("0.26.0", "v0.26.0"),
        ("0.27.0-rc1^", "v0.27.0-rc1^"),
        ("main~2", "master~2"),
        ("master", "main"),
        ("latest", "v0.27.0"),
        ("latest~3", "v0.27.0~3"),
        ("v0.26", "v0.26.3"),
        ("v0.26.x", "v0.26.3"),
        ("upstream/v0.26", "v0.26"),
        ("v0.2", ""),
        ("v0.26.0", ""),
        ("topic/x", ""),
    ],
)
def test_synonyms(ref: str, first: str) -> None:
    assert next(forms.synonyms(ref, lambda: TAGS), "") == first


@pytest.mark.parametrize(
    ("pattern", "tags"),
    [
        ("v0.2[67].*", ["v0.26.0", "v0.26.3", "v0.27.0"]),
        ("v0.2[6-7].x", ["v0.26.3", "v0.27.0"]),
        ("0.2?.*", ["v0.26.0", "v0.26.3", "v0.27.0"]),
        ("v0.27.0*-rc*", ["v0.27.0-rc1"]),
        ("*", ["v0.9.0", "v0.26.0", "v0.26.3", "v0.27.0"]),
    ],
)
def test_patterns(pattern: str, tags: list[str]) -> None:
    assert forms.is_pattern(pattern)
    assert forms.matching(pattern, TAGS) == tags


def test_patterns_that_match_nothing_or_too_much() -> None:
    with pytest.raises(BadInput, match=r"no release matches 'v1.\*'.*the newest are v0.27.0"):
        forms.matching("v1.*", TAGS)
    many = [f"v0.{minor}.{patch}" for minor in range(10) for patch in range(5)]
    with pytest.raises(BadInput, match=r"50 releases match 'v0.\*'; at most 40.* \(try: v0.x\)"):
        forms.matching("v0.*", many)
    assert len(forms.matching("v0.x", many)) == 10


@pytest.mark.parametrize("text", ["v0.26.0", "master", "-x*", "v0.26.0^{commit}", "HEAD~3"])
def test_what_is_not_a_pattern(text: str) -> None:
    assert not forms.is_pattern(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("v1..v2", ("v1", "v2")),
        ("v1...v2", ("v1", "v2")),
        ("v1..", ("v1", "HEAD")),
        ("me/x..you/y", ("me/x", "you/y")),
        ("https://github.com/moby/buildkit/compare/v1...v2", ("v1", "v2")),
        ("v1", None),
        ("../v1", None),
    ],
)
def test_ends(text: str, ends: tuple[str, str] | None) -> None:
    assert forms.ends(text) == ends
