"""What a build leaves and copies, and what a text that is filled in by its reader gives."""

from __future__ import annotations

import pytest

from buildkit_bisect.scenario import paste_writer
from buildkit_bisect.scenario.paste_draft import Draft, draft
from drafting import actions, data, reasons, shell


def outputs(made: Draft) -> list[object]:
    return [s.get("outputs") for s in data(made)["steps"] if s["action"] == "build"]


def archive(name: str = "image.docker.tar") -> list[dict[str, str]]:
    return [{"type": "docker", "dest": name}]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("docker build -t x .", [archive()]),
        ("docker build --load .", [archive()]),
        ("docker build -t x .\ndocker build -t x .", [archive(), archive("image-2.docker.tar")]),
        ("docker build -t x .\ndocker build --load .", [archive(), archive("image-2.docker.tar")]),
        ("docker build -t a -t b .", [archive()]),
        (
            "docker build -t x --platform linux/amd64,linux/arm64 .",
            [[{"type": "oci", "dest": "image.oci.tar"}]],
        ),
        ("docker build -t x --sbom=true .", [[{"type": "oci", "dest": "image.oci.tar"}]]),
        ("docker build -t x -o out .", [[{"type": "local", "dest": "out"}]]),
        ("docker build -t x -o type=cacheonly .", [None]),
        ("docker build .", [None]),
    ],
)
def test_what_a_tag_leaves_is_recorded_once_for_each_build(
    lines: str, wanted: list[object]
) -> None:
    assert outputs(shell(lines)) == wanted


def test_a_tag_that_only_an_earlier_build_imports_is_a_file() -> None:
    made = shell("docker build --cache-from x .\ndocker build -t x .")
    assert outputs(made) == [None, archive()]


def test_a_tag_without_an_engine_is_recorded_and_noted() -> None:
    """A builder of its own leaves nothing of a build that has only a tag."""
    made = shell("docker buildx create --use\ndocker buildx build -t x .")
    assert outputs(made) == [archive()]
    assert any("keeps no image of a build that has only a tag" in one for one in made.notes)


COPIES = "```dockerfile\nFROM alpine\nCOPY Dockerfile /x\n```\n"


def test_a_dockerfile_that_is_copied_is_in_the_context() -> None:
    made = shell("docker build .", COPIES)
    assert data(made)["steps"][0] == {
        "id": "dockerfile", "action": "write", "path": "Dockerfile",
        "content": "FROM alpine\nCOPY Dockerfile /x\n",
    }  # fmt: skip
    assert made.notes == ()


@pytest.mark.parametrize(
    ("copied", "written"),
    [
        ("COPY . /x", ["Dockerfile"]),
        ("COPY ./Dockerfile other.Dockerfile /x/", ["Dockerfile", "other.Dockerfile"]),
        ("COPY *Dockerfile /x/", ["Dockerfile", "other.Dockerfile"]),
        ("COPY a.txt /x", ["a.txt"]),
        ("RUN echo x", []),
    ],
)
def test_which_dockerfiles_are_in_the_context(copied: str, written: list[str]) -> None:
    line = f"cat > Dockerfile <<EOF\nFROM alpine\n{copied}\nEOF\ntouch other.Dockerfile\n"
    made = shell(f"{line}docker build .", "")
    paths = {path for action, path in actions(made) if action == "write"}
    assert set(written) <= paths
    assert ("Dockerfile" in paths) == ("Dockerfile" in written)


def test_a_dockerfile_that_changes_is_written_again_if_it_is_copied() -> None:
    change = "cat > Dockerfile <<EOF\nFROM alpine\nCOPY . /x\nRUN echo {}\nEOF\ndocker build .\n"
    made = shell(change.format(1) + change.format(2) + "docker build .", "")
    assert [action for action, _ in actions(made)] == ["write", "build", "write", "build", "build"]


def test_a_dockerfile_that_is_not_in_the_context_is_not_deleted_there() -> None:
    made = shell("touch a.txt\ndocker build .\nrm Dockerfile\nmv x.Dockerfile y.Dockerfile\n"
                 "docker build .")  # fmt: skip
    assert [action for action, _ in actions(made)] == ["write", "build", "build"]


@pytest.mark.parametrize(
    ("line", "content"), [("date > a.txt", "1\n"), ("date +%s >> a.txt", "1\n")]
)
def test_a_date_in_a_file_differs_each_time(line: str, content: str) -> None:
    made = shell(f"{line}\ndocker build .\ndate > a.txt\ndocker build .")
    contents = [s["content"] for s in data(made)["steps"] if s["action"] == "write"]
    assert contents == [content, "2\n"]


