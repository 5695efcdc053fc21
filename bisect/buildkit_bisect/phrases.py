"""Lists and numbers in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def listed(items: Iterable[str], limit: int = 6) -> str:
    """``a, b and c``; beyond *limit*, ``a, b, c and 9 more``."""
    all_ = [str(item) for item in items]  # Markup escapes the text it is joined with
    if len(all_) > limit:
        all_ = [*all_[: limit - 1], f"{len(all_) - limit + 1} more"]
    return ", ".join(all_[:-1]) + " and " + all_[-1] if len(all_) > 1 else "".join(all_)


def several(items: Sequence[str], limit: int) -> str:
    """``a; b; 3 more``: a list of what may contain commas itself."""
    more = len(items) - limit
    return "; ".join([*items[:limit], *([f"{more} more"] if more > 0 else [])])


def labelled(label: str, text: str) -> str:
    """``label: text``; where one of them is empty, the other alone."""
    return ": ".join(filter(None, (label, text)))


def spaced(*parts: str) -> str:
    """The parts that are not empty, with a space between two."""
    return " ".join(filter(None, parts))


def hashed(names: Sequence[str]) -> str:
    """``the script t.sh and 2 files: a, b``: a script, and the files that it declares."""
    script, *files = names
    if not files:
        return f"the script {script} alone"
    return f"the script {script} and {plural(len(files), 'file')}: {listed(files)}"


def plural(n: int, word: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def share(n: int, of: int, word: str) -> str:
    """``the cell`` of one, ``both cells`` of two, ``all 3 cells``, ``1 of 3 cells``."""
    if n == of:
        return f"the {word}" if of == 1 else f"{every(of)} {word}s"
    return f"{n} of {plural(of, word)}"


def every(n: int) -> str:
    """``both`` of two, ``all 3`` of three."""
    return "both" if n == 2 else f"all {n}"  # noqa: PLR2004 - the word for two


def are(n: int) -> str:
    """``is`` after one, ``are`` after several."""
    return "is" if n == 1 else "are"


def cut(text: str, most: int) -> str:
    """Return *text*, or its first characters and an ellipsis if it has more than *most*."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def percent(share: float) -> str:
    """``99.7 %``; never rounded up to 100 %."""
    return f"{min(share * 100, 99.99):.4g} %"
