"""Addresses that users and files name: what is an image, what may be spoken to in clear. Pure."""

from __future__ import annotations

import re

_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_REGISTRY = re.compile(rf"{_LOOPBACK}(?::(\d{{1,5}}))?")
_URL = re.compile(rf"(?:http|git)://{_LOOPBACK}(?::\d{{1,5}})?(?:/.*)?")
_PORTS = 65535

#: ``HOST:PORT/PATH:TAG@DIGEST``, as the distribution specification has it.
_IMAGE = re.compile(
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*/?"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_LONGEST = 255

#: Of a link as any document may hold it: nothing that ends a link of Markdown or of HTML.
LINK = r"https://[!#$%&*+,./0-9:;=?@A-Z_a-z~-]{1,500}"


def is_image(text: str) -> bool:
    """Whether *text* can be the name of an image, or of a registry."""
    return len(text) <= _LONGEST and bool(_IMAGE.fullmatch(text))


def is_link(text: str) -> bool:
    """Whether *text* is an ``https://`` address, written without blanks, quotes and brackets."""
    return bool(re.fullmatch(LINK, text))


def is_local_registry(address: str) -> bool:
    """Whether *address* is ``HOST`` or ``HOST:PORT`` of loopback, and nothing more."""
    found = _REGISTRY.fullmatch(address)
    return found is not None and 0 < int(found[1] or 80) <= _PORTS


def is_cleartext(url: str) -> bool:
    """Whether *url* is of a protocol that neither encrypts nor proves who answers."""
    return url.lower().startswith(("http://", "git://"))


def is_local_cleartext(url: str) -> bool:
    """Whether *url* is such a one on loopback, written so that no parser reads another host."""
    return bool(_URL.fullmatch(url))