@pytest.mark.parametrize(
    "value", ["<your-registry>", '"<your registry>"', "'<REGISTRY>'", "<host>/team"]
)
def test_a_registry_that_the_reader_fills_in(value: str) -> None:
    made = shell(
        f"REGISTRY={value}\ndocker build --push -t $REGISTRY/app:1 --cache-to $REGISTRY/cache"
        " --cache-from type=registry,ref=${REGISTRY}/cache ."
    )
    build = data(made)["steps"][-1]
    team = "team/" if "team" in value else ""
    assert build["outputs"][0]["name"] == f"${{registry}}/{team}app:1"
    assert (
        build["exports"][0]["ref"]
        == build["imports"][0]["ref"]
        == (f"${{registry}}/{team}cache:latest")
    )
    assert made.left == ()


@pytest.mark.parametrize(
    "line",
    [
        "docker build --build-arg R=$REGISTRY/x .",
        "docker build --build-arg REGISTRY .",
        "docker build $REGISTRY",
        "docker build -f $REGISTRY/Dockerfile .",
        "docker build - <<EOF\nFROM $REGISTRY/x\nEOF",
        "echo $REGISTRY > a.txt",
    ],
)
def test_a_value_that_the_reader_fills_in_is_not_known(line: str) -> None:
    made = shell(f"export REGISTRY=<name>\n{line}\ndocker build .")
    assert reasons(made) == ["the paste does not say what $REGISTRY is"]


@pytest.mark.parametrize("name", ["rmi x", "save x -o y", "load -i y", "image rm x"])
def test_what_is_done_to_images_of_dockerd(name: str) -> None:
    made = shell(f"docker build .\ndocker {name}")
    word = name.partition(" ")[0]
    reason = "images of dockerd: a trial has only those that builds push or write to a file"
    assert reasons(made) == [f"docker {word}: {reason}"]


VERSION = (
    "Client: Docker Engine\n Version:    24.0\n buildx: x\n\nServer:\n Engine:\n  Version: 24.0\n"
)


@pytest.mark.parametrize("before", ["docker version\n", "docker info\n", ""])
def test_what_docker_version_prints_is_one_line(before: str) -> None:
    made = shell(f"{before}{VERSION}date > a.txt\ndocker build .")
    assert reasons(made) == ["what docker version or docker info prints"]
    assert actions(made) == [("write", "a.txt"), ("build", "build")]
    assert data(made)["steps"][0]["content"] == "1\n"
    assert "Client" not in paste_writer.toml(made, "name")
    assert "Client" in "\n".join(paste_writer.summary(made, "x"))


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("https://github.com/moby/buildkit/issues/1", "https://github.com/moby/buildkit/issues/1"),
        ("moby/buildkit#12", "https://github.com/moby/buildkit/issues/12"),
        ("moby/buildkit#1 and moby/buildkit#2", ""),
        ("", ""),
    ],
)
def test_the_address_of_the_issue(text: str, issue: str) -> None:
    made = draft(f"{text}\n```\n$ docker build - <<EOF\nFROM alpine\nEOF\n```\n")
    assert made.issue == issue
    assert ("# Fill in the address" in paste_writer.toml(made, "name")) == (not issue)


def test_a_line_that_is_cut_ends_with_an_ellipsis() -> None:
    made = shell(f"docker build --label a={'x' * 300} .")
    (line,) = [
        one for one in paste_writer.summary(made, "x") if one.startswith("  build  line 7: docker")
    ]
    assert line.endswith("xx…")
    assert "xx…\n" in paste_writer.toml(made, "name")


@pytest.mark.parametrize(
    ("text", "releases"),
    [
        ("It works in v0.24.0 and fails since v0.26.0.", ("v0.24.0", "v0.26.0")),
        ("buildx v0.12.1, BuildKit v0.13.0", ("v0.13.0",)),
        ("```\n$ docker buildx inspect\nBuildKit version: v0.12.5\nVersion: v0.9.0\n```",
         ("v0.12.5",)),
        ("moby/buildkit:v0.14.0-rootless and v0.15.0-rc1", ("v0.14.0",)),
        ("Docker v0.1.2", ()),
        ("Works with BuildKit 0.12.5, broken with v0.13.0", ("v0.12.5", "v0.13.0")),
    ],
)  # fmt: skip
def test_releases_of_the_text(text: str, releases: tuple[str, ...]) -> None:
    assert draft(f"{text}\n```\n$ docker build .\n```\n").releases == releases
