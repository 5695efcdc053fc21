"""A scenario's build context and servers on real BuildKit: the examples of docs/scenarios.md."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine as engines
from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.scenario.server_script import FIRST_PORT
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.system import checkout
from engine import TestEngine
from sizes import WHOLE
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

REVISION = "v0.25.0"


def documented(folder: Path, name: str) -> Path:
    """Write the example *name* of docs/scenarios.md and its Dockerfile to *folder*."""
    text = (checkout.PROJECT / "docs" / "scenarios.md").read_text()
    blocks = text.partition(f'```toml\nschema = 1\nname = "{name}"\n')[2]
    toml, _, rest = blocks.partition("```")
    dockerfile = rest.partition("```dockerfile\n")[2].partition("```")[0]
    assert toml
    assert dockerfile
    folder.mkdir(exist_ok=True)
    (folder / "scenario.toml").write_text(f'schema = 1\nname = "{name}"\n{toml}')
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def ran(folder: Path, *options: str) -> TaskOutput:
    done = inv(
        *("run", "--source", "module", "--rev", REVISION, "--scenario", str(folder), "--json"),
        *("--fresh", "--trials", "1", "--out", str(folder / "results"), *options),
    )
    assert left_behind() == []
    return done


def outcomes(done: TaskOutput) -> list[str]:
    assert done.code == 0, done.stderr
    return [cell["outcome"] for cell in done.document["cells"]]


def test_a_file_that_dockerignore_excludes(tmp_path: Path) -> None:
    folder = documented(tmp_path / "s", "ignored-change")
    assert outcomes(ran(folder)) == ["ignored"]
    text = (folder / "scenario.toml").read_text()
    (folder / "scenario.toml").write_text(text.replace("*.log\n!keep.log", "*.txt"))
    assert outcomes(ran(folder)) == ["not-ignored"]


def test_a_tag_that_moves_and_a_file_that_does_not_change(tmp_path: Path) -> None:
    assert outcomes(ran(documented(tmp_path / "s", "moved-tag"))) == ["new-commit"]


def test_a_mirror_is_asked(tmp_path: Path) -> None:
    folder = documented(tmp_path / "s", "mirrored-base")
    assert outcomes(ran(folder)) == ["mirrored"]
    text = (folder / "scenario.toml").read_text()
    mirrors = 'mirrors = { "docker.io" = "${registry}" }'
    assert mirrors in text
    (folder / "scenario.toml").write_text(text.replace(mirrors, ""))
    assert outcomes(ran(folder)) == ["not-mirrored"]


def test_garbage_is_collected_by_a_policy(tmp_path: Path) -> None:
    """Of two cells: with garbage collection, and without."""
    folder = documented(tmp_path / "s", "gc-policy")
    if WHOLE:
        assert outcomes(ran(folder)) == ["collected", "kept"]
        return
    assert outcomes(ran(folder, "--axis", "gc=on")) == ["collected"]
    # Where nothing is collected, there is nothing to wait for.
    text = (folder / "Dockerfile").read_text()
    assert '"sleep", "70"' in text
    (folder / "Dockerfile").write_text(text.replace('"sleep", "70"', '"sleep", "1"'))
    assert outcomes(ran(folder, "--axis", "gc=off")) == ["kept"]


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with engines.running() as made:
        yield made


def test_containers_reach_the_servers(engine: TestEngine, tmp_path: Path) -> None:
    """And buildctl reaches daemons in containers."""
    folder = documented(tmp_path / "s", "moved-tag")
    text = (folder / "scenario.toml").read_text()
    lists = "".join(f'[[steps]]\nid = "{a}"\naction = "{a}"\n\n' for a in ("du", "histories"))
    text = text.replace("[[outcomes]]", f"{lists}[[outcomes]]", 1)
    seen = '{ step = "histories", stderr = "^completed" }, { step = "du", stderr = "source.git" },'
    old = "all = [\n"
    assert old in text
    (folder / "scenario.toml").write_text(text.replace(old, f"{old}    {seen}\n", 1))
    done = inv(
        *("matrix", "--source", "module", "--revs", REVISION, "--scenario", str(folder), "--json"),
        *("--runtime", "host,docker,buildx", "--trials", "1", "--fresh"),
        *("--out", str(folder / "results")),
        env=engine.environment,
    )
    assert done.code == 0, done.stderr
    outcomes = {c["axes"]["runtime"]: c["outcome"] for c in done.document["cells"]}
    assert outcomes == dict.fromkeys(("host", "docker", "buildx"), "new-commit")
    assert left_behind() == []


def test_the_script_shows_the_same(tmp_path: Path) -> None:
    """With its own servers, on the ports that it names."""
    source = ModuleSource()
    build = Builder(source=source).build(Variant(revision=source.resolve(REVISION)))
    assert isinstance(build, Build)
    loaded = scenario.load(f"{documented(tmp_path / 's', 'moved-tag')}/scenario.toml")
    (tmp_path / "reproduce.sh").write_text(script(loaded, ()))
    env = {
        "PATH": f"{build.directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": os.environ["HOME"],
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        ["/bin/bash", "reproduce.sh"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = done.stdout.partition("\nfirst: exit 0\n")[2].partition("\nThe first that holds:\n")[0]
    assert "\n-- asked-again, lines with ^HEAD /data 304 \nHEAD /data 304 0\n" in facts
    assert facts.endswith("\n-- second, RUN, lines with ^2\n2\n")
    for port in (FIRST_PORT, FIRST_PORT + 1):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
