"""Headlines keep to their length, and names are cut before sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildkit_bisect.headline import LIMIT, Said, Words, cut, headline


def test_clauses_that_may_be_missing_go_before_names_are_cut() -> None:
    def say(words: Words) -> Said:
        name = words.name("n" * 70)
        return Said(first=f"First {name}", must=("it must be said",), may=("a" * 60, "b" * 60))

    made = headline(say)
    assert made.startswith(f"First {'n' * 70}. It must be said; aaa")
    assert "b" not in made.replace("be said", "")
    assert len(made) <= LIMIT


def test_marks_do_not_count() -> None:
    made = headline(lambda w: Said(first=f"It is {w.name('x' * 60)}"), lambda t: f"<b>{t}</b>" * 9)
    assert made.count("x" * 60) == 9


def test_a_sum_of_patches_is_counted_where_there_is_no_room() -> None:
    names = ("cross-stage-ancestors", "lazy-variants", "loaded-cache-opts")
    assert Words(reach=60).sum(names) == " + ".join(names)
    assert Words(width=30, reach=30).sum(names) == "cross-stage-ancestors + 2 more"
    assert Words(width=9, reach=9).sum(names[:1]) == "cross-st…"


def test_text_is_cut_at_a_word() -> None:
    assert cut("one two three", 20) == "one two three"
    assert cut("one two three", 11) == "one two…"
    assert cut("one (two three", 7) == "one…"
    assert cut("abcdefghij", 5) == "abcd…"


@given(st.lists(st.text(max_size=300), min_size=1, max_size=4))
def test_whatever_the_names(names: list[str]) -> None:
    def say(words: Words) -> Said:
        return Said(
            first=f"A {words.list(names)} and {words.sum(names)}",
            must=(words.long(names[0]), words.cell(names[-1])),
            may=(words.name(names[0]),),
        )

    assert len(headline(say)) <= LIMIT
