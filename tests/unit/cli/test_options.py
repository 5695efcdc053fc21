from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.cli import options
from buildkit_bisect.errors import BadInput
from buildkit_bisect.source import DEFAULT_REPO


def test_defaults() -> None:
    chosen = options.read("matrix", {})
    assert chosen.repo == DEFAULT_REPO
    assert (chosen.source, chosen.jobs, chosen.trials, chosen.axes) == ("auto", 1, None, {})


def test_every_option_has_an_environment_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = {
        "REPO": "/r",
        "SOURCE": "git",
        "SCENARIO": "a,b",
        "AXIS": "snapshotter=stargz bases=same",
        "PATCHES": "p",
        "RUNTIME": "host",
        "JOBS": "2",
        "TRIALS": "7",
        "OUT": "/o",
        "DRY_RUN": "1",
        "JSON": "yes",
        "FRESH": "true",
        "IMAGES": "public",
        "REGISTRY": "127.0.0.1:5000",
    }
    for name, value in twins.items():
        monkeypatch.setenv(f"BKBISECT_{name}", value)
    chosen = options.read("matrix", {})
    assert chosen.repo == "/r"
    assert chosen.scenarios == ("a", "b")
    assert chosen.axes == {"snapshotter": ("stargz",), "bases": ("same",)}
    assert (chosen.jobs, chosen.trials, chosen.out) == (2, 7, Path("/o"))
    assert chosen.dry_run
    assert chosen.json
    assert chosen.fresh
    assert (chosen.images, chosen.registry, chosen.patches) == ("public", "127.0.0.1:5000", "p")


def test_an_option_beats_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_TRIALS", "7")
    assert options.read("matrix", {"trials": "3"}).trials == 3


def test_the_command_writes_twins_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_REPO", "/a b")
    raw: dict[str, options.Raw] = {
        "revs": "v1",
        "repo": "",
        "axis": ["bases=same"],
        "json": True,
        "fresh": True,
        "dry_run": False,
    }
    assert options.command("matrix", raw) == (
        "./inv matrix --revs v1 --repo '/a b' --axis=bases=same --fresh"
    )


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"trials": "many"}, "not a whole number"),
        ({"trials": "0"}, "between 1"),
        ({"jobs": "-1"}, "between 1"),
        ({"source": "svn"}, "auto, git, module"),
        ({"runtime": "podman"}, "--runtime"),
        ({"axis": ["snapshotter"]}, "KEY=VALUE"),
        ({"axis": ["=stargz"]}, "KEY=VALUE"),
        ({"registry": "registry.example:5000"}, "loopback"),
        ({"images": "mine"}, "local, public"),
    ],
)
def test_mistakes_are_named(raw: dict[str, options.Raw], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        options.read("matrix", raw)


def test_a_switch_in_the_environment_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_FRESH", "maybe")
    with pytest.raises(BadInput, match="BKBISECT_FRESH"):
        options.read("matrix", {})
