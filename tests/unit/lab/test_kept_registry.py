"""The registry of a worker: one for all scenarios, until the worker ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildkit_bisect.builds import Builder
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.served_images import Kept
from buildkit_bisect.runtime import registry
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import Action, Scenario, Step

SCENARIO = Scenario(
    name="s", title="t", issue="", outcomes=(), steps=(Step(id="go", action=Action.PRUNE),)
)
BUILDER = cast(Builder, SimpleNamespace(deadlines=None))


class Registries:
    """Takes the place of `registry`: each one has the images that were made until then."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.dead: set[str] = set()
        self.made: list[str] = []  # scenarios whose images are in the storage
        self.asked = 0

    @contextmanager
    def serve(self, _storage: Path, *, read_only: bool = False) -> Iterator[Registry]:
        name = f"{'read-only' if read_only else 'writable'}-{len(self.begun)}"
        self.begun.append(name)
        try:
            yield Registry(address=name)
        finally:
            self.ended.append(name)

    def images(self, scenario: Scenario, address: str) -> dict[str, ImageRef]:
        return {"base": ImageRef(ref=f"{address}/{scenario.name}", digest=f"of {scenario.title}")}

    def present(self, scenario: Scenario, address: str, _: object) -> dict[str, ImageRef] | None:
        self.asked += 1
        return self.images(scenario, address) if scenario.name in self.made else None

    def ensure(self, scenario: Scenario, at: Registry, *_: Any) -> dict[str, ImageRef]:
        if scenario.name not in self.made:
            assert at.address.startswith("writable")
            self.made.append(scenario.name)
        return self.images(scenario, at.address)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Registries:
    made = Registries()
    monkeypatch.setattr(registry, "serve", made.serve)
    monkeypatch.setattr(Registry, "alive", lambda one: one.address not in made.dead)
    monkeypatch.setattr(base_images, "present", made.present)
    monkeypatch.setattr(base_images, "ensure", made.ensure)
    return made


def asked(kept: Kept, name: str, title: str = "t") -> str:
    """Ask for the images of a scenario; return the name of one."""
    one = replace(SCENARIO, name=name, title=title)
    store, images = kept.images(BUILDER, one, {"base": f"of {title}"})
    assert images["base"].digest == f"of {title}"
    assert images["base"].ref.startswith(f"{store.address}/")
    return images["base"].ref


def test_it_stays_from_one_scenario_to_the_next(machine: Registries, tmp_path: Path) -> None:
    machine.made = ["a", "b"]
    kept = Kept(tmp_path)
    assert [asked(kept, name) for name in ("a", "b", "a", "b")] == [
        "read-only-0/a",
        "read-only-0/b",
    ] * 2
    assert (machine.begun, machine.ended, machine.asked) == (["read-only-0"], [], 2)
    kept.close()
    assert machine.ended == ["read-only-0"]


def test_it_stays_while_images_are_made(machine: Registries, tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert [asked(kept, name) for name in ("a", "b")] == ["read-only-0/a", "read-only-0/b"]
    assert machine.begun == ["read-only-0", "writable-1", "writable-2"]
    assert machine.ended == ["writable-1", "writable-2"]


def test_one_that_does_not_respond_is_made_anew(machine: Registries, tmp_path: Path) -> None:
    machine.made = ["a"]
    kept = Kept(tmp_path)
    asked(kept, "a")
    machine.dead.add("read-only-0")
    assert asked(kept, "a") == "read-only-1/a"
    assert machine.ended == ["read-only-0"]


def test_other_images_of_a_scenario_are_looked_up(machine: Registries, tmp_path: Path) -> None:
    machine.made = ["a"]
    kept = Kept(tmp_path)
    asked(kept, "a")
    asked(kept, "a", title="changed")
    assert (machine.asked, machine.begun) == (2, ["read-only-0"])


def test_it_knows_the_last_scenarios(
    machine: Registries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kept, "MOST", 2)
    machine.made = ["a", "b", "c"]
    kept = Kept(tmp_path)
    for name in ("a", "b", "a", "c"):
        asked(kept, name)
    assert machine.asked == 3
    asked(kept, "a")
    assert machine.asked == 3, "used after b"
    asked(kept, "b")
    assert machine.asked == 4
