"""The distribution API of a registry, as far as a store needs it.

With requests, and the Docker SDK for the user's logins, both of which this project has anyway.
oras-py has no timeouts, 40 seconds of retries, and reads manifests of any size.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import docker.auth
import requests
from docker.errors import DockerException
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from buildkit_bisect.errors import BisectError
from buildkit_bisect.sharing.entry import LARGEST_TEXT, document
from buildkit_bisect.sharing.manifest import MANIFEST_TYPE, Blob
from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.system import addresses, web

T = TypeVar("T")

#: Seconds without a byte.
_SILENCE = 20.0

_CHUNK = 1 << 18

#: Tags of a page, and pages of which all are read: 100,000 builds.
_TAGS, _PAGES = 1000, 200

_OK, _CREATED, _ACCEPTED, _UNAUTHORIZED, _NOT_FOUND = 200, 201, 202, 401, 404
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]+")

_OBJECT = re.compile(r"^\w+\([^)]*\): ")  # HTTPConnection(host=...): ...


class Unavailable(Exception):
    """A store does not answer, or not as a registry does; the text says how."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what *call* returns. Raises `Unavailable` if it takes longer than *seconds*.

    It runs in a thread that is left behind then: no timeout of a socket ends the look-up of a
    name, or an answer of which a byte comes every few seconds.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise Unavailable(f"no whole answer in {seconds:g} s")
    return done[0]


