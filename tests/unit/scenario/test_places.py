"""Which folders steps may share: nothing is written through what a build under test left."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.scenario.reproduction import script

HEAD = """\
schema = 1
name = "places"
title = "places"
issue = "https://github.com/moby/buildkit/issues/1"

"""
TAIL = """
[[outcomes]]
name = "good"
verdict = "good"
means = "ok"
all = [{ step = "a", exit = "ok" }]
"""
LOCAL = 'outputs = [{ type = "local", dest = "x" }]'


def load(folder: Path, *steps: str) -> Scenario:
    """Load a scenario whose steps, builds unless they say otherwise, are called a, b and c."""
    (folder / "Dockerfile").write_text("FROM scratch\n")
    build = 'action = "build"\ndockerfile = "Dockerfile"\n'
    text = "".join(
        f'[[steps]]\nid = "{name}"\n{"" if "action =" in step else build}{step}\n'
        for name, step in zip("abc", steps, strict=False)
    )
    (folder / "scenario.toml").write_text(HEAD + text + TAIL)
    return scenario.load(str(folder))


def output(kind: str, dest: str, more: str = "") -> str:
    return f'outputs = [{{ type = "{kind}", dest = "{dest}"{more} }}]'


@pytest.mark.parametrize(
    ("other", "where"),
    [
        (output("local", "x/sub"), "steps[1].outputs[0].dest: 'x/sub' and 'x' of steps[0]"),
        (output("local", "x/./sub"), "steps[1].outputs[0].dest"),
        (output("oci", "x"), "steps[1].outputs[0].dest: 'x' and 'x' of steps[0].outputs[0].dest"),
        (output("oci", "x", ', tar = "false"'), "steps[1].outputs[0].dest"),
        (output("tar", "x/a.tar"), "steps[1].outputs[0].dest"),
        ('exports = [{ type = "local", dest = "x" }]', "steps[1].exports[0].dest"),
        ('exports = [{ type = "local", dest = "x/a" }]', "steps[1].exports[0].dest"),
        ('imports = [{ type = "local", src = "x" }]', "steps[1].imports[0].src"),
        ('contexts = { e = "oci-layout:x/lay" }', "steps[1].contexts.e"),
        ('action = "delete-blob"\ncache = "x/c"\nlayer = 0', "steps[1].cache"),
    ],
)
@pytest.mark.parametrize("group", ["", '\nparallel = "p"'])
def test_the_folder_of_a_local_output_is_its_own(
    tmp_path: Path, other: str, where: str, group: str
) -> None:
    with pytest.raises(BadInput) as raised:
        load(tmp_path, LOCAL + group, other + group)
    assert where in raised.value.message
    assert "the folder of a local output is its own" in raised.value.message


def test_the_order_of_the_steps_does_not_matter(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'x/y' and 'x' of steps\[0\]"):
        load(tmp_path, output("oci", "x", ', tar = "false"'), output("local", "x/y"))


def test_two_local_outputs_of_one_step(tmp_path: Path) -> None:
    two = 'outputs = [{ type = "local", dest = "x" }, { type = "local", dest = "x" }]'
    with pytest.raises(BadInput, match="is its own"):
        load(tmp_path, two)


def test_local_outputs_at_the_same_time(tmp_path: Path) -> None:
    group = '\nparallel = "p"'
    with pytest.raises(BadInput, match="is its own"):
        load(tmp_path, LOCAL + group, LOCAL + group)
    with pytest.raises(BadInput, match=r"outputs\[0\].dest: runs of a parallel step would"):
        load(tmp_path, LOCAL + group + "\nrepeat = 2")
    reads = 'contexts = { e = "step:a" }' + group
    with pytest.raises(BadInput, match="is its own"):
        load(tmp_path, LOCAL, reads, LOCAL + group)


def test_what_stays_possible(tmp_path: Path) -> None:
    """In turn, each build has the folder to itself."""
    load(tmp_path, LOCAL + "\nrepeat = 3", 'contexts = { e = "step:a" }', LOCAL)
    load(tmp_path, LOCAL, output("local", "xy"), output("tar", "x.tar"))
    cache = '[{ type = "local", dest = "c" }]'
    load(tmp_path, f"exports = {cache}", f"exports = {cache}")


def test_a_script_empties_the_folder_too(tmp_path: Path) -> None:
    made = script(load(tmp_path, output("local", "a b") + "\nrepeat = 2"), ())
    assert made.count("rm -rf -- 'a b'\nbuildctl build") == 2


@pytest.mark.parametrize("read", ['contexts = { e = "context:d" }', ""])
@pytest.mark.parametrize("order", [1, -1])
def test_no_step_changes_the_context_beside_a_build(tmp_path: Path, read: str, order: int) -> None:
    group = '\nparallel = "p"'
    write = 'action = "write"\npath = "d"\nsymlink = "/etc"' + group
    with pytest.raises(BadInput, match=r"parallel: write changes the build context, and a build"):
        load(tmp_path, *[read + group, write][::order])
    load(tmp_path, *[read, write][::order])
