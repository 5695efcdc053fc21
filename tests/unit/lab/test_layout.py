"""Named contexts that steps left: what the build under test or a step may have made of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.buildctl import BuildRequest, NamedContext
from buildkit_bisect.lab import cache_export, layout, steps
from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime import Built, Runtime
from buildkit_bisect.scenario import Action, Step
from buildkit_bisect.system.process import Completed

DIGEST = "sha256:" + "1" * 64
STATUS = '{"vertexes":[{"digest":"sha256:1","name":"x","started":"t"}]}\n'


@pytest.mark.parametrize(
    "index",
    [
        None,
        "",
        "[]",
        "{}",
        '{"manifests": []}',
        '{"manifests": 3}',
        '{"manifests": [{}]}',
        '{"manifests": [{"digest": 5}]}',
        '{"manifests": [{"digest": "sha256:../../etc"}]}',
        "[" * 100_000,
    ],
)
def test_what_is_not_a_layout(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(ValueError, match=tmp_path.name):
        layout.digest(tmp_path)


class Seen:
    """A runtime that keeps the request of a build."""

    def __init__(self) -> None:
        self.requests: list[BuildRequest] = []

    def build(self, request: BuildRequest) -> Built:
        self.requests.append(request)
        done: Any = {"argv": (), "exit": 0, "stdout": "", "seconds": 1.0}
        return Built(done=Completed(stderr=STATUS, **done))


@pytest.fixture
def seen() -> Seen:
    return Seen()


def build(folder: Path, seen: Seen, context: str = "", **keys: Any) -> StepResult:
    """Run a build with a named context, in a trial whose directories are in *folder*."""
    keys |= {"contexts": {"a": context}} if context else {}
    keys = {"dockerfile": "Dockerfile"} | keys
    for name in ("work", "context", "evidence"):
        (folder / name).mkdir(exist_ok=True)
    bench = steps.Bench(
        scenario=scenario.load("single-chain"),
        axes=(("compression", "gzip"), ("snapshotter", "overlayfs")),
        images={"base": "b"}, registry="", work=folder / "work", context=folder / "context",
        evidence=folder / "evidence",
    )  # fmt: skip
    step = Step(id="go", action=Action.BUILD, **keys)
    return steps.run(bench, cast(Runtime, seen), step)


def test_the_image_that_was_put_last_into_a_layout(tmp_path: Path, seen: Seen) -> None:
    made = tmp_path / "work" / "lay"
    made.mkdir(parents=True)
    manifests = [{"digest": f"sha256:{'2' * 64}"}, {"digest": DIGEST}]
    (made / "index.json").write_text(json.dumps({"manifests": manifests}))
    assert build(tmp_path, seen, "oci-layout:lay").exit == 0
    assert seen.requests[0].options.contexts == {"a": NamedContext(layout=made, digest=DIGEST)}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("oci-layout:lay", "lay is not an OCI layout with an image in it"),
        ("context:lib", "the named context a is not a directory: lib"),
    ],
)
def test_what_an_earlier_step_did_not_leave_is_a_failure_of_the_step(
    tmp_path: Path, seen: Seen, context: str, message: str
) -> None:
    done = build(tmp_path, seen, context)
    assert (done.exit, seen.requests) == (1, [])
    assert done.stderr.endswith(message)


def test_a_link_does_not_lead_out_of_a_trial(tmp_path: Path, seen: Seen) -> None:
    """The build reads the folder on the host, as root."""
    (tmp_path / "context").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "context" / "lib").symlink_to("../secret")
    done = build(tmp_path, seen, "context:lib")
    assert (done.exit, seen.requests) == (1, [])
    assert done.stderr == "the named context a leads out of the trial: lib"
    (tmp_path / "context" / "lib").unlink()
    (tmp_path / "context" / "real").mkdir()
    (tmp_path / "context" / "lib").symlink_to("real")
    assert build(tmp_path, seen, "context:lib").exit == 0


def test_a_dockerfile_of_the_context_is_not_somewhere_else(tmp_path: Path, seen: Seen) -> None:
    """The first line of a file that is no Dockerfile would be in the message of the build."""
    (tmp_path / "context").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "context" / "a").symlink_to("../secret")
    (tmp_path / "context" / "Dockerfile").symlink_to("../secret/Dockerfile")
    for name in ("a/Dockerfile", "Dockerfile"):
        done = build(tmp_path, seen, dockerfile=f"context:{name}")
        assert (done.exit, seen.requests) == (1, [])
        assert done.stderr == "the Dockerfile leads out of the trial: Dockerfile"


def test_a_layout_in_an_output_is_not_somewhere_else(tmp_path: Path, seen: Seen) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "index.json").write_text(
        f'{{"manifests": [{{"digest": "{DIGEST}"}}]}}'
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "lay").symlink_to("../elsewhere")
    done = build(tmp_path, seen, "oci-layout:lay")
    message = "lay is not an OCI layout with an image in it"
    assert (done.stderr, seen.requests) == (message, [])


@pytest.mark.parametrize(
    ("kind", "entry", "message"),
    [
        ("outputs", {"type": "local", "dest": "out/link/x"}, "Not a directory: 'link'"),
        ("outputs", {"type": "tar", "dest": "out/link/x"}, "dest leads out of the trial: x"),
        ("outputs", {"type": "oci", "dest": "out/link"}, "dest leads out of the trial: link"),
        ("exports", {"type": "local", "dest": "out/link/x"}, "dest leads out of the trial: x"),
        ("imports", {"type": "local", "src": "out/link"}, "src leads out of the trial: link"),
    ],
)
def test_an_output_with_a_link_takes_no_later_one_out_of_a_trial(
    tmp_path: Path, seen: Seen, kind: str, entry: dict[str, str], message: str
) -> None:
    """buildctl would follow the link that a build put into a local output, as root."""
    (tmp_path / "work" / "out").mkdir(parents=True)
    (tmp_path / "work" / "out" / "link").symlink_to(tmp_path)
    done = build(tmp_path, seen, "", **{kind: (entry,)})
    assert (done.exit, seen.requests) == (1, [])
    assert done.stderr.endswith(message)


def test_a_folder_of_an_earlier_run_is_removed_before_a_build_writes_there(
    tmp_path: Path, seen: Seen
) -> None:
    """Its links would lead the files of this run out of the trial."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("")
    out = tmp_path / "work" / "a" / "out"
    out.mkdir(parents=True)
    (out / "sub").symlink_to(victim)
    deep = out
    for _ in range(1500):
        deep /= "d"
        deep.mkdir()
    (deep / "link").symlink_to(victim)
    assert build(tmp_path, seen, outputs=({"type": "local", "dest": "a/out"},)).exit == 0
    assert not out.exists()
    assert (victim / "file").exists()
    out.symlink_to(victim)
    assert build(tmp_path, seen, outputs=({"type": "local", "dest": "a/out"},)).exit == 0
    assert not out.is_symlink()
    assert (victim / "file").exists()


def test_no_folder_is_made_through_a_link(tmp_path: Path, seen: Seen) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a").symlink_to(tmp_path / "victim")
    done = build(tmp_path, seen, outputs=({"type": "local", "dest": "a/b/c"},))
    assert (done.exit, seen.requests) == (1, [])
    assert list((tmp_path / "victim").iterdir()) == []


def test_an_output_that_leads_out_afterwards_does_not_end_the_campaign(
    tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaves(request: BuildRequest) -> Built:
        Path(request.outputs[0]["dest"]).symlink_to("/etc")
        return Seen.build(seen, request)

    monkeypatch.setattr(seen, "build", leaves)
    done = build(tmp_path, seen, outputs=({"type": "local", "dest": "x"},))
    assert (done.exit, [o.files for o in done.outputs]) == (0, [()])
    assert "cannot be read" in done.outputs[0].left_out


def test_a_fifo_is_no_layout(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(ValueError, match="is not an OCI layout"):
        layout.digest(tmp_path)
    assert cache_export.read_local(tmp_path) is None
