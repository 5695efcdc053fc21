"""Deadlines as options, in scenarios, and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.cli import doctor, png, post
from buildkit_bisect.engine import base, client, image
from buildkit_bisect.errors import BadInput
from buildkit_bisect.gochecks import run as gochecks
from buildkit_bisect.lab import journal
from buildkit_bisect.patch import contribution
from buildkit_bisect.runtime import fuse, registry
from buildkit_bisect.system import checkout, deadlines, gitcmd, pipes


def test_an_option_takes_precedence() -> None:
    given = {"compile": 60.0, "step": 5.0, "daemon": 2.5}
    made = deadlines.of(given, {"daemon": 1.0, "teardown": 3.0})
    assert (made.compile, made.step, made.daemon, made.teardown) == (60, 5, 2.5, 3)
    assert made.clone == deadlines.Deadlines().clone


def test_the_documentation_lists_every_name_and_default() -> None:
    text = (checkout.PROJECT / "docs/deadlines.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert {name: float(seconds) for name, seconds in rows} == deadlines.table()


def test_the_documentation_lists_the_fixed_timeouts() -> None:
    text = (checkout.PROJECT / "docs/deadlines.md").read_text()
    _, _, fixed = text.partition("## Deadlines without an option")
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \|", fixed, re.MULTILINE)
    assert {name: float(seconds) for name, seconds in rows} == {
        "one response of the Docker Engine": client.TIMEOUT,
        "pulling an image, including retries": base.PULL,
        "`build --push`, and `build --save`": image.TRANSFER,
        "a git command on the mirror": gitcmd.QUICK,
        "a git command in your work tree, `patch new`": contribution.TIMEOUT,
        "the start of the local registry": registry.START,
        "the journal, while another process holds it": journal.PATIENCE,
        "one response of GitHub, `post`": post.TIMEOUT,
        "one picture, `report --png`": png.TIMEOUT,
        "one network check, `doctor`": doctor.ANSWER,
        "`apt-get update`": doctor.UPDATE,
        "`apt-get install`": doctor.INSTALL,
    }
    assert f"have at most {gochecks.TEST_TIMEOUT} seconds" in text
    assert f"{pipes.MOST // 2**20} MiB of each stream" in text


def made(folder: Path, deadlines_: str, step: str = "") -> scenario.Scenario:
    folder.mkdir(exist_ok=True)
    (folder / "scenario.toml").write_text(
        'schema = 1\nname = "x"\ntitle = "x"\nissue = "https://example.org"\n'
        f'{deadlines_}\n[[steps]]\nid = "a"\naction = "prune"\n{step}\n'
        '[[outcomes]]\nname = "hung"\nverdict = "bad"\nmeans = "it hung"\n'
        'all = [{ step = "a", exit = "late" }]\n'
    )
    return scenario.load(str(folder))


def test_a_scenario_sets_its_own_deadlines(tmp_path: Path) -> None:
    plain = made(tmp_path, "")
    assert plain.steps[0].timeout == deadlines.Deadlines().step
    short = made(tmp_path, "[deadlines]\nstep = 3\ndaemon = 4.5")
    assert (short.steps[0].timeout, short.deadlines["daemon"]) == (3, 4.5)
    assert made(tmp_path, "[deadlines]\nstep = 3", "timeout = 9").steps[0].timeout == 9


def test_only_the_step_deadline_changes_the_trial(tmp_path: Path) -> None:
    plain = made(tmp_path, "")
    assert made(tmp_path, "[deadlines]\ndaemon = 4").run_digest == plain.run_digest
    assert made(tmp_path, "[deadlines]\nstep = 4").run_digest != plain.run_digest
    assert plain.within(None) is plain
    assert plain.within(2).run_digest != plain.within(3).run_digest
    assert plain.within(2).steps[0].timeout == 2


@pytest.mark.parametrize(("text", "message"), [
    ("[deadlines]\nclone = 3", "deadlines: 'clone' is not one of daemon, step, teardown"),
    ("[deadlines]\nstep = 0", "deadlines.step: must be a number of seconds"),
    ('[deadlines]\nstep = "3"', "deadlines.step: must be a number, not a text"),
])  # fmt: skip
def test_errors_in_a_scenario_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        made(tmp_path, text)


def test_only_fuse_mounts_below_the_trial_are_aborted() -> None:
    lines = [
        "40 1 0:57 / /home/x/mine rw - fuse.sshfs x rw",
        "41 1 0:300 / /cache/tmp/trial-1-x/state/a\\040b rw - fuse.rawBridge x rw",
        "42 1 0:59 / /cache/tmp/trial-1-x/state/overlay rw - overlay overlay rw",
        "43 1 0:60 / /cache/tmp/trial-1-xy/state rw shared:1 - fuse x rw",
    ]
    assert set(fuse._numbers(lines, Path("/cache/tmp/trial-1-x"))) == {300}
