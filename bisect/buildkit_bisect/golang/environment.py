"""The environment of the go command: what it may get from the user, and nothing else.

A variable that go reads may change the bytes of a build, or end it for a reason that is not the
source's: GOFLAGS, GOCACHEPROG, GOROOT, GOEXPERIMENT, CGO_CFLAGS, and what the next Go adds. So this
is a list of what is used. docs/untestable.md has the reason for each.
"""

from __future__ import annotations

import os
import re

from buildkit_bisect.system import paths, process

#: Variables of the user that every go command gets. Those of the module proxy are not here: they
#: may also be in the file of ``go env -w`` (`toolchain.network_settings`).
KEPT = (
    *("PATH", "HOME", "TMPDIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME"),
)
#: Git's certificates: go calls git for modules that no proxy serves.
_GIT = re.compile(r"GIT_SSL_\w+")


def environment(**extra: str) -> dict[str, str]:
    """Return the whole environment of a go command; the file of ``go env -w`` is not read.

    GOPATH is in the cache: go keeps the state of the checksum database there, and the user's own
    may be in a home directory that this process may not write. *extra* is added, and may
    name the file as ``GOENV``.
    """
    kept = {k: v for k, v in os.environ.items() if k in KEPT or _GIT.fullmatch(k)}
    return {
        **kept,
        **process.ALWAYS,
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOPATH": str(paths.cache("gomod")),
        **extra,
    }
