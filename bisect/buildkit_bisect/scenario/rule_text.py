"""Conditions and rules as TOML text, for the scenarios that the tool writes. Pure."""

from __future__ import annotations

from buildkit_bisect.scenario.definition import Condition, Rule
from buildkit_bisect.system import tomltext

#: The keys of a condition in the order in which they are read best.
_KEYS = tuple(Condition.__slots__)


def condition(one: Condition) -> dict[str, object]:
    """Return the keys of a condition that are set, as a scenario file names them."""
    found = {name: getattr(one, name) for name in _KEYS}
    return {
        name.removesuffix("_"): _plain(of) for name, of in found.items() if of not in (None, "", ())
    }


def _plain(of: object) -> object:
    if isinstance(of, Condition):
        return condition(of)
    if isinstance(of, tuple):
        return [_plain(one) for one in of]
    return str(of) if isinstance(of, str) else of


def rule(one: Rule) -> str:
    """Return *one* as a table ``[[outcomes]]``."""
    head: dict[str, object] = {"name": one.name, "verdict": str(one.verdict), "means": one.means}
    head |= {} if one.label is None else {"label": one.label}
    return tomltext.table("[[outcomes]]", head | {"all": [condition(c) for c in one.all]})
