"""Cells in words that a stranger has."""

from __future__ import annotations

import results
from buildkit_bisect.result.labels import axis_labels, cell_label

LAZY = {"bases": "different", "snapshotter": "stargz"}


def test_a_cell_is_named_by_the_labels_of_its_scenario() -> None:
    own = results.scenario(
        "own", labels={"snapshotter": {"stargz": "pulled lazily"}, "bases": {"same": "one image"}}
    )
    assert cell_label(own, {"bases": "same", "snapshotter": "stargz"}) == "pulled lazily, one image"
    assert cell_label(own, LAZY) == "pulled lazily, bases different"


def test_without_labels_a_cell_is_named_by_its_axes() -> None:
    own = results.scenario("own")
    assert axis_labels(own, LAZY) == ("stargz", "bases different")
    assert axis_labels(own, {"bases": "same", "snapshotter": "new"}) == (
        "snapshotter new",
        "bases same",
    )


def test_results_without_labels_have_those_of_the_shipped_scenario() -> None:
    old = results.scenario()
    assert not old.labels
    assert cell_label(old, LAZY) == "lazy snapshotter (stargz), two base images"
    dedup = results.scenario("cross-stage-dedup")
    assert cell_label(dedup, {"warm": "yes"}) == "overlayfs, same layers pulled before"


def test_axes_with_one_value_are_left_out_unless_there_is_no_other() -> None:
    one = {"values": ("stargz",), "controls": ()}
    two = {"values": ("different", "same"), "controls": ()}
    assert cell_label(results.scenario("own", axes={"snapshotter": one, "bases": two}), LAZY) == (
        "bases different"
    )
    assert cell_label(results.scenario("own", axes={"snapshotter": one}), {"snapshotter": "stargz"})
    assert cell_label(results.scenario("own", axes={}), {}) == ""
