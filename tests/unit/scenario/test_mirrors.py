"""Mirrors of registries: what is valid, and the daemon's configuration with them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario import mirrors, uses_registry
from buildkit_bisect.scenario.reproduction import script
from small_scenario import loaded, written

BROKEN = [
    ('"docker.io" = "mirror.example.org"', "'mirror.example.org' is not ${registry} or"),
    ('"docker.io" = "${registry}.example.org"', "'${registry}.example.org' is not ${registry} or"),
    ('"docker.io" = "${registry}/.."', "'${registry}/..' is not ${registry} or ${registry}/PATH"),
    ('"docker.io" = ""', "'' is not ${registry} or ${registry}/PATH"),
    ('"a/b" = "${registry}"', "'a/b' is not the name of a registry"),
    ('"a\\nb" = "${registry}"', "'a\\nb' is not the name of a registry"),
    ('"docker.io" = ["${registry}"]', "must be a text, not a list"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        loaded(written(tmp_path, f"[daemon.mirrors]\n{text}\n"))
    assert "scenario.toml: daemon.mirrors." in raised.value.message
    assert message in raised.value.message


MIRRORED = """\
[daemon]
mirrors = { "docker.io" = "${registry}", "example.org:5000" = "${registry}/there/a-b" }
config = "debug = true"
"""


def test_what_the_daemon_gets(tmp_path: Path) -> None:
    made = loaded(written(tmp_path, MIRRORED))
    assert uses_registry(made)
    parts = mirrors.config(made, lambda text: text.replace("${registry}", "127.0.0.1:5"))
    assert tomllib.loads("".join(parts)) == {
        "registry": {
            "docker.io": {"mirrors": ["127.0.0.1:5"]},
            "example.org:5000": {"mirrors": ["127.0.0.1:5/there/a-b"]},
        }
    }


def test_the_script_has_them(tmp_path: Path) -> None:
    """With a key of the whole file after the tables of registries."""
    made = script(loaded(written(tmp_path, MIRRORED)), ())
    text = made.partition("cat > buildkitd.toml <<'EOF'\n")[2].partition("\nEOF\n")[0]
    assert tomllib.loads(text) == {
        "debug": True,
        "worker": {"containerd": {"enabled": False}},
        "registry": {
            "127.0.0.1:5001": {"http": True},
            "docker.io": {"mirrors": ["127.0.0.1:5001"]},
            "example.org:5000": {"mirrors": ["127.0.0.1:5001/there/a-b"]},
        },
    }
    assert "- a registry at 127.0.0.1:5001: " in made
