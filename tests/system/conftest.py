"""System tests use the real things: root, BuildKit, registries, Docker Engines."""

from __future__ import annotations

import pytest

import clean_start


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    clean_start.prepare()
