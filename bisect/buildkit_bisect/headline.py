"""A headline: at most two sentences and 200 characters, whatever the names in it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from buildkit_bisect.phrases import listed

#: Maximum length of a headline, in characters.
LIMIT = 200

#: Marks up a commit ID, a name or an outcome.
Mark = Callable[[str], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """How much room a headline has; its methods cut names to it, and mark them up."""

    mark: Mark = str
    width: int = 80  # characters of a name
    reach: int = 90  # characters of a subject or reason
    label: int = 70  # characters of a cell's label
    few: int = 5  # names in a list

    def name(self, text: str) -> str:
        """Return a name, cut to the room there is."""
        return self._marked(text, self.width)

    def long(self, text: str) -> str:
        """Return a subject or a reason, cut to the room there is; it may be longer than a name."""
        return self._marked(text, self.reach)

    def sum(self, names: Sequence[str]) -> str:
        """Return ``a + b + c``, or ``a + 2 more`` where there is no room."""
        whole = " + ".join(names)
        if len(whole) <= max(self.reach, self.width) or len(names) < 2:  # noqa: PLR2004
            return self._marked(whole, max(self.reach, self.width))
        return f"{self.name(names[0])} + {len(names) - 1} more"

    def cell(self, text: str) -> str:
        """Return the label of a cell, cut to the room there is."""
        return self._marked(text, self.label)

    def _marked(self, text: str, width: int) -> str:
        # A plain string: what is added to a Markup is escaped, also the marks of another name.
        return str(self.mark(cut(text, width))) if text else ""

    def list(self, names: Iterable[str]) -> str:
        """Return the first names, and how many more there are."""
        return listed([self.name(name) for name in names], self.few)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Two sentences, without their full stops; the second as clauses, the weightiest first.

    Clauses begin in lower case, and not with a name.
    """

    first: str
    must: tuple[str, ...] = ()  # of the second sentence
    may: tuple[str, ...] = ()  # left out where there is no room, the last one first

    def text(self, optional: int) -> str:
        """Return both sentences, with the first *optional* clauses that may be left out."""
        second = "; ".join(filter(None, [*self.must, *self.may[:optional]]))
        second = f" {second[:1].upper()}{second[1:]}." if second else ""
        return f"{self.first}.{second}"


#: From the most room to the least.
_ROOMS = (
    {"width": 80, "reach": 90, "label": 90, "few": 5},
    {"width": 60, "reach": 60, "label": 70, "few": 4},
    {"width": 44, "reach": 44, "label": 60, "few": 3},
    {"width": 36, "reach": 36, "label": 60, "few": 3},
    {"width": 28, "reach": 28, "label": 50, "few": 2},
    {"width": 24, "reach": 20, "label": 40, "few": 2},
    {"width": 16, "reach": 16, "label": 30, "few": 2},
    {"width": 13, "reach": 13, "label": 13, "few": 1},
)


def headline(say: Callable[[Words], Said], mark: Mark = str, *, clean: Mark = str) -> str:
    """Return what *say* says, within `LIMIT` characters not counting what *mark* adds.

    Clauses that may be missing go first, then names are shortened. *clean* is applied to names
    before they are measured.
    """
    for room in _ROOMS:
        plain = say(Words(mark=clean, **room))
        for optional in range(len(plain.may), -1, -1):
            if len(plain.text(optional)) <= LIMIT:
                marked = Words(mark=lambda text: mark(clean(text)), **room)
                return say(marked).text(optional)
    return mark(cut(plain.text(0), LIMIT))


def cut(text: str, width: int) -> str:
    """Return *text*, with an ellipsis for what is beyond *width* characters."""
    if len(text) <= width:
        return text
    kept = text[: width - 1]
    at_word = kept[: kept.rfind(" ")] if " " in kept[width // 2 :] else kept
    return at_word.rstrip(" ,;:(") + "…"
