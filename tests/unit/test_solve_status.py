"""What a build did, read from what buildctl wrote."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect import solve_status
from buildkit_bisect.model import Vertex
from buildkit_bisect.solve_status import read

RECORDED = Path(__file__).with_name("solve_status")


def status(**vertex: Any) -> str:
    return json.dumps({"vertexes": [{"digest": "sha256:1", "name": "RUN x", **vertex}]})


def log(data: str, digest: str = "sha256:1") -> str:
    encoded = base64.b64encode(data.encode()).decode()
    return json.dumps({"logs": [{"vertex": digest, "data": encoded, "stream": 1}]})


def test_updates_of_a_vertex_are_merged() -> None:
    lines = [
        status(),
        "warning: local cache import failed",
        status(cached=True, started="t", completed="t"),
        status(started="t"),
        '{"statuses": []}',
        "{}",
        '{"not": "progress"}',
    ]
    found = read("\n".join(lines))
    assert [(v.name, v.state) for v in found.vertices] == [("RUN x", "cached")]
    assert found.messages == 'warning: local cache import failed\n{"not": "progress"}'
    assert found.trouble == ""


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
    assert read(status(**vertex)).vertices[0].state == state


def test_a_vertex_has_what_it_printed() -> None:
    found = read("\n".join([log("early "), status(), log("tä"[:2]), log("\nlast"), log("x", "2")]))
    assert [v.log for v in found.vertices] == ["early tä\nlast"]


def test_a_character_may_be_in_two_parts_of_a_log() -> None:
    first, second = (base64.b64encode(part).decode() for part in (b"\xc3", b"\xa4"))
    lines = [json.dumps({"logs": [{"vertex": "sha256:1", "data": d}]}) for d in (first, second)]
    assert read("\n".join([status(), *lines])).vertices[0].log == "ä"


@pytest.mark.parametrize("between", ["\n", "", " ", "\n\n"])
@pytest.mark.parametrize("indent", [None, 2])
def test_values_may_have_any_layout(between: str, indent: int | None) -> None:
    values = [json.loads(status(started="t")), json.loads(log("hello"))]
    found = read(between.join(json.dumps(v, indent=indent) for v in values) + "\nerror: no\n")
    assert [(v.state, v.log) for v in found.vertices] == [("ran", "hello")]
    assert found.messages.strip() == "error: no"
    assert found.trouble == ""


@pytest.mark.parametrize(
    "broken",
    [
        '{"vertexes": 5}',
        '{"vertexes": ["x"]}',
        '{"vertexes": [{"digest": {}}]}',
        '{"vertexes": [{}]}',
        '{"logs": [{"vertex": "sha256:1", "data": "!"}]}',
        '{"logs": [{"vertex": "sha256:1", "data": 5}]}',
        '{"logs": [{"data": ""}]}',
        '{"vertexes": ' + "[" * 100_000,
        status(started="t")[:-5],
        json.dumps(json.loads(status(started="t")), indent=2)[:-5],
        '{"Vertexes": [{"Digest": "sha256:2"',
    ],
    ids=lambda line: line[:40],
)
def test_what_cannot_be_read_is_not_passed_over(broken: str) -> None:
    """A vertex may be missing then, which must not count as absent."""
    found = read(f"{status()}\n{broken}\n{status(digest='sha256:3')}")
    assert found.trouble == broken.split("\n", maxsplit=1)[0][:200]
    assert read("", f"{status()}\n{broken}").trouble


@pytest.mark.parametrize("indent", [None, 2])
def test_the_last_value_of_a_build_that_was_killed_may_be_cut(indent: int | None) -> None:
    whole = json.dumps(json.loads(status(started="t")), indent=indent)
    for end in range(len('{"vertexes": [{') + (indent or 0) * 4, len(whole)):
        text = f"{status()}\n{whole[:end]}"
        assert read(text).trouble
        found = read(text, cut=True)
        assert (found.trouble, found.messages) == ("", "")
        assert read(f"{text}\n{status()}", cut=True).trouble, "not the last one"


def test_a_trace_has_only_values() -> None:
    found = read("error: no", f"{status()}\nfoo\n")
    assert found.trouble == "foo"
    assert found.messages == "error: no"


@pytest.mark.parametrize(
    "message",
    ["{", "{}x", '{"errors": [{"code": "DENIED"}]}', "{foo}", "[]", "5", '"vertexes"', '{"a":1} b'],
)
def test_a_message_may_look_like_json(message: str) -> None:
    found = read(f"{status()}\n{message}\n")
    assert (found.messages, found.trouble) == (message, "")


@given(st.text() | st.text('{}[]":,vertexslogs \n'), st.booleans())
@settings(deadline=None)
def test_any_text_is_progress_or_messages(text: str, cut: bool) -> None:
    found = read(text, cut=cut)
    assert not found.vertices or "vertexes" in text
    assert len(found.messages) <= solve_status.MESSAGES_LIMIT
    read(text, text)


def test_the_name_of_a_vertex_is_text() -> None:
    assert read(status(name=5)).vertices[0].name == "5"


def test_a_long_log_keeps_its_beginning_and_its_end() -> None:
    short = "x" * solve_status.LOG_LIMIT
    assert solve_status.clipped(short) == short
    cut = solve_status.clipped(f"first {short} last")
    assert cut.startswith("first x")
    assert cut.endswith("x last")
    assert "\n[11 characters left out]\n" in cut


def test_the_logs_of_a_build_are_below_the_names() -> None:
    vertices = [
        Vertex(name="RUN a", digest="1", log="one\ntwo\n"),
        Vertex(name="RUN b", digest="2"),
        Vertex(name="RUN c", digest="3", log="three"),
    ]
    assert solve_status.logs(vertices) == "RUN a\none\ntwo\n\nRUN c\nthree\n"
    assert solve_status.logs(vertices[1:2]) == ""


RUN = (
    'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox seq 1 30; echo ------;'
    " echo '#9 error: not a message'; printf partial; exit 1\"]"
)
COMMAND = RUN.replace('RUN ["', "").replace('"]', "").replace('", "', " ")

#: What a build of this Dockerfile does, after one that had run its COPY.
FAILED = {
    "[internal] load build definition from noisy.Dockerfile": ("ran", ""),
    "[internal] load .dockerignore": ("ran", ""),
    "[internal] load build context": ("ran", ""),
    "[1/2] COPY busybox /bin/busybox": ("cached", ""),
    f"[2/2] {RUN}": (
        "failed",
        "".join(f"{n}\n" for n in range(1, 31)) + "------\n#9 error: not a message\npartial",
    ),
}
MESSAGES = f"""\
noisy.Dockerfile:3
--------------------
   1 |     FROM scratch
   2 |     COPY busybox /bin/busybox
   3 | >>> {RUN}
   4 |{"     "}
