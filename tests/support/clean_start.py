"""The state in which tests with real processes start."""

from __future__ import annotations

import signal

from buildkit_bisect.cli import leftovers


def prepare() -> None:
    """Reset signals, and remove what tasks that were killed before this suite left behind."""
    # A suite in the background inherits some signals as ignored, and so would every child. Then
    # tests of Ctrl-C would test nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for path in leftovers.find():
        leftovers.remove(path)
