"""System tests send signals; a suite in the background inherits some of them as ignored."""

from __future__ import annotations

import signal

# What ignores a signal here is ignored by every child, and Ctrl-C tests would test nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
