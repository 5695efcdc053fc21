"""Parsers of option values, and what they reject."""

from __future__ import annotations

from typing import Any

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.options import parse
from buildkit_bisect.options.option import find
from buildkit_bisect.options.requests import Build, Campaign, Clean, Report, Request, Worker


def parsed(key: str, *texts: str, kind: type[Request] = Campaign) -> Any:
    option = find(kind, key)
    return option.parse(option, texts)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("auto", (RuntimeKind.HOST,)),
        ("docker", (RuntimeKind.DOCKER,)),
        ("host,docker,buildx,host", (RuntimeKind.HOST, RuntimeKind.DOCKER, RuntimeKind.BUILDX)),
    ],
)
def test_runtimes(text: str, kinds: tuple[RuntimeKind, ...]) -> None:
    assert parsed("runtime", text) == kinds


def test_an_unknown_runtime_is_named() -> None:
    with pytest.raises(BadInput, match="'podman'"):
        parsed("runtime", "host,podman")


@pytest.mark.parametrize(
    ("key", "given", "hint"),
    [
        ("runtime", "dokcer", "--runtime docker"),
        ("runtime", "podman", "--runtime auto"),
        ("images", "publik", "--images public"),
        ("source", "gti", "--source git"),
        ("deadline", "compil=60", "--deadline compile=SECONDS"),
    ],
)
def test_the_hint_is_the_nearest_value(key: str, given: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsed(key, given)
    assert caught.value.hint == hint


def test_sockets() -> None:
    assert parsed("snapshotter_socket", "a=/s,b=/t:/r") == {
        "a": Served(socket="/s"),
        "b": Served(socket="/t", root="/r"),
    }
    for wrong in ("a", "a=", "=/s", "a=s"):
        with pytest.raises(BadInput):
            parsed("snapshotter_socket", wrong)


@pytest.mark.parametrize(
    "text",
    ["/x:", "/x:y", "/x:/", "/:/x", "/x:/y:ro", "/x:/y/../..", "/x:/.", "/x/..", "//"],
)
def test_a_socket_and_a_root_are_absolute_paths(text: str) -> None:
    with pytest.raises(BadInput, match="is not NAME=/PATH/OF/SOCKET"):
        parsed("snapshotter_socket", f"mine={text}")


def test_socket_paths_are_normalised() -> None:
    found = parsed("snapshotter_socket", "mine=/run//x/./s:/r/")
    assert found == {"mine": Served(socket="/run/x/s", root="/r")}


@pytest.mark.parametrize(("text", "size"), [
    ("20GB", 20 * 10**9), ("1.5 g", 1_500_000_000), ("500MiB", 500 * 2**20), ("7", 7),
    ("0", 0), ("2tb", 2 * 10**12), ("3 KiB", 3072),
])  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parsed("cache_size", text) == size


@pytest.mark.parametrize("text", ["much", "-1", "1PB", "1 2", "GB", "0x10", "1e9", "∞"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(BadInput, match=r"invalid --cache-size .* \(try: --cache-size 5GB\)"):
        parsed("cache_size", text, kind=Clean)


@pytest.mark.parametrize("text", ["9" * 400 + "GB", "9" * 5000, "10000000T"])
def test_sizes_that_are_too_large(text: str) -> None:
    with pytest.raises(BadInput, match="is too large"):
        parsed("cache_size", text)


def test_values_of_an_axis_are_accumulated() -> None:
    assert parsed("axis", "a=1", "b=x,y", "a=2") == {"a": ("1", "2"), "b": ("x", "y")}


def test_deadlines_are_comma_separated_or_repeated() -> None:
    found = parsed("deadline", "compile=60,step=5", "daemon=2.5")
    assert found == {"compile": 60, "step": 5, "daemon": 2.5}
    option = find(Campaign, "deadline")
    assert option.write
    assert option.write(option, found) == ["--deadline", "compile=60,step=5,daemon=2.5"]


@pytest.mark.parametrize(
    "text",
    ["compil=1", "step", "step=", "step=x", "step=0", "step=-1", "step=nan", "step=inf",
     "step=1e9", "=5", "step=5;clone=1"],
)  # fmt: skip
def test_an_invalid_deadline_is_rejected_with_the_names(text: str) -> None:
    with pytest.raises(BadInput, match=r"connect, clone, .*teardown"):
        parsed("deadline", text)


@pytest.mark.parametrize("text", ["X Y", "--help", "a:b:c"])
def test_invalid_image_references(text: str) -> None:
    with pytest.raises(BadInput, match="is not an image reference"):
        parsed("push", text, kind=Build)


def test_the_address_of_a_page() -> None:
    option = find(Report, "publish")
    assert parse.page(option, "https://me.example/{id}/") == "https://me.example/{id}/report.html"
    assert parse.page(option, "https://me.example/x.html") == "https://me.example/x.html"
    for wrong in ("results/issue-6893", "http://me.example/", "https://me.example/<b>", ""):
        with pytest.raises(BadInput, match="is not an https:// address") as caught:
            parse.page(option, wrong)
        assert caught.value.hint.endswith("for a folder, the option copy of report")


def test_an_executor_is_this_machine_or_a_scheduler() -> None:
    assert parsed("executor", "local") == ""
    assert parsed("executor", "dask://127.0.0.1:8786") == "dask://127.0.0.1:8786"
    with pytest.raises(BadInput, match="is not dask://HOST:PORT"):
        parsed("executor", "ray://127.0.0.1:1")
    with pytest.raises(BadInput, match="runs as root there") as caught:
        parsed("executor", "dask://node-7:8786")
    assert caught.value.hint == (
        "--executor dask+tls://node-7:8786, or dask+tcp://node-7:8786; docs/trust.md"
    )


def test_a_worker_needs_a_scheduler() -> None:
    with pytest.raises(BadInput, match=r"^'127.0.0.1:1' is not dask://HOST:PORT"):
        parsed("scheduler", "127.0.0.1:1", kind=Worker)