--------------------
error: failed to solve: process "{COMMAND}" did not complete successfully: exit code: 1"""


def recorded(version: str) -> solve_status.Progress:
    """Return what is read of the files in ``solve_status/``.

    The buildctl of each release wrote them, with its own daemon. Values without vertices and
    logs are left out.
    """
    stderr, trace = (RECORDED / f"{version}.{kind}" for kind in ("stderr", "trace"))
    written = trace.read_bytes().decode() if trace.exists() else None
    return read(stderr.read_bytes().decode(), written)


@pytest.mark.parametrize("version", sorted({p.stem for p in RECORDED.iterdir()}))
def test_every_release_tells_the_same(version: str) -> None:
    found = recorded(version)
    assert found.trouble == ""
    assert {v.name: (v.state, v.log) for v in found.vertices} == FAILED
    assert found.messages.strip() == MESSAGES
    (failed,) = (v for v in found.vertices if v.error)
    assert failed.error.endswith("did not complete successfully: exit code: 1")


def test_the_recordings_have_every_form() -> None:
    texts = {path.name: path.read_text() for path in RECORDED.iterdir()}
    assert texts["v0.12.5.trace"].startswith('{"Vertexes":[')
    assert texts["v0.13.0.stderr"].startswith('{\n  "vertexes": [\n')
    assert texts["v0.25.0.stderr"].startswith('{"vertexes":[')
    assert "\n#5 0.2" in texts["v0.12.5.stderr"]


def test_an_error_of_several_lines_is_not_a_message() -> None:
    name, error = "RUN <<EOF\necho x\nEOF", "failed:\nerror: from the registry\nend"
    vertex = {"Digest": "sha256:1", "Name": name, "Error": error}
    plain = f"#1 {name}\n#1 ERROR: {error}\n------\n > {name}:\n0.1 error: y\n------\nerror: it\n"
    found = read(plain, json.dumps({"Vertexes": [vertex]}))
    assert (found.messages, found.trouble) == ("error: it", "")


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2024-02-29T23:59:59.5+05:30", 1709231399.5),
        ("2000-03-01T00:00:00Z", 951868800.0),
        ("2023-12-31T12:00:00-08:00", 1704052800.0),
        ("2026-11-30T06:53:38.013240417Z", pytest.approx(1796021618.01324, abs=1e-5)),
        ("2026-11-30 06:53:38Z", None),
        ("yesterday", None),
        (None, None),
        (5, None),
    ],
)
def test_moments_as_go_writes_them(moment: object, seconds: float | None) -> None:
    assert solve_status.seconds(moment) == seconds


def test_the_time_of_a_vertex_that_starts_twice() -> None:
    def at(second: int) -> str:
        return f"2024-01-01T00:00:0{second}Z"

    once = [status(started=at(1)), status(started=at(1), completed=at(3))]
    (vertex,) = read("\n".join(once)).vertices
    assert (vertex.began, vertex.ended, vertex.took) == (1704067201.0, 1704067203.0, 2.0)
    (again,) = read("\n".join([*once, status(started=at(5))])).vertices
    assert (again.began, again.ended, again.took) == (vertex.began, None, None), "it runs"
    twice = [*once, status(started=at(5), completed=at(6))]
    (vertex,) = read("\n".join(twice)).vertices
    assert (vertex.ended, vertex.took) == (1704067206.0, 3.0)
    (vertex,) = read(status()).vertices
    assert (vertex.began, vertex.ended, vertex.took) == (None, None, None)


@pytest.mark.parametrize("release", ["v0.10.6", "v0.13.0", "v0.25.0"])
def test_vertices_of_real_releases_have_times(release: str) -> None:
    trace = RECORDED / f"{release}.trace"
    text = trace.read_text() if trace.exists() else None
    found = read((RECORDED / f"{release}.stderr").read_text(), text)
    assert found.vertices
    for vertex in found.vertices:
        assert vertex.began is not None
        assert vertex.ended is not None
        assert vertex.took is not None
        assert 0 <= vertex.took <= vertex.ended - vertex.began + 1e-6
