"""A registry behind https that may lie: what is asked of whom, and who gets a login or a token."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from buildkit_bisect.sharing.manifest import Blob
from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.sharing.remote import Remote, Unavailable

STORE = "store.example"
PLACE = f"{STORE}/me/builds"
ROOT = f"https://{PLACE.replace('/', '/v2/', 1)}"
LOGIN = f"Basic {base64.b64encode(b'me:secret').decode()}"
BLOB = Blob(digest=f"sha256:{'0' * 64}", size=3)


class Body(io.BytesIO):
    """Knows how many bytes were read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """See the base class."""
        data = super().read(size)
        self.taken += len(data)
        return data

    def read1(self, size: int | None = -1, /) -> bytes:
        """See the base class."""
        data = super().read1(size)
        self.taken += len(data)
        return data


@dataclass
class Wire:
    """Answers what would go to the network: *answers* by the beginning of ``METHOD URL``."""

    answers: dict[str, Callable[[str], tuple[int, dict[str, str], bytes]]] = field(
        default_factory=dict
    )
    sent: list[tuple[str, str]] = field(default_factory=list)  # method and URL; Authorization
    proxies: list[Any] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)

    def say(self, asked: str, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer so whatever begins with *asked*."""
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[asked] = lambda _: (status, found, body)

    def wants_token(self, asked: str, realm: str, body: bytes = b"{}") -> None:
        """Answer *asked* only with the token T, which *realm* gives."""
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}

        def look(login: str) -> tuple[int, dict[str, str], bytes]:
            return (200, {}, body) if login == "Bearer T" else (401, challenge, b"")

        self.answers[asked] = look

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Stand for `HTTPAdapter.send`."""
        asked, login = f"{request.method} {request.url}", request.headers.get("Authorization", "")
        self.sent.append((asked, login))
        self.proxies.append(options.get("proxies"))
        near = max((one for one in self.answers if asked.startswith(one)), key=len, default="")
        status, headers, body = self.answers[near](login) if near else (404, {}, b"")
        self.bodies.append(Body(body))
        raw = urllib3.HTTPResponse(
            body=self.bodies[-1], headers=headers, status=status, preload_content=False
        )
        return HTTPAdapter().build_response(request, raw)

    def got(self, login: str) -> list[str]:
        """Return what was asked with that Authorization."""
        return [asked.partition("?")[0] for asked, given in self.sent if given == login]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wire]:
    """No network, and a login for the store."""
    made = Wire()
    auths = {STORE: {"auth": LOGIN.removeprefix("Basic ")}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(HTTPAdapter, "send", made.send)
    yield made
    assert all(asked.partition(" ")[2].startswith("https://") for asked, _ in made.sent)


def redirected(wire: Wire, target: str) -> None:
    wire.say("GET", 307, Location=target)
    Remote(PLACE).manifest("a")


def linked(wire: Wire, target: str) -> None:
    wire.say("GET", 200, b'{"tags": ["a"]}', Link=f'<{target}>; rel="next"')
    list(Remote(PLACE).tags())


def uploaded(wire: Wire, target: str) -> None:
    wire.say("POST", 202, Location=target)
    Remote(PLACE).put_blob(BLOB, b"abc")


def moved(wire: Wire, target: str) -> None:
    wire.say("POST", 307, Location=target)
    Remote(PLACE).put_blob(BLOB, b"abc")


def logged_in(wire: Wire, target: str) -> None:
    wire.wants_token("GET", target)
    Remote(PLACE).manifest("a")


WAYS = [redirected, linked, uploaded, moved, logged_in]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["http://127.0.0.1:8080/x", "HTTP://localhost/x", "http://a/x"])
def test_a_store_elsewhere_leads_to_no_service_of_this_machine(
    wire: Wire, way: Callable[[Wire, str], None], target: str
) -> None:
    with pytest.raises(Unavailable, match="it leads to plain HTTP: http://"):
        way(wire, target)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["http://[/x", "https://[/x", "https://a:b/", "//[", "ftp://a/"])
def test_an_address_that_is_none(wire: Wire, way: Callable[[Wire, str], None], target: str) -> None:
    with pytest.raises(Unavailable) as error:
        way(wire, target)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "challenge",
    ["Bearer realm=", "Bearer =", "Bearer realm", "Bearer x=y", "Bearer ,", 'Bearer realm="'],
)
def test_a_challenge_that_is_none(wire: Wire, challenge: str) -> None:
    wire.say("GET", 401, WWW_Authenticate=challenge)
    with pytest.raises(Unavailable):
        Remote(PLACE).manifest("a")
    assert not wire.got(LOGIN)


