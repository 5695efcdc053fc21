"""Lets SIGTERM end a benchmark as Ctrl-C does."""

from __future__ import annotations

import signal


def removes_on_sigterm() -> None:
    """From now on SIGTERM raises `KeyboardInterrupt`, so that temporary folders are removed.

    A Go cache in such a folder takes gigabytes.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
