"""Files that cannot be started as a test script: refused before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import BadInput


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder").mkdir()
    files = {
        "test.sh": b"#!/bin/sh\n",
        "crlf.sh": b"#!/bin/sh\r\nexit 0\r\n",
        "none.sh": b"exit 0\n",
        "lost.sh": b"#!/no/such/program -e\n",
        "blank.sh": b"#!\n",
        "empty.sh": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "plain.sh").write_bytes(b"#!/bin/sh\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("none/such", "does not exist", "the path of an executable file; "),
        ("./tset.sh", "does not exist", "--script test.sh"),
        ("~/test.sh", "does not exist: quotes keep ~ as it is", "--script /"),
        ("~no-such-user/test.sh", "does not exist", "the path of an executable file; "),
        ("./test.sh --verbose", "a command, not a file: scripts get", "--script ./test.sh, or a "),
        ("sh test.sh", "a command, not a file", "--script test.sh, or a script that runs the c"),
        ("folder", "is a folder", "a file in it: --script folder/test.sh"),
        (".", "is a folder", "a file in it: --script ./test.sh"),
        ("plain.sh", "is not an executable file", "chmod +x plain.sh"),
        ("crlf.sh", "has CRLF line endings", r"sed -i 's/\r$//' crlf.sh"),
        ("none.sh", "neither a program nor a script that begins with #!", "#!/bin/sh as its fir"),
        ("empty.sh", "neither a program nor a script that begins with #!", "#!/bin/sh as its fi"),
        ("lost.sh", "#!/no/such/program, which is not a program", "#!/bin/sh as its first line"),
        ("blank.sh", "begins with #!, which is not a program", "#!/bin/sh as its first line"),
        ("x" * 5000, "does not exist", "the path of an executable file; "),
        ("a\0b", "does not exist", "the path of an executable file; "),
    ],
)
def test_what_cannot_be_started(path: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as raised:
        scenario.from_script(path, timeout=5)
    assert raised.value.message.startswith("--script ")
    assert message in raised.value.message
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize("path", ["test.sh", "/bin/true"])
def test_a_script_and_a_program(path: str) -> None:
    assert scenario.from_script(path, timeout=5).name == "script"
