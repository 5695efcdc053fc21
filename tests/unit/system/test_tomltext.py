"""What is written as TOML says the same when it is read, also joined parts of a buildkitd.toml."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time
from typing import Any

import pytest

from buildkit_bisect.system.tomltext import joined, pair, table, value

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


VALUES: list[Any] = [
    *("", "a", "it's", 'a "b"', "a\\b", "'\"", "a\nb\n"),
    *("a\n'''\nb", "a\nit's '", "\x7f\t\0", "é\u2028"),
    *(1, 1.5, True, date(2026, 1, 2), time(3, 4), datetime(2026, 1, 2, 3, 4)),  # noqa: DTZ001
    *([], ["a"] * 60, [{"a": "b\nc", "d.e": [1]}], {}, {"x": {"y": "z"}}),
]


@pytest.mark.parametrize("one", VALUES)
def test_a_value_is_read_as_it_was(one: Any) -> None:
    for name in ("key", "a key", "a\nkey", ""):
        assert tomllib.loads(pair(name, one)) == {name: one}
    assert "\n" not in value(one)


def test_a_text_of_several_lines_is_written_as_such() -> None:
    assert table("[[steps]]", {"id": "a", "content": "FROM x\nRUN 'y' \\z\n"}) == (
        "[[steps]]\nid = \"a\"\ncontent = '''\nFROM x\nRUN 'y' \\z\n'''\n"
    )


def test_a_text_with_half_a_character_is_written_all_the_same() -> None:
    assert tomllib.loads(pair("a", "x\udc80")) == {"a": "x?"}


def test_what_toml_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        pair("a", None)
