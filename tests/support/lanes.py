"""Which tests may run beside which: pytest-xdist with ``--dist loadgroup``.

The tests of a file run one after another, since they share its fixtures. Files run beside each
other, except those with the mark `MACHINE`.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

#: Of tests that kill tasks, and of those that look for what killed tasks left on this machine.
MACHINE = pytest.mark.xdist_group("machine")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Group by file what has no group."""
    for item in items:
        if item.get_closest_marker(MACHINE.name) is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
