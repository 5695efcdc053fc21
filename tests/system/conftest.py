"""System tests use the real things: root, BuildKit, registries, Docker Engines, a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import clean_start
from browsing import Reader, chromium


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    clean_start.prepare()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def reader(browser: Browser, tmp_path: Path) -> Iterator[Reader]:
    """A reader whose pages complain of nothing and ask for nothing but themselves."""
    made = Reader(browser, tmp_path)
    yield made
    for context in browser.contexts:
        context.close()
    assert made.complaints == []
    assert set(made.requests) <= {(tmp_path / "report.html").as_uri()}
