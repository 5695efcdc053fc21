"""Which tests may run beside which: pytest-xdist with ``--dist loadgroup``.

The tests of a file run one after another, since they share its fixtures. Files run beside each
other, except those with one of these marks. Tests with the mark ``alone`` run afterwards, without
any beside them: real BuildKit's lazy cells turn out differently on a busy machine.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

#: Of tests that kill tasks, and of those that look for what killed tasks left on this machine.
MACHINE = pytest.mark.xdist_group("machine")

#: Of tests that write screenshots into the checkout, and of those that check that it is unchanged.
CHECKOUT = pytest.mark.xdist_group("checkout")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Group by file what has no group."""
    for item in items:
        if item.get_closest_marker(MACHINE.name) is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
