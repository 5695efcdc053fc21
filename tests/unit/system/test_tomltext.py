"""Joined parts of a buildkitd.toml say what the parts say."""

from __future__ import annotations

import tomllib

import pytest

from buildkit_bisect.system.tomltext import joined

OURS = '[worker.oci]\n  defaultCgroupParent = "x"\n[worker.containerd]\n  enabled = false\n'


def test_parts_that_do_not_overlap_stay_as_they_are() -> None:
    other = "# a comment\n[[worker.oci.gcpolicy]]\nall = true\n"
    assert joined(OURS, other) == OURS + other
    assert joined(OURS, "") == OURS
    assert joined() == ""


MANY = r"""
trace = true
[worker.oci]
labels = { "a b" = "\u0001\"\\é" }
platforms = ["a", "b"]
[[worker.oci.gcpolicy]]
keepBytes = 1
keepDuration = 1.5
filters = ["type==x"]
[[worker.oci.gcpolicy]]
all = true
x = { y = ["\u007f"] }
[log]
"""

OVERLAPPING = [
    ("[worker.oci]\ngc = true\n", {"worker": {"oci": {"gc": True}}}),
    ("debug = true\n", {"debug": True}),
    ("worker.oci.gc = false\n", {"worker": {"oci": {"gc": False}}}),
    ("worker = { oci = { gc = true } }\n", {"worker": {"oci": {"gc": True}}}),
    (
        MANY,
        {
            "trace": True,
            "log": {},
            "worker": {
                "oci": {
                    "labels": {"a b": '\x01"\\é'},
                    "platforms": ["a", "b"],
                    "gcpolicy": [
                        {"keepBytes": 1, "keepDuration": 1.5, "filters": ["type==x"]},
                        {"all": True, "x": {"y": ["\x7f"]}},
                    ],
                }
            },
        },
    ),
]


@pytest.mark.parametrize(("given", "wanted"), OVERLAPPING)
def test_tables_that_overlap_are_one(given: str, wanted: dict[str, object]) -> None:
    """Behind our tables, a key of the whole file would become one of the last table."""
    made = tomllib.loads(joined(OURS, given))
    assert made["worker"]["containerd"] == {"enabled": False}
    assert made["worker"]["oci"].pop("defaultCgroupParent") == "x"
    del made["worker"]["containerd"]
    if not made["worker"]["oci"]:
        del made["worker"]
    assert made == wanted


def test_what_is_not_toml_is_left_to_who_reads_it() -> None:
    assert joined(OURS, "nonsense = [\n") == f"{OURS}nonsense = [\n"