def test_the_login_goes_to_the_realm_of_the_registry(wire: Wire) -> None:
    wire.wants_token(f"GET {ROOT}", "https://auth.example/token?x=y")
    wire.say("GET https://auth.example/token", 200, b'{"token": "T"}')
    assert Remote(PLACE).manifest("a") == b"{}"
    assert wire.got(LOGIN) == ["GET https://auth.example/token"]
    assert wire.sent[1][0].endswith("?x=y&service=s&scope=repository%3Ame%2Fbuilds%3Apull")
    assert wire.got("Bearer T") == [f"GET {ROOT}/manifests/a"]


def test_the_login_goes_to_no_host_that_the_realm_redirects_to(wire: Wire) -> None:
    wire.wants_token(f"GET {ROOT}", "https://auth.example/token")
    wire.say("GET https://auth.example/", 302, Location="https://other.example/token")
    wire.say("GET https://other.example/", 200, b'{"access_token": "T"}')
    assert Remote(PLACE).manifest("a") == b"{}"
    assert wire.got(LOGIN) == ["GET https://auth.example/token"]


@pytest.mark.parametrize("challenge", ["Basic realm=x", 'Bearer realm="https://other.example/t"'])
def test_the_login_is_only_for_the_registry(wire: Wire, challenge: str) -> None:
    wire.say("GET", 307, Location="https://other.example/x")
    wire.say("GET https://other.example/", 401, b"who?", WWW_Authenticate=challenge)
    with pytest.raises(Unavailable, match=r"^HTTP 401: who\?$"):
        Remote(PLACE).manifest("a")
    assert len(wire.sent) == 2
    assert wire.got("") == [f"GET {ROOT}/manifests/a", "GET https://other.example/x"]


def test_a_token_is_only_for_the_registry(wire: Wire) -> None:
    wire.wants_token(f"GET {ROOT}", "https://auth.example/token")
    wire.say("GET https://auth.example/", 200, b'{"token": "T"}')
    asking = Remote(PLACE)
    assert asking.manifest("a") == b"{}"
    wire.say(f"GET {ROOT}/blobs", 307, Location="https://cdn.example/x")
    wire.say("GET https://cdn.example/", 200, b"abc")
    with pytest.raises(Refused, match="other bytes"):
        list(asking.blob(BLOB))
    wire.say("POST", 202, Location="https://cdn.example/upload")
    wire.say("PUT https://cdn.example/upload", 201)
    asking.put_blob(BLOB, b"abc")
    assert [asked for asked in wire.got("") if "cdn" in asked] == [
        "GET https://cdn.example/x", "PUT https://cdn.example/upload",
    ]  # fmt: skip
    assert all(STORE in asked for asked in wire.got("Bearer T"))


@pytest.mark.parametrize("machine", ["default", "machine store.example", "machine cdn.example"])
def test_netrc_is_not_used(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str
) -> None:
    (tmp_path / "netrc").write_text(f"{machine} login u password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    wire.wants_token(f"GET {ROOT}", "https://auth.example/token")
    wire.say("GET https://auth.example/", 200, b'{"token": "T"}')
    asking = Remote(PLACE)
    assert asking.manifest("a") == b"{}"
    wire.say(f"GET {ROOT}/manifests/b", 302, Location="https://cdn.example/x")
    wire.say("GET https://cdn.example/", 200, b"{}")
    assert asking.manifest("b") == b"{}"
    assert wire.sent[-1] == ("GET https://cdn.example/x", "")
    assert {login for _, login in wire.sent} == {"", LOGIN, "Bearer T"}
    assert all(one["https"] == "http://127.0.0.1:9" for one in wire.proxies)  # as they are


@pytest.mark.parametrize(
    "token",
    ["hush\nX: y", "hush ", "hush\r", "hush\u00e9", "", 5, True, ["hush"], {"hush": 1}, None],
)
def test_a_token_that_is_none_is_neither_sent_nor_printed(wire: Wire, token: object) -> None:
    wire.wants_token(f"GET {ROOT}", "https://auth.example/token")
    wire.say("GET https://auth.example/", 200, json.dumps({"token": token}).encode())
    with pytest.raises(Unavailable, match=r"^it gives no valid token$"):
        Remote(PLACE).manifest("a")
    assert len(wire.sent) == 2


def test_redirects_without_an_end(wire: Wire) -> None:
    wire.say("GET", 302, Location="/again")
    with pytest.raises(Unavailable, match="it redirects more than 10 times"):
        Remote(PLACE).manifest("a")
    assert len(wire.sent) == 10


def test_the_body_of_a_redirect_is_not_read(wire: Wire) -> None:
    wire.say("GET", 302, bytes(10**7), Location="https://cdn.example/x")
    wire.say("GET https://cdn.example/", 200, b"{}")
    assert Remote(PLACE).manifest("a") == b"{}"
    assert 0 < wire.bodies[0].taken < 10**6
