"""Words that someone may have meant who wrote one that does not exist. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Share of common letters above which a word is near.
_NEAR = 0.6

#: Share of common letters above which a word is a misspelling, and no word of its own.
_SAME = 0.8

#: A shorter word is part of too many others.
_PART = 3

#: At most this many words; the reader chooses one.
_MOST = 3

#: At most this many words where all of them are listed.
_LISTED = 15


def nearest(word: str, valid: Iterable[str]) -> list[str]:
    """Return the words of *valid* that are near *word*, nearest first; empty if none is.

    Case, dashes and underscores do not count. A word that begins with *word* or contains it is
    near.
    """
    plain = {one: _plain(one) for one in valid}
    wanted = _plain(word)

    def near(one: str) -> float:
        if not wanted:
            return 0.0
        begins = len(wanted) > 1 and plain[one].startswith(wanted)
        contains = len(wanted) >= _PART and wanted in plain[one]
        similar = difflib.SequenceMatcher(None, wanted, plain[one]).ratio()
        return max(similar, 0.9 * begins, 0.7 * contains)

    found = sorted((-near(one), one) for one in plain if near(one) >= _NEAR)
    return [one for _, one in found[:_MOST]]


def did_you_mean(word: str, valid: Iterable[str], *, what: str = "known") -> str:
    """Return ``did you mean stargz?``; if no word is near, ``known: a, b``, with *what* for known.

    Of more than `_LISTED` valid words the rest are counted.
    """
    words = list(dict.fromkeys(valid))
    if near := nearest(word, words):
        return f"did you mean {' or '.join(near)}?"
    more = [f"{len(words) - _LISTED} more"] if len(words) > _LISTED else []
    return f"{what}: {', '.join([*words[:_LISTED], *more]) or 'none'}"


def misspelled(word: str, valid: Iterable[str]) -> str:
    """Return the word that *word* is a misspelling of; "" if it may be a word of its own."""
    return next(iter(difflib.get_close_matches(word, list(valid), n=1, cutoff=_SAME)), "")


def first(word: str, valid: Iterable[str]) -> str:
    """Return the word that *word* most likely meant, else the first one; "" if there are none."""
    words = list(valid)
    return next(iter([*nearest(word, words), *words]), "")


def _plain(word: str) -> str:
    return word.casefold().translate(dict.fromkeys(map(ord, "-_–— ")))  # noqa: RUF001
