"""Which images have a local twin, and what a Dockerfile is with it."""

from __future__ import annotations

import pytest

from buildkit_bisect.scenario.paste_images import swap
from buildkit_bisect.scenario.twins import name_of, twins_of


@pytest.mark.parametrize(
    "run",
    [
        "RUN echo x > /x && ls -l | wc -l",
        "RUN for i in 1 2; do touch /$i; done",
        "RUN if [ -f /x ]; then cat /x; else echo none; fi",
        "RUN A=1 sh -c 'apt-get update'",  # quoted text is not looked into
        'RUN ["/bin/sh", "-c", "echo x"]',
        "RUN /app/run --fast",
        "RUN <<EOF\necho x\n# apt-get\nls\nEOF",
        "RUN --mount=type=cache,target=/c touch /c/x",
        "RUN dd if=/dev/urandom of=/f bs=1M count=1",
    ],
)
def test_an_image_in_which_busybox_is_enough(run: str) -> None:
    made = swap(f"FROM debian:12\n{run}\n", {}, {})
    assert made.kept == ()
    assert made.args == {"IMAGE_DEBIAN": "debian:12"}


@pytest.mark.parametrize(
    ("run", "program"),
    [
        ("RUN apt-get update", "apt-get"),
        ("RUN echo x && apk add curl", "apk"),
        ("RUN ls | python3 -", "python3"),
        ("RUN cd /x; npm install", "npm"),
        ("RUN X=$(go env GOPATH) ls", "go"),
        ('RUN ["bash", "-c", "ls"]', "bash"),
        ('SHELL ["/bin/bash", "-c"]\nRUN ls', "bash"),
        ("RUN <<EOF\nls\ngcc x.c\nEOF", "gcc"),
        ("RUN <<EOF\n#!/usr/bin/python3\nEOF", "python3"),
        ("RUN if true; then make; fi", "make"),
    ],
)
def test_an_image_with_a_program_that_busybox_lacks_is_left(run: str, program: str) -> None:
    text = f"FROM debian:12\n{run}\n"
    made = swap(text, {}, {})
    assert made.args == {}
    assert made.text == text
    assert made.kept[0][0] == "debian:12"
    assert program in made.kept[0][1]


def test_a_program_in_a_stage_below_counts_too() -> None:
    made = swap("FROM a AS x\nFROM x AS y\nRUN gcc\nFROM b\nRUN ls\n", {}, {})
    assert [image for image, _ in made.kept] == ["a"]
    assert list(made.args.values()) == ["b"]


def test_one_argument_for_one_image() -> None:
    made = swap(
        "FROM alpine:3 AS a\nFROM --platform=$BUILDPLATFORM alpine:3\nFROM alpine:2\n", {}, {}
    )
    assert made.text == (
        "ARG IMAGE_ALPINE=alpine:3\nARG IMAGE_ALPINE_2=alpine:2\nFROM ${IMAGE_ALPINE} AS a\n"
        "FROM --platform=$BUILDPLATFORM ${IMAGE_ALPINE}\nFROM ${IMAGE_ALPINE_2}\n"
    )


def test_an_argument_that_is_there_is_used() -> None:
    made = swap("ARG BASE=alpine:3\nFROM ${BASE}\n", {"BASE": "busybox"}, {})
    assert made.args == {"BASE": "busybox"}
    assert made.text == "ARG BASE=alpine:3\nFROM ${BASE}\n"


def test_an_image_made_of_arguments() -> None:
    made = swap("ARG V=1.15\nFROM golang:${V}-alpine\n", {}, {})
    assert made.args == {"IMAGE_GOLANG": "golang:1.15-alpine"}


def test_directives_stay_first() -> None:
    text = "# syntax=docker/dockerfile:1\n# escape=`\n\nFROM alpine\n"
    made = swap(text, {}, {})
    assert made.text == "# escape=`\nARG IMAGE_ALPINE=alpine\n\nFROM ${IMAGE_ALPINE}\n"
    assert made.syntax == "docker/dockerfile:1"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# escape=`\nFROM `\n alpine AS x\nRUN ls\n", "FROM ${IMAGE_ALPINE} AS x\n\nRUN ls\n"),
        ("FROM alpine\nRUN echo a\u2028FROM b\n", "FROM ${IMAGE_ALPINE}\nRUN echo a\u2028FROM b\n"),
        ("FROM alpine\nRUN <<-X\n\tls\n\tX\n", "FROM ${IMAGE_ALPINE}\nRUN <<-X\n\tls\n\tX\n"),
    ],
)
def test_the_rest_of_the_text_stays(text: str, wanted: str) -> None:
    made = swap(text, {}, {})
    assert made.text.partition("ARG IMAGE_ALPINE=alpine\n")[2] == wanted
    assert list(made.args.values()) == ["alpine"]


def test_stages_and_scratch_are_not_images() -> None:
    text = "FROM scratch AS Base\nFROM base\nFROM stage-$TARGETARCH\n"
    made = swap(f"FROM scratch AS stage-amd64\n{text}", {}, {})
    assert made.args == {}


def test_files_of_an_image_are_not_in_a_twin() -> None:
    made = swap("FROM alpine\nCOPY --from=nginx:1 /etc/nginx /x\n", {}, {})
    assert dict(made.kept) == {"nginx:1": "files are copied from it (COPY --from=nginx:1)"}


def test_files_of_an_image_that_a_step_pushed() -> None:
    own = {"base": "${registry}/base:latest"}
    made = swap("FROM scratch\nCOPY --from=base /x /x\n", {}, own)
    assert made.text == (
        "ARG IMAGE_BASE=base\nFROM ${IMAGE_BASE} AS image-base\n"
        "FROM scratch\nCOPY --from=image-base /x /x\n"
    )


def test_twins_share_no_layer_and_have_plain_names() -> None:
    made = twins_of(["docker.io/library/alpine:3", "alpine:2", "ghcr.io/x/y-esgz:1"], lazy=False)
    assert [one.name for one in made.values()] == ["alpine", "alpine-2", "y-esgz"]
    # Each COPY, with the file that it has a heredoc for.
    layers = [copy for one in made.values() for copy in one.dockerfile.split("COPY ")[1:]]
    assert len(layers) == len(set(layers)) == 6
    assert [one.compression for one in made.values()] == ["gzip", "gzip", "estargz"]


@pytest.mark.parametrize("image", ["ghcr.io/stargz-containers/alpine:3.15.3-esgz", "x:esgz"])
def test_an_estargz_image_has_an_estargz_twin(image: str) -> None:
    assert twins_of([image], lazy=False)[image].compression == "estargz"


def test_a_lazy_snapshotter_needs_estargz() -> None:
    assert twins_of(["alpine"], lazy=True)["alpine"].compression == "estargz"


@pytest.mark.parametrize(
    ("image", "name"),
    [("docker.io/library/Debian:12", "debian"), ("h:5000/a/b_c@sha256:0", "b-c"), ("x", "x")],
)
def test_the_name_of_an_image(image: str, name: str) -> None:
    assert name_of(image) == name
