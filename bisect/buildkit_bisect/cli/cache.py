"""Keeps the cache below its size after a command."""

from __future__ import annotations

from buildkit_bisect.events import Events, Said
from buildkit_bisect.system import cache_limit
from buildkit_bisect.system.announce import announce


def trim(events: Events, bound: int, *, grew: bool) -> None:
    """Trim the cache to *bound* bytes, see `cache_limit.trim`; a failure is only a warning."""
    try:
        with announce("trimming the cache"):
            gone = cache_limit.trim(bound, grew=grew)
    except OSError as error:
        events.emit(Said(text=f"cannot trim the cache: {error}", warning=True))
        return
    if gone:
        size = cache_limit.shown(sum(e.bytes for e in gone))
        limit = cache_limit.shown(bound)
        events.emit(Said(text=f"removed {size} from the cache to keep it below {limit}"))
