"""Scripts that reproduce a cell without this tool. tests/system runs some on real BuildKit."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.model import Axes
from buildkit_bisect.render.text import plain
from buildkit_bisect.scenario import Action, Condition, Scenario, Step, shell, wording
from buildkit_bisect.scenario.definition import VertexIs
from buildkit_bisect.scenario.reproduction import script

LAZY = (("bases", "different"), ("snapshotter", "stargz"))
SHIPPED = [*scenario.names(), *scenario.library()]
CELLS = [(name, axes) for name in SHIPPED for axes in scenario.load(name).cells()]


@pytest.mark.parametrize(("name", "axes"), CELLS)
def test_every_shipped_cell(name: str, axes: Axes) -> None:
    loaded = scenario.load(name)
    made = script(loaded, axes)
    steps = [step for group in loaded.groups(axes) for step in group]
    assert re.findall(r"^# step (\S+)$", made, re.MULTILINE) == [s.id for s in steps]
    builds = [s for s in steps if s.action is Action.BUILD]
    assert made.count("buildctl build") == len(loaded.images) + len(builds)
    for step in builds:
        assert loaded.file(step.dockerfile).read_text() in made
    assert not re.search(r"\$\{(image|axis|var|registry)\b", made)
    assert plain(made), "a report may not change it"
    for rule in loaded.outcomes:
        assert f"\n{rule.verdict} ({rule.name}): {rule.means}.\n" in made


def test_the_commands_are_those_of_a_trial() -> None:
    made = script(scenario.load("cross-stage-lazy"), LAZY, seen=["v1: bad, 3 of 3."])
    assert "\n# v1: bad, 3 of 3.\n" in made
    assert "SNAPSHOTTER=${SNAPSHOTTER:-stargz}\n" in made
    assert (
        "  --opt=build-arg:BUST=2 \\\n"
        "  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/build:estargz \\\n"
        "  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \\\n"
        "  --import-cache=type=local,src=cache 2>&1 | tee import.log\n"
    ) in made
    assert made.index("mode=max,dest=cache") < made.index("prune --all") < made.index("src=cache")
    assert "vertex import.log '.*(?:RUN echo stable)'\n" in made
    assert 'in import, "RUN echo stable" is CACHED.\n' in made


@pytest.mark.parametrize(
    ("name", "axes", "line"),
    [
        ("cross-stage-lazy", LAZY, "snapshotter overlayfs, and must be good: SNAPSHOTTER=overlay"),
        ("cross-stage-dedup", (("warm", "yes"),), "warm no, and must be good: this script without"),
    ],
)
def test_it_says_what_the_control_is(name: str, axes: Axes, line: str) -> None:
    loaded = scenario.load(name)
    assert f"# The control has {line}" in script(loaded, axes)
    control = loaded.control_of(axes)
    assert control
    assert "The control has" not in script(loaded, control)


def test_published_images_need_no_registry_and_no_busybox() -> None:
    made = script(scenario.load("cross-stage-lazy"), LAZY, published=True)
    assert "BUILD_BASE=ghcr.io/stargz-containers/ubuntu:22.04-esgz" in made
    assert made.count("buildctl build") == 2
    assert "127.0.0.1" not in made
    assert "busybox" not in made


def with_steps(*steps: Step) -> Scenario:
    return replace(scenario.load("cross-stage-lazy"), steps=steps)


def test_steps_that_no_shipped_scenario_has(tmp_path: Path) -> None:
    parallel = [
        Step(id=name, action=Action.BUILD, dockerfile="Dockerfile", parallel="both")
        for name in "ab"
    ]
    made = script(
        with_steps(
            Step(id="text", action=Action.WRITE, path="a dir/file", content="it's ${axis.bases}"),
            Step(id="again", action=Action.DAEMON, start="restart"),
            Step(id="lost", action=Action.DELETE_BLOB, cache="cache", layer=2),
            Step(id="twice", action=Action.PRUNE, repeat=2),
            *parallel,
        ),
        LAZY,
    )
    file = "'context/a dir/file'"
    write = f"( set -e\nguard {file}\nmkdir -p 'context/a dir'\nrm -f {file}\nprintf %s 'it'"
    assert write in made
    assert f"'s different' > {file}\n) 2>&1 | tee text.log\n" in made
    assert "# step again\nstop\nstart --oci-worker" in made
    assert ".layers[2].blob" in made
    assert "# step twice-2" in made
    assert "& group+=($!)\n# step b\n" in made
    assert 'wait "${group[@]}"' in made


def test_a_snapshotter_that_is_not_built_in_listens_on_a_socket() -> None:
    loaded = scenario.load("cross-stage-lazy")
    made = script(loaded, (LAZY[0], ("snapshotter", "stargz-proxy")))
    assert ': "${SOCKET:?is the socket of a running stargz snapshotter}"\n' in made
    assert 'start --oci-worker-snapshotter "$SNAPSHOTTER" --oci-worker-proxy-snapshotter' in made
    assert "--propagation slave" in made


def test_a_users_own_program(tmp_path: Path) -> None:
    program = tmp_path / "my test.sh"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    made = script(scenario.from_script(str(program), timeout=5), ())
    assert "\"$here\"/'my test.sh' 2>&1 | tee script.log\n" in made
    assert "- in the current directory: my test.sh, the reproducer itself" in made
    assert str(tmp_path) not in made
    assert "bad (script-bad): the script exited 1 to 124.\n    script exits 1 to 124.\n" in made
    assert "skip (program-not-found): exit 127: by the convention of shells, a pro" in made
    assert "the files that it declares" not in made


def test_the_files_that_a_program_declares_are_named(tmp_path: Path) -> None:
    for name in ("a.json", "b helper.sh"):
        (tmp_path / name).touch()
    program = tmp_path / "test.sh"
    program.write_text("#!/bin/sh\n# bkbisect-files: *helper.sh a.json\n")
    program.chmod(0o755)
    made = script(scenario.from_script(str(program), timeout=5), ())
    assert "# - beside it, the files that it declares: a.json and b helper.sh\n" in made
    assert plain(made)


@pytest.mark.parametrize("text", ["a\nrm -rf /", "a\rb", "a\x85b", "a\u2028b"])
def test_a_comment_stays_one_line(text: str) -> None:
    assert len(shell.comment(text).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "x", "x\n", "EOF\nrm\n", "EOF\nEOF_\n"])
def test_a_document_ends_where_it_should(text: str) -> None:
    quoted, *lines = shell.document(text).split("\n")
    assert lines.count(quoted.strip("'")) == 1
    assert "\n".join(lines[:-1]).rstrip("\n") == text.rstrip("\n")


def logging() -> Scenario:
    loaded = scenario.load("cross-stage-lazy")
    condition = Condition(step="import", vertex="RUN echo 'x'", log="(?m)^it's not")
    return replace(loaded, outcomes=(replace(loaded.outcomes[0], all=(condition,)),))


def test_a_condition_on_a_log_is_shown_with_its_lines() -> None:
    made = script(logging(), LAZY)
    assert (
        """\nvertex import.log '.*(?:RUN echo '"'"'x'"'"')' | """
        r"sed -nE 's/^#[0-9]+ [0-9]+\.[0-9]+ //p'"
        """ | grep -P -m 3 '(?m)^it'"'"'s not'\n"""
    ) in made
    assert """    in import, "RUN echo 'x'" prints "(?m)^it's not".\n""" in made


def test_every_kind_of_condition_has_words() -> None:
    loaded = scenario.load("cross-stage-lazy")
    conditions = [c for rule in loaded.outcomes for c in rule.all]
    texts = {wording.condition(c) for c in conditions}
    assert "export exits 0" in texts
    assert 'export prints "missing descriptor handlers for lazy blobs"' in texts
    assert 'in import, "RUN echo stable" runs: it is not CACHED' in texts
    exits = {"late": "x times out", "125": "x exits 125", "1-124": "x exits 1 to 124"}
    for given, wanted in exits.items():
        assert wording.condition(replace(conditions[0], step="x", exit=given)) == wanted


@pytest.mark.parametrize(
    ("regex", "shown"),
    [
        ("RUN", ".*(?:RUN)"),
        ("^RUN", "RUN"),
        (r"\ARUN", "RUN"),
        (r"RUN a\z", r".*(?:RUN a\z)"),
        ("^RUN|COPY", "(?:RUN|COPY)"),
    ],
)
def test_a_vertex_is_found_behind_its_number(regex: str, shown: str) -> None:
    loaded = scenario.load("cross-stage-lazy")
    step = next(s.id for s in loaded.steps if s.action is Action.BUILD)
    rule = replace(
        loaded.outcomes[0], all=(Condition(step=step, vertex=regex, is_=VertexIs.CACHED),)
    )
    made = script(replace(loaded, outcomes=(rule,)), LAZY)
    assert f"vertex {step}.log {shlex.quote(shown)}\n" in made
