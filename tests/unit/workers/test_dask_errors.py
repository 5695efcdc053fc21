"""What a user sees of Dask's own errors and logs."""

from __future__ import annotations

import logging

from buildkit_bisect.workers import dask


def test_the_cause_is_named_and_not_what_dask_wraps_it_in() -> None:
    wrapped = RuntimeError("Hand failed to start.")
    wrapped.__cause__ = TypeError("TLS expects a `ssl_context`")
    assert "TypeError: TLS expects a `ssl_context`" in str(dask.refused("dask+tls://h:1", wrapped))
    plain = RuntimeError("encryption required")
    assert "RuntimeError: encryption required" in str(dask.refused("dask://h:1", plain))


def test_no_logger_of_dask_says_anything_below_the_level() -> None:
    """Dask's setup gives distributed.client and others levels of their own."""
    dask.quiet()
    names = ("distributed.client", "distributed.core", "tornado.application", "asyncio")
    for name in names:
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR), name
