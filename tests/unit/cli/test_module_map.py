from __future__ import annotations

import tomllib

from buildkit_bisect.cli import module_map
from buildkit_bisect.system import checkout


def test_the_map_is_the_package() -> None:
    document = module_map.DOCUMENT.read_text()
    assert document == module_map.current(document), "run: python -m buildkit_bisect.cli.module_map"


def test_rooms_are_those_of_the_import_contract() -> None:
    contracts = tomllib.loads((checkout.PROJECT / "pyproject.toml").read_text())["tool"]
    layers = contracts["importlinter"]["contracts"][0]["layers"]
    assert tuple(layers[: len(module_map.ROOMS)]) == module_map.ROOMS


def test_every_module_says_what_it_is_for() -> None:
    described = [line for line in module_map.DOCUMENT.read_text().splitlines() if line[:3] == "- `"]
    empty = [line for line in described if line.rstrip().endswith(":")]
    assert not empty
