"""The map of docs/architecture.md, made from the package's docstrings.

``python -m buildkit_bisect.cli.module_map`` writes it there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect.system import checkout

DOCUMENT = checkout.PROJECT / "docs" / "architecture.md"

BEGIN, END = "<!-- map: begin -->\n", "<!-- map: end -->\n"

_PACKAGE = Path(__file__).parents[1]

#: Rooms from the top floor down, as the import contract in pyproject.toml lists them.
ROOMS = (
    *("cli", "campaign", "workers", "lab", "runtime", "gochecks", "engine", "builds", "sharing"),
    "patch",
    *("source", "golang", "live", "render", "result", "scenario", "search", "options", "system"),
)


def current(document: str) -> str:
    """Return *document* with its map replaced by that of the package as it is."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{''.join(_map())}\n{END}{tail}"


def _map() -> Iterator[str]:
    for room in ROOMS:
        yield from _room(_PACKAGE / room, f"{room}/")
    yield from _room(_PACKAGE, "root")


def _room(folder: Path, name: str) -> Iterator[str]:
    yield f"\n### {name}\n\n{_first_sentence(folder / '__init__.py')}\n\n"
    for path in sorted(folder.glob("*.py")):
        if path.stem != "__init__":
            yield f"- `{path.stem}`: {_first_sentence(path)}\n"


def _first_sentence(path: Path) -> str:
    """Return the first paragraph of a module's docstring as one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


if __name__ == "__main__":
    DOCUMENT.write_text(current(DOCUMENT.read_text()))
