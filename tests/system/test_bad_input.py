"""Bad input is one clear line with the next command, exit 2 or 3, and changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from buildkit_bisect.system import checkout
from tool import TaskOutput, environment, inv

pytestmark = pytest.mark.system

MODULE = ("--source", "module")


def one_message(done: TaskOutput) -> str:
    """Return the error line; there must be exactly one, and no traceback."""
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    assert done.stdout == ""
    return lines[0]


CASES = [
    ("matrix --colour red", "--colour"),
    ("matrices", "matrices"),
    ("matrix --revs v0.99.0 --source module", "no revision 'v0.99.0'"),
    ("matrix --revs=--force --source module", "--force"),
    ("matrix --revs v0.25.0,$(id) --source module", "$(id)"),
    ("matrix --revs v0.25.0+nothing --source module", "no patch 'nothing'"),
    ("matrix --revs v0.25.0+ --source module", "'v0.25.0+' is neither a revision nor REV+PATCH"),
    ("matrix --revs +main-ctx-deps --source module", "REV+PATCH"),
    ("run --rev v0.25.0+main-ctx-deps --patches lazy-variants", "both name patches"),
    ("build --rev v0.25.0+main-ctx-deps --patches lazy-variants", "both name patches"),
    ("matrix --scenario nothing --source module", "unknown scenario 'nothing'"),
    ("matrix --scenario ../../etc --source module", "unknown scenario"),
    ("matrix --axis snapshotter=zfs --source module", "no value 'zfs'"),
    ("matrix --axis colour=red --source module", "no axis 'colour'"),
    ("matrix --axis snapshotter --source module", "KEY=VALUE"),
    ("matrix --patches nothing --source module", "no patch 'nothing'"),
    ("matrix --patches record-ctx-opts,../x --source module", "../x"),
    ("matrix --trials none --source module", "not an integer"),
    ("matrix --jobs 0 --source module", "between 1 and 64"),
    ("matrix --source svn", "auto, git, module"),
    ("matrix --runtime podman", "--runtime"),
    ("matrix --repo /nowhere --source git", "/nowhere"),
    ("matrix --repo -oProxyCommand=x --source git", "ProxyCommand"),
    ("matrix --repo http://127.0.0.1:9/x.git --source git", "127.0.0.1"),
    ("matrix --registry example.org:5000 --source module", "loopback"),
    ("matrix --images public --scenario cross-stage-dedup --source module", "no public image"),
    ("run --source module", "no revision given"),
    ("build --source module", "no revision given"),
    ("bisect --good v0.25.0 --source module", "both endpoints"),
    ("bisect --good v0.25.0 --bad v0.26.3 --source module", "needs a git source"),
    ("bisect --good v0.25.0 --bad v0.26.3 --confidence high", "not a number"),
    ("bisect --good v0.25.0 --bad v0.26.3 --confidence 2 --releases --source module", "0.5 and 1"),
    ("bisect --good v0.25.0 --bad v0.26.3 --script /etc/passwd", "not an executable"),
    ("bisect --good v0.25.0 --bad v0.25.0 --releases --axis snapshotter=native --source module",
     "only controls"),
    ("report nothing", "nothing"),
    ("diff nothing other", "nothing"),
    ("resume nothing", "nothing"),
]  # fmt: skip


#: The first of each task starts as a user starts it.
COLD = {words.split()[0]: words for words, _ in reversed(CASES)}.values()


@pytest.mark.parametrize(("words", "names"), CASES)
def test_bad_input_is_one_message(words: str, names: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = inv(*words.split(), env={"BKBISECT_OUT": str(out)}, cold=words in COLD)
    assert done.code in (2, 3), done
    assert names in one_message(done)
    assert not out.exists() or list(out.iterdir()) == []


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    shutil.copytree(checkout.SCENARIOS, tmp_path / "scenarios")
    return tmp_path / "scenarios"


def test_an_error_in_a_scenario_names_file_and_key(scenarios: Path) -> None:
    path = scenarios / "cross-stage-lazy" / "scenario.toml"
    path.write_text(path.read_text().replace('extends = "_cross-stage"', 'extend = "x"'))
    done = inv("matrix", "--scenario", str(path.parent), *MODULE)
    assert done.code == 2
    message = one_message(done)
    assert str(path) in message
    assert "extend" in message


def test_a_patch_that_writes_outside_the_tree(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "patch.toml").write_text('title = "evil"\n')
    (folder / "evil.patch").write_text(
        "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n"
    )
    done = inv("matrix", "--patches", str(folder), *MODULE)
    assert done.code == 2
    assert "outside the tree" in one_message(done)


def test_an_unwritable_out_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = inv("run", "--rev", "v0.25.0", "--out", str(tmp_path / "file" / "x"), *MODULE)
    assert done.code == 2
    assert "cannot write" in one_message(done)


def test_a_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=True)
    try:
        done = inv("run", "--rev", "v0.25.0", *MODULE, env={"BKBISECT_CACHE_DIR": str(small)})
        assert done.code == 3, done
        assert "nearly full" in one_message(done)
    finally:
        subprocess.run(["/bin/umount", str(small)], check=True)


def ensure(patched: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the checks before trials with *patched* in effect."""
    code = (
        "import sys; from unittest import mock; from buildkit_bisect.cli import doctor, guarded\n"
        "from buildkit_bisect.options.requests import Run\n"
        f"with mock.patch({patched}):\n"
        "    sys.exit(guarded(lambda: doctor.ensure(print, trials=True) or 0, Run))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


def test_neither_root_nor_docker() -> None:
    done = ensure("'os.geteuid', lambda: 1000", DOCKER_HOST="unix:///nowhere")
    assert done.returncode == 3
    assert "not running as root" in done.stderr
    assert "cannot connect to the Docker Engine at unix:///nowhere" in done.stderr
    assert "sudo ./inv" in done.stderr


def test_a_missing_program_is_named_with_the_command_that_installs_it() -> None:
    which = "lambda n, **_: None if n in ('runc', 'docker-registry') else '/bin/' + n"
    done = ensure(f"'shutil.which', {which}", BKBISECT_NO_INSTALL="1")
    assert done.returncode == 3
    assert "not installed: runc, docker-registry" in done.stderr
    assert "apt-get install -y --no-install-recommends docker-registry runc" in done.stderr
