"""The progress and command lines of buildctl, and exported cache configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect import buildctl, scenario
from buildkit_bisect.buildctl import BuildRequest, attributes, parse_progress
from buildkit_bisect.lab import cache_export, steps
from buildkit_bisect.runtime import Runtime
from buildkit_bisect.scenario import Action, Step, cache_config


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
def test_the_state_of_a_vertex(vertex: dict[str, Any], state: str) -> None:
    assert parse_progress(status(**vertex))[0][0].state == state


@given(st.text())
@settings(deadline=None)
def test_any_text_is_progress_or_messages(text: str) -> None:
    vertices, messages = parse_progress(text)
    assert not vertices or "vertexes" in text
    assert len(messages) <= buildctl.MESSAGES_LIMIT


@pytest.mark.parametrize(
    "line",
    [
        '{"vertexes": 5}',
        '{"vertexes": ["x"]}',
        '{"vertexes": [{"digest": {}}]}',
        '{"vertexes": [{}]}',
        '{"vertexes": ' + "[" * 100_000,
    ],
    ids=lambda line: line[:30],
)
def test_invalid_progress_is_a_message(line: str) -> None:
    vertices, messages = parse_progress(f"{status()}\n{line}")
    assert [v.name for v in vertices] == ["RUN x"]
    assert messages == line[-buildctl.MESSAGES_LIMIT :]


def test_the_name_of_a_vertex_is_text() -> None:
    ((vertex,), _) = parse_progress(status(name=5))
    assert vertex.name == "5"


def test_the_arguments_of_a_build() -> None:
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
    entry = {"mediaType": cache_config.MEDIA_TYPE, "digest": "sha256:c0"}
    top = {"config": entry} if form == "image" else {"manifests": [{"mediaType": "x"}, entry]}
    (blobs / "t0").write_text(json.dumps(top))
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:t0"}]}))


@pytest.mark.parametrize("form", ["image", "index"])
def test_both_manifest_forms(tmp_path: Path, form: str) -> None:
    write_cache(tmp_path, form)
    found = cache_export.read_local(tmp_path)
    assert found
    config, _ = found
    assert config.form == form
    assert config.records[0].layers == ("sha256:base", "sha256:top")
    assert config.records[0].inputs == ("sha256:b",)
    assert config.records[1].layers == ()


def test_a_directory_without_an_export_gives_none(tmp_path: Path) -> None:
    assert cache_export.read_local(tmp_path) is None
    (tmp_path / "index.json").write_text('{"manifests": [{"digest": "sha256:../../etc/passwd"}]}')
    assert cache_export.read_local(tmp_path) is None


@pytest.mark.parametrize(
    "manifest",
    [
        "[]",
        '{"config": "x"}',
        json.dumps({"config": {"mediaType": cache_config.MEDIA_TYPE, "digest": 5}}),
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_an_export_of_another_shape_gives_none(tmp_path: Path, manifest: str) -> None:
    write_cache(tmp_path, "image")
    (tmp_path / "blobs" / "sha256" / "t0").write_text(manifest)
    assert cache_export.read_local(tmp_path) is None


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"layers": 5},
        {"layers": [{"blob": 5}]},
        {"layers": [5], "records": [{"digest": "sha256:r", "layers": [{"layer": 0}]}]},
        {"records": [{"digest": ["sha256:r"]}]},
        {"records": ["x"]},
    ],
    ids=str,
)
def test_a_cache_config_of_another_shape_gives_none(tmp_path: Path, config: Any) -> None:
    write_cache(tmp_path, "image")
    (tmp_path / "blobs" / "sha256" / "c0").write_text(json.dumps(config))
    assert cache_export.read_local(tmp_path) is None


@pytest.mark.parametrize(
    "digest", ["/etc:passwd", "sha256:../../x", "..:x", "sha256:", "sha256", "sha256:a/b", 5, None]
)
def test_a_blob_path_is_inside_its_cache(digest: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        cache_export.blob_path(Path("/cache"), digest)
    assert cache_export.blob_path(Path("/c"), "sha256:ab") == Path("/c/blobs/sha256/ab")


def test_a_cycle_of_parents_terminates() -> None:
    raw = {
        "layers": [{"blob": "sha256:a", "parent": 1}, {"blob": "sha256:b", "parent": 0}],
        "records": [{"digest": "sha256:r", "layers": [{"layer": 0}]}],
    }
    assert cache_config.parse(raw, "image").records[0].layers


def test_notable_lines_of_a_log() -> None:
    log = ["level=info msg=fine", "level=error msg=bad", "panic: no"]
    assert buildctl.notable(log) == "level=error msg=bad\npanic: no"


@pytest.mark.parametrize("digest", ["DIR:victim", "sha256:../../../victim"])
def test_a_crafted_export_cannot_make_a_step_delete_another_file(
    tmp_path: Path, digest: str
) -> None:
    work, victim = tmp_path / "work", tmp_path / "victim"
    victim.write_text("")
    write_cache(work / "cache", "image")
    config = {"layers": [{"blob": digest.replace("DIR", str(tmp_path))}], "records": []}
    (work / "cache" / "blobs" / "sha256" / "c0").write_text(json.dumps(config))
    bench = steps.Bench(
        scenario=scenario.load("single-chain"),
        axes=(), images={}, registry="", work=work, context=work, evidence=work,
    )  # fmt: skip
    step = Step(id="delete", action=Action.DELETE_BLOB, cache="cache", layer=0)
    done = steps.run(bench, cast(Runtime, None), step)
    assert victim.exists()
    assert (done.exit, done.stderr) == (1, "layer 0 of the cache 'cache' has no valid digest")
