"""The words that messages suggest."""

from __future__ import annotations

import ast

import pytest

from buildkit_bisect.nearest import did_you_mean, first, nearest
from buildkit_bisect.system import checkout

SNAPSHOTTERS = ("overlayfs", "native", "stargz")
PATCHES = ("bkcache-record-ctx", "digest-to-solver", "record-ctx-opts", "revert-6129")
SCENARIOS = ("cross-stage-dedup", "cross-stage-lazy", "inline", "single-chain", "warm-reexport")


@pytest.mark.parametrize(
    ("given", "known", "near"),
    [
        ("startgz", SNAPSHOTTERS, ["stargz"]),
        ("stargs", SNAPSHOTTERS, ["stargz"]),
        ("overlay", SNAPSHOTTERS, ["overlayfs"]),
        ("overlay-fs", SNAPSHOTTERS, ["overlayfs"]),
        ("Native", SNAPSHOTTERS, ["native"]),
        ("zfs", SNAPSHOTTERS, []),
        ("record-ctx-opt", PATCHES, ["record-ctx-opts", "bkcache-record-ctx"]),
        ("record_ctx_opts", PATCHES, ["record-ctx-opts", "bkcache-record-ctx"]),
        ("6129", PATCHES, ["revert-6129"]),
        ("cross-stage", SCENARIOS, ["cross-stage-dedup", "cross-stage-lazy"]),
        ("lazy", SCENARIOS, ["cross-stage-lazy"]),
        ("dokcer", ("auto", "host", "docker", "buildx"), ["docker"]),
        ("", SNAPSHOTTERS, []),
        ("x", SNAPSHOTTERS, []),
    ],
)
def test_the_words_that_a_typing_mistake_meant(
    given: str, known: tuple[str, ...], near: list[str]
) -> None:
    found = nearest(given, known)
    assert found[: len(near)] == near
    assert bool(found) == bool(near)


def test_a_message_names_the_nearest_words_or_all() -> None:
    assert did_you_mean("startgz", SNAPSHOTTERS) == "did you mean stargz?"
    assert did_you_mean("zfs", SNAPSHOTTERS) == "known: overlayfs, native, stargz"
    assert did_you_mean("cross-stage", SCENARIOS) == (
        "did you mean cross-stage-dedup or cross-stage-lazy?"
    )
    assert did_you_mean("x", [], what="patches") == "patches: none"


def test_a_hint_has_one_word() -> None:
    assert first("startgz", SNAPSHOTTERS) == "stargz"
    assert first("zfs", SNAPSHOTTERS) == "overlayfs"
    assert not first("zfs", [])


def test_no_other_module_compares_words() -> None:
    package = checkout.PROJECT / "bisect" / "buildkit_bisect"
    users = {
        path.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(a.name == "difflib" for a in node.names)
    }
    assert users == {"nearest.py"}
