"""System tests send signals; a suite in the background inherits some of them as ignored."""

from __future__ import annotations

import signal

import pytest

from buildkit_bisect.cli import leftovers

# What ignores a signal here is ignored by every child, and Ctrl-C tests would test nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _swept() -> None:
    """What tasks killed before this suite left is not what its tests look for."""
    for path in leftovers.find():
        leftovers.remove(path)
