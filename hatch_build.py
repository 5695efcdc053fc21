"""Refuses to build a wheel: it would lack what the tool works with."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilderConfig


class CheckoutOnly(BuildHookInterface[WheelBuilderConfig]):
    """Lets ``pip install --editable`` through, which is how ``./inv`` installs."""

    PLUGIN_NAME = "checkout-only"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Stop the build of any *version* that is not editable."""
        if version != "editable":
            self.app.abort(
                "buildkit-bisect runs from its checkout only (tasks.py, templates, scenarios,"
                " patches and results live there) and builds no wheel: clone it, and run ./inv"
            )
