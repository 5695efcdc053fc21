"""The step kind ``script``: what is refused, what it is known by, and who must trust it."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.campaign import compose, scripts
from buildkit_bisect.errors import BadInput
from buildkit_bisect.render.text import plain
from buildkit_bisect.scenario import Scenario, script_step, trust
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.system.checkout import SCENARIOS

HEAD = """\
schema = 1
name = "scripted"
title = "scripted"
issue = "https://github.com/moby/buildkit/issues/1"
images.base = { dockerfile = "Dockerfile" }
axes.some-axis = { values = ["a-value", "other"] }

[[steps]]
id = "go"
"""
TAIL = """
[[outcomes]]
name = "good"
verdict = "good"
means = "ok"
all = [{ step = "go", exit = "ok" }]
"""
STEP = 'action = "script"\npath = "check.sh"\n'


def write(folder: Path, name: str, data: str | bytes = "#!/bin/sh\nexit 0\n") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "scripted"
    write(made, "check.sh")
    write(made, "Dockerfile", "FROM scratch\n")
    return made


def load(folder: Path, keys: str, tail: str = TAIL) -> Scenario:
    """Return the scenario whose step ``go`` has *keys*."""
    (folder / "scenario.toml").write_text(f"{HEAD}{keys}\n{tail}")
    return scenario.load(str(folder))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('action = "script"', "path: '' is not a path inside the scenario"),
        ('action = "script"\npath = "none.sh"', "path: file 'none.sh' not found"),
        ('action = "script"\npath = "../evil.sh"', "path: '../evil.sh' is not a path inside"),
        ('action = "script"\npath = "/bin/true"', "path: '/bin/true' is not a path inside"),
        ('action = "script"\npath = "link.sh"', "path: 'link.sh' is outside the scenario"),
        ('action = "script"\npath = "Dockerfile"', "path: 'Dockerfile' is neither a program nor a"),
        (
            'action = "script"\npath = "plain.sh"',
            "path: 'plain.sh' is not an executable file: chmo",
        ),
        ('action = "script"\npath = "crlf.sh"', "path: 'crlf.sh' has CRLF line endings: sed -i"),
        ('action = "script"\npath = "perl.sh"', "begins with #!/no/perl, which is not a program"),
        (f'{STEP}needs = ["none"]', "needs[0]: file 'none' not found"),
        (f'{STEP}needs = ["Dockerfile", "../x"]', "needs[1]: '../x' is not a path inside"),
        (f'{STEP}needs = ["sub"]', "needs[0]: file 'sub' not found"),
        (f'{STEP}needs = ["Dockerfile", "Dockerfile"]', "needs[1]: 'Dockerfile' is named twice"),
        (f'{STEP}needs = ["check.sh"]', "needs[0]: 'check.sh' is named twice"),
        (f'{STEP}needs = ["big"]', "needs: 'check.sh' and its files have 262161 bytes, more than"),
        (f'{STEP}needs = "a"', "needs: must be a list"),
        (f"{STEP}no_cache = true", "no_cache: is for a build, not for script"),
        ('action = "prune"\nneeds = ["check.sh"]', "needs: is for a script, not for prune"),
    ],
)
def test_a_wrong_script_is_named(folder: Path, keys: str, message: str) -> None:
    write(folder.parent, "evil.sh")
    (folder / "link.sh").symlink_to("../evil.sh")
    write(folder, "plain.sh")
    (folder / "plain.sh").chmod(0o644)
    write(folder, "crlf.sh", "#!/bin/sh\r\n")
    write(folder, "perl.sh", "#!/no/perl\n")
    write(folder, "big", b"x" * 256 * 1024)
    (folder / "sub").mkdir()
    load(folder, STEP)
    with pytest.raises(BadInput) as raised:
        load(folder, keys)
    assert message in raised.value.message
    assert f"{folder}/scenario.toml: steps[0]." in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("condition", ["vertex = 'x', is = 'ran'", "inner_layers = 'all'"])
def test_a_script_has_no_vertices_and_exports_nothing(folder: Path, condition: str) -> None:
    with pytest.raises(BadInput, match=r"all\[0\]: can never match: go"):
        load(folder, STEP, TAIL.replace('exit = "ok"', condition))


def test_a_trial_is_known_by_the_program_and_its_files(folder: Path) -> None:
    write(folder, "lib/helper.sh", "echo one\n")
    keys = f'{STEP}needs = ["lib/helper.sh"]'
    digests = [load(folder, keys).run_digest]
    write(folder, "unused.sh")
    assert load(folder, keys).run_digest == digests[0]
    write(folder, "lib/helper.sh", "echo two\n")
    digests += [load(folder, keys).run_digest]
    write(folder, "check.sh", "#!/bin/sh\nexit 1\n")
    digests += [load(folder, keys).run_digest]
    (folder / "lib/helper.sh").chmod(0o644)
    digests += [load(folder, keys).run_digest]
    assert len(set(digests)) == len(digests)
    assert [file.name for file in load(folder, keys).programs] == ["check.sh", "lib/helper.sh"]


def test_it_is_not_the_program_of_the_option(folder: Path) -> None:
    """What reports say of --script is not said of a step."""
    loaded = load(folder, STEP)
    assert list(scripts.said([loaded])) == []
    assert compose.scenario_info(loaded, {}).files == ()
    made = scenario.from_script(str(folder / "check.sh"), timeout=5)
    assert not script_step.own(made.steps[0])
    assert made.programs == ()


def test_a_scenario_of_ones_own_must_be_trusted(folder: Path) -> None:
    assert trust.needed(load(folder, STEP)) == "steps[0] runs 'check.sh' as root on this machine"
    assert trust.needed(load(folder, 'action = "prune"')) == ""
    assert trust.needed(scenario.from_script(str(folder / "check.sh"), timeout=5)) == ""


def test_scenarios_that_ship_with_the_tool_are_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = folder.parent / "scenarios"
    shutil.copytree(folder, shipped / "scripted")
    (shipped / "scripted" / "scenario.toml").write_text(f"{HEAD}{STEP}{TAIL}")
    monkeypatch.setattr("buildkit_bisect.system.checkout.SCENARIOS", shipped)
    assert trust.needed(scenario.load("scripted", shipped)) == ""
    assert trust.needed(load(folder, STEP)) != ""
    (folder.parent / "scenarios-of-mine").mkdir()
    moved = shutil.move(folder, folder.parent / "scenarios-of-mine" / "scripted")
    assert trust.needed(load(Path(moved), STEP)) != ""


def test_no_shipped_scenario_needs_it() -> None:
    for name in scenario.names():
        assert trust.needed(scenario.load(name, SCENARIOS)) == ""


def test_the_environment_of_a_program() -> None:
    axes = (("runtime", "host"), ("some-axis", "a"))
    made = script_step.environment(axes, {"a-b": "ref"}, context="/c", work="/w", registry="r:1")
    assert made == {
        "BKBISECT_CONTEXT": "/c",
        "BKBISECT_WORK": "/w",
        "BKBISECT_REGISTRY": "r:1",
        "BKBISECT_IMAGE_A_B": "ref",
        "BKBISECT_AXIS_SOME_AXIS": "a",
    }
    assert "BKBISECT_REGISTRY" not in script_step.environment(
        (), {}, context="", work="", registry=""
    )


def test_a_script_that_reproduces_it_has_the_program(folder: Path) -> None:
    binary = bytes(range(256))
    write(folder, "lib/data", binary)
    write(folder, "lib/no end", "EOF\nno line break at its end")
    write(folder, "check.sh", "#!/bin/sh\n# EOF\nEOF\nexit 0\n")
    keys = f'{STEP}needs = ["lib/data", "lib/no end"]'
    text = script(load(folder, keys), (("some-axis", "a-value"),))
    assert plain(text)
    assert (
        "mkdir -p scripts\n"
        "cat > scripts/check.sh <<'EOF_'\n#!/bin/sh\n# EOF\nEOF\nexit 0\nEOF_\n"
        "chmod 755 scripts/check.sh\n"
    ) in text
    encoded = re.findall(r"base64 -d > (\S+|'.*') <<'EOF'\n([^<]*)\nEOF\n", text)
    assert [(name, base64.b64decode(data)) for name, data in encoded] == [
        ("scripts/lib/data", binary),
        ("'scripts/lib/no end'", b"EOF\nno line break at its end"),
    ]
    assert "export BKBISECT_CONTEXT=$PWD/context BKBISECT_WORK=$PWD\n" in text
    assert "export BKBISECT_IMAGE_BASE=127.0.0.1:5000/base:gzip\n" in text
    assert "export BKBISECT_AXIS_SOME_AXIS=a-value\n" in text
    assert "BKBISECT_REGISTRY" not in text
    assert "\nscripts/check.sh 2>&1 | tee go.log\n" in text
    assert "for step in go; do" in text
    assert "in the current directory" not in text
