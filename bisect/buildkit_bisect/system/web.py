"""HTTP requests of this process itself: plain HTTP only on loopback, also after a redirect."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.system import addresses
from buildkit_bisect.system.announce import by_default

#: Statuses of transient errors.
_PASSING = (408, 425, 429, *range(500, 600))

#: Largest accepted page or file, in bytes; a Go toolchain is 80 MB.
LARGEST = 1 << 30

_CHUNK = 1 << 18
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


class NotServed(InfraFailed):
    """A server gave no valid answer; with *passing*, a retry may help."""

    passing = False


class NotServedNow(NotServed):
    """A transient `NotServed`."""

    passing = True


class _Redirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
    ) -> IO[bytes] | None:
        """See the base class. Closes the response if the redirect is invalid or refused."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]
        except (ValueError, NotServed):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(  # noqa: PLR0917 - the base class passes them by position
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See the base class. Raises `NotServed` for a URL that `check` refuses."""
        check(newurl, what=f"{shown(req.full_url)} redirects to")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def check(url: str, *, what: str) -> None:
    """Raise `NotServed` unless *url* is valid and either https or plain HTTP on loopback."""
    try:
        urlsplit(url)
    except ValueError as error:
        raise NotServed(
            f"{what} {shown(url)}: invalid URL: {error}", hint="https://HOST/PATH"
        ) from None
    if url.lower().startswith("https://") or addresses.is_local_cleartext(url):
        return
    raise NotServed(
        f"{what} {shown(url)}: cleartext protocols are allowed only on loopback",
        hint="the same URL with https://",
    )


def shown(url: str) -> str:
    """Return *url* without user and password, for messages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/?#]*@", "//", url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def open_url(
    url: str, *, timeout: float, headers: Mapping[str, str] | None = None, cafile: str = ""
) -> HTTPResponse:
    """Return the response to a GET of *url*; its user and password are sent. The caller closes it.

    Uses the user's proxies except on loopback. Raises `NotServed`; reading the response raises
    `OSError` after *timeout* seconds without data.
    """
    check(url, what="asked for")
    parts = urlsplit(url)
    request = urllib.request.Request(shown(url), headers=dict(headers or {}))  # noqa: S310
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    handlers: list[urllib.request.BaseHandler] = [_Redirects()]
    if cafile:
        context = ssl.create_default_context(cafile=cafile)
        handlers.append(urllib.request.HTTPSHandler(context=context))
    if addresses.is_cleartext(url):  # so on loopback, and a proxy would use its own loopback
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with by_default(f"asking {shown(url)}"):
            answer: HTTPResponse = urllib.request.build_opener(*handlers).open(
                request, timeout=timeout
            )
    except HTTPError as error:
        kind = NotServedNow if error.code in _PASSING else NotServed
        error.close()
        failed = kind(f"{shown(url)}: HTTP {error.code} {error.reason}")
    except ValueError as error:  # a host or path that cannot be sent, also in a redirect
        failed = NotServed(
            f"{shown(url)}: invalid URL: {error}", hint="another PIP_INDEX_URL or GOPROXY"
        )
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        kind = NotServed if _is_final(reason) else NotServedNow
        failed = kind(f"{shown(url)}: {reason}")
    else:
        return answer
    raise failed  # outside of except: the first error's frames would keep a socket open


def _is_final(reason: object) -> bool:
    # An unknown host or an invalid certificate: a retry does not help.
    return isinstance(reason, ssl.SSLCertVerificationError) or "Name or service" in str(reason)


def read(url: str, *, most: int, within: float) -> bytes:
    """Return what *url* serves: at most *most* bytes, in at most *within* seconds.

    Raises `NotServed`.
    """
    try:
        with open_url(url, timeout=min(60.0, within)) as answer:
            return b"".join(_chunks(answer, url, most=most, within=within))
    except (ConnectionError, TimeoutError, ssl.SSLError, HTTPException) as error:
        raise NotServedNow(f"{shown(url)}: {error}", hint=_AGAIN) from None


_AGAIN = "the same command again"


def _chunks(answer: HTTPResponse, url: str, *, most: int, within: float) -> Iterator[bytes]:
    """Yield the parts of *answer*. Raises `NotServed` if it is too long, too slow or cut off."""
    end = time.monotonic() + within
    header = answer.headers.get("Content-Length", "")
    length = int(header) if _LENGTH.fullmatch(header) else 0
    size = 0
    while chunk := answer.read1(_CHUNK):
        size += len(chunk)
        if size > most:
            raise NotServed(f"{shown(url)} is larger than {most} bytes", hint="another address")
        if time.monotonic() > end:
            raise NotServedNow(
                f"{shown(url)}: download timed out after {within:.0f} s", hint=_AGAIN
            )
        yield chunk
    if size < length:
        raise NotServedNow(f"{shown(url)} ended after {size} of {length} bytes", hint=_AGAIN)


def download(url: str, path: Path, *, sha256: str, within: float, cafile: str = "") -> None:
    """Download *url* to *path* in *within* seconds and check its digest *sha256* (hex).

    Raises `NotServed`, also if the digest differs; *path* is then removed.
    """
    digest = hashlib.sha256()
    try:
        with (
            open_url(url, timeout=min(60.0, within), cafile=cafile) as answer,
            path.open("wb") as file,
        ):
            for chunk in _chunks(answer, url, most=LARGEST, within=within):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise NotServed(
                f"{shown(url)}: digest mismatch: sha256 {digest.hexdigest()},"
                f" but the index gives {sha256}",
                hint="another PIP_INDEX_URL",
            )
    except (ConnectionError, TimeoutError, ssl.SSLError, HTTPException) as error:
        raise NotServedNow(
            f"{shown(url)}: {error}", hint="./inv doctor, then ./inv resume"
        ) from None
    finally:
        if path.exists() and digest.hexdigest() != sha256:
            path.unlink()
