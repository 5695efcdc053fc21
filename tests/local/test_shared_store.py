"""A store over HTTP that is down, slow, cut off or wants a login: builds are then compiled."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from buildkit_bisect.builds import exchange
from buildkit_bisect.model import Build, NoBuild
from buildkit_bisect.sharing import remote
from buildkit_bisect.sharing.store import SharedStore
from shared_builds import FakeRemote, asked, binary, built, empty_cache, key

pytestmark = pytest.mark.local

Handler = http.server.BaseHTTPRequestHandler


class Registry(http.server.ThreadingHTTPServer):
    """Serves what a `FakeRemote` has; *trouble* may answer instead and returns whether it did."""

    daemon_threads = True
    trouble: Callable[[Handler], bool] | None = None

    def __init__(self, has: FakeRemote) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.has = has
        self.asked: list[str] = []
        self.logins: list[str] = []

    def list_tags(self, handler: Handler) -> None:
        """Answer with a page of two tags, and where the next one is."""
        query = parse_qs(urlsplit(handler.path).query)
        tags = sorted(self.has.manifests)
        rest = [tag for tag in tags if tag > query.get("last", [""])[0]]
        body = json.dumps({"tags": rest[:2]}).encode()
        if rest[2:]:
            following = f"/v2/me/builds/tags/list?n=2&last={rest[1]}"
            answer(handler, 200, body, Link=f'<{following}>; rel="next"')
        else:
            answer(handler, 200, body)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}/me/builds"


class _Answers(Handler):
    def do_GET(self) -> None:  # noqa: N802 - the base class calls it
        server = cast("Registry", self.server)
        server.asked.append(self.path)
        server.logins.append(self.headers.get("Authorization", ""))
        if server.trouble and server.trouble(self):
            return
        if "/tags/list" in self.path:
            server.list_tags(self)
            return
        kind, _, name = self.path.removeprefix("/v2/me/builds/").partition("/")
        data = (server.has.manifests if kind == "manifests" else server.has.blobs).get(name)
        answer(self, 404 if data is None else 200, data or b"")

    def log_message(self, *_: Any) -> None:
        pass


def answer(handler: Handler, status: int, data: bytes, length: int = -1, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length if length >= 0 else len(data)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """A store with build 1, and an empty cache."""
    has = FakeRemote()
    empty_cache(monkeypatch, tmp_path / "first")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("buildkit_bisect.sharing.store.Remote", lambda _: has)
        built()
        assert exchange.push(SharedStore(place="x/y", seconds=30, pushes=True), asked())
    empty_cache(monkeypatch, tmp_path / "second")
    with Registry(has) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pull(
    place: str, said: list[str], seconds: float = 30, number: int = 1
) -> Build | NoBuild | None:
    store = SharedStore(place=place, seconds=seconds, say=said.append)
    made = exchange.pull(store, asked(number), "v1", said.append)
    if made is None:  # what is wrong is said once, and then the store is left alone
        count = len(said)
        assert exchange.pull(store, asked(number), "v1", said.append) is None
        assert len(said) == count
    return made


def test_a_store_that_is_well(registry: Registry) -> None:
    said: list[str] = []
    made = pull(registry.place, said)
    assert isinstance(made, Build)
    assert (Path(made.directory) / "buildctl").read_bytes() == binary(1)
    assert said == [f"v1: pulled from oci://{registry.place}"]
    assert pull(registry.place, said, number=2) is None
    assert len(said) == 1


def test_a_store_that_is_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said: list[str] = []
    began = time.monotonic()
    assert pull(f"127.0.0.1:{port}/me/builds", said) is None
    assert time.monotonic() - began < 10
    (text,) = said
    assert text == (
        f"warning: oci://127.0.0.1:{port}/me/builds cannot be used: Failed to establish a new"
        " connection: [Errno 111] Connection refused; builds are compiled here"
    )


def test_a_name_that_nothing_has() -> None:
    said: list[str] = []
    assert pull("store.invalid/me/builds", said) is None
    assert said[0].startswith("warning: oci://store.invalid/me/builds cannot be used: ")


def silent(_: Handler) -> bool:
    time.sleep(8)
    return True


def dripping(handler: Handler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(80):
        handler.wfile.write(b" ")
        time.sleep(0.1)
    return True


def dripping_headers(handler: Handler) -> bool:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(80):
        handler.wfile.write(b"x")
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("trouble", [silent, dripping, dripping_headers])
@pytest.mark.parametrize("what", ["manifests", "blobs"])
def test_a_store_that_is_slow(
    registry: Registry, trouble: Callable[[Handler], bool], what: str
) -> None:
    def slow(handler: Handler) -> bool:
        try:
            return what in handler.path and trouble(handler)
        except OSError:  # nobody reads it any more
            return True

    registry.trouble = slow
    said: list[str] = []
    began = time.monotonic()
    assert pull(registry.place, said, seconds=1) is None
    assert time.monotonic() - began < 4
    (text,) = said
    assert text == (
        f"warning: oci://{registry.place} cannot be used: no whole answer in 1 s;"
        " builds are compiled here"
    )


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b'{"message": "disk\x1b[2J full"}', 'HTTP 500: {"message": "disk [2J full"}'),
        (403, b"", "HTTP 403"),
        (200, b"x" * 300_000, "the store sends more than the 262144 bytes that it may"),
        (200, b"<html>", "the manifest is not JSON"),
    ],
)  # fmt: skip
def test_a_store_that_answers_something_else(
    registry: Registry, status: int, body: bytes, why: str
) -> None:
    def wrong(handler: Handler) -> bool:
        answer(handler, status, body)
        return True

    registry.trouble = wrong
    said: list[str] = []
    assert pull(registry.place, said) is None
    assert why in said[0]
    assert said[0].isprintable()


@pytest.mark.parametrize("what", ["manifests", "blobs"])
def test_an_answer_that_is_cut_off(registry: Registry, what: str) -> None:
    def cut(handler: Handler) -> bool:
        if what not in handler.path:
            return False
        name = handler.path.rpartition("/")[2]
        data = registry.has.manifests.get(name) or registry.has.blobs[name]
        answer(handler, 200, data[: len(data) // 2], length=len(data))
        return True

    registry.trouble = cut
    said: list[str] = []
    assert pull(registry.place, said) is None
    assert said[0].startswith("warning: ")


def test_other_bytes_than_the_digest_names(registry: Registry) -> None:
    blobs = registry.has.blobs
    name = max(blobs, key=lambda one: len(blobs[one]))
    blobs[name] = blobs[name][:-1]
    said: list[str] = []
    assert pull(registry.place, said) is None
    assert "the store sends other bytes than sha256:" in said[0]


def test_an_answer_that_is_packed_is_not_unpacked(registry: Registry) -> None:
    def packed(handler: Handler) -> bool:
        answer(handler, 200, gzip.compress(bytes(10**8)), Content_Encoding="gzip")
        return True

    registry.trouble = packed
    said: list[str] = []
    assert pull(registry.place, said) is None
    assert "the manifest is not JSON" in said[0]


@pytest.mark.parametrize("target", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "http://[::1/"])
def test_a_redirect_to_cleartext_elsewhere(registry: Registry, target: str) -> None:
    def moved(handler: Handler) -> bool:
        answer(handler, 302, b"", Location=target)
        return True

    registry.trouble = moved
    said: list[str] = []
    assert pull(registry.place, said, seconds=5) is None
    assert "cannot be used: " in said[0]
    assert "no whole answer" not in said[0]


def logged_in(tmp_path: Path, host: str) -> str:
    folder = tmp_path / "docker"
    folder.mkdir()
    pair = base64.b64encode(b"me:secret").decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
    return f"Basic {pair}"


def test_a_token_for_the_login_of_docker(registry: Registry, tmp_path: Path) -> None:
    host = registry.place.partition("/")[0]
    basic = logged_in(tmp_path, host)

    def wants_token(handler: Handler) -> bool:
        given = handler.headers.get("Authorization", "")
        if handler.path.startswith("/token"):
            assert "scope=repository%3Ame%2Fbuilds%3Apull" in handler.path
            answer(handler, 200, json.dumps({"token": "T" if given == basic else "no"}).encode())
        elif given != "Bearer T":
            wants = f'Bearer realm="http://{host}/token",service="s"'
            answer(handler, 401, b"", WWW_Authenticate=wants)
        else:
            return False
        return True

    registry.trouble = wants_token
    assert isinstance(pull(registry.place, []), Build)
    assert registry.logins.count("") == 1  # the token is kept


def test_a_login_without_a_token(registry: Registry, tmp_path: Path) -> None:
    basic = logged_in(tmp_path, registry.place.partition("/")[0])

    def wants_basic(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == basic:
            return False
        answer(handler, 401, b"", WWW_Authenticate='Basic realm="x"')
        return True

    registry.trouble = wants_basic
    assert isinstance(pull(registry.place, []), Build)


@pytest.mark.parametrize(
    "challenge",
    ['Basic realm="x"', "Bearer", 'Bearer realm="http://192.0.2.1/"', 'Bearer realm="x"', "x", "",
     "Bearer realm="],
)  # fmt: skip
def test_a_login_that_nobody_has(registry: Registry, challenge: str) -> None:
    def refuses(handler: Handler) -> bool:
        answer(handler, 401, b"", WWW_Authenticate=challenge)
        return True

    registry.trouble = refuses
    said: list[str] = []
    assert pull(registry.place, said, seconds=5) is None
    assert "cannot be used: " in said[0]
    assert "no whole answer" not in said[0]


def test_a_login_is_not_sent_to_another_host(registry: Registry, tmp_path: Path) -> None:
    logged_in(tmp_path, registry.place.partition("/")[0])
    with Registry(registry.has) as other:
        threading.Thread(target=other.serve_forever, args=(0.01,)).start()

        def elsewhere(handler: Handler) -> bool:
            if "Authorization" not in handler.headers:
                answer(handler, 401, b"", WWW_Authenticate='Basic realm="x"')
                return True
            if "blobs" not in handler.path:
                return False
            port = other.server_address[1]
            answer(handler, 307, b"", Location=f"http://127.0.0.1:{port}{handler.path}")
            return True

        registry.trouble = elsewhere
        assert isinstance(pull(registry.place, []), Build)
        other.shutdown()
    assert len(other.asked) == 4
    assert set(other.logins) == {""}


def test_the_users_proxy_is_not_asked_for_loopback(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(pull(registry.place, []), Build)
    assert key(1) in registry.asked[0]


def test_an_error_of_the_caller_is_not_lost() -> None:
    with pytest.raises(ZeroDivisionError):
        remote.within(5, lambda: 1 // 0)


def test_the_names_in_a_store(registry: Registry) -> None:
    for number in (2, 3, 4, 5):
        registry.has.manifests[key(number)] = b"{}"
    said: list[str] = []
    store = SharedStore(place=registry.place, seconds=5, say=said.append)
    assert store.tags() == store.tags() == set(registry.has.manifests)
    assert len(registry.asked) == len(registry.has.manifests) / 2
    assert not said


@pytest.mark.parametrize(
    ("status", "body", "names"),
    [
        (404, b"", set()),
        (200, b'{"tags": null}', set()),
        (200, b"{}", set()),
        (200, b'{"tags": [1, "a", {}]}', {"a"}),
        # one page, whatever was asked for
        (200, json.dumps({"tags": [key(n) for n in range(10_000)]}).encode(),
         {key(n) for n in range(10_000)}),
    ],
    ids=["none", "null", "empty", "others", "long"],
)  # fmt: skip
def test_a_list_of_names(registry: Registry, status: int, body: bytes, names: set[str]) -> None:
    def other(handler: Handler) -> bool:
        answer(handler, status, body)
        return True

    registry.trouble = other
    said: list[str] = []
    assert SharedStore(place=registry.place, seconds=5, say=said.append).tags() == names
    assert not said


LARGE = b'{"tags": []}' + b" " * 5_000_000
LATER = "Mon, 01 Jan 99999999999 00:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "body", "more", "why"),
    [
        (200, b"[]", {}, "the list of tags is not a JSON object"),
        (200, b'{"tags": 5}', {}, "the list of tags is not a list"),
        (200, b'{"tags": "a"}', {}, "the list of tags is not a list"),
        (200, b'{"tags": ' + b"[" * 100_000, {}, "the list of tags is not JSON: nested too deep"),
        (200, b"1" * 5000, {}, "the list of tags is not JSON"),
        (200, b" " * 9_000_000, {}, "more than the 8388608 bytes that it may"),
        (200, LARGE, {"Link": '</v2/x>; rel="next"'}, "has more than 8388608 bytes"),
        (200, b"{}", {"Link": '<http://[/x>; rel="next"'}, "Invalid IPv6 URL"),
        (200, b"{}", {"Link": '<http://192.0.2.1/x>; rel="next"'}, "cleartext"),
        (405, b"", {}, "HTTP 405"),
        (503, b"", {}, "HTTP 503"),
        (503, b"", {"Retry-After": LATER}, "cannot list the builds"),  # in Python's own words
    ],
    ids=lambda value: str(value)[:20],
)
def test_without_a_list_of_names_builds_are_pulled(
    registry: Registry, status: int, body: bytes, more: dict[str, Any], why: str
) -> None:
    def other(handler: Handler) -> bool:
        if "manifests" in handler.path or "blobs" in handler.path:
            return False
        answer(handler, status, body, **more)
        return True

    registry.trouble = other
    said: list[str] = []
    store = SharedStore(place=registry.place, seconds=20, say=said.append)
    assert store.tags() == store.tags() == set()
    (text,) = said
    assert text.startswith(f"warning: cannot list the builds of oci://{registry.place}: ")
    assert text.endswith("; plans do not count on them")
    assert why in text
    assert text.isprintable()
    assert isinstance(exchange.pull(store, asked(), "v1", said.append), Build)


def test_a_list_of_names_that_is_slow(registry: Registry) -> None:
    def slow(handler: Handler) -> bool:
        try:
            return "/tags/list" in handler.path and dripping(handler)
        except OSError:  # nobody reads it any more
            return True

    registry.trouble = slow
    said: list[str] = []
    store = SharedStore(place=registry.place, seconds=1, say=said.append)
    began = time.monotonic()
    assert store.tags() == set()
    assert time.monotonic() - began < 4
    assert "no whole answer in 1 s; plans do not count on them" in said[0]
    assert isinstance(exchange.pull(store, asked(), "v1", said.append), Build)


def test_a_list_of_names_without_an_end(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(handler: Handler) -> bool:
        link = f'<{handler.path}>; rel="next"'
        answer(handler, 200, b'{"tags": ["a"]}', Link=link)
        return True

    monkeypatch.setattr(remote, "_PAGES", 5)
    registry.trouble = endless
    assert SharedStore(place=registry.place, seconds=5).tags() == {"a"}
    assert len(registry.asked) == 5
