from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.golang.environment import KEPT, environment
from buildkit_bisect.golang.toolchain import fetch_env

#: Variables that go reads (`go help environment`), or that change what a linked program does.
REFUSED = (
    *("GOFLAGS", "GOCACHEPROG", "GOCACHE", "GOEXPERIMENT", "GODEBUG", "GOPATH", "GOTOOLDIR"),
    *("GOWORK", "GOROOT", "GOAMD64", "GOFIPS140", "GOINSECURE", "GO111MODULE", "GCCGO", "GOBIN"),
    *("CGO_CFLAGS", "CGO_LDFLAGS", "CC", "CXX", "AR", "PKG_CONFIG", "GO_LDSO", "GOTMPDIR"),
    *(
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "GIT_DIR",
        "GIT_CONFIG_GLOBAL",
        "LANG",
        "GOGC",
        "GOMEMLIMIT",
    ),
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


def test_the_environment_is_a_list_of_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEPT, *REFUSED, "GIT_SSL_CAINFO", "NEW_IN_THE_NEXT_GO"):
        monkeypatch.setenv(name, f"users {name}")
    env = environment()
    users = {name for name, value in env.items() if value.startswith("users ")}
    assert users == {*KEPT, "GIT_SSL_CAINFO"}
    assert (env["GOENV"], env["GOTOOLCHAIN"], env["LC_ALL"]) == ("off", "local", "C.UTF-8")
    assert "TEST_TELEMETRY_DIR" in env
    downloads = fetch_env(GOPROXY="https://p.invalid")
    assert (downloads["GOPROXY"], downloads["GOENV"]) == ("https://p.invalid", "off")
    assert not {n for n in REFUSED if downloads.get(n, "").startswith("users ")}


def test_an_unset_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEPT:
        monkeypatch.delenv(name, raising=False)
    assert not set(KEPT) & set(environment())
