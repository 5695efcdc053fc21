from __future__ import annotations

import json

import pytest

from buildkit_bisect.cli import doctor
from buildkit_bisect.errors import BadInput
from buildkit_bisect.golang import pypi
from buildkit_bisect.golang.pypi import File, choose, files, indexes, parse_settings
from buildkit_bisect.system import web

BASE = "https://index.example/simple/x/"


def test_pages_of_both_kinds_without_yanked_files() -> None:
    digest = "ab" * 32
    page = (
        f'<a href="../../f/x-1-py3-none-any.whl#sha256={digest.upper()}">x</a>'
        '<a href="x-2-py3-none-any.whl" data-yanked="bad">x</a>'
        '<a href="https://other.example/x-3-py3-none-any.whl#md5=0">x</a>'
    )
    html = list(files(page, base=BASE, is_json=False))
    assert html == [
        File(
            name="x-1-py3-none-any.whl",
            url="https://index.example/f/x-1-py3-none-any.whl",
            sha256=digest,
        ),
        File(
            name="x-3-py3-none-any.whl",
            url="https://other.example/x-3-py3-none-any.whl",
            sha256="",
        ),
    ]
    entries = [
        {"filename": "x-1-py3-none-any.whl", "url": "../../f/x-1-py3-none-any.whl",
         "hashes": {"sha256": digest}},
        {"filename": "x-2-py3-none-any.whl", "url": "x-2", "yanked": "bad"},
        {"filename": "x-3-py3-none-any.whl", "url": "https://other.example/x-3-py3-none-any.whl"},
    ]  # fmt: skip
    assert list(files(json.dumps({"files": entries}), base=BASE, is_json=True)) == html


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"files": [1]}', '{"files": [{}]}', "[" * 100_000),
        '{"files": [{"filename": "x", "url": "https://[::1/x"}]}',
    ],
)
def test_an_invalid_json_page(text: str) -> None:
    with pytest.raises(web.NotServed, match="is not a package index page"):
        list(files(text, base=BASE, is_json=True))


@pytest.mark.parametrize("text", ['<a href="https://[::1/x">x</a>', "<![x["])
def test_an_invalid_html_page(text: str) -> None:
    with pytest.raises(web.NotServed, match="is not a package index page"):
        list(files(text, base=BASE, is_json=False))


@pytest.mark.parametrize("url", ["https://[x/simple", "https://me:secret@[::1/simple"])
def test_an_index_with_an_invalid_url(url: str) -> None:
    with pytest.raises(BadInput, match="invalid URL: ") as error:
        indexes({"index-url": url})
    assert "secret" not in str(error.value)
    with pytest.raises(web.NotServed, match="invalid URL: ") as refused:
        web.open_url(url, timeout=1)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", [f"https://{'x' * 70}.example/x", "https://x.example/\u2028/x"])
def test_a_url_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(web.NotServed, match="invalid URL: "):
        web.open_url(url, timeout=1)


def test_a_module_proxy_with_an_invalid_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "https://[x")
    found = doctor._module_proxy()
    assert not found.ok
    assert "asked for https://[x/github.com/moby/buildkit/@v/list: invalid URL: " in found.detail


def test_the_newest_wanted_wheel_that_runs_here_is_chosen() -> None:
    names = [
        *("x-1.9-py3-none-any.whl", "x-1.10-py3-none-any.whl", "x-2.0-py3-none-any.whl"),
        *("x-1.11-py3-none-win32.whl", "x-1.12.tar.gz", "x-1.13-nonsense.whl"),
        "x-1.14-py3.\0-none-any.whl",
    ]
    offered = [File(name=name, url="", sha256="") for name in names]
    newest = choose(offered, lambda version: version.major == 1)
    assert newest
    assert newest.name == "x-1.10-py3-none-any.whl"
    assert choose(offered, lambda version: version.major == 3) is None


def test_pips_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    output = (
        ":env:.index-url='https://env.example'\n"
        "download.cert='/download'\nglobal.cert='/global'\ninstall.cert='/install'\n"
        "global.index-url='https://a.example'\n"
    )
    found = parse_settings(output)
    assert found == {"cert": "/download", "index-url": "https://a.example"}
    monkeypatch.setattr(pypi, "_in_files", lambda: found)
    monkeypatch.setenv("PIP_INDEX_URL", "https://b.example")
    assert pypi.settings()["index-url"] == "https://b.example"


def test_which_indexes_are_used() -> None:
    assert indexes({}) == ["https://pypi.org/simple"]
    assert indexes({"no-index": "1", "index-url": "http://x.example"}) == []
    both = {"index-url": "http://127.0.0.1:9/simple", "extra-index-url": "https://a https://b"}
    assert indexes(both) == ["http://127.0.0.1:9/simple", "https://a", "https://b"]
    for bad in ("http://x.example", "ftp://x.example", "file:///x", "http://127.0.0.1@x.example"):
        with pytest.raises(BadInput, match="cleartext protocols are allowed only on loopback"):
            indexes({"extra-index-url": bad})
