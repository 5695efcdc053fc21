"""Options of a build on real BuildKit, in scenarios for public reports."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import engine as engines
from buildkit_bisect.golang import gotool
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.lab import base_images
from engine import TestEngine
from tool import inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

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
    assert engine.left() == []


def test_a_frontend_from_an_image_and_an_insecure_step(tmp_path: Path) -> None:
    folder = tmp_path / "external-frontend"
    shutil.copytree(REPORTS / "external-frontend", folder)
    (folder / "where").write_text(f"{gotool.ensure(FRONTEND)}\n")
    assert outcomes(folder, tmp_path / "out") == {"image": "insecure", "own": "unknown"}
    assert left_behind() == []
