"""Keys and signatures, as minisign 0.11 wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import minisign
import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options import requests
from buildkit_bisect.sharing import open_store, signing
from buildkit_bisect.sharing.refused import Refused

PUBLIC = """untrusted comment: minisign public key 447834D995F2BFCF
RWTPv/KV2TR4RBP9PmL52Zisevuu+BFjWRsfzUgroRuMZZCj1vB0W1Wc
"""
PRIVATE = """untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAz7/yldk0eERXhnt3ldwBi6Bg/CvYcwRemSQRw9+1G8WItUSrmm3UmBP9PmL52Zisevuu+BFjWRsfzUgroRuMZZCj1vB0W1WcAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
"""
SIGNATURE = """untrusted comment: signature from minisign secret key
RUTPv/KV2TR4RMuv5r7gCkQ/xPiQt1Lp5ByGgND+gVUBe6UZNZ5CE5k4XfAphuUPepAuBCg/0Ey5RQojphjy3bOHjkYjqtEuIAY=
trusted comment: timestamp:1 file:e
zbEsm99cQ033PGTG2/JIl/QSHSSCU4KGZK3XByb+G1myHEOGim5uChJ78x3U4/ybV3nVf7XKzYMNTJSe04KJAA==
"""
LOCKED = """untrusted comment: minisign encrypted secret key
RWRTY0IyJEL+NNicX8JtvQUniHOvTuJNZbCXYq+/MjMbwzKTXoIAAAACAAAAAAAAAEAAAAAAZcWH4h9ICzyy9+DUwXtBQRkFs6M/8V6K6uS0z8S2TwGODfqOF2MNgqUG7ZtgfnLEIn3LWZmXRqQvuxp1F2Vz87rrPTaPg9uxhlqBLq4SXG7A1Z9rVXwoBbi6Ptl1liMr3/u6MqHfI4Y=
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "file"
    path.write_text(text)
    return path


def test_what_minisign_wrote(tmp_path: Path) -> None:
    public = signing.public_key(file(tmp_path, PUBLIC))
    signing.verify(b"an entry", SIGNATURE, public)
    with pytest.raises(Refused, match="is not valid for --store-key"):
        signing.verify(b"another", SIGNATURE, public)
    secret = signing.secret_key(file(tmp_path, PRIVATE))
    signing.verify(b"x", signing.sign(b"x", secret), public)


@pytest.mark.parametrize(
    "change", [("RUTPv", "RUTPw"), ("timestamp:1", "timestamp:2"), ("zbEs", "zbEt"), ("\n", "")]
)
def test_a_signature_that_was_changed(tmp_path: Path, change: tuple[str, str]) -> None:
    public = signing.public_key(file(tmp_path, PUBLIC))
    with pytest.raises(Refused, match="is not valid for --store-key"):
        signing.verify(b"an entry", SIGNATURE.replace(*change), public)


@pytest.mark.parametrize("text", ["", "x", PRIVATE, SIGNATURE, "\0" * 100, PUBLIC * 2, "é\n\u2028"])
def test_a_file_that_is_not_a_public_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="is not a public key of minisign: "):
        signing.public_key(file(tmp_path, text))


@pytest.mark.parametrize("text", ["", "x", PUBLIC, SIGNATURE, "\0" * 100])
def test_a_file_that_is_not_a_secret_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="is not a secret key of minisign: "):
        signing.secret_key(file(tmp_path, text))


def test_a_secret_key_with_a_password(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has a password.* \(try: minisign -C -W -s "):
        signing.secret_key(file(tmp_path, LOCKED))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a public key of minisign: No such file"):
        signing.public_key(tmp_path / "nothing")
    with pytest.raises(BadInput, match="is not a secret key of minisign: Is a directory"):
        signing.secret_key(tmp_path)


def opened(**options: Any) -> Any:
    return open_store(requests.Run(**options), 5, lambda _: None)


def test_the_store_that_a_request_names(tmp_path: Path) -> None:
    assert opened() is None
    assert opened(store_by="me") is None
    (tmp_path / "pub").write_text(PUBLIC)
    (tmp_path / "key").write_text(PRIVATE)
    made = opened(
        store="oci://ghcr.io/me/x",
        store_push=True,
        store_key=tmp_path / "pub",
        store_sign=tmp_path / "key",
        store_by="me",
    )
    assert (made.place, made.pushes, made.by, made.seconds) == ("ghcr.io/me/x", True, "me", 5)
    assert made.key == minisign.PublicKey.from_secret_key(made.secret)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store_push": True}, "--store-push needs a store"),
        ({"store_key": Path("x")}, "--store-key needs a store"),
        ({"store_sign": Path("x"), "store_push": True}, "--store-push needs a store"),
        ({"store_sign": Path("x")}, "--store-sign needs a store"),
        ({"store": "oci://ghcr.io/x", "store_sign": Path("x")}, "--store-sign is for what"),
    ],
)  # fmt: skip
def test_options_that_need_others(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        opened(**options)
