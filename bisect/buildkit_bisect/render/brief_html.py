"""The table below the headline as HTML: the cells are the Markdown of `brief`."""

from __future__ import annotations

import re

from markupsafe import Markup

from buildkit_bisect.render import symbols
from buildkit_bisect.render.brief import Brief

_LINK = re.compile(r"\[([^\[\]]*)\]\((https://[^\s()<>\"]+)\)")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FOLDED = ", folded below"
_SYMBOL = '<span class="sym {}" aria-hidden="true">{}</span>'


def in_html(made: Brief | None) -> Brief | None:
    """Return the table with cells that are HTML. What a comment folds is open on the page."""
    if made is None:
        return None
    return Brief(
        head=tuple(cell(one) for one in made.head),
        rows=tuple(tuple(cell(one) for one in row) for row in made.rows),
        notes=tuple(note.replace(_FOLDED, ", below") for note in made.notes),
    )


def cell(markdown: str) -> Markup:
    """Return a cell of Markdown as HTML.

    `text.markdown` writes each ``[``, ``(``, ``*`` and ``<`` of a text as an entity, so what
    these characters mark is ours.
    """
    if _DATE.fullmatch(str(markdown)):
        return Markup('<span class="date">{}</span>').format(str(markdown))
    made = _LINK.sub(lambda m: f'<a href="{m[2]}" rel="noreferrer">{m[1]}</a>', str(markdown))
    made = _BOLD.sub(r"<b>\1</b>", made).replace(_FOLDED, ", below")
    for symbol in (*symbols.ALL, symbols.PRE_EXISTING):
        made = made.replace(symbol.emoji, _SYMBOL.format(symbol.css, symbol.glyph))
    return Markup(made)  # noqa: S704 - see above
