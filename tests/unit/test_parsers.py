"""buildctl's progress and command lines, and exported cache configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect import buildctl, cacheconfig
from buildkit_bisect.buildctl import BuildRequest, attributes, parse_progress


def status(**vertex: Any) -> str:
    return json.dumps({"vertexes": [{"digest": "sha256:1", "name": "RUN x", **vertex}]})


def test_updates_of_a_vertex_are_merged() -> None:
    lines = [
        status(),
        "warning: local cache import failed",
        status(cached=True, started="t", completed="t"),
        status(started="t"),
        '{"statuses": []}',
        '{"not": "progress"}',
    ]
    vertices, messages = parse_progress("\n".join(lines))
    assert [(v.name, v.state) for v in vertices] == [("RUN x", "cached")]
    assert messages == 'warning: local cache import failed\n{"not": "progress"}'


@pytest.mark.parametrize(
    ("vertex", "state"),
    [
        ({}, "pending"),
        ({"started": "t"}, "ran"),
        ({"started": "t", "error": "exit 1"}, "failed"),
        ({"started": "t", "cached": True}, "cached"),
    ],
)
def test_states(vertex: dict[str, Any], state: str) -> None:
    assert parse_progress(status(**vertex))[0][0].state == state


@given(st.text())
@settings(deadline=None)
def test_any_text_is_progress_or_messages(text: str) -> None:
    vertices, messages = parse_progress(text)
    assert not vertices or "vertexes" in text
    assert len(messages) <= buildctl.MESSAGES_LIMIT


def test_build_arguments() -> None:
    argv = buildctl.build(
        "unix:///s",
        BuildRequest(
            context=Path("/c"),
            dockerfile=Path("/d/My.Dockerfile"),
            target="t",
            args={"A": "1"},
            exports=({"type": "local", "dest": "/x,y"},),
        ),
    )
    assert argv[:3] == ["--addr", "unix:///s", "build"]
    assert "--local=dockerfile=/d" in argv
    assert "--opt=filename=My.Dockerfile" in argv
    assert "--opt=build-arg:A=1" in argv
    assert '--export-cache=type=local,"dest=/x,y"' in argv


def test_attributes_are_csv() -> None:
    assert attributes({"type": "local", "dest": 'a"b'}) == 'type=local,"dest=a""b"'


def write_cache(folder: Path, form: str) -> None:
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    config = {
        "layers": [{"blob": "sha256:base", "parent": -1}, {"blob": "sha256:top"}],
        "records": [
            {"digest": "sha256:a", "layers": [{"layer": 1}], "inputs": [[{"link": 1}]]},
            {"digest": "sha256:b"},
        ],
    }
    (blobs / "c0").write_text(json.dumps(config))
    entry = {"mediaType": cacheconfig.MEDIA_TYPE, "digest": "sha256:c0"}
    top = {"config": entry} if form == "image" else {"manifests": [{"mediaType": "x"}, entry]}
    (blobs / "t0").write_text(json.dumps(top))
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:t0"}]}))


@pytest.mark.parametrize("form", ["image", "index"])
def test_both_manifest_forms(tmp_path: Path, form: str) -> None:
    write_cache(tmp_path, form)
    found = cacheconfig.read_local(tmp_path)
    assert found
    config, _ = found
    assert config.form == form
    assert config.records[0].layers == ("sha256:base", "sha256:top")
    assert config.records[0].inputs == ("sha256:b",)
    assert config.records[1].layers == ()


def test_no_export_is_none(tmp_path: Path) -> None:
    assert cacheconfig.read_local(tmp_path) is None
    (tmp_path / "index.json").write_text('{"manifests": [{"digest": "sha256:../../etc/passwd"}]}')
    assert cacheconfig.read_local(tmp_path) is None


def test_a_loop_of_parents_ends() -> None:
    raw = {
        "layers": [{"blob": "sha256:a", "parent": 1}, {"blob": "sha256:b", "parent": 0}],
        "records": [{"digest": "sha256:r", "layers": [{"layer": 0}]}],
    }
    assert cacheconfig.parse(raw, "image").records[0].layers


def test_notable_lines_of_a_log() -> None:
    log = ["level=info msg=fine", "level=error msg=bad", "panic: no"]
    assert buildctl.notable(log) == "level=error msg=bad\npanic: no"
