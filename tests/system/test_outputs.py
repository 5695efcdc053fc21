"""What builds write, read by trials on real BuildKit, and the script that shows the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab import base_images
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.runtime.registry import serve
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.source import ModuleSource
from tool import inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

BASE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin"]
"""

DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY f /gone
COPY f /d/f
RUN rm /gone && chmod 0751 /d/f && ln -s f /d/l
LABEL marker=own "a.b"="dots"
EXPOSE 2375
"""

HEAD = """\
schema = 1
name = "outputs"
title = "Every output that a trial reads"
issue = "https://github.com/moby/buildkit/pull/6713"

[images.base]
dockerfile = "base.Dockerfile"

[[steps]]
id = "context"
action = "write"
path = "f"
content = "it's f"
"""

STEP = """
[[steps]]
id = "{id}"
action = "build"
dockerfile = "Dockerfile"
args = {{ BASE = "${{image.base}}" }}
outputs = [{output}]
"""

#: Steps and their outputs; those after the first two are images.
OUTPUTS = {
    "files": '{ type = "local", dest = "out" }',
    "archive": '{ type = "tar", dest = "out.tar" }',
    "oci": '{ type = "oci", dest = "oci.tar" }',
    "layout": '{ type = "oci", dest = "layout", tar = "false" }',
    "docker": '{ type = "docker", dest = "docker.tar" }',
    "push": '{ type = "image", name = "${registry}/app:1", push = "true" }',
}

FILES = """\
  {{ step = "{id}", file = "d/f", content = "^it's f$", mode = "0751" }},
  {{ step = "{id}", file = "d/f", same_as = "files" }},
  {{ step = "{id}", file = "d/l", content = "^f$" }},
  {{ step = "{id}", file = "gone", exists = false }},
  {{ not = {{ step = "{id}", file = "d/nothing", exists = true }} }},
"""

DOCUMENTS = """\
  {{ step = "{id}", image = "config.config.Labels.marker", matches = "^own$" }},
  {{ step = "{id}", image = 'config.config.Labels."a.b"', matches = "^dots$" }},
  {{ step = "{id}", image = "config.history[-1].created_by", matches = "EXPOSE .*2375" }},
  {{ step = "{id}", image = "layers[-1].diff_id", matches = "^sha256:" }},
  {{ step = "{id}", image = "attestations[0]", exists = false }},
  {{ step = "{id}", vertex = "RUN rm", before = "^exporting to" }},
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "outputs"
    made.mkdir()
    (made / "base.Dockerfile").write_text(BASE)
    (made / "Dockerfile").write_text(DOCKERFILE)
    steps = [STEP.format(id=name, output=output) for name, output in OUTPUTS.items()]
    facts = [FILES.replace('\n  {{ step = "{id}", file = "d/f", same_as = "files" }},', "").format(
        id="files"
    )]  # fmt: skip
    facts += [FILES.format(id=name) for name in OUTPUTS if name != "files"]
    facts += [DOCUMENTS.format(id=name) for name in list(OUTPUTS)[2:]]
    rules = (
        '\n[[outcomes]]\nname = "not-built"\nverdict = "skip"\nmeans = "a build fails"\n'
        'all = [{ step = "files", exit = "failed" }]\n'
        '\n[[outcomes]]\nname = "read"\nverdict = "good"\nmeans = "every output is as it must be"\n'
        f"all = [\n{''.join(facts)}]\n"
        '\n[[outcomes]]\nname = "died"\nverdict = "bad"\nmeans = "the daemon died"\n'
        'all = [{ daemon = "died" }]\n'
    )
    (made / "scenario.toml").write_text(HEAD + "".join(steps) + rules)
    return made


def test_every_kind_of_output_is_read(folder: Path, tmp_path: Path) -> None:
    done = inv(
        *("run", "--source", "module", "--rev", base_images.REFERENCE, "--scenario", str(folder)),
        *("--trials", "1", "--fresh", "--json", "--out", str(tmp_path / "results")),
    )
    assert done.code == 0, done.stderr
    (cell,) = done.document["cells"]
    assert (cell["outcome"], cell["verdict"]) == ("read", "good"), cell
    assert left_behind() == []


def test_the_script_shows_the_same(folder: Path, tmp_path: Path) -> None:
    source = ModuleSource()
    build = Builder(source=source).build(Variant(revision=source.resolve(base_images.REFERENCE)))
    assert isinstance(build, Build)
    with serve(tmp_path / "images") as images, serve(tmp_path / "pushed") as pushed:
        text = script(
            scenario.load(str(folder)), (), images=images.address, pushed=pushed.address
        )  # fmt: skip
        (tmp_path / "reproduce.sh").write_text(text)
        done = subprocess.run(
            ["/bin/bash", "reproduce.sh"],
            cwd=tmp_path,
            env={"PATH": f"{build.directory}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    shown = done.stdout.partition("\nThe first that holds:\n")[0]
    for step in OUTPUTS:
        assert f"{step}: exit 0\n" in shown, done.stdout
    parts = shown.split("\n-- ")
    dests = ["out", "out.tar", "oci.tar", "layout", "docker.tar", f"{pushed.address}/app:1"]
    for step, dest in zip(OUTPUTS, dests, strict=True):
        file = next(p for p in parts if p.startswith(f"{step}, d/f of {dest}\n"))
        assert "-rwxr-x--x" in file
        assert file.rstrip().endswith("it's f")
        gone = next(p for p in parts if p.startswith(f"{step}, gone of {dest}\n"))
        assert gone.split("\n")[1] == "there is no gone"
    for step, dest in list(zip(OUTPUTS, dests, strict=True))[2:]:
        label = next(
            p for p in parts if p.startswith(f"{step}, config.config.Labels.marker of {dest}")
        )
        assert label.split("\n")[1] == '"own"'
        none = next(p for p in parts if p.startswith(f"{step}, attestations[0] of {dest}\n"))
        assert none.split("\n")[1] == "null"
    assert "-- the daemon runs\n" in shown
    assert left_behind() == []
