"""Lines of output without what differs between trials: digests, times, addresses, ids. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from buildkit_bisect.scenario.expectation import literal

#: What varies: its name in the normal form, what it looks like, and an RE2 pattern for it.
_VARYING = (
    ("digest", r"\bsha(?:256|384|512):[0-9a-f]{6,}", "sha[0-9]+:[0-9a-f]+"),
    (
        "time",
        r"\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?",
        "[0-9T:., Z/+-]+",
    ),
    ("time", r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b", "[0-9:.,]+"),
    ("address", r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b|\blocalhost:\d{1,5}\b|\[::1?\]:\d{1,5}",
     "[][a-z0-9.:]+"),
    ("folder", r"(?:/[\w.@+-]+)*/trial-\d+-\w+", "[^ ]*/trial-[0-9]+-[A-Za-z0-9_]+"),
    ("id", r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "[0-9a-f-]+"),
    ("id", r"\b(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{25}\b", "[a-z0-9]+"),
    ("id", r"\b(?:0x)?(?=[a-f]*\d)[0-9a-f]{8,}\b", "[0-9a-fx]+"),
    ("seconds", r"\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?\s?(?:ns|µs|us|ms|s|seconds?|minutes?)\b",
     "[0-9.hm]+ ?[a-zµ]+"),
    ("number", r"\b\d{4,}\b", "[0-9]+"),
)  # fmt: skip

#: The parts of a pattern that `line` made: what varies, an escaped character, an end of the line.
_PARTS = re.compile(
    "|".join(
        [
            *(
                re.escape(matches)
                for matches in sorted({one[2] for one in _VARYING}, key=len, reverse=True)
            ),
            r"\\(?P<char>.)",
            r"(?P<end>^\^|\$$)",
        ]
    ),
    re.DOTALL,
)

#: The name of what varies, by its pattern; the first one that has it.
_NAMES = {matches: name for name, _, matches in reversed(_VARYING)}

_ANY = re.compile("|".join(f"(?P<v{n}>{looks})" for n, (_, looks, _) in enumerate(_VARYING)))

#: Characters of a line in its normal form; more say nothing more, and a pattern has a limit.
_LONGEST = 200

#: Characters of a line that are looked at.
_MOST = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line in its normal form; lines that differ only in what varies are equal."""

    text: str  # ``took <seconds>``
    pattern: str  # a regular expression (RE2) that finds it
    end: str = "$"  # of a pattern for all of it; "" if it was cut

    def __str__(self) -> str:
        """Return the normal form."""
        return self.text


def line(text: str) -> Line:
    """Return *text*, one line, in its normal form, without blanks around it, and maybe cut."""
    whole = text.strip()
    # Cut after a blank, so that half of a digest does not count as text.
    text = whole if len(whole) <= _MOST else whole[:_MOST].rpartition(" ")[0] or whole[:_LONGEST]
    shown, pattern, at = "", "", 0
    for match in (*_ANY.finditer(text), None):
        literally = text[at : match.start() if match else len(text)]
        room = _LONGEST - len(shown)
        if len(literally) > room:
            kept = literally[:room].rstrip()
            return Line(text=shown + kept, pattern=pattern + literal(kept), end="")
        shown, pattern = shown + literally, pattern + literal(literally)
        if match:
            name, _, matches = _VARYING[int(str(match.lastgroup)[1:])]
            shown, pattern, at = f"{shown}<{name}>", pattern + matches, match.end()
    return Line(text=shown, pattern=pattern, end="$" if text == whole else "")


def in_words(pattern: str) -> str:
    """Return a pattern that `line` made as the text that it finds: ``took <seconds>``, ``$HOME``.

    So words show no escapes; a pattern itself is for rules.
    """

    def shown(match: re.Match[str]) -> str:
        if match["char"] is not None:
            return match["char"]
        return "" if match["end"] is not None else f"<{_NAMES[match[0]]}>"

    return _PARTS.sub(shown, pattern)


def lines(text: str) -> Iterator[Line]:
    """Yield the different lines of *text* in their normal forms, in order."""
    once: dict[Line, None] = {}
    for one in text.splitlines():
        # Progress in BuildKit's plain form has numbers and times of its own.
        if one.strip() and one.isprintable() and not re.match(r"#\d+ ", one):
            once[line(one)] = None
    yield from once
