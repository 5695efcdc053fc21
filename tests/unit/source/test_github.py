"""Addresses on GitHub, and what only looks like one."""

from __future__ import annotations

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.source import github
from buildkit_bisect.source.github import Address

PAGE = "https://github.com/me/buildkit"
SHA = "292043fcaad5716e6db13d3649cd98d765746c1e"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pr/7107", Address(pull=7107)),
        ("PR 7107", Address(pull=7107)),
        ("upstream/pull/7107/head", Address(pull=7107)),
        ("#7107", Address(pull=7107)),
        ("me/buildkit#7107", Address(repo="me/buildkit", pull=7107)),
        (f"me/buildkit@{SHA[:9]}", Address(repo="me/buildkit", commit=SHA[:9])),
        (PAGE, Address(repo="me/buildkit")),
        (f"{PAGE}.git", Address(repo="me/buildkit")),
        (f" {PAGE}/pull/7107/commits ", Address(repo="me/buildkit", pull=7107)),
        (f"{PAGE}/pull/7107?w=1#x", Address(repo="me/buildkit", pull=7107)),
        (f"{PAGE}/pull/7107/commits/{SHA}", Address(repo="me/buildkit", commit=SHA)),
        (f"{PAGE}/pull/7107/changes/{SHA}", Address(repo="me/buildkit", commit=SHA)),
        (f"{PAGE}/commit/{SHA}.diff", Address(repo="me/buildkit", commit=SHA)),
        (f"{PAGE}/commits/{SHA}", Address(repo="me/buildkit", commit=SHA)),
        (f"{PAGE}/commits/v0.26", Address(repo="me/buildkit", ref="v0.26")),
        (f"{PAGE}/tree/my/fix", Address(repo="me/buildkit", ref="my/fix")),
        (f"{PAGE}/releases/tag/v0.26.0", Address(repo="me/buildkit", ref="v0.26.0")),
        ("git@github.com:me/buildkit.git", Address(repo="me/buildkit")),
        ("www.github.com/me/buildkit/pull/7", Address(repo="me/buildkit", pull=7)),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    assert github.address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("v0.26.0", "master", "pr-7107", "pull/7107/merge", "pr/x", "7107", "", "#", "@", "a@b"),
        *("https://gitlab.com/me/buildkit/pull/7", "https://github.com.evil.example/a/b/pull/7"),
        *("pull/1/../../x", "pull/-1", "https://evil.example/github.com/me/buildkit"),
    ],
)
def test_what_is_not_an_address(text: str) -> None:
    assert github.address(text) is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("github.com/moby/buildkit@v0.24.0", "v0.24.0"),
        ("moby/buildkit@latest", "latest"),
        ("me/buildkit@v0.0.0-20251126020151-292043fcaad5", "v0.0.0-20251126020151-292043fcaad5"),
    ],
)
def test_a_version_of_a_go_module(text: str, version: str) -> None:
    with pytest.raises(BadInput, match="version of a Go module") as raised:
        github.address(text)
    assert raised.value.hint == version


@pytest.mark.parametrize(
    ("repo", "upstream"),
    [
        ("https://github.com/moby/buildkit.git", True),
        ("git@github.com:moby/buildkit", True),
        ("git://mirror.example/moby/buildkit.git", True),
        ("moby/buildkit", True),
        ("git@github.com:moby/buildkti.git", False),
        ("me/buildkit", False),
        ("https://example.org/notmoby/buildkit", False),
    ],
)
def test_only_upstream_has_modules(repo: str, upstream: bool) -> None:
    assert github.is_upstream(repo) == upstream


@pytest.mark.parametrize("path", ["", "me", "-x/y", "me/../..", "me/buildkit/wiki", "a/b/issues/7"])
def test_pages_that_are_neither_a_revision_nor_a_change(path: str) -> None:
    with pytest.raises(BadInput):
        github.address(f"https://github.com/{path}")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/moby/buildkit.git", "moby/buildkit"),
        ("git@github.com:moby/buildkit", "moby/buildkit"),
        ("https://gitlab.com/moby/buildkit", ""),
        ("/src/buildkit", ""),
    ],
)
def test_the_repository_of_a_clone_url(url: str, name: str) -> None:
    assert github.owner_and_name(url) == name