class _Adapter(HTTPAdapter):
    """Sends only over https, or to loopback, also after a redirect; and never without a timeout."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """See the base class."""
        web.check(request.url or "", what="the store asks for")
        return super().send(request, **{**options, "timeout": _SILENCE})


class Remote:
    """One repository of a registry; every method raises `Unavailable`.

    *place* is ``HOST[:PORT]/REPOSITORY``: plain HTTP if the host is loopback, else https.
    """

    def __init__(self, place: str) -> None:
        self._host, _, self._name = place.partition("/")
        local = addresses.is_local_registry(self._host)
        self._root = f"{'http' if local else 'https'}://{self._host}/v2/{self._name}"
        self._token = ""
        self._session = requests.Session()
        # On loopback neither a proxy nor .netrc: they are for other hosts.
        self._session.trust_env = not local
        # Bytes are digests' bytes, and unpacking what a server packed would be a bomb of its own.
        self._session.headers["Accept-Encoding"] = "identity"
        tries = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))
        tries.raise_on_status = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(max_retries=tries))

    def manifest(self, tag: str) -> bytes | None:
        """Return the manifest that *tag* names; None if there is none."""
        headers = {"Accept": MANIFEST_TYPE}
        with self._asked("GET", f"{self._root}/manifests/{tag}", headers=headers) as answer:
            if answer.status_code == _NOT_FOUND:
                return None
            self._expect(answer, _OK)
            return b"".join(_chunks(answer, LARGEST_TEXT))

    def has_manifest(self, tag: str) -> bool:
        """Return whether there is something that *tag* names."""
        headers = {"Accept": MANIFEST_TYPE}
        with self._asked("HEAD", f"{self._root}/manifests/{tag}", headers=headers) as answer:
            return answer.status_code == _OK

    def tags(self) -> Iterator[str]:
        """Yield the tags of the repository; none if there is no such repository yet."""
        url = f"{self._root}/tags/list?n={_TAGS}"
        for _ in range(_PAGES):
            with self._asked("GET", url) as answer:
                if answer.status_code == _NOT_FOUND:
                    return
                self._expect(answer, _OK)
                listed = document(b"".join(_chunks(answer, LARGEST_TEXT)), "the list of tags")
                following = answer.links.get("next", {}).get("url")
            yield from (tag for tag in listed.get("tags") or () if isinstance(tag, str))
            if not following:
                return
            url = urljoin(url, following)

    def blob(self, blob: Blob) -> Iterator[bytes]:
        """Yield a blob. Raises `Refused` if there is none, or at its end if it is another one."""
        with self._asked("GET", f"{self._root}/blobs/{blob.digest}") as answer:
            if answer.status_code == _NOT_FOUND:
                raise Refused("a part of it is missing")
            self._expect(answer, _OK)
            digest = hashlib.sha256()
            for chunk in _chunks(answer, blob.size):
                digest.update(chunk)
                yield chunk
        if f"sha256:{digest.hexdigest()}" != blob.digest:
            raise Refused(f"the store sends other bytes than {blob.digest}, or not all of them")

    def put_blob(self, blob: Blob, data: bytes) -> None:
        """Store *data*, which *blob* describes, unless it is there."""
        with self._asked("HEAD", f"{self._root}/blobs/{blob.digest}") as answer:
            if answer.status_code == _OK:
                return
        with self._asked("POST", f"{self._root}/blobs/uploads/") as answer:
            self._expect(answer, _ACCEPTED)
            place = urljoin(f"{self._root}/", answer.headers.get("Location", ""))
        url = f"{place}{'&' if urlsplit(place).query else '?'}digest={blob.digest}"
        headers = {"Content-Type": "application/octet-stream"}
        with self._asked("PUT", url, headers=headers, data=data) as answer:
            self._expect(answer, _CREATED)

    def put_manifest(self, tag: str, data: bytes) -> None:
        """Store a manifest under *tag*."""
        headers = {"Content-Type": MANIFEST_TYPE}
        url = f"{self._root}/manifests/{tag}"
        with self._asked("PUT", url, headers=headers, data=data) as answer:
            self._expect(answer, _CREATED)

    @contextlib.contextmanager
    def _asked(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, data: bytes = b""
    ) -> Iterator[requests.Response]:
        try:
            answer = self._send(method, url, headers or {}, data)
            if answer.status_code == _UNAUTHORIZED:
                with answer:
                    self._log_in(answer, method)
                answer = self._send(method, url, headers or {}, data)
            with answer:
                yield answer
        except (requests.RequestException, HTTPError, OSError, DockerException) as error:
            raise Unavailable(_root_cause(error)) from None
        except (BisectError, ValueError) as error:  # an address that may not be asked, or is none
            raise Unavailable(str(error)[:300]) from None

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes
    ) -> requests.Response:
        # A token is only for the registry: an upload may go to another host.
        ours = self._token and urlsplit(url).netloc == self._host
        own = {"Authorization": self._token} if ours else {}
        return self._session.request(
            method, url, headers={**headers, **own}, data=data or None, stream=True
        )

    def _log_in(self, answer: requests.Response, method: str) -> None:
        """Get a token as *answer* asks for. Raises `Unavailable` if that gives no other one."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        before, basic = self._token, _login(self._host)
        if scheme.lower() == "basic":
            self._token = basic
        elif scheme.lower() == "bearer":
            self._token = self._bearer(parse_keqv_list(parse_http_list(rest)), basic, method)
        if self._token in ("", before):
            raise Unavailable(f"it wants a login: docker login {self._host}")

    def _bearer(self, asked: Mapping[str, str], basic: str, method: str) -> str:
        actions = "pull" if method in ("GET", "HEAD") else "pull,push"
        scope = asked.get("scope") or f"repository:{self._name}:{actions}"
        with self._session.get(
            asked.get("realm", ""),
            params={"service": asked.get("service", ""), "scope": scope},
            headers={"Authorization": basic} if basic else {},
            stream=True,
        ) as given:
            self._expect(given, _OK)
            found = document(b"".join(_chunks(given, LARGEST_TEXT)), "the token")
        token = found.get("token") or found.get("access_token")
        return f"Bearer {token}" if token else ""

    @staticmethod
    def _expect(answer: requests.Response, status: int) -> None:
        """Raise `Unavailable` with the registry's own words unless it answered *status*."""
        if answer.status_code != status:
            said = b"".join(_chunks(answer, 2000, cut=True)).decode(errors="replace")
            words = " ".join(_NOT_PLAIN.sub(" ", said).split())[:200]
            raise Unavailable(f"HTTP {answer.status_code}{f': {words}' if words else ''}")


def _chunks(answer: requests.Response, most: int, *, cut: bool = False) -> Iterator[bytes]:
    """Yield the body, as it was sent. Raises `Refused` past *most* bytes, or ends there: *cut*."""
    left = most
    while chunk := answer.raw.read1(_CHUNK, decode_content=False):
        if len(chunk) > left:
            if not cut:
                raise Refused(f"the store sends more than the {most} bytes that it may")
            chunk = chunk[:left]
        yield chunk
        left -= len(chunk)
        if cut and not left:
            return


def _login(host: str) -> str:
    """Return the header for *host* of the user's `docker login`; "" without one."""
    found = docker.auth.load_config().resolve_authconfig(host) or {}
    user, password = found.get("username") or found.get("Username"), found.get("password")
    if not user:
        return ""
    pair = f"{user}:{password or found.get('Secret') or ''}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason of *error*: requests wraps it in several layers of objects."""
    while True:
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = _OBJECT.sub("", getattr(error, "strerror", None) or str(error))
    return " ".join(_NOT_PLAIN.sub(" ", text).split())[:200] or type(error).__name__
