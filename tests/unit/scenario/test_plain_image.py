"""Which Dockerfiles of base images need no BuildKit; all others are left to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.scenario import plain_image
from buildkit_bisect.scenario.plain_image import Placed, read
from buildkit_bisect.scenario.twins import Twin

HEAD = "FROM scratch\n"
WITH_IMAGES = [
    name for name in (*scenario.names(), *scenario.library()) if scenario.load(name).images
]


def placed(text: str) -> list[list[Placed]]:
    image = read(HEAD + text)
    assert image is not None, text
    return [list(copied.parts) for copied in image.copies]


def busybox(path: str) -> Placed:
    return Placed(path=path, source="busybox")


def rootfs(path: str) -> Placed:
    return Placed(path=path, source="rootfs")


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_no_shipped_scenario_needs_a_buildkit_for_its_images(name: str) -> None:
    loaded = scenario.load(name)
    images = plain_image.all_of(loaded)
    assert images is not None
    assert list(images) == list(loaded.images)


def test_a_twin_needs_none() -> None:
    for name in ("alpine", "image"):
        twin = Twin(name=name, public="x", compression="gzip")
        image = read(twin.dockerfile)
        assert image is not None
        assert image.cmd == ("/bin/sh",)
        texts = [part.text for copied in image.copies for part in copied.parts]
        assert texts == ["", f"name={name}\n", "", f"name={name}\n"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("COPY busybox /bin/busybox\n", [busybox("bin/busybox")]),
        ("COPY busybox /bin/\n", [busybox("bin/busybox")]),
        ("COPY busybox /\n", [busybox("busybox")]),
        ("copy busybox /sh", [busybox("sh")]),
        ("COPY rootfs /\n", [rootfs("")]),
        ("COPY rootfs/ /\n", [rootfs("")]),
        ("COPY rootfs /a/b\n", [rootfs("a/b")]),
        ("COPY rootfs /a/b/\n", [rootfs("a/b")]),
        ("# note\nCOPY busybox rootfs /a/\n", [busybox("a/busybox"), rootfs("a")]),
        ("COPY <<EOF /a\nb\n# c\n\nEOF\n", [Placed(path="a", text="b\n# c\n\n")]),
        ("COPY <<EOF /a\nEOF\n", [Placed(path="a")]),
        ("COPY <<EOF /a/\nb\nEOF\n", [Placed(path="a/EOF", text="b\n")]),
        (
            "COPY busybox <<a <<b /c/\n1\na\n2\nb\n",
            [
                busybox("c/busybox"),
                Placed(path="c/a", text="1\n"),
                Placed(path="c/b", text="2\n"),
            ],
        ),
    ],
)
def test_what_a_copy_places(text: str, parts: list[Placed]) -> None:
    assert placed(text) == [parts]


def test_each_copy_is_a_layer_and_may_add_to_folders_of_earlier_ones() -> None:
    text = "COPY busybox /bin/busybox\nCOPY rootfs/ /\nCOPY <<EOF /etc/more\nx\nEOF\n"
    assert len(placed(text)) == 3


def test_words_that_start_a_container() -> None:
    image = read(f'{HEAD}COPY busybox /sh\nCMD ["a"]\nENTRYPOINT ["/sh", "-c", "echo $A"]\n')
    assert image is not None
    assert (image.cmd, image.entrypoint) == (("a",), ("/sh", "-c", "echo $A"))


@pytest.mark.parametrize(
    "text",
    [
        # instructions
        'RUN ["/busybox", "true"]\n',
        "RUN true\n",
        "ENV A=b\n",
        "LABEL a=b\n",
        "USER 1\n",
        "ADD busybox /a\n",
        "WORKDIR /a\n",
        "ARG A\n",
        "ONBUILD COPY busybox /a\n",
        "SHELL ['/a']\n",
        "FROM scratch\n",
        "FROM scratch AS a\n",
        "UNKNOWN\n",
        # options and forms
        "COPY --link busybox /a\n",
        "COPY --chmod=755 busybox /a\n",
        "COPY --from=scratch busybox /a\n",
        'COPY ["busybox", "/a"]\n',
        "COPY 'busybox' /a\n",
        "COPY busybox\n",
        "COPY\n",
        "CMD /a\n",
        "CMD []\n",
        'CMD [""]\n',
        'CMD ["a", 1]\n',
        'CMD ["a"\n',
        'CMD ["a"]\nCMD ["b"]\n',
        # sources
        "COPY other /a\n",
        "COPY . /a\n",
        "COPY ./busybox /a\n",
        "COPY /busybox /a\n",
        "COPY busybox/ /a\n",
        "COPY busybo? /a\n",
        "COPY * /a/\n",
        "COPY ../busybox /a\n",
        "COPY rootfs/etc /a\n",
        "COPY rootfs/etc/passwd /a\n",
        "COPY rootfs// /a\n",
        "COPY $A /a\n",
        "COPY https://example.com/busybox /a\n",
        "COPY busybox busybox /a/\n",
        "COPY rootfs rootfs/ /a/\n",
        "COPY busybox rootfs /a\n",
        # destinations
        "COPY busybox a\n",
        "COPY busybox ./a\n",
        "COPY busybox /a/../b\n",
        "COPY busybox /a/./b\n",
        "COPY busybox //a\n",
        "COPY busybox /a//b\n",
        "COPY busybox /$A\n",
        "COPY busybox /${A}\n",
        "COPY busybox /a*\n",
        "COPY busybox /\u00e4\n",
        "COPY busybox \\\n /a\n",
        f"COPY busybox /{'a' * 90}\n",
        "COPY busybox /.wh.etc\n",
        "COPY busybox /stargz.index.json\n",
        "COPY busybox /.no.prefetch.landmark\n",
        # documents
        "COPY <<EOF /a\n$A\nEOF\n",
        "COPY <<EOF /a\nb\n",
        "COPY <<EOF /a\n\\n\nEOF\n",
        "COPY <<EOF /a\nb\r\nEOF\n",
        "COPY <<'EOF' /a\nb\nEOF\n",
        "COPY <<-EOF /a\n\tb\nEOF\n",
        "COPY <<EOF <<EOF /a/\nb\nEOF\nc\nEOF\n",
        "COPY <<busybox busybox /a/\nb\nbusybox\n",
        "COPY 3<<EOF /a\nb\nEOF\n",
        # what meets something in its place
        "COPY busybox /a\nCOPY busybox /a\n",
        "COPY busybox /a/b\nCOPY busybox /a\n",
        "COPY busybox /a\nCOPY busybox /a/b\n",
        "COPY busybox /a\nCOPY busybox /a/\n",
        "COPY rootfs /\nCOPY busybox /tmp\n",
        "COPY rootfs /\nCOPY busybox /bin/sh\n",
        "COPY rootfs /\nCOPY busybox /bin/sh/a\n",
        "COPY rootfs /\nCOPY busybox /etc/passwd\n",
        "COPY rootfs /\nCOPY rootfs /\n",
        "COPY rootfs /\nCOPY rootfs /bin/sh\n",
        "COPY busybox /bin\nCOPY rootfs /\n",
        "COPY busybox /etc/passwd\nCOPY rootfs /\n",
        # many layers
        "".join(f"COPY busybox /{n}\n" for n in range(plain_image.MOST_COPIES + 1)),
        "",
    ],
)
def test_everything_else_is_for_buildkit(text: str) -> None:
    assert read(f"{HEAD}{text}") is None
    assert read(f"{HEAD}COPY busybox /good\n{text}") is None or not text


@pytest.mark.parametrize(
    "head",
    [
        "",
        "FROM scratch AS base\n",
        "FROM --platform=linux/arm64 scratch\n",
        "FROM alpine\n",
        "FROM SCRATCH\n",
        "ARG A\nFROM scratch\n",
        "# syntax=docker/dockerfile:1\nFROM scratch\n",
        "# escape=`\nFROM scratch\n",
        "# check=error=true\nFROM scratch\n",
    ],
)
def test_only_one_plain_stage_from_scratch(head: str) -> None:
    assert read(f"{head}COPY busybox /a\n") is None
    assert read("# a note\nFROM scratch\nCOPY busybox /a\n") is not None


def test_one_image_that_runs_something_makes_all_need_a_buildkit(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (tmp_path / "plain.Dockerfile").write_text("FROM scratch\nCOPY busybox /a\n")
    (tmp_path / "runs.Dockerfile").write_text('FROM scratch\nCOPY busybox /a\nRUN ["/a"]\n')
    text = (
        'schema = 1\nname = "x"\ntitle = "x"\nissue = "https://example.com/1"\n'
        '[images.plain]\ndockerfile = "plain.Dockerfile"\n{}'
        '[[steps]]\nid = "a"\naction = "build"\ndockerfile = "Dockerfile"\n'
        'args = {{ BASE = "${{image.plain}}" }}\n'
        '[[outcomes]]\nname = "fine"\nverdict = "good"\nmeans = "fine"\n'
        'all = [{{ step = "a", exit = "ok" }}]\n'
    )

    def loaded(more: str = "") -> scenario.Scenario:
        (tmp_path / "scenario.toml").write_text(text.format(more))
        return scenario.load(str(tmp_path))

    assert plain_image.all_of(loaded()) is not None
    assert plain_image.all_of(loaded('[images.runs]\ndockerfile = "runs.Dockerfile"\n')) is None
    # What of the context a build does not see is BuildKit's to know.
    (tmp_path / "plain.Dockerfile.dockerignore").write_text("busybox\n")
    assert plain_image.all_of(loaded()) is None
