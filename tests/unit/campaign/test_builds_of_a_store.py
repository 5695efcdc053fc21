"""What a search and a result say of builds that a shared store has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign import candidates, compose
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.overlay import Overlay
from buildkit_bisect.model import PatchRef, Variant
from buildkit_bisect.result import CellInfo
from buildkit_bisect.search.history import History


class Store:
    """A builder that has built nothing; the store has everything."""

    def cached(self, _: Variant) -> None:
        return None

    def in_store(self, commits: list[str]) -> frozenset[str]:
        return frozenset(commits)


def test_builds_of_a_store_count_as_built_unless_a_patch_applies() -> None:
    source: Any = None
    patched = SimpleNamespace(at=lambda c: (PatchRef(name="p", digest="d", title=""),) * (c == "b"))
    line = Line(
        source=source, history=History({"a": [], "b": ["a"], "c": ["b"]}), good="a", bad="c",
        labels={}, candidates=("b", "c"), before=frozenset("a"), overlay=cast(Overlay, patched),
        overlay_names=(), same_build={"a": "1", "b": "2 d", "c": "3"},
    )  # fmt: skip
    known = candidates.known_costs(cast(Builder, Store()), line)
    assert known.built == ("a", "c")


def cell(key: str, pulled_from: str) -> CellInfo:
    build = SimpleNamespace(key=key, pulled_from=pulled_from)
    return cast(CellInfo, SimpleNamespace(build=build))


def test_a_result_says_how_many_builds_were_pulled() -> None:
    missing = cast(CellInfo, SimpleNamespace(build=None))
    assert compose.pulled_notes([cell("1", ""), missing]) == ()
    cells = [cell("1", "oci://a/b"), cell("1", "oci://a/b"), cell("2", "")]
    assert compose.pulled_notes(cells) == ("pulled from oci://a/b, not compiled: 1 of 2 builds",)
    assert compose.pulled_notes([cell("1", "oci://a/b")]) == (
        "pulled from oci://a/b, not compiled: 1 of 1 build",
    )
