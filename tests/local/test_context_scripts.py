"""The commands of a reproduction make the same build context as a trial does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from buildkit_bisect.lab import context
from buildkit_bisect.scenario import Scenario, context_script
from small_scenario import loaded, written

pytestmark = pytest.mark.local

SCENARIO = r"""
[context]
folder = "start"
busybox = true

[[steps]]
id = "lines"
action = "write"
path = "a dir/it's"
content = "one\nEOF\n$(touch evil)\n"
mode = "0700"
mtime = 1000000000

[[steps]]
id = "word"
action = "write"
path = "word"
content = "100% `touch evil`"

[[steps]]
id = "none"
action = "write"
path = "none"

[[steps]]
id = "binary"
action = "write"
path = "binary"
base64 = "AP8K"
mode = "4755"

[[steps]]
id = "control"
action = "write"
path = "control"
content = "a\r\nb\u001b[0m\n"

[[steps]]
id = "file"
action = "write"
path = "copied"
file = "own/data"

[[steps]]
id = "link"
action = "write"
path = "l"
symlink = "/etc/it's"
mtime = 5

[[steps]]
id = "over-link"
action = "write"
path = "first/link"
content = "no longer a link"

[[steps]]
id = "archive"
action = "write"
path = "x.tar"
tar = [
    { path = "d/", mode = "700" },
    { path = "d/bin", base64 = "AP8=", mtime = 1 },
    { path = "l", symlink = "d" },
]

[[steps]]
id = "zipped"
action = "write"
path = "x.tgz"
tar = [{ path = "x", content = "y" }]

[[steps]]
id = "made"
action = "mkdir"
path = "m/n"
mode = "1777"
mtime = 7

[[steps]]
id = "moved"
action = "rename"
path = "word"
to = "far/away"

[[steps]]
id = "lost"
action = "delete"
path = "first/sub"
"""


@pytest.fixture
def made(tmp_path: Path) -> Scenario:
    files: dict[str, bytes | str] = {
        "start/first/run.sh": "#!/bin/sh\necho\n",
        "start/first/sub/x": "x",
        "start/raw": b"\x80",
        "start/.dockerignore": "first\n",
        "own/data": b"\0data",
    }
    folder = written(tmp_path / "scenario", SCENARIO, files=files)
    (folder / "start/first/run.sh").chmod(0o755)
    (folder / "start/first/link").symlink_to("../raw")
    return loaded(folder)


def state(root: Path, *, times: bool) -> dict[str, tuple[str, str, int]]:
    """Return what is below *root*: permissions, content or target, and with *times* also those."""
    found = {}
    for path in sorted(root.rglob("*")):
        kind = path.lstat()
        inside = str(path.readlink()) if path.is_symlink() else ""
        inside = path.read_bytes().hex() if path.is_file() and not inside else inside
        name = str(path.relative_to(root))
        found[name] = (f"{kind.st_mode:o}", inside, int(kind.st_mtime) if times else 0)
    return found


def test_the_same_context(made: Scenario, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    (theirs / "context").mkdir(parents=True)
    own = [s for s in made.steps if s.id != "build"]

    def run(commands: list[str]) -> None:
        script = "\n".join(["set -eu\numask 022", context_script.functions(own), *commands])
        done = subprocess.run(
            ["/bin/bash", "-c", script], cwd=theirs, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")

    context.begin(made, ours)
    run(list(context_script.begin(made)))
    assert state(ours, times=True) == state(theirs / "context", times=True)
    for step in own:
        assert context.change(ours, step, made, lambda text: text) == ""
    run([context_script.action(step, made, lambda text: text) for step in own])
    assert state(ours, times=False) == state(theirs / "context", times=False)
    for name, mtime in (("a dir/it's", 1_000_000_000), ("l", 5), ("m/n", 7)):
        assert {int((r / name).lstat().st_mtime) for r in (ours, theirs / "context")} == {mtime}
    assert list(tmp_path.rglob("evil")) == []
    assert list(theirs.iterdir()) == [theirs / "context"]


LINKS = r"""
[context]
folder = "start"
busybox = true

[[steps]]
id = "link"
action = "write"
path = "l"
symlink = "OUTSIDE"

[[steps]]
id = "write"
action = "write"
path = "l/.ssh/authorized_keys"
content = "a key"

[[steps]]
id = "over"
action = "write"
path = "l/victim/x"
content = "lost"

[[steps]]
id = "delete"
action = "delete"
path = "l/victim"

[[steps]]
id = "mkdir"
action = "mkdir"
path = "l/made"

[[steps]]
id = "mode"
action = "mkdir"
path = "l"
mode = "0777"

[[steps]]
id = "away"
action = "rename"
path = "l/victim"
to = "mine"

[[steps]]
id = "into"
action = "rename"
path = "own"
to = "l/own"

[[steps]]
id = "missing"
action = "delete"
path = "nowhere"

[[steps]]
id = "last"
action = "write"
path = "d/last"
content = "it goes on"
"""


def test_nothing_is_changed_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "victim").mkdir(parents=True)
    (outside / "victim/x").write_text("kept")
    before = state(outside, times=True)
    start = {"start/own": "own"}
    folder = written(tmp_path / "scenario", LINKS.replace("OUTSIDE", str(outside)), files=start)
    made = loaded(folder)
    steps = [s for s in made.steps if s.id != "build"]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    (theirs / "context").mkdir(parents=True)
    context.begin(made, ours)
    exits = {s.id: int(bool(context.change(ours, s, made, str))) for s in steps}
    script = ["umask 022", context_script.functions(steps), *context_script.begin(made)]
    for step in steps:
        script += [context_script.action(step, made, str), f'echo "{step.id} $?"']
    done = subprocess.run(
        ["/bin/bash", "-c", "\n".join(script)], cwd=theirs, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    printed = done.stdout.splitlines()
    assert [line for line in printed if line[-2:] in (" 0", " 1")] == [
        f"{name} {status}" for name, status in exits.items()
    ]
    assert exits == {**dict.fromkeys(exits, 1), "link": 0, "last": 0}
    assert printed.count("context/l is a symbolic link, which steps do not follow") == 7
    assert state(outside, times=True) == before
    assert state(ours, times=False) == state(theirs / "context", times=False)
