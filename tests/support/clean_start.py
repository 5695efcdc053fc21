"""What tests with real processes start from."""

from __future__ import annotations

import signal

from buildkit_bisect.cli import leftovers


def prepare() -> None:
    """Take signals as a user's shell does, and remove what killed tasks left before this suite."""
    # What ignores a signal here is ignored by every child, and Ctrl-C tests would test nothing.
    # A suite in the background inherits some as ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for path in leftovers.find():
        leftovers.remove(path)
