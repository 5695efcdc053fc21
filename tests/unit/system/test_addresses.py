from __future__ import annotations

import pytest

from buildkit_bisect.scenario import attributes
from buildkit_bisect.system import addresses


@pytest.mark.parametrize("good", ["localhost", "127.0.0.1:5000", "[::1]:5000"])
def test_registries_on_loopback(good: str) -> None:
    assert addresses.is_local_registry(good)


@pytest.mark.parametrize(
    "bad",
    ["127.0.0.1:80@evil.example", "127.0.0.1.evil.example", "127.0.0.1:99999", "10.0.0.1",
     '127.0.0.1:1"]\n[grpc]', "localhost:5000/x", "127.0.0.1:1\n"],
)  # fmt: skip
def test_addresses_that_are_not_a_registry_on_loopback(bad: str) -> None:
    assert not addresses.is_local_registry(bad)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:9/x.git", True),
        ("git://localhost/x", True),
        ("http://127.0.0.1@evil.example/x", False),
        ("http://127.0.0.1\\@evil.example/x", False),
        ("http://evil.example#@127.0.0.1/", False),
        ("HTTP://EVIL.EXAMPLE/x", False),
    ],
)
def test_cleartext_is_allowed_only_on_loopback(url: str, local: bool) -> None:
    assert addresses.is_cleartext(url)
    assert addresses.is_local_cleartext(url) is local


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "local", "dest": "cache", "DEST": "/etc"},
        {"type": "local", "dest=/etc/x": "y"},
        {"type": "s3"},
        {"type": "registry", "ref": "evil.example/x:1"},
        {"type": "registry", "ref": "${registry}/x:1,evil.example/y:1"},
        {"type": "registry", "ref": "${registry}/${var.x}:1"},
    ],
)
def test_attributes_that_lead_out_of_the_trial_are_refused(entry: dict[str, str]) -> None:
    assert attributes.problem("exports", entry)[1]


@pytest.mark.parametrize(
    "config",
    ["root = '/'", "[grpc]\naddress = ['tcp://0.0.0.0:1']", "[worker.oci]\nbinary = '/tmp/x'",
     "[worker.oci]\nBinary = '/tmp/x'", "[registry.'docker.io']\nhttp = true",
     "[worker.containerd]\nenabled = true",
     "[worker.oci.stargzSnapshotter.resolver.host.x]\nmirrors = []", "x = ["],
)  # fmt: skip
def test_daemon_config_that_a_scenario_may_not_set(config: str) -> None:
    assert attributes.config_problem(config)


def test_daemon_config_that_a_scenario_may_set() -> None:
    assert attributes.config_problem("debug = true\n[worker.oci]\ngc = false\n") == ""


@pytest.mark.parametrize(
    "good",
    ["oci://ghcr.io/me/x", "oci://localhost/x", "oci://localhost:5000/x", "oci://127.0.0.1:5000/x",
     "oci://registry:5000/x/y_z"],
)  # fmt: skip
def test_stores(good: str) -> None:
    assert addresses.is_store(good)


@pytest.mark.parametrize(
    "bad",
    ["", "ghcr.io/me/x", "https://ghcr.io/me", "oci://ghcr.io", "oci://ghcr.io/", "oci://me/x",
     "oci://ghcr.io/Me", "oci://ghcr.io/me:1", "oci://ghcr.io/me@sha256:0", "oci://u:p@ghcr.io/me",
     "oci://ghcr.io/me?x", "oci://ghcr.io/../me", "oci://ghcr.io/me\n", "oci://127.0.0.1:99999/x",
     "oci://127.0.0.1:0/x", f"oci://ghcr.io/{'x' * 300}"],
)  # fmt: skip
def test_addresses_that_are_not_a_store(bad: str) -> None:
    assert not addresses.is_store(bad)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("dask://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("dask://localhost:1", "tcp://localhost:1"),
        ("dask://[::1]:8786", "tcp://[::1]:8786"),
        ("dask+tls://scheduler.example:8786", "tls://scheduler.example:8786"),
        ("dask+tcp://10.0.0.7:8786", "tcp://10.0.0.7:8786"),
        ("dask://node-7:8786", "tcp://node-7:8786"),
    ],
)
def test_addresses_of_schedulers(given: str, address: str) -> None:
    assert addresses.scheduler(given) == address


@pytest.mark.parametrize(
    "bad",
    ["", "127.0.0.1:8786", "tcp://127.0.0.1:8786", "dask://127.0.0.1", "dask://127.0.0.1:0",
     "dask://127.0.0.1:99999", "dask://:8786", "dask://u@h:1", "dask://h:1/x", "dask://h:1\n",
     "dask+ssh://h:1", "dask:// h:1", f"dask://{'h' * 300}:1", "dask://-h:1"],
)  # fmt: skip
def test_addresses_that_are_no_scheduler(bad: str) -> None:
    assert addresses.scheduler(bad) == ""


@pytest.mark.parametrize(
    ("given", "exposed"),
    [
        ("dask://127.0.0.1:1", False),
        ("dask://127.0.1.1:1", False),
        ("dask://localhost:1", False),
        ("dask://[::1]:1", False),
        ("dask+tcp://10.0.0.7:1", False),
        ("dask+tls://10.0.0.7:1", False),
        ("dask://10.0.0.7:1", True),
        ("dask://127.0.0.1.example.org:1", True),
        ("dask://localhost.example.org:1", True),
        ("dask://[2001:db8::1]:1", True),
    ],
)
def test_plain_tcp_to_another_machine_is_exposed(given: str, exposed: bool) -> None:
    assert addresses.is_exposed(given) is exposed
