"""The text of a document is that of `json.dumps`."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

import results
from buildkit_bisect.model import Verdict
from buildkit_bisect.result import dump, jsontext
from buildkit_bisect.result.document import unstructure

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda each: st.lists(each) | st.tuples(each) | st.dictionaries(st.text(), each)
)


def expected(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


@given(VALUES)
def test_any_value(value: object) -> None:
    assert jsontext.indented(value) == expected(value)


def test_words_and_empty_values() -> None:
    value = {"verdict": Verdict.GOOD, "none": [], "all": {}, "line": '\u2028\x00"', "t": ((),)}
    assert jsontext.indented(value) == expected(value)


def test_a_document() -> None:
    for made in (results.matrix(), results.bisect(), results.hostile()):
        assert dump(made) == expected(unstructure(made)) + "\n"
