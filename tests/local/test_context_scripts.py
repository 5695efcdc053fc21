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
        script = "set -eu\numask 022\n" + "\n".join(commands)
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
