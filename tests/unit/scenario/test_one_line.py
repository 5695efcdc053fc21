"""A Dockerfile and an expectation as a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.cli.campaigns import scripted
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import FileFacts, Observation, OutputFacts, StepResult, Vertex
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Bisect, Run
from buildkit_bisect.scenario import Scenario, load, plain_image, reproduction
from buildkit_bisect.scenario.one_line import Asked, draft
from buildkit_bisect.scenario.outcome import judge
from buildkit_bisect.scenario.twins import Twin
from buildkit_bisect.solve_status import LOG_LIMIT, clipped

ISSUE = """\
# syntax=docker/dockerfile:1.4
FROM ghcr.io/stargz-containers/ubuntu:22.04-esgz AS build
RUN echo stable > /stable
ARG BUST
RUN cat /stable && echo "$BUST" > /out

FROM alpine:3.20
COPY --from=build /out /out
"""

STATES: dict[str, dict[str, Any]] = {
    "cached": {"cached": True, "started": True},
    "ran": {"started": True, "completed": True},
    "failed": {"started": True, "error": "no"},
    "pending": {},
}


def made(tmp_path: Path, expect: str, text: str = ISSUE, **more: Any) -> Scenario:
    """Return the scenario of a Dockerfile with *text*."""
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    (source / "Dockerfile").write_text(text)
    asked = replace(Asked(dockerfile=str(source / "Dockerfile"), expect=expect), **more)
    folder = tmp_path / f"made-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    draft(asked).write(folder)
    return load(str(folder))


def step(
    name: str, *, status: int = 0, stderr: str = "", late: bool = False, **vertices: str
) -> StepResult:
    """Return a step; the name of a vertex has `_` for a blank."""
    found = [
        Vertex(name=f"[build 2/3] {vertex.replace('_', ' ')}", digest=vertex, **STATES[state])
        for vertex, state in vertices.items()
    ]
    return StepResult(
        id=name, exit=status, seconds=1, stderr=stderr, timed_out=late, vertices=tuple(found)
    )


def verdict(scenario: Scenario, *steps: StepResult, **more: Any) -> str:
    seen = Observation(steps=steps, seconds=1, **more)
    found = judge(scenario, seen, None)
    return f"{found.verdict} {found.name}"


def test_the_issue_in_one_line(tmp_path: Path) -> None:
    scenario = made(tmp_path, "cached: RUN echo stable", args={"BUST": "1"}, again={"BUST": "2"})
    assert [s.id for s in scenario.steps] == ["build", "prune", "again"]
    build, _, again = scenario.steps
    assert build.exports == ({"type": "local", "mode": "max", "dest": "cache"},)
    assert again.imports == ({"type": "local", "src": "cache"},)
    images = {"BKBISECT_BASE_1": "${image.base-1}", "BKBISECT_BASE_2": "${image.base-2}"}
    assert build.args == {**images, "BUST": "1"}
    assert again.args == {**images, "BUST": "2"}
    ubuntu = "ghcr.io/stargz-containers/ubuntu:22.04-esgz"
    assert [image.public for image in scenario.images.values()] == [ubuntu, "alpine:3.20"]
    text = scenario.file("Dockerfile").read_text()
    assert text.startswith(
        f"ARG BKBISECT_BASE_1={ubuntu}\nARG BKBISECT_BASE_2=alpine:3.20\n"
        "FROM ${BKBISECT_BASE_1} AS build\nRUN echo stable"
    )
    assert "alpine:3.20 is a local image of busybox" in scenario.summary
    assert scenario.axes == {}


def test_only_what_was_asked_about_is_bad(tmp_path: Path) -> None:
    scenario = made(tmp_path, "cached: RUN echo  stable")
    ok = step("build", RUN_echo_stable="ran")
    assert verdict(scenario, ok, step("again", RUN_echo_stable="cached")) == "good cached"
    assert verdict(scenario, ok, step("again", RUN_echo_stable="ran")) == "bad ran"
    assert verdict(scenario, ok, step("again", RUN_cat="cached")) == "weak absent"
    assert verdict(scenario, ok, step("again", RUN_echo_stable="pending")) == "weak unclassified"
    failed = step("again", status=1, RUN_echo_stable="ran")
    assert verdict(scenario, ok, failed) == "weak second-build-failed"
    assert verdict(scenario, step("build", status=1)) == "weak first-build-failed"
    bad = (ok, step("again", RUN_echo_stable="ran"))
    assert verdict(scenario, *bad, infra="the registry is gone") == "infra infra"
    assert verdict(scenario, no_daemon="exit 1") == "skip no-daemon"


@pytest.mark.parametrize(("state", "wanted"), [("ran", "good ran"), ("cached", "bad cached")])
def test_what_must_run_again(tmp_path: Path, state: str, wanted: str) -> None:
    scenario = made(tmp_path, "ran: RUN echo stable")
    assert verdict(scenario, step("build"), step("again", RUN_echo_stable=state)) == wanted


@pytest.mark.parametrize(
    ("expect", "build", "wanted"),
    [
        ("ok", step("build"), "good ok"),
        ("ok", step("build", status=1, stderr="failed to solve: no"), "bad failed"),
        ("ok", step("build", status=1, late=True), "weak late"),
        ("ok", step("build", status=1, stderr="dial tcp: no such host"), "weak transient"),
        ("fails", step("build", status=1, stderr="x"), "good failed"),
        ("fails", step("build"), "bad ok"),
        ("fails", step("build", status=1, stderr="i/o timeout"), "weak transient"),
        ("fails: lazy blobs?", step("build", status=1, stderr="lazy blob"), "good failed"),
        ("fails: lazy blobs?", step("build", status=1, stderr="other"), "weak failed-otherwise"),
        ("fails: lazy blobs?", step("build"), "bad ok"),
        ("prints: v[0-9]", step("build"), "bad not-printed"),
        ("prints: v[0-9]", step("build", status=1), "weak failed"),
    ],
)
def test_one_build(tmp_path: Path, expect: str, build: StepResult, wanted: str) -> None:
    assert verdict(made(tmp_path, expect), build) == wanted


@pytest.mark.parametrize(
    ("expect", "status"),
    [("prints: v[0-9]", 0), ("fails: v[0-9]", 1), ("prints: ^is v1$", 0), ("fails: ^is v1$", 1)],
)
def test_what_a_run_prints(tmp_path: Path, expect: str, status: int) -> None:
    printed = Vertex(name="[1/2] RUN x", digest="x", started=True, completed=True, log="a\nis v1\n")
    build = replace(step("build", status=status), vertices=(printed,))
    assert verdict(made(tmp_path, expect), build).startswith("good")


@pytest.mark.parametrize(
    "message",
    [
        "pulling from host x failed: unexpected status code [manifests v1]: 503 no",
        "unexpected status from HEAD request to https://r.io/v2/x: 500 Internal Server Error",
        "429 Too Many Requests - Server message: toomanyrequests",
        "httpReadSeeker: failed open: unexpected status code https://r.io/v2/x: 502",
        "read tcp 10.0.0.2:4->1.2.3.4:443: read: connection reset by peer",
        'failed to do request: Get "https://r.io/v2/": EOF',
        "failed to copy: unexpected EOF",
        "lookup r.io: Temporary failure in name resolution",
        "lookup r.io on 127.0.0.11:53: server misbehaving: no such host",
        'process "/bin/sh -c make" did not complete successfully: exit code: 137',
        "dial tcp 1.2.3.4:443: connect: network is unreachable",
    ],
)
@pytest.mark.parametrize("expect", ["ok", "fails"])
def test_a_failure_that_may_pass_says_nothing(tmp_path: Path, expect: str, message: str) -> None:
    scenario = made(tmp_path, expect)
    assert verdict(scenario, step("build", status=1, stderr=f"error: {message}")) == (
        "weak transient"
    )
    printed = Vertex(name="[1/2] RUN x", digest="x", started=True, error="x", log=f"a\n{message}\n")
    build = replace(step("build", status=1, stderr="exit code: 1"), vertices=(printed,))
    assert verdict(scenario, build) == "weak transient"


@pytest.mark.parametrize(
    "message",
    [
        "rpc error: code = Unavailable desc = error reading from server: EOF",
        "read unix @->/run/buildkit/buildkitd.sock: read: connection reset by peer",
        'process "/bin/sh -c make" did not complete successfully: exit code: 1',
        "failed to solve: lazy blob 5035 not found",
    ],
)
def test_a_daemon_that_dies_is_not_the_network(tmp_path: Path, message: str) -> None:
    assert verdict(made(tmp_path, "ok"), step("build", status=1, stderr=message)) == "bad failed"


@pytest.mark.parametrize(
    ("size", "wanted"),
    [(LOG_LIMIT // 2, "bad not-printed"), (LOG_LIMIT * 2, "weak unclassified")],
)
def test_what_is_not_in_a_shortened_log_may_have_been_printed(
    tmp_path: Path, size: int, wanted: str
) -> None:
    log = clipped("x\n" * (size // 2))
    printed = Vertex(name="[1/2] RUN x", digest="x", started=True, completed=True, log=log)
    build = replace(step("build"), vertices=(printed,))
    assert verdict(made(tmp_path, "prints: v[0-9]"), build) == wanted


def test_a_file_of_the_output(tmp_path: Path) -> None:
    scenario = made(tmp_path, "file: /etc/x=^v1$")
    assert scenario.steps[0].outputs == ({"type": "local", "dest": "out"},)

    def seen(*files: str, left_out: str = "") -> str:
        found = tuple(
            FileFacts(path="etc/x", kind="file", mode=0o644, mtime=0, sha256=text, text=text)
            for text in files
        )
        output = OutputFacts(name="out", kind="local", files=found, left_out=left_out)
        return verdict(scenario, replace(step("build"), outputs=(output,)))

    assert seen("v1") == "good content"
    assert seen("v1\n") == "good content"
    assert seen("v0\nv1\n") == "good content"
    assert seen("v10\n") == "bad other-content"
    assert seen("v2") == "bad other-content"
    assert seen() == "bad other-content"
    assert seen(left_out="more than 2000 files") == "weak unclassified"
    assert verdict(scenario, step("build", status=1)) == "weak failed"
    assert 'content = "^v1$"' in (scenario.folders[0] / "scenario.toml").read_text()


def test_the_name_of_a_vertex_is_not_a_pattern(tmp_path: Path) -> None:
    text = "FROM alpine\nRUN echo 'a.b' $(ls | wc) \\\n  {x} [y]* \\\\ ^+?\n"
    scenario = made(tmp_path, "cached: RUN echo 'a.b' $(ls | wc)  {x} [y]* \\\\ ^+?", text)
    name = "[1/2] RUN echo 'a.b' $(ls | wc)   {x} [y]* \\\\ ^+?"
    for wanted, shown in (("cached", name), ("absent", name.replace("a.b", "a-b"))):
        vertex = Vertex(name=shown, digest="x", cached=True)
        again = replace(step("again"), vertices=(vertex,))
        assert verdict(scenario, step("build"), again).endswith(wanted)


def test_a_lazy_snapshotter_has_a_control(tmp_path: Path) -> None:
    scenario = made(tmp_path, "ok", snapshotters=("stargz",))
    assert scenario.axes["snapshotter"].values == ("overlayfs", "stargz")
    assert scenario.control_of((("snapshotter", "stargz"),)) == (("snapshotter", "overlayfs"),)
    assert {image.compression for image in scenario.images.values()} == {"estargz"}
    eager = made(tmp_path, "ok", snapshotters=("native",))
    assert eager.axes["snapshotter"].values == ("native",)
    assert eager.axes["snapshotter"].controls == ()
    other = made(tmp_path, "ok", snapshotters=("mine",))
    assert other.axes["snapshotter"].controls == ("overlayfs",)


def test_public_images_stay(tmp_path: Path) -> None:
    text = "# syntax=docker/dockerfile:1\nFROM golang:1.25\nRUN go version\nCOPY --from=node / /\n"
    scenario = made(tmp_path, "ok", text, public=True)
    assert scenario.images["base-1"].public == "golang:1.25"
    assert scenario.file("Dockerfile").read_text().startswith("# syntax=docker/dockerfile:1\nARG")
    assert scenario.summary == ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"\xef\xbb\xbfFROM alpine\n", "FROM ${BKBISECT_BASE_1}\n"),
        (b"FROM alpine\r\nRUN ls\r\n", "FROM ${BKBISECT_BASE_1}\nRUN ls\r\n"),
        (
            "FROM alpine\nRUN ls\u2028\x0cc".encode(),
            "FROM ${BKBISECT_BASE_1}\nRUN ls\u2028\x0cc\n",
        ),
        (b"# escape=`\nfrom `\n alpine\n", "FROM ${BKBISECT_BASE_1}\n\n"),
    ],
)
def test_the_rest_of_the_dockerfile_stays(tmp_path: Path, text: bytes, wanted: str) -> None:
    (tmp_path / "Dockerfile").write_bytes(text)
    found = draft(Asked(dockerfile=str(tmp_path / "Dockerfile"), expect="ok"))
    assert found.texts["Dockerfile"].partition("ARG BKBISECT_BASE_1=alpine\n")[2] == wanted
    (tmp_path / "made").mkdir()
    found.write(tmp_path / "made")
    assert (tmp_path / "made/Dockerfile").read_bytes().decode() == found.texts["Dockerfile"]


def test_arguments_without_a_value_are_named(tmp_path: Path) -> None:
    assert made(tmp_path, "ok").summary.endswith("; no value for BUST: --build-arg NAME=VALUE.")
    assert "BUST" not in made(tmp_path, "ok", args={"BUST": "1"}).summary


def test_local_images_share_no_layer() -> None:
    images = [
        plain_image.read(
            Twin(name=f"base-{n}", public=f"alpine:{n}", compression="gzip").dockerfile
        )
        for n in (1, 2)
    ]
    layers = [copied.parts for image in images if image for copied in image.copies]
    assert len(set(layers)) == len(layers) == 4


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("cashed: RUN x", "not an expectation; did you mean cached?"),
        (
            "RUN echo",
            (
                "not an expectation; known: cached: VERTEX, ran: VERTEX, ok, fails, fails: REGEX,"
                " prints: REGEX, file: PATH=REGEX"
            ),
        ),
        ("cached", "does not say of what: cached: VERTEX"),
        ("prints:", "does not say of what: prints: REGEX"),
        ("ok: x", "nothing follows ok"),
        ("fails:", "does not say with which message"),
        ("file: x", "is not file: PATH=REGEX"),
        ("file: =x", "is not file: PATH=REGEX"),
        ("file: /=x", "is not file: PATH=REGEX"),
        ("file: ../a=x", "'../a' is not a path inside the output"),
        ("file: a=(", "not a valid RE2 regular expression: missing"),
        ("fails: (", "not a valid RE2 regular expression: missing"),
        ("prints: (?=x)", "not a valid RE2 regular expression"),
        (f"cached: {'x' * 2000}", "longer than 1000 characters"),
        ("cached: RUN ecko stable", "has no step 'RUN ecko stable'; did you mean RUN echo stable"),
    ],
)
def test_an_expectation_that_is_refused(tmp_path: Path, expect: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        made(tmp_path, expect)
    assert message in error.value.message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no FROM"),
        ("RUN x", "has no FROM"),
        ("FROM golang:1.25", "FROM golang:1.25: there is no local image of this kind, only of alp"),
        ("FROM $X", "FROM $X has no value"),
        ("FROM A/b", "FROM A/b does not name an image"),
        ("FROM alpine\nRUN apk add git", "RUN apk add git: the local image has no apk"),
        ("FROM debian\nRUN ls && apt-get update", "the local image has no apt-get"),
        (
            "FROM debian\nRUN ls | rsync -a x y",
            "RUN ls | rsync -a x y: the local image has no rsync",
        ),
        ('FROM bash AS a\nFROM a\nSHELL ["bash", "-c"]', 'SHELL ["bash", "-c"]: the local image'),
        ("FROM alpine\nCOPY --from=nginx:1 /a /b", "COPY takes files from nginx:1, an image and n"),
        ("FROM alpine\nRUN --mount=from=node,target=/n ls", "RUN takes files from node, an image"),
        ("FROM alpine\nCOPY ../a /", "COPY ../a leads out of the build context"),
        ("FROM alpine\nCOPY Dockerfill /", "Dockerfill: not in"),
        ("FROM alpine\nCOPY *.txt /", "COPY *.txt: not in"),
        ("FROM alpine\nRUN --mount=source=none,target=/n ls", "RUN none: not in"),
    ],
)
def test_a_dockerfile_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        made(tmp_path, "ok", text)
    assert message in error.value.message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"target": "biuld"}, "has no stage 'biuld'; did you mean build?"),
        ({"context": "/nowhere"}, "--context '/nowhere' is not a folder"),
        ({"args": {"A": "${image.x}"}}, "--build-arg 'A=${image.x}': ${...} is a placeholder"),
        ({"again": {"A": "1"}}, "--rebuild-arg is of a second build, and --expect ok is about the"),
        ({"dockerfile": "/nowhere"}, "--dockerfile /nowhere: No such file"),
        ({"dockerfile": "/"}, "--dockerfile / is a folder"),
    ],
)
def test_options_that_are_refused(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        made(tmp_path, "ok", **more)
    assert message in error.value.message


def test_a_dockerfile_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "D").write_bytes(b"FROM \xff\n")
    with pytest.raises(BadInput, match="D: invalid UTF-8 at byte 5"):
        draft(Asked(dockerfile=str(tmp_path / "D"), expect="ok"))


def test_the_digest_is_of_the_dockerfile_and_of_what_it_copies(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/a").write_text("1")
    (tmp_path / "other").write_text("1")
    file = tmp_path / "Dockerfile"
    file.write_text("FROM alpine\nCOPY used /\n")
    asked = Asked(dockerfile=str(file), expect="ok")
    first = draft(asked).digest
    (tmp_path / "other").write_text("2")
    assert draft(asked).digest == first
    changes: list[Callable[[], object]] = [
        lambda: (tmp_path / "used/a").write_text("2"),
        lambda: (tmp_path / "used/a").chmod(0o755),
        lambda: (tmp_path / "used/b").symlink_to("a"),
        lambda: (tmp_path / ".dockerignore").write_text("x"),
        lambda: file.write_text("FROM alpine\nCOPY used /x\n"),
    ]
    for change in changes:
        before = draft(asked).digest
        change()
        assert draft(asked).digest != before
    assert draft(replace(asked, expect="fails")).digest != draft(asked).digest


@pytest.mark.parametrize(
    ("copy", "files"),
    [
        ("COPY a /", ["a"]),
        ("COPY d* /", ["d/b", "d/c"]),
        ("COPY ./d/b a /", ["a", "d/b"]),
        ("COPY . /", ["Dockerfile", "a", "d/b", "d/c"]),
        ("ADD $X /", ["Dockerfile", "a", "d/b", "d/c"]),
        ("ADD https://example.com/x /", []),
        ("COPY <<EOF /x\na\nEOF", []),
        ("RUN --mount=type=bind,source=d,target=/d ls", ["d/b", "d/c"]),
        ("RUN --mount=type=cache,target=/d ls", []),
        ("RUN ls", []),
    ],
)
def test_only_the_files_that_are_copied_are_in_the_context(
    tmp_path: Path, copy: str, files: list[str]
) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a", "d/b", "d/c"):
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text(f"FROM alpine\n{copy}\n")
    found = draft(Asked(dockerfile=str(tmp_path / "Dockerfile"), expect="ok"))
    assert sorted(found.context) == files


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A context with links out of it and links in it; a file outside has a secret."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret.json").write_text("secret")
    context = tmp_path / "context"
    (context / "real/sub").mkdir(parents=True)
    (context / "real/a").write_text("a")
    (context / "real/sub/up").symlink_to("..")
    (context / "link").symlink_to(tmp_path / "host")
    (context / "list").symlink_to("../host")
    (context / "inner").symlink_to("second")
    (context / "second").symlink_to("./real")
    (context / "own").symlink_to(context / "real")
    (context / "loop").symlink_to("loop")
    return context


@pytest.mark.parametrize(
    "source",
    ["link/secret.json", "list/secret.json", "li*/*", "inner/../link/../link/secret.json",
     "lin[k]/secret.json", "list/../host/secret.json/.", "real/sub/up/../host/*", "own/a",
     "loop/a", "/link/secret.json"],
)  # fmt: skip
def test_no_file_is_copied_through_a_link_out_of_the_context(linked: Path, source: str) -> None:
    (linked / "Dockerfile").write_text(f"FROM alpine\nCOPY {source} /\n")
    with pytest.raises(BadInput, match=r"leads out of the build context|not in "):
        draft(Asked(dockerfile=str(linked / "Dockerfile"), expect="ok"))


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("li*", ["link", "list"]),
        ("li*/..", ["Dockerfile", "inner", "link", "list", "loop", "own", "real/a", "real/sub/up",
                    "second"]),
        ("inner/a", ["inner", "real/a", "second"]),
        ("inner/sub/up/a", ["inner", "real/a", "real/sub/up", "second"]),
        ("inn*/a", ["inner", "real/a", "second"]),
    ],
)  # fmt: skip
def test_links_are_copied_as_links(
    linked: Path, tmp_path: Path, source: str, files: list[str]
) -> None:
    (linked / "Dockerfile").write_text(f"FROM alpine\nCOPY {source} /\n")
    found = draft(Asked(dockerfile=str(linked / "Dockerfile"), expect="ok"))
    assert sorted(found.context) == files
    (tmp_path / "made").mkdir()
    found.write(tmp_path / "made")
    there = tmp_path / "made/context"
    assert not any("secret" in p.read_text() for p in there.rglob("*") if p.is_file()
                   and there in p.resolve().parents)  # fmt: skip
    assert all((there / name).is_symlink() == (linked / name).is_symlink() for name in files)
    assert (tmp_path / "host/secret.json").read_text() == "secret"


def test_the_dockerfiles_own_ignore_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    file = tmp_path / "My.Dockerfile"
    file.write_text("FROM alpine\nCOPY a /\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("of another Dockerfile")
    asked = Asked(dockerfile=str(file), expect="ok")
    without = draft(asked)
    beside = tmp_path / "My.Dockerfile.dockerignore"
    beside.write_text("a\n")
    found = draft(asked)
    assert found.digest != without.digest
    assert {**found.texts, **without.texts} == found.texts
    assert found.texts["Dockerfile.dockerignore"] == "a\n"
    (tmp_path / "made").mkdir()
    found.write(tmp_path / "made")
    loaded = load(str(tmp_path / "made"))
    text = reproduction.script(loaded, ())
    assert "dockerfiles/Dockerfile.dockerignore" in text
    beside.unlink()
    beside.symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match=r"My.Dockerfile.dockerignore is a link"):
        draft(asked)


def test_a_context_that_is_too_big(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(10**8 + 1)
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY big /\n")
    with pytest.raises(BadInput, match="copies more than 1000 files or 100 MB"):
        draft(Asked(dockerfile=str(tmp_path / "Dockerfile"), expect="ok"))


def test_the_files_of_the_context_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"\xff\0")
    (source / "a").chmod(0o755)
    (source / "l").symlink_to("a")
    scenario = made(tmp_path, "ok", "FROM alpine\nCOPY a l /\n")
    there = scenario.folders[0] / "context"
    assert (there / "a").read_bytes() == b"\xff\0"
    assert (there / "a").stat().st_mode & 0o777 == 0o755
    assert (there / "l").is_symlink()
    assert scenario.context.folder == "context"


def test_the_reproduction_script_has_it(tmp_path: Path) -> None:
    text = reproduction.script(made(tmp_path, "cached: RUN echo stable"), ())
    assert "--opt=build-arg:BKBISECT_BASE_1=127.0.0.1:5000/base-1:gzip" in text
    assert "FROM ${BKBISECT_BASE_1} AS build" in text


def request(tmp_path: Path, **given: str | list[str]) -> Run:
    (tmp_path / "Dockerfile").write_text(ISSUE)
    return read(Run, {"rev": "v1", **given}, env={})


def test_the_options_of_a_request_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    given: dict[str, str | list[str]] = {
        "dockerfile": str(tmp_path / "Dockerfile"),
        "expect": "cached: RUN echo stable",
        "build_arg": ["BUST=1"],
        "rebuild_arg": ["BUST=2"],
        "target": "build",
    }
    asked = request(tmp_path, **given)
    found = scripted(asked)
    assert found
    assert (found.name, found.issue) == ("dockerfile", "")
    assert found.steps[2].args["BUST"] == "2"
    assert found.steps[0].target == "build"
    assert scripted(asked) == found
    assert len(list((tmp_path / "cache/one-line").iterdir())) == 1
    for word in ("--dockerfile", "--expect 'cached: RUN echo stable'", "--rebuild-arg=BUST=2"):
        assert word in asked.command


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dockerfile": "D"}, "^--dockerfile needs --expect"),
        ({"expect": "ok"}, "^--expect needs --dockerfile"),
        ({"target": "x"}, "^--target needs --dockerfile"),
        ({"context": "x"}, "^--context needs --dockerfile"),
        ({"build_arg": ["A=1"]}, "^--build-arg needs --dockerfile"),
        ({"dockerfile": "D", "expect": "ok", "script": "s"}, "--script cannot be combined"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, given: dict[str, str | list[str]], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        scripted(request(tmp_path, **given))


def test_an_invalid_build_argument() -> None:
    with pytest.raises(BadInput, match="--build-arg '1=x' is not NAME=VALUE"):
        read(Bisect, {"build_arg": ["1=x"]}, env={})
