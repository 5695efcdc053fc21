"""``${image.NAME}``, ``${axis.NAME}``, ``${var.NAME}`` and ``${registry}`` in scenario texts.

Also ``${server.NAME}``, and ``${commit.STEP}`` and ``${sha256.STEP}`` of steps that have ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildkit_bisect.model import Axes
from buildkit_bisect.scenario.definition import Scenario

_NAME = re.compile(r"\$\{([a-z]+|sha256)(?:\.([a-z0-9-]+))?\}")


def names_in(text: str) -> list[tuple[str, str]]:
    """The (kind, name) pairs that *text* refers to."""
    return [(m[1], m[2] or "") for m in _NAME.finditer(text)]


def fill(
    text: str,
    *,
    scenario: Scenario,
    axes: Axes,
    images: Mapping[str, str],
    registry: str,
    made: Mapping[str, str] | None = None,
) -> str:
    """*text* with every placeholder replaced; the loader has checked that all are known.

    *made* are the values of ``server.NAME``, ``commit.STEP`` and ``sha256.STEP``.
    """
    chosen = dict(axes)

    def value(match: re.Match[str]) -> str:
        kind, name = match[1], match[2] or ""
        if kind == "image":
            return images[name]
        if kind == "axis":
            return chosen[name]
        if kind == "var":
            var = scenario.vars[name]
            return _NAME.sub(value, var.values[chosen[var.axis]])
        return registry if kind == "registry" else (made or {})[f"{kind}.{name}"]

    return _NAME.sub(value, text)
