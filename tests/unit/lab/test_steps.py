"""Builds of a scenario: command lines, what is kept of them, and exported cache configs."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from buildkit_bisect import buildctl, scenario
from buildkit_bisect.buildctl import BuildRequest, Reporting, attributes
from buildkit_bisect.engine import buildx_plugin
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import cache_export, steps
from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime import Built, Runtime, UnsupportedClient
from buildkit_bisect.scenario import Action, Step, cache_config
from buildkit_bisect.system import pipes
from buildkit_bisect.system.process import Completed


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


def test_the_arguments_of_a_build_with_a_remote_context() -> None:
    """A folder and a Dockerfile of this machine are not sent."""
    request = BuildRequest(
        context=Path("/c"), dockerfile=Path("sub/Dockerfile"), args={}, remote="http://h/r.git#b"
    )
    argv = buildctl.build("a", request)
    assert argv[-2:] == ["--opt=context=http://h/r.git#b", "--opt=filename=sub/Dockerfile"]
    assert "/c" not in "".join(argv)
    argv = buildx_plugin.build("b", request)
    assert argv[-1] == "http://h/r.git#b"
    assert argv[argv.index("--file") + 1] == "sub/Dockerfile"


def test_a_trace_takes_the_place_of_rawjson() -> None:
    request = BuildRequest(context=Path("/c"), dockerfile=Path("/d/Dockerfile"), args={})
    traced = buildctl.build("a", request, Path("/t/trace.json"))
    assert traced[3:5] == ["--progress=plain", "--trace=/t/trace.json"]
    plain = [a for a in traced if a not in traced[3:5]]
    assert plain == [a for a in buildctl.build("a", request) if a != "--progress=rawjson"]


HELP = """
OPTIONS:
   --output value, -o value    Define exports for build result
   --progress value            Set type of progress (auto, plain, tty{}). Use plain to show container output (default: "auto")
   --trace value               Path to trace file. Defaults to no tracing.
   --local value               Allow build access to the local directory
   --frontend value            Define frontend used for build
   --opt value                 Define custom options for frontend, e.g. --opt target=foo
   --export-cache value        Export build cache
   --import-cache value        Import build cache
