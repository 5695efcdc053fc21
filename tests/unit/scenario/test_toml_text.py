"""Values as TOML text: what is written says the same when it is read."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time
from typing import Any

import pytest

from buildkit_bisect.scenario.toml_text import pair, table, value

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
