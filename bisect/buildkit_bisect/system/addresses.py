"""Checks of addresses in options and files: image names, cleartext URLs, links. Pure."""

from __future__ import annotations

import re

_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_REGISTRY = re.compile(rf"{_LOOPBACK}(?::(\d{{1,5}}))?")
_URL = re.compile(rf"(?:http|git)://{_LOOPBACK}(?::\d{{1,5}})?(?:/.*)?")
_PORTS = 65535

#: ``HOST:PORT/PATH:TAG@DIGEST``, as the distribution specification defines it.
_IMAGE = re.compile(
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*/?"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_LONGEST = 255

#: ``oci://HOST:PORT/REPOSITORY``; as in names of images, a host has a dot or a port, or is
#: localhost.
_STORE = re.compile(
    r"oci://(?P<host>localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d{1,5})?|[a-z0-9-]+:\d{1,5})"
    r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+",
    re.ASCII,
)

#: A link that is safe in any document: no character ends a link in Markdown or HTML.
LINK = r"https://[!#$%&*+,./0-9:;=?@A-Z_a-z~-]{1,500}"


def is_image(text: str) -> bool:
    """Whether *text* is a valid name of an image or a registry."""
    return len(text) <= _LONGEST and bool(_IMAGE.fullmatch(text))


def is_store(text: str) -> bool:
    """Whether *text* is ``oci://REGISTRY/REPOSITORY``, without a tag, a user or a password."""
    found = _STORE.fullmatch(text) if len(text) <= _LONGEST else None
    port = found["host"].partition(":")[2] if found else ""
    return found is not None and 0 < int(port or 80) <= _PORTS


def is_link(text: str) -> bool:
    """Whether *text* is an ``https://`` URL without blanks, quotes and brackets."""
    return bool(re.fullmatch(LINK, text))


def is_local_registry(address: str) -> bool:
    """Whether *address* is exactly ``HOST`` or ``HOST:PORT`` on loopback."""
    found = _REGISTRY.fullmatch(address)
    return found is not None and 0 < int(found[1] or 80) <= _PORTS


def is_cleartext(url: str) -> bool:
    """Whether *url* uses a protocol without encryption and authentication."""
    return url.lower().startswith(("http://", "git://"))


def is_local_cleartext(url: str) -> bool:
    """Whether *url* is a cleartext URL on loopback in which every parser sees the same host."""
    return bool(_URL.fullmatch(url))
