"""Which workers a campaign uses, and the line for each reason that it uses none."""

from __future__ import annotations

from typing import Any

import pytest

from buildkit_bisect.errors import Missing
from buildkit_bisect.workers import facts as worker_facts
from buildkit_bisect.workers.choice import choose
from workers import facts, kind

WHERE = "dask://127.0.0.1:8786"
HERE = facts("home")
NONE = f"no worker of the scheduler at {WHERE} was started by this tool as root"


def test_all_workers_of_this_machines_kind() -> None:
    found = {"tcp://1": facts("a"), "tcp://2": facts("b")}
    chosen = choose(found, HERE, WHERE)
    assert chosen.kind == HERE.kind
    assert chosen.workers == found
    assert chosen.said == f"2 workers at {WHERE}: a and b"


def test_this_machines_kind_before_one_with_more_workers() -> None:
    found = {"tcp://1": facts("a"), "tcp://2": facts("b", "6.6"), "tcp://3": facts("c", "6.6")}
    chosen = choose(found, HERE, WHERE)
    assert set(chosen.workers) == {"tcp://1"}
    assert chosen.said == (
        f"1 worker at {WHERE}: a; trials stay on one kind of machine, so not on b (kernel 6.6) and"
        " c (kernel 6.6)"
    )


def test_the_kind_with_most_workers_if_this_machine_is_of_none() -> None:
    found = {
        "tcp://1": facts("a", "5.10"),
        "tcp://2": facts("b", "6.6"),
        "tcp://3": facts("c", "6.6"),
        "tcp://4": None,
    }
    chosen = choose(found, HERE, WHERE)
    assert set(chosen.workers) == {"tcp://2", "tcp://3"}
    assert chosen.said == (
        f"2 workers at {WHERE}: b and c; trials stay on one kind of machine, so not on a"
        " (kernel 5.10); 1 not started by this tool as root; this machine is of another kind"
        " (kernel 6.1)"
    )


def test_workers_that_differ_in_busybox_are_of_another_kind() -> None:
    found = {"tcp://1": facts("a"), "tcp://2": facts("b", kind=kind(busybox="other"))}
    assert choose(found, HERE, WHERE).said.endswith("so not on b (another busybox)")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, f"the scheduler at {WHERE} has no workers"),
        (
            {"tcp://1": None, "tcp://2": None},
            NONE,
        ),
        (
            {"tcp://1": facts("a", root=False)},
            NONE,
        ),
        (
            {"tcp://1": facts("a"), "tcp://2": facts("b", tool="0.1.0 (def)")},
            "worker b at tcp://2 has another version: this tool 0.1.0 (def), here 0.1.0 (abc)",
        ),
        (
            {"tcp://1": facts("a", python="3.13")},
            "worker a at tcp://1 has another version: Python 3.13, here 3.11",
        ),
        (
            {"tcp://1": facts("a", arch="aarch64")},
            "worker a at tcp://1 has another version: the architecture aarch64, here x86_64",
        ),
        (
            {"tcp://1": facts("a", dask="2025.1.0")},
            "worker a at tcp://1 has another version: distributed 2025.1.0, here 2026.8.0",
        ),
    ],
)
def test_one_line_for_what_is_missing(found: dict[str, Any], message: str) -> None:
    with pytest.raises(Missing) as caught:
        choose(found, HERE, WHERE)
    assert caught.value.message == message
    assert caught.value.hint


def test_facts_travel_as_plain_values() -> None:
    one = facts("a", shares=True)
    assert worker_facts.read(one.plain()) == one


@pytest.mark.parametrize("plain", [None, "x", {}, {"name": "a"}, facts().plain() | {"root": "yes"}])
def test_anything_else_is_no_worker_of_ours(plain: object) -> None:
    assert worker_facts.read(plain) is None
