"""The output of a child process: drained at once, and kept up to a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

#: Bytes of one stream that are kept, in the log as well. A child that prints forever must not
#: fill memory or the disk; the largest output of our children is a tenth of this.
MOST = 16 * 2**20

#: Bytes of one line that `on_line` gets; the rest is left out.
LONGEST_LINE = 64 * 1024

_CHUNK = 64 * 1024


class Kept:
    """Keeps the first and the last half of *most* bytes of a stream."""

    def __init__(self, most: int = MOST) -> None:
        self._half = most // 2
        self._head, self._tail = bytearray(), bytearray()
        self.left_out = 0  # bytes

    def add(self, chunk: bytes) -> None:
        """Add the next bytes of the stream."""
        room = self._half - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        over = len(self._tail) - self._half
        if over > 0:
            del self._tail[:over]
            self.left_out += over

    @property
    def text(self) -> str:
        """The kept text; an extra line gives the number of bytes that were left out."""
        if not self.left_out:
            return (self._head + self._tail).decode(errors="replace")
        head, tail = (half.decode(errors="replace") for half in (self._head, self._tail))
        return f"{head}\n[{self.left_out} bytes left out]\n{tail}"


def excerpt(path: Path, most: int = MOST) -> str:
    """Return the text of a file; of a large one the first and the last half of *most* bytes.

    Raises OSError if it cannot be read.
    """
    kept = Kept(most)
    with path.open("rb") as file:
        kept.add(file.read(most // 2))
        size = file.seek(0, 2)
        start = max(most // 2, size - most // 2)
        file.seek(start)
        kept.add(file.read(most // 2))
        kept.left_out = max(0, size - most // 2 * 2)
    return kept.text


class Reader:
    """Drains a pipe in a thread, so that the child never blocks on it."""

    def __init__(
        self,
        pipe: IO[bytes] | None,
        sink: IO[bytes] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        assert pipe is not None
        self._pipe, self._sink, self._on_line = pipe, sink, on_line
        self._room = MOST  # bytes that may still be written to *sink*
        self._line = bytearray()
        self._kept = Kept()
        self.error: OSError | None = None  # from the sink, such as a full disk
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with self._pipe as pipe:
            # Not line by line: a line may never end.
            while chunk := pipe.read1(_CHUNK):  # type: ignore[attr-defined]
                self._kept.add(chunk)
                self._log(chunk)
                if self._on_line:
                    self._lines(chunk, self._on_line)
        if self._on_line and self._line:
            self._emit(self._on_line)

    def _log(self, chunk: bytes) -> None:
        if not self._sink or self._sink.closed or self._room <= 0 or self.error:
            return
        try:
            self._sink.write(chunk[: self._room])
            self._room -= len(chunk)
            if self._room < 0:
                self._sink.write(b"\n[the rest is left out]\n")
            self._sink.flush()
        except ValueError:  # closed meanwhile
            return
        except OSError as error:  # keep draining, or the child would hang
            self.error = error

    def _lines(self, chunk: bytes, on_line: Callable[[str], None]) -> None:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._add(part)
            self._emit(on_line)
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._line += part[: LONGEST_LINE - len(self._line)]

    def _emit(self, on_line: Callable[[str], None]) -> None:
        on_line(self._line.decode(errors="replace"))
        self._line.clear()

    def finish(self, until: float) -> None:
        """Wait for the end of the output, at most *until* (monotonic): the pipe may stay open."""
        self._thread.join(max(0.0, until - time.monotonic()))

    @property
    def text(self) -> str:
        """The output, at most `MOST` bytes of it."""
        return self._kept.text

    @property
    def left_out(self) -> int:
        """Number of bytes that `text` leaves out."""
        return self._kept.left_out
