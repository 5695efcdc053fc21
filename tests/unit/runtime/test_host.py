"""The environment of a daemon on the host."""

from __future__ import annotations

import pytest

from buildkit_bisect.runtime.host import direct


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, None),
        ({"https_proxy": "x", "no_proxy": "a"}, None),
        ({"http_proxy": "x"}, "127.0.0.1,localhost"),
        ({"HTTP_PROXY": "x", "NO_PROXY": "a,b"}, "a,b,127.0.0.1,localhost"),
        ({"ALL_PROXY": "x", "no_proxy": "c", "NO_PROXY": "a"}, "c,127.0.0.1,localhost"),
    ],
)
def test_no_proxy_for_loopback(environ: dict[str, str], wanted: str | None) -> None:
    seen = direct(environ)
    assert seen == ({} if wanted is None else {"no_proxy": wanted, "NO_PROXY": wanted})
