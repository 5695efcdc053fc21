"""A program of a scenario's folder as a step of a trial."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import steps
from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime import Runtime
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.scenario.reproduction import script
from tool import inv

pytestmark = pytest.mark.local

SCENARIO = """\
schema = 1
name = "scripted"
title = "scripted"
issue = "https://github.com/moby/buildkit/issues/1"

[[steps]]
id = "text"
action = "write"
path = "text"
content = "hello"

[[steps]]
id = "go"
action = "script"
path = "bin/check.sh"
needs = ["lib/helper.sh"]
timeout = 5

[[outcomes]]
name = "good"
verdict = "good"
means = "ok"
all = [{ step = "go", exit = "ok" }]
"""


class Host:
    """A runtime of which a script gets an address."""

    def environment(self) -> dict[str, str]:
        return {"BUILDKIT_HOST": "unix:///s"}


def load(folder: Path, text: str) -> Scenario:
    files = {
        "scenario.toml": SCENARIO,
        "bin/check.sh": f"#!/bin/sh\n{text}\n",
        "lib/helper.sh": 'say() { echo "said $*"; }\n',
        "undeclared": "x",
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    return scenario.load(str(folder))


def run(tmp_path: Path, loaded: Scenario) -> StepResult:
    for name in ("work", "context", "evidence"):
        (tmp_path / name).mkdir()
    bench = steps.Bench(
        scenario=loaded, axes=(), images={"base": "image:1"}, registry="", work=tmp_path / "work",
        context=tmp_path / "context", evidence=tmp_path / "evidence",
        environment={"BKBISECT_REF": "v1"},
    )  # fmt: skip
    return list(steps.run_all(bench, cast(Runtime, Host())))[-1]


def test_it_finds_its_files_and_what_describes_the_trial(tmp_path: Path) -> None:
    loaded = load(
        tmp_path / "scripted",
        '. "$(dirname "$0")/../lib/helper.sh"; say "$BUILDKIT_HOST $BKBISECT_REF"\n'
        'say "$(cat "$BKBISECT_CONTEXT/text") $BKBISECT_IMAGE_BASE" >&2\n'
        'echo made > made; [ "$PWD" = "$BKBISECT_WORK" ] || exit 9\n'
        '[ ! -e "$(dirname "$0")/../undeclared" ] || exit 8\nexit 3',
    )
    done = run(tmp_path, loaded)
    assert (done.exit, done.stderr) == (3, "said unix:///s v1\nsaid hello image:1\n")
    assert (tmp_path / "evidence" / "go.stdout").read_text() == "said unix:///s v1\n"
    assert (tmp_path / "evidence" / "go.stderr").read_text() == "said hello image:1\n"
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["made"]
    assert {path.name for path in tmp_path.iterdir()} == {"scripted", "work", "context", "evidence"}


def test_it_has_a_deadline(tmp_path: Path) -> None:
    loaded = load(tmp_path / "scripted", "sleep 60")
    done = run(tmp_path, loaded)
    assert done.timed_out
    assert done.seconds < 30


@pytest.mark.parametrize("name", ["bin/check.sh", "lib/helper.sh"])
def test_a_file_that_changed_since_the_campaign_began_makes_no_trial(
    tmp_path: Path, name: str
) -> None:
    loaded = load(tmp_path / "scripted", f"touch {tmp_path}/ran")
    (tmp_path / "scripted" / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran  # other\n")
    with pytest.raises(InfraFailed, match=f"^{name} changed since the campaign began"):
        run(tmp_path, loaded)
    assert not (tmp_path / "ran").exists()


def test_a_program_that_changes_its_copy_changes_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path / "scripted", 'echo more >> "$(dirname "$0")/../lib/helper.sh"')
    assert run(tmp_path, loaded).exit == 0
    assert "more" not in (tmp_path / "scripted" / "lib" / "helper.sh").read_text()


def test_a_script_that_reproduces_it_runs_the_same_program(tmp_path: Path) -> None:
    loaded = load(
        tmp_path / "scripted", '. "$(dirname "$0")/../lib/helper.sh"; say "$BKBISECT_WORK"; exit 7'
    )
    (tmp_path / "r.sh").write_text(script(loaded, ()))
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name in ("buildctl", "buildkitd", "unshare", "pkill"):
        (stubs / name).write_text("#!/bin/sh\nexit 0\n")
        (stubs / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(tmp_path / "r.sh")],
        cwd=tmp_path,
        env={"PATH": f"{stubs}:/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"said {tmp_path}/" in done.stdout, done.stderr
    assert "go: exit 7\n" in done.stdout


def test_it_is_refused_unless_it_is_trusted(tmp_path: Path) -> None:
    """Before anything is cloned or built."""
    folder = tmp_path / "scripted"
    load(folder, "exit 0")
    words = (
        "run",
        "--rev=master",
        f"--scenario={folder}",
        "--dry-run",
        "--repo=/nowhere",
        "--source=git",
    )
    done = inv(*words)
    assert done.code == 2
    assert done.stderr == (
        "error: scenario scripted: steps[1] runs 'bin/check.sh' as root on this machine"
        " (try: read it, then --trust-scenario; docs/trust.md)\n"
    )
    for trusting in (("--trust-scenario",), ()):
        done = inv(*words, *trusting, env={} if trusting else {"BKBISECT_TRUST_SCENARIO": "1"})
        assert "as root" not in done.stderr
        assert "/nowhere" in done.stderr, "the next check"
