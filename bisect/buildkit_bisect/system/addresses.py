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

#: ``dask://HOST:PORT``: plain TCP on loopback; other machines are reached by TLS, or by plain TCP
#: that is asked for.
_SCHEDULER = re.compile(
    r"dask(?P<how>\+tls|\+tcp)?://(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-f:]+\]):(?P<port>\d{1,5})",
    re.ASCII,
)
_LOOPBACK_HOST = re.compile(rf"{_LOOPBACK}|127(?:\.\d{{1,3}}){{3}}")

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


def scheduler(text: str) -> str:
    """Return ``tcp://HOST:PORT`` or ``tls://HOST:PORT`` of a Dask scheduler; "" if invalid."""
    found = _SCHEDULER.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or not 0 < int(found["port"]) <= _PORTS:
        return ""
    protocol = "tls" if found["how"] == "+tls" else "tcp"
    return f"{protocol}://{found['host']}:{found['port']}"


def is_exposed(text: str) -> bool:
    """Whether *text*, a scheduler's address, is plain TCP to another machine, not asked for."""
    found = _SCHEDULER.fullmatch(text)
    return found is not None and not found["how"] and not is_loopback(found["host"])


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine by a loopback name or address."""
    return bool(_LOOPBACK_HOST.fullmatch(host))
