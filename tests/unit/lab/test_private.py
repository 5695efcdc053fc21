"""Secrets and keys of a build: their files, and that evidence does not have their text."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest

from buildkit_bisect import scenario, solve_status
from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.lab import private, steps
from buildkit_bisect.model import FileFacts, OutputFacts
from buildkit_bisect.runtime import Built, Runtime
from buildkit_bisect.scenario import Action, Step
from buildkit_bisect.system.process import Completed

SECRET = 'tok"en-\\of-mine'  # noqa: S105
SECRETS = {"token": SECRET, "lines": "first line of it\nsecond line of it"}


def built(stderr: str, trace: str | None = None) -> Built:
    done: Any = {"argv": (), "exit": 0, "stdout": f"out {SECRET}", "seconds": 1.0}
    return Built(done=Completed(stderr=stderr, **done), trace=trace)


def status(*printed: str, key: str = "data", **vertex: str) -> str:
    """Return progress of one vertex that prints, each text in a message of its own."""
    logs = [{"vertex": "sha256:1", key: base64.b64encode(t.encode()).decode()} for t in printed]
    vertexes = [{"digest": "sha256:1", "name": "RUN x", "started": "t", **vertex}]
    return "".join(json.dumps({"vertexes": vertexes, "logs": [log]}) + "\n" for log in logs)


def logs(text: str) -> str:
    return "".join(v.log for v in solve_status.read(text).vertices)


def test_it_is_in_no_log(tmp_path: Path) -> None:
    text = status(f"a {SECRET} b\n", "second line of it\nrest\n", error=f"exit: {SECRET}")
    made = private.hidden(built(f"{text}warning: {SECRET}\n"), SECRETS).done
    assert logs(made.stderr) == "a [secret token] b\n[secret lines]\nrest\n"
    read = solve_status.read(made.stderr)
    assert (read.vertices[0].error, read.messages.strip(), read.trouble) == (
        "exit: [secret token]",
        "warning: [secret token]",
        "",
    )
    assert made.stdout == "out [secret token]"


def test_it_is_in_no_output() -> None:
    """A build may write a secret into a file, a label or its history."""
    facts = OutputFacts(
        name="out",
        kind="oci",
        files=(
            FileFacts(path="a", kind="file", mode=0o644, mtime=0, text=f"x {SECRET}\n"),
            FileFacts(path="b", kind="file", mode=0o644, mtime=0),
        ),
        documents={"config": {"config": {"Labels": {"a": SECRET}}, "size": 3}},
    )
    made = private.in_outputs(facts, SECRETS)
    assert [file.text for file in made.files] == ["x [secret token]\n", None]
    labels = {"config": {"Labels": {"a": "[secret token]"}}, "size": 3}
    assert made.documents == {"config": labels}
    assert private.in_outputs(facts, {}) is facts


def test_it_is_in_no_log_that_is_split(tmp_path: Path) -> None:
    """Each message has a part of it, so none is kept."""
    text = status(f"a {SECRET[:5]}", f"{SECRET[5:]} b\n")
    made = private.hidden(built(text), SECRETS).done.stderr
    assert logs(made) == ""
    assert base64.b64encode(SECRET[5:].encode()).decode()[:8] not in made
    assert solve_status.read(made).vertices[0].state == "ran"


def test_a_trace_has_it_neither(tmp_path: Path) -> None:
    text = status(f"a {SECRET}\n", key="Data")
    made = private.hidden(built(f"#1 0.1 a {SECRET}\n", text), SECRETS)
    assert made.trace
    assert logs(made.trace) == "a [secret token]\n"
    assert made.done.stderr == "#1 0.1 a [secret token]\n"


def test_what_is_no_text_stays_as_it_is() -> None:
    data = base64.b64encode(b"\xff\x00 binary").decode()
    text = json.dumps({"logs": [{"vertex": "sha256:1", "data": data}]})
    assert private.hidden(built(text), SECRETS).done.stderr == text
    assert private.hidden(built(text), {}) == built(text)


def test_a_key_is_one_that_ssh_reads(tmp_path: Path) -> None:
    with private.Private(tmp_path) as own:
        first, second = own.key("default"), own.key("other")
        assert first.read_text() != second.read_text()
        body = re.fullmatch(
            r"-----BEGIN EC PRIVATE KEY-----\n(.*)\n-----END EC PRIVATE KEY-----\n",
            first.read_text(), re.DOTALL,
        )  # fmt: skip
        assert body
        der = base64.b64decode(body[1])
        assert len(der) == der[1] + 2, "a sequence of its whole length"
        assert first.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


class Printing:
    """A runtime whose build prints the secret that it was given."""

    def __init__(self) -> None:
        self.folder = Path()

    def build(self, request: BuildRequest) -> Built:
        (secret,) = request.options.secrets.values()
        (key,) = request.options.ssh.values()
        self.folder = secret.parent
        assert key.parent == secret.parent
        assert secret.stat().st_mode & 0o777 == 0o600
        assert self.folder.stat().st_mode & 0o777 == 0o700
        return built(status(f"printed {secret.read_text()}\n"))


@pytest.mark.parametrize("folder", ["work", "context", "evidence"])
def test_neither_evidence_nor_the_observation_has_it(tmp_path: Path, folder: str) -> None:
    for name in ("work", "context", "evidence"):
        (tmp_path / name).mkdir()
    bench = steps.Bench(
        scenario=scenario.load("single-chain"),
        axes=(("compression", "gzip"), ("snapshotter", "overlayfs")),
        images={"base": "b"}, registry="", work=tmp_path / "work", context=tmp_path / "context",
        evidence=tmp_path / "evidence",
    )  # fmt: skip
    step = Step(
        id="go", action=Action.BUILD, dockerfile="Dockerfile", secrets={"token": SECRET},
        ssh=("default",),
    )  # fmt: skip
    runtime = Printing()
    result = steps.run(bench, cast(Runtime, runtime), step)
    assert result.vertices[0].log == "printed [secret token]\n"
    assert SECRET not in repr(result)
    assert not runtime.folder.exists(), "its files are gone"
    kept = [path.read_text() for path in (tmp_path / folder).iterdir()]
    assert bool(kept) is (folder == "evidence")
    encoded = base64.b64encode(f"printed {SECRET}\n".encode()).decode()
    assert not any(SECRET in text or encoded in text for text in kept)
