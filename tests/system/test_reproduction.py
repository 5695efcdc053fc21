"""The scripts that reproduce a cell without this tool, run on real BuildKit.

They get nothing of ours but binaries and two registries, and show what the scenario's rules say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab import base_images
from buildkit_bisect.model import Axes, Build, Variant
from buildkit_bisect.runtime.registry import serve
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.source import ModuleSource
from reproducing import processes, run_script, shown
from tool import left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

LAZY = (("bases", "different"), ("snapshotter", "stargz"))

#: Cells and their outcomes at the release that the other tests build too.
EXPECTED: list[tuple[str, Axes, dict[str, str], str]] = [
    ("cross-stage-lazy", LAZY, {}, "export-failed"),
    ("cross-stage-lazy", LAZY, {"SNAPSHOTTER": "overlayfs"}, "cached"),
    ("cross-stage-dedup", (("warm", "yes"),), {}, "export-failed"),
    ("cross-stage-dedup", (("warm", "no"),), {}, "cached"),
    ("single-chain", (("compression", "gzip"), ("snapshotter", "stargz")), {}, "ran"),
    ("inline", (("snapshotter", "stargz"), ("stages", "one")), {}, "ran"),
]


@pytest.fixture(scope="module")
def build() -> Build:
    source = ModuleSource()
    made = Builder(source=source).build(Variant(revision=source.resolve(base_images.REFERENCE)))
    assert isinstance(made, Build)
    return made


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """For base images, and for what steps push."""
    root = tmp_path_factory.mktemp("registries")
    with serve(root / "images") as images, serve(root / "pushed") as pushed:
        yield images.address, pushed.address


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: f"{case[0]}-{case[3]}")
def test_it_shows_the_outcome(
    case: tuple[str, Axes, dict[str, str], str],
    build: Build,
    registries: tuple[str, str],
    tmp_path: Path,
) -> None:
    name, axes, env, outcome = case
    loaded = scenario.load(name)
    images, pushed = registries
    done = run_script(script(loaded, axes, images=images, pushed=pushed), build, tmp_path, env=env)
    assert done.returncode == 0, done.stdout
    seen = shown(done.stdout)
    assert seen.outcome(loaded) == outcome, done.stdout
    rule = next(r for r in loaded.outcomes if r.name == outcome)
    assert f"\n{rule.verdict} ({rule.name}): {rule.means}.\n" in done.stdout
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert left_behind() == []
    assert processes(str(tmp_path)) == []
