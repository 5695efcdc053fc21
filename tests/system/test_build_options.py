"""Options of a build on real BuildKit, in scenarios for public reports."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import engine as engines
from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.golang import gotool
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.lab import base_images
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.runtime.registry import serve
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.source import ModuleSource
from engine import TestEngine
from reproducing import processes, run_script, shown
from tool import inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

REPORTS = Path(__file__).parent / "reports"

#: The outcome of each cell at a release that has none of these bugs. In cells without the option
#: the same steps show what a build without it does: otherwise the option would prove nothing.
EXPECTED = {
    "cache-mount-mode-no-cache": {"unused": "emptied", "used": "used"},
    "named-context-child": {"layout": "replaced", "image": "image", "none": "no-context"},
    "attestation-name": {"min": "named", "none": "none"},
    "build-options": {"arm64": "arm", "riscv64": "riscv"},
    "script-step": {"right": "right", "wrong": "wrong"},
    "private-options": {"all": "had", "none": "refused"},
}


#: A frontend that is newer than the daemon's own.
FRONTEND = gotool.GoTool(
    name="dockerfile-frontend",
    version="v0.26.0",
    requires=("github.com/moby/buildkit v0.26.0",),
    package="github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend",
    go=GoWanted(minor=(1, 25), patch=1),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with engines.running() as made:
        yield made


def outcomes(
    folder: Path, out: Path, *more: str, env: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Return the outcomes of a scenario by the values of its axes."""
    done = inv(
        *("run", "--rev", base_images.REFERENCE, "--source", "module"),
        *("--scenario", str(folder), "--trials", "1", "--fresh", "--json"),
        *("--out", str(out), "--trust-scenario", *more),
        env=env,
    )
    assert done.code == 0, done.stderr
    cells = done.document["cells"]
    return {" ".join(sorted(c["axes"].values())): c["outcome"] for c in cells}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_option_has_its_effect(name: str, tmp_path: Path) -> None:
    assert outcomes(REPORTS / name, tmp_path) == EXPECTED[name]
    assert left_behind() == []
    kept = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "open sesame" not in kept
    assert base64.b64encode(b"open sesame").decode() not in kept


@pytest.fixture(scope="module")
def build() -> Build:
    source = ModuleSource()
    made = Builder(source=source).build(Variant(revision=source.resolve(base_images.REFERENCE)))
    assert isinstance(made, Build)
    return made


@pytest.mark.parametrize("name", EXPECTED)
def test_a_script_that_reproduces_it_shows_the_outcome(
    name: str, build: Build, tmp_path: Path
) -> None:
    loaded = scenario.load(str(REPORTS / name))
    with serve(tmp_path / "images") as images, serve(tmp_path / "pushed") as pushed:
        for axes in loaded.cells():
            text = script(loaded, axes, images=images.address, pushed=pushed.address)
            done = run_script(text, build, tmp_path, env={"SECRET_token": "open sesame"})
            outcome = EXPECTED[name][dict(axes).popitem()[1]]
            assert shown(done.stdout).outcome(loaded) == outcome, done.stdout
    assert processes(str(tmp_path)) == []


@pytest.mark.parametrize("name", [*EXPECTED, "external-frontend"])
def test_containers_have_the_same_options(name: str, engine: TestEngine, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(REPORTS / name, folder)
    expected = EXPECTED.get(name, {"image": "insecure", "own": "unknown"})
    if name not in EXPECTED:
        (folder / "where").write_text(f"{gotool.ensure(FRONTEND)}\n")
    found = outcomes(folder, tmp_path / "out", "--runtime", "docker,buildx", env=engine.environment)
    assert found == {
        " ".join(sorted((value, runtime))): outcome
        for value, outcome in expected.items()
        for runtime in ("docker", "buildx")
    }
    assert engine.left(patience=5) == []


def test_a_frontend_from_an_image_and_an_insecure_step(tmp_path: Path) -> None:
    folder = tmp_path / "external-frontend"
    shutil.copytree(REPORTS / "external-frontend", folder)
    (folder / "where").write_text(f"{gotool.ensure(FRONTEND)}\n")
    assert outcomes(folder, tmp_path / "out") == {"image": "insecure", "own": "unknown"}
    assert left_behind() == []
