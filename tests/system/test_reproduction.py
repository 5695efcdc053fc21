"""The scripts that reproduce a cell without this tool, run on real BuildKit.

They get nothing of ours but binaries and two registries, and show what the scenario's rules say.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab import base_images
from buildkit_bisect.model import Axes, Build, Variant
from buildkit_bisect.runtime.registry import serve
from buildkit_bisect.scenario import Condition, Kept, Scenario, VertexIs
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.source import ModuleSource
from tool import left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

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


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a script printed at its end."""

    exits: dict[str, int]
    facts: dict[str, list[str]]  # "import, RUN echo stable" -> lines

    def holds(self, condition: Condition) -> bool:
        """Whether a reader sees that *condition* holds."""
        step = condition.step
        seen = True
        if condition.exit:
            seen &= (self.exits[step] == 0) == (condition.exit == "ok")
        if condition.stderr:
            seen &= bool(self.facts[f"{step}, lines with {condition.stderr}"])
        if condition.is_ is not None:
            lines = self.facts[f"{step}, {condition.vertex}"]
            cached = any(re.fullmatch(r"#\d+ CACHED", line) for line in lines)
            seen &= bool(lines) and condition.is_ is (VertexIs.CACHED if cached else VertexIs.RAN)
        if condition.inner_layers is not None:
            numbers = re.findall(r"\d+", " ".join(self.facts[f"{step}, its cache"]))
            here, of = map(int, numbers or (0, 0))
            kept = Kept.ALL if here == of else Kept.SOME if here else Kept.NONE
            seen &= condition.inner_layers is kept
        return seen

    def outcome(self, loaded: Scenario) -> str:
        """Return the first rule of *loaded* that holds."""
        return next(r.name for r in loaded.outcomes if all(map(self.holds, r.all)))


def shown(output: str) -> Shown:
    """Read the end of a script's output, before the rules."""
    end = output.partition("\nThe first that holds:\n")[0]
    exits = {
        name: int(code) for name, code in re.findall(r"^([\w-]+): exit (\d+)$", end, re.MULTILINE)
    }
    parts = re.split(r"^-- (.*)$", end, flags=re.MULTILINE)[1:]
    facts = {
        name: lines.strip().splitlines()
        for name, lines in zip(parts[::2], parts[1::2], strict=True)
    }
    return Shown(exits=exits, facts=facts)


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
    (tmp_path / "reproduce.sh").write_text(script(loaded, axes, images=images, pushed=pushed))
    own = {
        "PATH": f"{build.directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": os.environ["HOME"],
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        ["/bin/bash", "reproduce.sh"],
        cwd=tmp_path,
        env={**own, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    seen = shown(done.stdout)
    assert seen.outcome(loaded) == outcome, done.stdout
    rule = next(r for r in loaded.outcomes if r.name == outcome)
    assert f"\n{rule.verdict} ({rule.name}): {rule.means}.\n" in done.stdout
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert left_behind() == []
    assert processes(str(tmp_path)) == []


def processes(text: str) -> list[str]:
    """Return command lines that contain *text*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and "pytest" not in line.split(text)[0]:
            found.append(line)
    return found