"""  # noqa: E501 - as it is printed


def test_what_a_buildctl_can_do_is_in_its_help() -> None:
    old, new = HELP.format(""), HELP.format(", rawjson")
    assert (buildctl.reporting(old), buildctl.reporting(new)) == (
        Reporting.TRACE,
        Reporting.RAWJSON,
    )
    assert buildctl.lacking(old) == buildctl.lacking(new) == ""
    assert buildctl.lacking(old.replace("--trace", "--tracer")) == "--trace"
    assert buildctl.lacking(new.replace("--trace", "--tracer")) == ""
    assert buildctl.lacking(new.replace("   --opt ", "   --frontend-opt ")) == "--opt"


VERTEX = {"digest": "sha256:1", "name": "[2/2] RUN x", "started": "t"}
PROGRESS = json.dumps({"vertexes": [VERTEX]})
PRINTED = json.dumps({"logs": [{"vertex": "sha256:1", "data": "b25lCnR3bwo="}]})  # one, two


class Ended:
    """A runtime whose build ends as given."""

    def __init__(self, stderr: str, trace: str | None = None, **ended: Any) -> None:
        done = {"argv": (), "exit": 0, "stdout": "", "seconds": 1.0, **ended}
        self.built = Built(done=Completed(stderr=stderr, **done), trace=trace)
        self.requests: list[BuildRequest] = []

    def build(self, request: BuildRequest) -> Built:
        self.requests.append(request)
        return self.built


@pytest.fixture
def bench(tmp_path: Path) -> steps.Bench:
    return steps.Bench(
        scenario=scenario.load("single-chain"),
        axes=(("compression", "gzip"), ("snapshotter", "overlayfs")),
        images={"base": "b"}, registry="", work=tmp_path, context=tmp_path, evidence=tmp_path,
    )  # fmt: skip


def built(bench: steps.Bench, stderr: str, trace: str | None = None, **ended: Any) -> StepResult:
    step = Step(id="go", action=Action.BUILD, dockerfile="Dockerfile")
    return steps.run(bench, cast(Runtime, Ended(stderr, trace, **ended)), step)


def test_a_build_without_any_vertex_is_not_supported(bench: steps.Bench) -> None:
    with pytest.raises(UnsupportedClient, match="step go exited 0, but no vertex was found"):
        built(bench, "error: a form that is not known\n")
    with pytest.raises(UnsupportedClient):
        built(bench, "", trace="")
    failed = built(bench, "error: no daemon\n", exit=1)
    assert (failed.exit, failed.vertices, failed.stderr) == (1, (), "error: no daemon")
    assert built(bench, "", timed_out=True, exit=-15).vertices == ()


def test_progress_that_is_damaged_is_an_infrastructure_failure(bench: steps.Bench) -> None:
    with pytest.raises(InfraFailed, match=r'progress of step go cannot be read: \{"vertexes'):
        built(bench, f'{PROGRESS}\n{{"vertexes": 5}}\n')
    assert "vertexes" in (bench.evidence / "go.progress.jsonl").read_text(), "it is kept"
    with pytest.raises(InfraFailed, match="printed too much: 7 bytes"):
        built(bench, PROGRESS, left_out=7)
    with pytest.raises(InfraFailed):
        built(bench, PROGRESS[:-4], exit=-9)
    assert built(bench, f"{PROGRESS}\n{PRINTED[:-4]}", exit=-15, timed_out=True).vertices


def test_what_vertices_print_is_kept(bench: steps.Bench) -> None:
    result = built(bench, f"{PROGRESS}\n{PRINTED}\nwarning: x\n")
    assert [v.log for v in result.vertices] == ["one\ntwo\n"]
    assert result.stderr.strip() == "warning: x"
    assert (bench.evidence / "go.vertices.log").read_text() == "[2/2] RUN x\none\ntwo\n"
    assert not (bench.evidence / "go.stderr").exists()


def test_a_trace_is_kept_beside_what_was_printed(bench: steps.Bench) -> None:
    result = built(bench, "#1 [2/2] RUN x\n#1 0.1 one\nwarning: x\n", f"{PROGRESS}\n{PRINTED}\n")
    assert [(v.state, v.log) for v in result.vertices] == [("ran", "one\ntwo\n")]
    assert result.stderr == "warning: x"
    assert (bench.evidence / "go.progress.jsonl").read_text() == f"{PROGRESS}\n{PRINTED}\n"
    assert (bench.evidence / "go.stderr").read_text().endswith("warning: x\n")


def test_evidence_has_the_whole_log(bench: steps.Bench) -> None:
    data = base64.b64encode(b"y" * 100_000).decode()
    long = json.dumps({"logs": [{"vertex": "sha256:1", "data": data}]})
    result = built(bench, f"{PROGRESS}\n{long}\n")
    assert len(result.vertices[0].log) < 70_000
    assert len((bench.evidence / "go.vertices.log").read_text()) > 100_000


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
        cache_export.blob_path(digest)
    assert cache_export.blob_path("sha256:ab") == "blobs/sha256/ab"


def test_a_cycle_of_parents_terminates() -> None:
    raw = {
        "layers": [{"blob": "sha256:a", "parent": 1}, {"blob": "sha256:b", "parent": 0}],
        "records": [{"digest": "sha256:r", "layers": [{"layer": 0}]}],
    }
    assert cache_config.parse(raw, "image").records[0].layers


def test_notable_lines_of_a_log() -> None:
    log = ["level=info msg=fine", "level=error msg=bad", "panic: no"]
    assert buildctl.notable(log) == "level=error msg=bad\npanic: no"


def test_notable_lines_of_a_log_of_which_the_middle_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("panic: one\n" + "x" * 50 + "\npanic: two\n")
    log = pipes.excerpt(path, 40).splitlines()
    assert buildctl.notable(log) == "panic: one\n[33 bytes left out]\npanic: two"


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


def test_a_blob_of_the_machine_is_not_deleted_through_a_link(tmp_path: Path) -> None:
    work, victim = tmp_path / "work", tmp_path / "victim"
    write_cache(work / "cache", "image")
    (work / "cache" / "blobs").rename(victim)
    (work / "cache" / "blobs").symlink_to(victim)
    before = sorted(victim.rglob("*"))
    bench = steps.Bench(
        scenario=scenario.load("single-chain"),
        axes=(), images={}, registry="", work=work, context=work, evidence=work,
    )  # fmt: skip
    step = Step(id="delete", action=Action.DELETE_BLOB, cache="cache", layer=0)
    assert steps.run(bench, cast(Runtime, None), step).exit == 1
    assert sorted(victim.rglob("*")) == before


@pytest.mark.parametrize("ignored", [False, True])
def test_a_build_gets_a_folder_with_the_files_that_are_digested(
    bench: steps.Bench, tmp_path: Path, *, ignored: bool
) -> None:
    folder, work = tmp_path / "own", tmp_path / "home" / "work"
    folder.mkdir()
    work.mkdir(parents=True)
    wanted = {"Dockerfile"}
    for name in ("Dockerfile", "Other.dockerignore", ".dockerignore", "scenario.toml"):
        (folder / name).write_text(name)
    if ignored:
        (folder / "Dockerfile.dockerignore").write_text("*")
        wanted |= {"Dockerfile.dockerignore"}
    own = replace(bench, scenario=replace(bench.scenario, folders=(folder,)), work=work)
    runtime = Ended("", "")
    with suppress(UnsupportedClient):
        steps.run(own, cast(Runtime, runtime), Step(id="go", action=Action.BUILD,
                                                    dockerfile="Dockerfile"))  # fmt: skip
    given = runtime.requests[0].dockerfile
    assert given.parent != folder
    assert {p.name: p.read_text() for p in given.parent.iterdir()} == {
        name: (folder / name).read_text() for name in wanted
    }
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(InfraFailed, match="Dockerfile of step go cannot be copied: No such file"):
        steps.run(own, cast(Runtime, runtime), Step(id="go", action=Action.BUILD,
                                                    dockerfile="Dockerfile"))  # fmt: skip
