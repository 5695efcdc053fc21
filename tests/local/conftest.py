"""Local tests use real processes and real git, but neither root, Docker nor BuildKit.

A test that needs an Engine or a Go toolchain fails here even on a machine that has one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import clean_start


@pytest.fixture(scope="session", autouse=True)
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BKBISECT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("DOCKER_HOST", "unix:///nowhere")
        clean_start.prepare()
        yield
