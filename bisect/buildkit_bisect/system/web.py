"""The HTTP requests that this process makes itself: plain only on loopback, redirects too."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import time
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.system import addresses

#: Statuses that may be another in a moment.
_PASSING = (408, 425, 429, 500, 502, 503, 504)

#: Bytes of a page or a file that are taken; a Go toolchain is 80 MB.
LARGEST = 1 << 30

_CHUNK = 1 << 18
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


class NotServed(InfraFailed):
    """A server gave no or another answer; *passing*, it may give one in a moment."""

    passing = False


class NotServedNow(NotServed):
    """The same, and asking again may help."""

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
        """See the base class. Leaves no answer open where it leads nowhere, or may not."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]
        except (ValueError, NotServed):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(  # noqa: PLR0917 - the base class calls it so
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See the base class. Refuses what may not be asked."""
        check(newurl, what=f"{shown(req.full_url)} redirects to")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def check(url: str, *, what: str) -> None:
    """Raise `NotServed` unless *url* is https, or plain HTTP on loopback, and can be read."""
    try:
        urlsplit(url)
    except ValueError as error:
        raise NotServed(
            f"{what} {shown(url)}: no address: {error}", hint="another, as https://HOST/PATH"
        ) from None
    if url.lower().startswith("https://") or addresses.is_local_cleartext(url):
        return
    raise NotServed(
        f"{what} {shown(url)}: neither encrypted nor proven; only on loopback",
        hint="the same with https://",
    )


def shown(url: str) -> str:
    """*url* without a password, as messages name it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/?#]*@", "//", url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def open_url(
    url: str, *, timeout: float, headers: Mapping[str, str] | None = None, cafile: str = ""
) -> HTTPResponse:
    """The answer to a GET of *url*, whose user and password are sent as such; to be closed.

    Through the user's proxies but for loopback. Raises `NotServed`; reading the answer raises
    `OSError` after *timeout* seconds of silence.
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
    if addresses.is_cleartext(url):  # so on loopback: a proxy would look on its own
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        answer: HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=timeout)
    except HTTPError as error:
        kind = NotServedNow if error.code in _PASSING else NotServed
        error.close()
        failed = kind(f"{shown(url)}: HTTP {error.code} {error.reason}")
    except ValueError as error:  # a name or path that cannot be sent; also where it redirects to
        failed = NotServed(
            f"{shown(url)}: no address: {error}", hint="another PIP_INDEX_URL or GOPROXY"
        )
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        kind = NotServed if _is_final(reason) else NotServedNow
        failed = kind(f"{shown(url)}: {reason}")
    else:
        return answer
    raise failed  # here, so that it does not keep the first error, whose frames keep a socket


def _is_final(reason: object) -> bool:
    # No such host, a certificate that proves nothing: nothing that time mends.
    return isinstance(reason, ssl.SSLCertVerificationError) or "Name or service" in str(reason)


def download(url: str, path: Path, *, sha256: str, within: float, cafile: str = "") -> None:
    """Write *url* to *path*, where it has the digest *sha256* (hex), in *within* seconds.

    Raises `NotServed`, also for another digest; nothing is left at *path* then.
    """
    end = time.monotonic() + within
    digest = hashlib.sha256()
    size = 0
    try:
        with open_url(url, timeout=min(60.0, within), cafile=cafile) as answer:
            said = answer.headers.get("Content-Length", "")
            length = int(said) if _LENGTH.fullmatch(said) else 0  # the digest decides anyway
            with path.open("wb") as file:
                while chunk := answer.read(_CHUNK):
                    size += len(chunk)
                    if size > LARGEST:
                        raise NotServed(
                            f"{shown(url)} is larger than {LARGEST} bytes",
                            hint="another PIP_INDEX_URL",
                        )
                    if time.monotonic() > end:
                        raise NotServedNow(
                            f"{shown(url)}: not done after {within:.0f} s",
                            hint="--deadline toolchain=SECONDS",
                        )
                    digest.update(chunk)
                    file.write(chunk)
        if length and size < length:
            raise NotServedNow(
                f"{shown(url)} ended after {size} of {length} bytes", hint="the same again"
            )
        if digest.hexdigest() != sha256:
            raise NotServed(
                f"{shown(url)} has not the digest that its index gives: sha256"
                f" {digest.hexdigest()}, not {sha256}",
                hint="another PIP_INDEX_URL",
            )
    except (ConnectionError, TimeoutError, ssl.SSLError, HTTPException) as error:
        raise NotServedNow(
            f"{shown(url)}: {error}", hint="./inv doctor, then ./inv resume"
        ) from None
    finally:
        if path.exists() and digest.hexdigest() != sha256:
            path.unlink()
