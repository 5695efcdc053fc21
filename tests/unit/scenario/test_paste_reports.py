"""The texts of public reports give their steps, and a scenario that loads."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import pastes
from buildkit_bisect import scenario
from buildkit_bisect.scenario import paste_writer
from buildkit_bisect.scenario.definition import Action, Step
from buildkit_bisect.scenario.paste_draft import Draft, draft
from buildkit_bisect.system import checkout

TEXTS = {name: text for name, text in vars(pastes).items() if name.isupper()}


def read(text: str) -> tuple[Draft, dict[str, Any]]:
    """Return what is made of *text*, and its ``scenario.toml`` as data."""
    made = draft(text)
    return made, tomllib.loads(paste_writer.toml(made, "name"))


def builds(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in data["steps"] if step["action"] == "build"]


def written(data: dict[str, Any]) -> dict[str, str]:
    return {s["path"]: s["content"] for s in data["steps"] if s["action"] == "write"}


#: Keys of build options; as long as a step does not have one, its line is left out here.
OPTIONS = (
    *("allow", "attests", "contexts", "epoch", "frontend", "labels", "no_cache"),
    *("no_cache_filter", "platform", "secrets", "ssh"),
)


def loadable(toml: str) -> str:
    """Return *toml* without the options that a step does not have."""
    missing = set(OPTIONS) - {one.name for one in fields(Step)}
    return "".join(
        line for line in toml.splitlines(keepends=True) if line.partition(" = ")[0] not in missing
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_text_is_a_scenario_that_loads(text: str, tmp_path: Path) -> None:
    made = draft(text)
    for name, content in paste_writer.files(made, "name").items():
        (tmp_path / name).write_text(loadable(content) if name.endswith(".toml") else content)
    if any(step.values["action"] not in set(Action) for step in made.steps):
        return  # an action of the build context that there is not yet
    loaded = scenario.load(str(tmp_path))
    assert [step.id for step in loaded.steps] == [step.values["id"] for step in made.steps]
    assert {image.public for image in loaded.images.values()} == {t.public for t in made.twins}


def test_6893_gives_the_steps_of_the_shipped_scenario() -> None:
    """The same actions in the same order, with the same caches and the same arguments."""
    _, data = read(pastes.LAZY_EXPORT)
    shipped = scenario.load("cross-stage-lazy")

    def meaning(step: dict[str, Any]) -> tuple[object, ...]:
        images = {"BUILD_BASE", "FINAL_BASE", "IMAGE_UBUNTU", "IMAGE_ALPINE"}
        args = {k: v for k, v in step.get("args", {}).items() if k not in images}
        caches = [
            sorted((key, sorted(entry.items())) for entry in step.get(key, ()))
            for key in ("exports", "imports", "outputs")
        ]
        return step["id"], step["action"], args, caches

    theirs = [
        {"id": s.id, "action": str(s.action), "args": s.args, "exports": s.exports,
         "imports": s.imports, "outputs": s.outputs}
        for s in shipped.steps
    ]  # fmt: skip
    assert [meaning(s) for s in data["steps"]] == [meaning(s) for s in theirs]
    assert data["daemon"] == {"snapshotter": "${axis.snapshotter}"}
    assert data["axes"]["snapshotter"] == {
        "values": ["overlayfs", "stargz"], "controls": ["overlayfs"],
    }  # fmt: skip
    assert {i["public"] for i in data["images"].values()} == {
        image.public for image in shipped.images.values()
    }
    assert {i["compression"] for i in data["images"].values()} == {"estargz"}
    cached = data["outcomes"][0]
    assert (cached["verdict"], cached["all"][-1]) == (
        "good", {"step": "import", "vertex": "RUN echo stable", "is": "cached"},
    )  # fmt: skip
    assert cached["all"] == [dict(_plain(c)) for c in shipped.outcomes[0].all]


def _plain(condition: Any) -> list[tuple[str, str]]:
    keys = (("step", "step"), ("exit", "exit"), ("vertex", "vertex"), ("is_", "is"))
    return [(key, str(getattr(condition, name))) for name, key in keys if getattr(condition, name)]


def instructions(text: str) -> list[str]:
    """Return the lines of a Dockerfile from its first FROM, without the names of images."""
    lines = [re.sub(r"\$\{\w+\}", "IMAGE", line) for line in text.splitlines() if line]
    return lines[next(n for n, line in enumerate(lines) if line.startswith("FROM")) :]


def test_6893_has_the_shipped_dockerfile() -> None:
    made = draft(pastes.LAZY_EXPORT)
    shipped = (checkout.SCENARIOS / "_cross-stage" / "Dockerfile").read_text()
    assert instructions(made.files["Dockerfile"]) == instructions(shipped)


def test_4746_a_file_in_a_sentence_and_the_error_of_an_output() -> None:
    made, data = read(pastes.COPY_LINK)
    (build,) = builds(data)
    assert written(data) == {"foo": ""}
    assert build["epoch"] == 0
    assert build["outputs"] == [
        {"type": "docker", "rewrite-timestamp": "true", "dest": "image.docker.tar"}
    ]
    assert data["issue"] == "https://github.com/moby/buildkit/issues/4746"
    assert (
        data["images"]["base-nossl-debian12"]["public"] == "gcr.io/distroless/base-nossl-debian12"
    )
    good, bad = data["outcomes"]
    assert (good["verdict"], bad["verdict"]) == ("good", "bad")
    assert bad["all"][1] == {"step": "build", "stderr": r"content digest \S+: not found"}
    assert made.versions == ("moby/buildkit:v0.13.0",)
    assert made.left == ()


def test_4793_variables_and_a_document() -> None:
    made, data = read(pastes.NO_LAYER)
    (build,) = builds(data)
    assert build["args"] == {"ONE": "${image.debian}", "TWO": "${image.debian-2}"}
    assert build["exports"] == [
        {"ref": "${registry}/team/cache:latest", "mode": "max", "type": "registry"}
    ]
    assert build["outputs"][0]["name"] == "${registry}/team/out:1"
    assert build["epoch"] == 1
    assert "attests" not in build
    assert [t.public for t in made.twins] == ["debian:bookworm", "debian:bookworm-slim"]
    assert made.files["Dockerfile"].startswith("ARG ONE\nARG TWO\n")
    assert data["outcomes"][1]["all"][1]["stderr"] == r"content digest \S+: not found"


def test_6217_what_cat_prints_is_the_dockerfile() -> None:
    made, data = read(pastes.EXPOSE)
    (build,) = builds(data)
    assert build["outputs"] == [{"type": "oci", "tar": "false", "dest": "test"}]
    assert "EXPOSE 2375" in made.files["Dockerfile"]
    assert {rule["verdict"] for rule in data["outcomes"]} == {"weak"}


def test_5305_a_command_in_a_sentence_is_repeated() -> None:
    made, data = read(pastes.NO_CACHE)
    (build,) = builds(data)
    assert (build["repeat"], build["no_cache"]) == (2, True)
    assert "images" not in data
    assert "FROM node:20.16.0-alpine3.20\n" in made.files["Dockerfile"]
    assert any("RUN needs npm" in note for note in made.notes)
    assert any("does not show package.json" in note for note in made.notes)


def test_6712_a_dockerfile_alone_is_built_once() -> None:
    made, data = read(pastes.LABELS)
    assert len(data["steps"]) == 1
    assert "no build" in made.steps[0].source
    assert made.files["Dockerfile"].startswith("ARG IMAGE_BUSYBOX=busybox\nFROM ${IMAGE_BUSYBOX}")


def test_4083_the_layout_of_an_earlier_build() -> None:
    made, data = read(pastes.LAYOUT)
    first, second = builds(data)
    assert first["outputs"] == [{"type": "oci", "dest": "layout", "tar": "false"}]
    assert second["contexts"] == {"parent": "step:build"}
    assert "FROM parent\n" in made.files[second["dockerfile"]]
    assert list(data["images"]) == ["ubuntu"]


def test_4805_buildctl() -> None:
    made, data = read(pastes.BUILDCTL)
    (build,) = builds(data)
    assert (build["epoch"], build["platform"]) == (0, "linux/amd64")
    assert "syntax" not in made.files["Dockerfile"]
    assert any("# syntax=docker/dockerfile:1" in note for note in made.notes)


def test_3958_the_output_that_is_expected_names_the_vertex() -> None:
    _, data = read(pastes.NEVER_CACHED)
    first, second = builds(data)
    assert first["dockerfile"] == second["dockerfile"]
    good, bad = data["outcomes"]
    vertex = {"step": second["id"], "vertex": "RUN echo .?True.?"}
    assert good["all"][-1] == {**vertex, "is": "cached"}
    assert (bad["verdict"], bad["all"][-1]) == ("bad", {**vertex, "is": "ran"})


def test_3407_attestations() -> None:
    _, data = read(pastes.ATTESTATIONS)
    (build,) = builds(data)
    assert build["attests"] == {"sbom": "", "provenance": "mode=max"}
    assert build["outputs"] == [{"type": "local", "dest": "dir"}]


def test_3009_a_registry_and_files_that_change() -> None:
    _, data = read(pastes.INLINE)
    assert [step["action"] for step in data["steps"]] == [
        "write", "build", "prune", "write", "build",
    ]  # fmt: skip
    first, second = builds(data)
    pushed = {"type": "image", "name": "${registry}/test:1", "push": "true"}
    assert first["outputs"] == second["outputs"] == [pushed]
    assert first["exports"] == [{"type": "inline"}]
    assert second["imports"] == [{"type": "registry", "ref": "${registry}/test:1"}]
    assert data["outcomes"][0]["all"][-1]["vertex"] == "RUN echo one"


def test_5070_two_builders_are_two_daemons() -> None:
    made, data = read(pastes.TWO_RELEASES)
    assert [step["action"] for step in data["steps"]] == ["write", "build", "daemon", "build"]
    assert data["steps"][2]["start"] == "fresh"
    bad = [rule for rule in data["outcomes"] if rule["verdict"] == "bad"]
    assert [rule["all"][1]["stderr"] for rule in bad] == [r"mkdir \S+ not a directory"] * 2
    assert made.versions == ("moby/buildkit:v0.13.2", "moby/buildkit:v0.14.0")


def test_4780_commands_with_and_without_prompts() -> None:
    _, data = read(pastes.MIXED_PROMPTS)
    assert [step["action"] for step in data["steps"]] == [
        "write", "mkdir", "write", "build", "write", "build",
    ]  # fmt: skip
    contents = [step["content"] for step in data["steps"] if step["action"] == "write"]
    assert contents[0] == ""
    assert contents[1].startswith("FROM ")  # its Dockerfile is copied too
    assert contents[2] == "edit1\n"


def test_38982_one_block_for_two_files() -> None:
    made, data = read(pastes.TWO_FILES)
    assert written(data) == {"one.txt": "test file\n", "two.txt": "test file\n"}
    assert made.notes == ()


def test_42473_output_of_the_classic_builder_is_not_shell() -> None:
    made, data = read(pastes.CLASSIC)
    assert made.left == ()
    assert written(data) == {"foo": "hello\n"}
