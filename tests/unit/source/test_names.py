from __future__ import annotations

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.source import names

TAGS = ["v0.9.3", "v0.10.0", "v0.26.0", "v0.26.1", "v0.26.3", "v0.27.0-rc1", "v0.27.0", "other"]


def test_newest_first_sorts_versions_before_other_tags() -> None:
    assert names.newest_first(TAGS) == [
        *("v0.27.0", "v0.27.0-rc1", "v0.26.3", "v0.26.1", "v0.26.0", "v0.10.0", "v0.9.3", "other")
    ]


@pytest.mark.parametrize(
    ("ref", "near"),
    [
        ("v0.26.9", ["v0.26.3", "v0.26.1", "v0.26.0"]),
        ("v0.27.1", ["v0.27.0", "v0.27.0-rc1"]),
        ("v0.11.0", ["v0.26.1", "v0.26.0", "v0.10.0"]),
        ("v9", ["v0.27.0", "v0.26.3", "v0.26.1"]),
        ("0.26", ["v0.26.3", "v0.26.1", "v0.26.0"]),
        ("othr", ["other"]),
        ("v0.26.x", ["v0.26.3", "v0.26.1", "v0.26.0"]),
        ("V0.26.1", ["v0.26.1"]),
        ("\u201cv0.26.1\u201d", ["v0.26.1"]),
        ("nonsense", ["v0.27.0", "v0.26.3", "v0.26.1"]),
    ],
)
def test_nearest(ref: str, near: list[str]) -> None:
    found = names.nearest(ref, TAGS, count=3)
    assert found == near


@pytest.mark.parametrize("ref", ["mastr", "Master", "upstrem/mastr", "origin/mater"])
def test_the_nearest_branch(ref: str) -> None:
    assert names.nearest(ref, TAGS, ["master", "v0.26"]) == ["master"]


@pytest.mark.parametrize(
    ("ref", "local", "hint"),
    [
        ("0123abcd", True, "git fetch in the clone, all 40 digits of the commit id, or a tag"),
        ("0123abcd", False, "all 40 digits of the commit id, or a tag"),
        ("0" * 40, True, "git fetch in the clone, or a tag"),
        ("0" * 40, False, "a tag"),
        ("7107", True, "pr/7107, if you mean the pull request"),
    ],
)
def test_what_to_do_about_an_unknown_id(ref: str, local: bool, hint: str) -> None:
    assert names.unknown(ref, TAGS, where="here", local=local).hint == hint


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("v0.26.0-v0.27.0", "v0.26.0,v0.27.0 for both, or v0.26.0..v0.27.0 for a range"),
        ("0.26-0.27", "0.26,0.27 for both, or 0.26..0.27 for a range"),
        ("v0.27.0-rc9", "one of v0.27.0, v0.27.0-rc1"),
        ("V0.26.0", "v0.26.0"),
        ("test.sh", "--script test.sh"),
    ],
)
def test_what_to_do_about_an_unknown_name(ref: str, hint: str) -> None:
    assert names.unknown(ref, TAGS, where="a mirror").hint == hint


@pytest.mark.parametrize("ref", ["./test.sh", "../buildkit", "/srv/buildkit", "~/buildkit"])
def test_a_path_is_not_a_revision(ref: str) -> None:
    with pytest.raises(BadInput, match="is not a revision but a path") as raised:
        names.checked(ref)
    assert "--script " in raised.value.hint
    assert "--repo " in raised.value.hint


def test_nearest_in_a_repository_without_tags() -> None:
    error = names.unknown("v1", [], where="here")
    assert str(error) == "no revision 'v1' in here"


@pytest.mark.parametrize(
    "ref", ["v0.26.0", "release/v0.26", "master~3", "HEAD^2", "a@b", "v0.1^0", "a^{commit}"]
)
def test_valid_revisions(ref: str) -> None:
    assert names.checked(f" {ref} ") == ref


@pytest.mark.parametrize("ref", ["-x", "--", "a..b", "a b", ":/x", "a:b", "a\x07b", "", " ", "a*"])
def test_invalid_revisions(ref: str) -> None:
    with pytest.raises(BadInput):
        names.checked(ref)


@pytest.mark.parametrize("ref", [":/fix", "master^{/fix}", "a~2^{/(((a{1,250}){1,250}){1,250})}"])
def test_a_search_in_commit_messages_is_not_a_revision(ref: str) -> None:
    with pytest.raises(BadInput, match="is not a revision but a search in commit messages"):
        names.checked(ref)


def test_kinds_of_refs() -> None:
    assert names.is_date("2025-09-11")
    assert not names.is_date("v2025-09-11")
    assert names.is_release("v0.26.0")
    assert not names.is_release("v0.26.0-rc1")
    assert not names.is_release("dockerfile/1.2.3")
    assert names.is_hex("6c0aa8c8f")
    assert not names.is_hex("6c0aa8c8fx")
    assert not names.is_full_sha("6c0aa8c8f")
    assert names.is_full_sha("6c0aa8c8f1e09f56fc2f793265789f2c81750554")
