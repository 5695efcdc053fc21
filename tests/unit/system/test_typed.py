from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.system import typed


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"
    HIDDEN = "hidden"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    id: str
    colour: Colour | None = None
    sizes: tuple[int, ...] = ()
    is_: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    name: str
    limit: float = 0.0
    inner: tuple[Inner, ...] = ()
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    made: str = "by the loader"


def read(text: str) -> tuple[Outer | None, list[str]]:
    return typed.structure(
        tomllib.loads(text),
        Outer,
        key=lambda name: name.removesuffix("_"),
        omit=("made",),
        words={Colour: (Colour.RED, Colour.GREEN)},
    )


def test_values_keep_their_types() -> None:
    text = """
    name = "x"
    limit = 3
    tables.a.b = "c"
    [[inner]]
    id = "one"
    colour = "hidden"
    sizes = [1, 2]
    is = true
    """
    made, problems = read(text)
    assert problems == []
    assert made == Outer(
        name="x",
        limit=3.0,
        tables={"a": {"b": "c"}},
        inner=(Inner(id="one", colour=Colour.HIDDEN, sizes=(1, 2), is_=True),),
    )
    assert type(made.limit) is float


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("limit = 1", "name: is missing"),
        ("name = 1", "name: must be a text, not a whole number (1)"),
        ("name = 'x\\u0000'".replace("'", '"'), "name: contains a NUL (U+0000)"),
        ("name = 1.5", "name: must be a text, not a number (1.5)"),
        ("name = true", "name: must be a text, not true"),
        ("name = ['x']", "name: must be a text, not a list"),
        ("name = {}", "name: must be a text, not a table"),
        ("name = 2026-11-30", "name: must be a text, not a date (2026-11-30)"),
        ("name = 10:00:00", "name: must be a text, not a time (10:00:00)"),
        ("name = 'x'\nmade = 'y'", "made: unknown key; known: name, limit, inner, tables"),
        ("name = 'x'\nlimits = 1", "limits: unknown key; did you mean limit?"),
        ("name = 'x'\nqqq = 1", "qqq: unknown key; known: name, limit, inner, tables"),
        ("name = 'x'\nlimit = true", "limit: must be a number, not true"),
        ("name = 'x'\nlimit = '1'", "limit: must be a number, not a text ('1')"),
        (f"name = 'x'\nlimit = {'9' * 400}", "limit: is too large"),
        ("name = 'x'\ninner = 'abc'", "inner: must be a list, not a text ('abc')"),
        ("name = 'x'\ninner = ['a']", "inner[0]: must be a table, not a text ('a')"),
        (
            "name = 'x'\ninner = [{id = 'a'}, {id = 'b'}, {id = 'c', colours = 'red'}]",
            "inner[2].colours: unknown key; did you mean colour?",
        ),
        ("name = 'x'\ninner = [{id = 'a'}, {}]", "inner[1].id: is missing"),
        (
            "name = 'x'\ninner = [{id = 'a', colour = 'gren'}]",
            "inner[0].colour: 'gren' is not one of red, green; did you mean green?",
        ),
        (
            "name = 'x'\ninner = [{id = 'a', colour = 'blue'}]",
            "inner[0].colour: 'blue' is not one of red, green",
        ),
        (
            "name = 'x'\ninner = [{id = 'a', colour = 1}]",
            "inner[0].colour: must be a text, not a whole number (1)",
        ),
        (
            "name = 'x'\ninner = [{id = 'a', sizes = [1, 2.5]}]",
            "inner[0].sizes[1]: must be a whole number, not a number (2.5)",
        ),
        ("name = 'x'\ninner = [{id = 'a', is = 1}]", "inner[0].is: must be true or false, not a"),
        ("name = 'x'\ntables = 1", "tables: must be a table, not a whole number (1)"),
        ("name = 'x'\ntables.'a b' = 1", 'tables."a b": must be a table, not a whole number (1)'),
        ("name = 'x'\ntables.a.b = 1", "tables.a.b: must be a text, not a whole number (1)"),
        (f"name = {'9' * 4000}", f"name: must be a text, not a whole number ({'9' * 59}…)"),
    ],
)
def test_a_problem_names_the_key(text: str, problem: str) -> None:
    made, problems = read(text)
    assert made is None
    assert problems[0].startswith(problem), problems
    assert len(problems) == 1


def test_all_problems_are_found() -> None:
    assert read("limit = 'x'\ninner = [{}, {id = 1}]")[1] == [
        "limit: must be a number, not a text ('x')",
        "inner[0].id: is missing",
        "inner[1].id: must be a text, not a whole number (1)",
        "name: is missing",
    ]


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["name", "limit", "inner", "tables", "made"]) | st.text()


KINDS = "a text|true or false|a whole number|a number|a list|a table"
FORM = re.compile(
    rf".+: (must be ({KINDS}), not ({KINDS}|a date|a time|true|false)( \(.*\))?"
    r"|unknown key; (did you mean|known:) .*|is missing|contains a NUL \(U\+0000\)|is too large"
    r"|'.*' is not one of red, green, hidden(; did you mean .*\?)?)",
    re.DOTALL,
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_value_is_read_or_explained_in_the_words_of_toml(data: dict[str, object]) -> None:
    made, problems = typed.structure(data, Outer, omit=("made",))
    assert (made is None) == bool(problems)
    for problem in problems:
        assert FORM.fullmatch(problem), problem
