"""What tests of labs share; see also `labs`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from buildkit_bisect.lab.journal import Journal


@pytest.fixture
def journal() -> Iterator[Journal]:
    """Provide an empty journal."""
    with closing(Journal()) as opened:
        yield opened
