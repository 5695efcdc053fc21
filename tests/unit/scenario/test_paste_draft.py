"""What commands become: steps, files, images, the daemon; and what is said about the rest."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from buildkit_bisect.scenario import paste_writer
from buildkit_bisect.scenario.paste_draft import Draft, draft

DOCKERFILE = "```dockerfile\nFROM alpine\nCOPY a.txt /\nRUN echo stable\n```\n"


def shell(text: str, dockerfile: str = DOCKERFILE) -> Draft:
    return draft(f"{dockerfile}```bash\n{text}\n```\n")


def data(made: Draft) -> dict[str, Any]:
    return tomllib.loads(paste_writer.toml(made, "name"))


def actions(made: Draft) -> list[tuple[str, str]]:
    steps = data(made)["steps"]
    return [(s["action"], s.get("path", s.get("start", s["id"]))) for s in steps]


def reasons(made: Draft) -> list[str]:
    return [one.reason for one in made.left]


def test_a_tag_without_an_engine_is_no_output() -> None:
    """A builder of its own leaves nothing of a build that has only a tag."""
    made = shell("docker buildx create --use\ndocker buildx build -t x .")
    assert "outputs" not in made.steps[-1].values


def test_an_image_that_a_later_build_uses_is_pushed() -> None:
    made = shell(
        "docker build -t base -f base.Dockerfile .\ndocker build -f app.Dockerfile .",
        "base.Dockerfile:\n```\nFROM alpine\n```\napp.Dockerfile:\n```\nFROM base\n```\n",
    )
    first, second = data(made)["steps"]
    assert first["outputs"] == [
        {"type": "image", "name": "${registry}/base:latest", "push": "true"}
    ]
    assert second["args"] == {"IMAGE_BASE": "${registry}/base:latest"}
    assert list(data(made)["images"]) == ["alpine"]


def test_a_file_of_the_context_is_written_in_its_place() -> None:
    made = shell("echo 1 > a.txt\ndocker build .\necho 2 > a.txt\ndocker build .")
    assert actions(made) == [
        ("write", "a.txt"), ("build", "build"), ("write", "a.txt"), ("build", "build-b"),
    ]  # fmt: skip
    contents = [s["content"] for s in data(made)["steps"] if s["action"] == "write"]
    assert contents == ["1\n", "2\n"]


@pytest.mark.parametrize(
    ("line", "content"),
    [
        ("echo x > a.txt", "x\n"),
        ("echo -n x > a.txt", "x"),
        ("printf 'x\\ny' > a.txt", "x\ny"),
        ("printf '%s' z > a.txt", "z"),
        ("touch a.txt", ""),
        ("cat > a.txt <<EOF\nx\nEOF", "x\n"),
        ("cat <<EOF > a.txt\nx\nEOF", "x\n"),
        ("tee a.txt <<EOF\nx\nEOF", "x\n"),
        ("echo x > a.txt\necho y >> a.txt", "x\ny\n"),
        ("echo x > b.txt && mv b.txt a.txt", "x\n"),
    ],
)
def test_how_a_file_is_written(line: str, content: str) -> None:
    first = data(shell(f"{line}\ndocker build ."))["steps"][0]
    assert (first["path"], first["content"]) == ("a.txt", content)


def test_files_of_another_folder_are_not_in_the_context() -> None:
    made = shell("mkdir app && cd app\necho 1 > a.txt\necho 2 > ../b.txt\ndocker build .")
    assert actions(made) == [("write", "a.txt"), ("build", "build")]


def test_a_file_that_no_line_writes_is_made_up_and_named() -> None:
    made = shell("docker build .")
    assert data(made)["steps"][0] == {
        "id": "a-txt", "action": "write", "path": "a.txt", "content": "a.txt\n",
    }  # fmt: skip
    assert "does not show a.txt" in made.notes[0]


def test_a_file_that_the_text_shows() -> None:
    made = shell("docker build .", f"{DOCKERFILE}a.txt:\n```\nhello\n```\n")
    assert data(made)["steps"][0]["content"] == "hello\n"
    assert made.notes == ()


def test_deleting_and_renaming_between_builds() -> None:
    made = shell("touch a.txt b\ndocker build .\nrm b\nmv a.txt c\nmv c a.txt\ndocker build .")
    changes = [s for s in data(made)["steps"] if s["action"] in ("delete", "rename")]
    assert [{k: v for k, v in s.items() if k != "id"} for s in changes] == [
        {"action": "delete", "path": "b"},
        {"action": "rename", "path": "a.txt", "to": "c"},
        {"action": "rename", "path": "c", "to": "a.txt"},
    ]


def test_a_cache_that_is_deleted_has_another_name_afterwards() -> None:
    made = shell(
        "docker buildx build --cache-to type=local,dest=/tmp/c .\nrm -rf /tmp/c\n"
        "docker buildx build --cache-from type=local,src=/tmp/c .",
        "```dockerfile\nFROM scratch\n```\n",
    )
    first, second = data(made)["steps"]
    assert first["exports"][0]["dest"] != second["imports"][0]["src"]


def test_a_cache_that_is_moved() -> None:
    made = shell(
        "docker buildx build --cache-to type=local,dest=/tmp/new .\nmv /tmp/new /tmp/old\n"
        "docker buildx build --cache-from type=local,src=/tmp/old .",
        "```dockerfile\nFROM scratch\n```\n",
    )
    first, second = data(made)["steps"]
    assert first["exports"][0]["dest"] == second["imports"][0]["src"] == "new"


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("docker buildx rm b\ndocker buildx create --name b --use", "fresh"),
        ("docker buildx create --name c --use", "fresh"),
        ("docker restart buildx_buildkit_b0", "restart"),
        ("docker buildx stop", "restart"),
    ],
)
def test_a_daemon_that_is_started_again(line: str, start: str) -> None:
    made = shell(f"docker buildx create --name b --use\ndocker build .\n{line}\ndocker build .")
    assert ("daemon", start) in actions(made)


@pytest.mark.parametrize(
    "line", ["docker buildx prune -af", "docker builder prune -a", "buildctl prune --all"]
)
def test_a_prune(line: str) -> None:
    made = shell(f"{line}\ndocker build .\n{line}\ndocker build .\n{line}")
    assert [action for action, _ in actions(made)] == ["write", "build", "prune", "build"]


def test_part_of_a_prune_is_named() -> None:
    made = shell("docker build .\ndocker buildx prune --filter type=x\ndocker build .")
    assert reasons(made) == ["--filter: the step prune removes everything"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("docker build ..", "leads out of the folder"),
        ("docker build -f ../../Dockerfile .", "leads out of the folder"),
        ("docker build /", "leads out of the paste"),
        ("docker build ~", "leads out of the paste"),
        ("cd .. && docker build .", "leads out of the folder"),
        ("docker build https://github.com/moby/buildkit.git", "a remote build context"),
        ("docker build", "one build context, and this line has none"),
        ("docker build a b", "one build context, and this line has 2: a, b"),
        ("docker build -f other.txt x", "does not show other.txt"),
        ("docker buildx bake", "bake: its targets are in another file"),
        ("docker compose build", "its builds are in another file"),
        ("docker run --rm x ls", "docker run: a rule says"),
        ("docker push x", "docker push: a rule says"),
        ("make image", "make: its rules are in another file"),
        ("git clone https://x.y/z", "git: a trial has only the files that steps write"),
        ("./build.sh", "'./build.sh' is not a command of a build"),
        ("buildctl build --local context=.", "a build definition from a program"),
        ("buildctl build --frontend=x.v1", "the frontend 'x.v1'"),
        ('docker build --cache-to type=local,"x .', "a quote that does not end"),
        ("docker build --build-context x=https://y.z/a.git .", "neither an image nor a folder"),
        ("docker build --build-context x=oci-layout://lay .", "no build of the paste writes it"),
        ("docker build .\nfalse || docker build .", "what happens if a command fails"),
    ],
)
def test_a_line_that_is_not_taken(line: str, reason: str) -> None:
    dockerfile = "" if "other.txt" in line else DOCKERFILE
    found = reasons(shell(line, dockerfile))
    assert any(reason in one for one in found), found


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--network host", "a step has no such option"),
        ("--ulimit nofile=1", "a step has no such option"),
        ("--cache-to type=gha", "a trial has no gha cache; a registry replaces it"),
        ("--build-arg TOKEN", "the paste does not say its value"),
        ('-o type=image,name=\\"a,b\\"', "several names of one image"),
    ],
)
def test_an_option_that_is_not_taken_leaves_the_build(option: str, reason: str) -> None:
    option = option.replace('\\"', "'\"'") if "name" in option else option
    line = f"docker build {option} ." if "name" not in option else (
        "docker build -o 'type=image,\"name=a,b\"' .")  # fmt: skip
    made = shell(line)
    assert [s.values["action"] for s in made.steps][-1] == "build"
    assert any(reason in one for one in reasons(made)), made.left


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        ("FROM <IMAGE>", "not an image that can be pulled"),
        ("ARG A\nFROM $A", "does not say which image that is"),
        ("FROM mcr.microsoft.com/windows/nanoserver:1809", "an image for Windows"),
        ("FROM alpine\nCOPY ../x /", "leads out of the build context"),
    ],
)
def test_a_dockerfile_that_cannot_be_built(dockerfile: str, reason: str) -> None:
    made = shell("docker build .", f"```dockerfile\n{dockerfile}\n```\n")
    assert made.steps == ()
    assert any(reason in one for one in reasons(made)), made.left


def test_a_second_build_context_is_not_taken() -> None:
    made = shell(
        "docker build a\ndocker build b",
        "a/Dockerfile:\n```\nFROM scratch\nCOPY x /\n```\n"
        "b/Dockerfile:\n```\nFROM scratch\nCOPY y /\n```\n",
    )
    assert len([s for s in made.steps if s.values["action"] == "build"]) == 1
    assert reasons(made) == [
        "its build context is b, and an earlier build's is a: a scenario has one"
    ]


def test_going_back_to_a_builder() -> None:
    made = shell(
        "docker buildx build --builder a .\ndocker buildx build --builder b .\n"
        "docker buildx build --builder a ."
    )
    assert any("goes back to the builder 'a'" in one for one in reasons(made))


def test_a_context_of_standard_input() -> None:
    made = draft("```\n$ docker build -t x - <<EOF\nFROM alpine\nRUN echo x\nEOF\n```")
    assert made.files["Dockerfile"].endswith("RUN echo x\n")
    assert [s.values["action"] for s in made.steps] == ["build"]


def test_named_contexts() -> None:
    made = shell(
        "touch a.txt lib/x\ndocker buildx build -o type=local,dest=out .\n"
        "docker buildx build --build-context o=out --build-context l=./lib"
        " --build-context i=docker-image://alpine:3 .",
    )
    contexts = data(made)["steps"][-1]["contexts"]
    assert contexts == {"o": "step:build", "l": "context:lib", "i": "image:alpine:3"}


def test_the_daemons_configuration() -> None:
    made = shell(
        "cat > bk.toml <<EOF\n[worker.oci]\nsnapshotter = 'stargz'\ngckeepstorage = 100\n"
        "enabled = true\n"
        "[registry.\"localhost:5000\"]\nhttp = true\n[dns]\nnameservers = ['1.1.1.1']\nEOF\n"
        "docker buildx create --config bk.toml --use\ndocker buildx build .",
    )
    found = data(made)
    assert found["axes"]["snapshotter"]["values"] == ["overlayfs", "stargz"]
    assert tomllib.loads(found["daemon"]["config"]) == {"worker": {"oci": {"gckeepstorage": 100}}}
    assert reasons(made) == ["a scenario may not set dns.nameservers"]


def test_the_text_says_nothing_of_the_outcome() -> None:
    made = shell("docker build .")
    assert {rule["verdict"] for rule in data(made)["outcomes"]} == {"weak"}
    assert any(
        "every outcome is weak" in line.replace("\n", " ")
        for line in [" ".join(paste_writer.rules_said(made))]
    )


@pytest.mark.parametrize(
    ("sentence", "vertex"),
    [
        ("`RUN echo stable` should be cached", "RUN echo stable"),
        ("I expect CACHED for the second build", "RUN echo stable"),
        ("The step `RUN echo stable` is never cached", "RUN echo stable"),
        ("RUN echo stable should not be cached", ""),
        ("The cache should be small", ""),
        ("it is not cached", ""),
    ],
)
def test_what_must_be_cached(sentence: str, vertex: str) -> None:
    made = draft(
        f"{DOCKERFILE}{sentence}\n```\n$ touch a.txt\n$ docker build .\n$ docker build .\n```\n"
    )
    assert made.said.cached == vertex


def test_one_build_has_nothing_to_be_cached() -> None:
    made = draft(f"{DOCKERFILE}`RUN echo stable` should be cached\n```\n$ docker build .\n```\n")
    assert made.said.cached == ""


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("ERROR: failed to solve: content digest sha256:7b722c10: not found",
         r"content digest \S+: not found"),
        ("error: rpc error: code = Unknown desc = failed to mount /tmp/x1: no space",
         r"failed to mount \S+ no space"),
        ('ERROR: process "/bin/sh -c x" did not complete successfully: exit code: 1',
         r'process "/bin/sh -c x" did not complete successfully: exit code: 1'),
        ("#9 ERROR: cannot copy to [non-directory] (x)", r"cannot copy to \[non-directory\] \(x\)"),
    ],
)  # fmt: skip
def test_the_pattern_of_an_error(line: str, pattern: str) -> None:
    made = shell(f"docker build .\n{line}")
    assert made.said.error == pattern
    bad = [rule for rule in data(made)["outcomes"] if rule["verdict"] == "bad"]
    assert bad[0]["all"][1]["stderr"] == pattern


@pytest.mark.parametrize(
    ("option", "note"),
    [
        ("--secret id=t,src=x", "line 7: the text of the secret t is made up"),
        ("--platform linux/arm64", "line 7: the platform linux/arm64: local images have this"),
    ],
)
def test_what_is_done_in_another_way_is_noted(option: str, note: str) -> None:
    made = shell(f"docker build {option} .")
    assert any(one.startswith(note) for one in made.notes), made.notes


def test_a_line_that_is_too_long_is_named() -> None:
    made = shell("docker build .\n" + "x" * 5000)
    assert reasons(made) == ["longer than 4000 characters"]


def test_more_builds_than_a_scenario_may_have() -> None:
    made = shell("docker build .\n" * 203)
    assert len([s for s in made.steps if s.values["action"] == "build"]) == 200
    assert len(made.left) == 3
    assert "at most 200" in reasons(made)[0]


@pytest.mark.parametrize(
    "name", ["scenario.toml", "upstream.toml", "alpine-image.Dockerfile", "sub/scenario.toml"]
)
def test_a_pasted_file_does_not_replace_one_of_the_scenario(name: str) -> None:
    """The scenario on disk is the one that the tool shows."""
    folder = "mkdir sub\n" if "/" in name else ""
    text = f"{folder}cat > {name} <<EOF\nFROM alpine\nRUN echo mine\nEOF\ndocker build -f {name} ."
    made = shell(text, "")
    files = paste_writer.files(made, "name")
    stored = name.rpartition("/")[2] + "-2"
    assert set(files) == {"scenario.toml", "alpine-image.Dockerfile", stored}
    assert files["scenario.toml"] == paste_writer.toml(made, "name")
    assert "RUN echo mine" in files[stored]
    assert "FROM scratch" in files["alpine-image.Dockerfile"]
    assert data(made)["steps"][-1]["dockerfile"] == stored
