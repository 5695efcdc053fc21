"""Which addresses may be spoken to without encryption: those on loopback. Pure."""

from __future__ import annotations

import re

_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_REGISTRY = re.compile(rf"{_LOOPBACK}(?::(\d{{1,5}}))?")
_URL = re.compile(rf"(?:http|git)://{_LOOPBACK}(?::\d{{1,5}})?(?:/.*)?")
_PORTS = 65535


def is_local_registry(address: str) -> bool:
    """Whether *address* is ``HOST`` or ``HOST:PORT`` of loopback, and nothing more."""
    found = _REGISTRY.fullmatch(address)
    return bool(found) and 0 < int(found[1] or 80) <= _PORTS if found else False


def is_cleartext(url: str) -> bool:
    """Whether *url* is of a protocol that neither encrypts nor proves who answers."""
    return url.lower().startswith(("http://", "git://"))


def is_local_cleartext(url: str) -> bool:
    """Whether *url* is such a one on loopback, written so that no parser reads another host."""
    return bool(_URL.fullmatch(url))
