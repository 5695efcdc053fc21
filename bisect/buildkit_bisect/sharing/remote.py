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
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import docker.auth
import requests
from docker.errors import DockerException
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from buildkit_bisect.errors import BisectError, printable_line
from buildkit_bisect.sharing.entry import LARGEST_TEXT, document
from buildkit_bisect.sharing.manifest import MANIFEST_TYPE, Blob
from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.system import addresses, web

T = TypeVar("T")

#: Seconds without a byte.
_SILENCE = 20.0

_CHUNK = 1 << 18

#: Tags to ask for in a page, which some registries ignore; and how many pages are read.
_TAGS, _PAGES = 1000, 200

#: Bytes of all these pages: over 50,000 builds, each with two names.
_LARGEST_LIST = 1 << 23

_REDIRECTS = 10

#: Bytes of an answer that is read for what it says of an error, or to use its connection again.
_SAID = 2000

_OK, _CREATED, _ACCEPTED, _UNAUTHORIZED, _NOT_FOUND = 200, 201, 202, 401, 404
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")  # requests prints a header that it cannot send

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


class _Session(requests.Session):
    """Follows no redirect by itself: it would read all of its body, and ask .netrc for a login."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """See the base class."""
        del resp
        return None


class _Adapter(HTTPAdapter):
    """Sends over https, from a *local* store also to loopback; and never without a timeout."""

    def __init__(self, *, local: bool, tries: Retry) -> None:
        super().__init__(max_retries=tries)
        self._local = local

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """See the base class."""
        url = request.url or ""
        if not self._local and addresses.is_cleartext(url):  # also to what listens on loopback here
            raise requests.exceptions.InvalidURL(f"it leads to plain HTTP: {web.shown(url)}")
        web.check(url, what="the store asks for")
        return super().send(request, **{**options, "timeout": _SILENCE})


class Remote:
    """One repository of a registry; every method raises `Unavailable`, and `Refused` for nonsense.

    *place* is ``HOST[:PORT]/REPOSITORY``: plain HTTP if the host is loopback, else https.
    """

    def __init__(self, place: str) -> None:
        self._host, _, self._name = place.partition("/")
        local = addresses.is_local_registry(self._host)
        self._root = f"{'http' if local else 'https'}://{self._host}/v2/{self._name}"
        self._token = ""
        self._session = _Session()
        self._session.trust_env = not local  # proxies are for other hosts
        # Only the login of docker is used: .netrc would replace it, and a token too.
        self._session.auth = lambda request: request
        # Bytes are digests' bytes, and unpacking what a server packed would be a bomb of its own.
        self._session.headers["Accept-Encoding"] = "identity"
        tries = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))
        tries.raise_on_status = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(local=local, tries=tries))

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
        read = 0
        for _ in range(_PAGES):
            with self._asked("GET", url) as answer:
                if answer.status_code == _NOT_FOUND:
                    return
                self._expect(answer, _OK)
                page = b"".join(_chunks(answer, _LARGEST_LIST))
                following = answer.links.get("next", {}).get("url")
                url = urljoin(url, following) if following else ""
            read += len(page)
            if read > _LARGEST_LIST:
                raise Refused(f"the list of its tags has more than {_LARGEST_LIST} bytes")
            yield from _names(page)
            if not url:
                return

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
            answer = self._registry(method, url, headers or {}, data)
            # Only the registry itself may ask for the login, not a host that it redirects to.
            if answer.status_code == _UNAUTHORIZED and _is_of(answer.url, self._host):
                with answer:
                    self._log_in(answer, method)
                answer = self._registry(method, url, headers or {}, data)
            with answer:
                yield answer
        except (requests.RequestException, HTTPError, OSError, DockerException) as error:
            raise Unavailable(_root_cause(error)) from None
        # An address that may not be asked or is none, or a header that is not as it has to be.
        except (BisectError, ValueError, LookupError, ArithmeticError) as error:
            raise Unavailable(printable_line(error)[:300]) from None

    def _registry(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes
    ) -> requests.Response:
        return self._send(
            method, url, headers=headers, data=data, login=self._token, host=self._host
        )

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes = b"",
        login: str,
        host: str,
    ) -> requests.Response:
        """Return the answer after all redirects; *login* goes only to *host*."""
        for _ in range(_REDIRECTS):
            own = {"Authorization": login} if login and _is_of(url, host) else {}
            answer = self._session.request(
                method, url, headers={**headers, **own}, data=data or None, stream=True
            )
            if not answer.is_redirect:
                return answer
            with answer:
                b"".join(_chunks(answer, _SAID, cut=True))
                url = urljoin(answer.url, answer.headers["Location"])
        raise Unavailable(f"it redirects more than {_REDIRECTS} times")

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
        """Return a token of the host that the registry names, which gets the login."""
        actions = "pull" if method in ("GET", "HEAD") else "pull,push"
        scope = asked.get("scope") or f"repository:{self._name}:{actions}"
        realm = asked["realm"]
        query = urlencode({"service": asked.get("service", ""), "scope": scope})
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{query}"
        host = urlsplit(realm).netloc
        with self._send("GET", url, headers={}, login=basic, host=host) as given:
            self._expect(given, _OK)
            found = document(b"".join(_chunks(given, LARGEST_TEXT)), "the token")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise Unavailable("it gives no valid token")
        return f"Bearer {token}"

    @staticmethod
    def _expect(answer: requests.Response, status: int) -> None:
        """Raise `Unavailable` with the registry's own words unless it answered *status*."""
        if answer.status_code != status:
            said = b"".join(_chunks(answer, _SAID, cut=True)).decode(errors="replace")
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


def _names(page: bytes) -> list[str]:
    """Return the tags of a page. Raises `Refused` if it is something else."""
    found = document(page, "the list of tags").get("tags") or []
    if not isinstance(found, list):
        raise Refused("the list of tags is not a list")
    return [tag for tag in found if isinstance(tag, str)]


def _is_of(url: str, host: str) -> bool:
    return urlsplit(url).netloc == host


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
