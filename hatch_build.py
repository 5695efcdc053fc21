"""Refuses to build a wheel, which would lack the templates, scenarios and patches."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilderConfig


class CheckoutOnly(BuildHookInterface[WheelBuilderConfig]):
    """Allows only ``pip install --editable``, which is how ``./inv`` installs the project."""

    PLUGIN_NAME = "checkout-only"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Abort unless *version* is ``editable``."""
        if version != "editable":
            self.app.abort(
                "buildkit-bisect runs from its checkout only (tasks.py, templates, scenarios,"
                " patches and results live there) and builds no wheel: clone it, and run ./inv"
            )
