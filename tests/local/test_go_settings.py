"""What a go command gets of the user's settings: the go command here is a shell script."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.toolchain import Toolchain, network_settings


def recorder(folder: Path, script: str) -> Toolchain:
    """Make a go command that is a shell script and records its environment."""
    program = folder / "bin" / "go"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n/usr/bin/env > {folder}/env\n{script}\n")
    program.chmod(0o755)
    return Toolchain(version="1.25.5", goroot=str(folder), origin="PATH")


def test_only_the_proxys_settings_are_read_from_go_env(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = recorder(tmp_path / "go", """echo '{"GOPROXY": "https://p.invalid", "GOSUMDB": ""}'""")
    for name, value in {
        "GOFLAGS": "junk",
        "GOCACHEPROG": "/bin/false",
        "GOEXPERIMENT": "x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOENV", "/a/file")
    monkeypatch.setenv("GOPRIVATE", "example.org")
    assert network_settings(go) == {"GOPROXY": "https://p.invalid"}
    seen = dict(line.split("=", 1) for line in (tmp_path / "go/env").read_text().splitlines())
    assert (seen["GOENV"], seen["GOPRIVATE"]) == ("/a/file", "example.org")
    assert seen["GOFLAGS"] == "-mod=mod"
    assert not {"GOCACHEPROG", "GOEXPERIMENT"} & set(seen)
    assert seen["PATH"] == os.environ["PATH"]


def test_settings_that_go_cannot_read_are_not_ignored(tmp_path: Path) -> None:
    go = recorder(tmp_path / "go", "echo 'go: unknown GOEXPERIMENT x' >&2; exit 1")
    with pytest.raises(InfraFailed, match="go env failed: go: unknown GOEXPERIMENT x") as err:
        network_settings(go)
    assert err.value.hint == "correct or remove the file that `go env GOENV` prints"
