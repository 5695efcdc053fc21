"""How much of a child's output is kept, tested without a child."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from buildkit_bisect.system import pipes
from buildkit_bisect.system.pipes import Kept, Reader
from buildkit_bisect.system.process import Completed, ProcessError


@pytest.mark.parametrize("step", [1, 3, 7, 100])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 25])
def test_the_first_and_the_last_bytes_are_kept(size: int, step: int) -> None:
    data = bytes(range(97, 97 + size))
    kept = Kept(10)
    for at in range(0, size, step):
        kept.add(data[at : at + step])
    assert kept.left_out == max(0, size - 10)
    if size <= 10:
        assert kept.text == data.decode()
    else:
        expected = f"{data[:5].decode()}\n[{size - 10} bytes left out]\n{data[-5:].decode()}"
        assert kept.text == expected


@pytest.mark.parametrize("size", [0, 9, 10, 11, 200])
def test_an_excerpt_of_a_file_equals_what_a_pipe_keeps(tmp_path: Path, size: int) -> None:
    data = bytes(97 + n % 26 for n in range(size))
    (tmp_path / "f").write_bytes(data)
    kept = Kept(10)
    kept.add(data)
    assert pipes.excerpt(tmp_path / "f", 10) == kept.text


def read(data: bytes, **more: object) -> Reader:
    out, into = os.pipe()
    reader = Reader(os.fdopen(out, "rb"), **more)  # type: ignore[arg-type]
    with os.fdopen(into, "wb") as pipe:
        pipe.write(data)
    reader.finish(time.monotonic() + 10)
    return reader


def test_lines_are_whole_whatever_the_chunks() -> None:
    lines: list[str] = []
    wide = "\N{SNOWMAN}" * 30_000
    text = f"one\n\n{wide[:20_000]}\nlast, without an end"
    assert read(text.encode(), on_line=lines.append).text == text
    assert lines == text.split("\n")


def test_an_overlong_line_is_cut() -> None:
    lines: list[str] = []
    read(b"x" * 10**6 + b"\nnext\n", on_line=lines.append)
    assert [len(line) for line in lines] == [pipes.LONGEST_LINE, 4]


def test_a_full_disk_under_the_log_does_not_stop_the_reader() -> None:
    with Path("/dev/full").open("ab", buffering=0) as full:
        reader = read(b"x" * 10**6, sink=full)
    assert len(reader.text) == 10**6
    assert isinstance(reader.error, OSError)


def test_incomplete_output_is_refused() -> None:
    done = Completed(argv=("git", "log"), exit=0, stdout="", stderr="", seconds=1.0)
    assert done.whole() is done
    cut = Completed(argv=("git", "log"), exit=0, stdout="", stderr="", seconds=1.0, left_out=7)
    with pytest.raises(ProcessError, match="git log printed too much: 7 bytes") as caught:
        cut.whole()
    assert caught.value.exit_code == 5
