"""The recorded terminal session in README.md: records it, and draws it as an animated SVG.

    benchmarks/session.py record    runs docs/session/type.sh in a terminal, into session.cast.gz
    benchmarks/session.py draw      draws session.cast.gz as docs/session/session.svg

The recording is asciicast v2, as ``asciinema rec`` writes it: every byte with its time. The
picture plays it once and keeps the last screen. Waits are shortened, and the picture says so.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jinja2
import pyte

PROJECT = Path(__file__).resolve().parent.parent
README = PROJECT / "README.md"
HERE = PROJECT / "docs" / "session"
CAST = HERE / "session.cast.gz"
SVG = HERE / "session.svg"
TEMPLATE = HERE / "session.svg.j2"

COLUMNS = 88
ROWS = 26

TITLE = "A terminal: a short test script, then ./inv bisect, which finds the first bad commit"

#: Units of the picture, which are pixels at full width: 88 columns in 780.
SIZE, ADVANCE, LEADING = 14.4, 8.64, 19
MARGIN, TOP = 10, 48
WIDTH = 780

#: Seconds of the picture: the longest wait between two screens, the shortest, and the first one.
LONGEST = 1.5
SHORTEST = 0.12
FIRST = 1.0
#: Real seconds after which a screen is drawn again if only its counters have changed.
COUNTERS = 30.0
#: The screen is looked at when nothing was written for this long: not in the middle of a redraw.
QUIET = 0.05

_COUNTERS = re.compile(r"[\d|/\\-]+")


class Run(NamedTuple):
    """Neighbouring characters of one line with the same style."""

    column: int
    text: str
    css: str


Line = tuple[Run, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A screen, and the real seconds since the start at which it was seen."""

    at: float
    lines: tuple[Line, ...]

    @property
    def shape(self) -> str:
        """The text without numbers and spinners."""
        return "\n".join(
            _COUNTERS.sub("", "".join(run.text for run in line)) for line in self.lines
        )


def frames(cast: str) -> list[Frame]:
    """Return the screens of an asciicast worth drawing, and the last one.

    Raises ValueError if *cast* is not asciicast v2.
    """
    head, *lines = cast.splitlines()
    header = json.loads(head)
    if header.get("version") != 2:  # noqa: PLR2004
        raise ValueError("not asciicast v2")
    events = [(at, text) for at, kind, text in map(json.loads, lines) if kind == "o"]
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    kept: list[Frame] = []
    ends = [at for at, _ in events[1:]]
    for (at, text), following in itertools.zip_longest(events, ends):
        stream.feed(text)
        if following is not None and following - at < QUIET:
            continue
        frame = Frame(at=at, lines=_lines(screen))
        last = kept[-1] if kept else None
        if (
            last is None
            or following is None
            or frame.shape != last.shape
            or (frame.lines != last.lines and at - last.at >= COUNTERS)
        ):
            kept.append(frame)
    return kept


def _lines(screen: pyte.Screen) -> tuple[Line, ...]:
    return tuple(tuple(_runs(screen, row)) for row in range(screen.lines))


def _runs(screen: pyte.Screen, row: int) -> Iterator[Run]:
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    start = 0
    for css, group in itertools.groupby(cells, key=_css):
        text = "".join(cell.data for cell in group)
        if text.strip():
            yield Run(start, text.rstrip(), css)
        start += len(text)


def _css(cell: pyte.screens.Char) -> str:
    """Classes of the template's style: the colour's name, and bold."""
    colour = "" if cell.fg == "default" else cell.fg
    return f"{colour} bold".strip() if cell.bold else colour


def starts(seen: Sequence[Frame]) -> list[float]:
    """Return when each frame begins in the picture, in seconds; waits are shortened."""
    begins = [0.0]
    for before, after in itertools.pairwise(seen):
        wait = min(max(after.at - before.at, SHORTEST), LONGEST)
        begins.append(begins[-1] + (wait if len(begins) > 1 else FIRST))
    return begins


def draw(seen: Sequence[Frame]) -> str:
    """Return the SVG that plays *seen*."""
    begins = starts(seen)
    numbers: dict[Line, int] = {}
    for line in itertools.chain.from_iterable(frame.lines for frame in seen):
        if line:
            numbers.setdefault(line, len(numbers))
    env = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    real, shown = _clock(seen[-1].at), _clock(begins[-1])
    rows = max(row + 1 for f in seen for row, line in enumerate(f.lines) if line)
    return env.from_string(TEMPLATE.read_text()).render(
        title=TITLE,
        note=f"a real run of {real} min, shown in {shown}: waits are shortened",
        columns=COLUMNS,
        size=SIZE,
        advance=ADVANCE,
        leading=LEADING,
        margin=MARGIN,
        top=TOP,
        width=WIDTH,
        height=TOP + rows * LEADING,
        lines=[(number, line) for line, number in numbers.items()],
        frames=[
            ([(row, numbers[line]) for row, line in enumerate(f.lines) if line], _clock(f.at))
            for f in seen
        ],
        percents=[f"{100 * begin / begins[-1]:.2f}" for begin in begins],
        seconds=round(begins[-1], 1),
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def script() -> str:
    """Return the test script that README.md shows, between the lines of its here-document."""
    found = re.search(r"<<'EOF'\n(.*?)^EOF$", README.read_text(), re.DOTALL | re.MULTILINE)
    if not found:
        raise ValueError("README.md has no test script")
    return found[1]


def record() -> None:
    """Run docs/session/type.sh in a terminal of its own, and keep what it writes."""
    mine = PROJECT / "my-test.sh"
    size = ["--cols", str(COLUMNS), "--rows", str(ROWS)]
    command = ["--quiet", "--env", "TERM", "--command", shlex.quote(str(HERE / "type.sh"))]
    try:
        mine.write_text(script())
        mine.chmod(0o755)
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "session.cast"
            asciinema = [sys.executable, "-m", "asciinema", "rec", *size, *command, str(raw)]
            subprocess.run(asciinema, cwd=PROJECT, check=True)
            keep(raw.read_text())
    finally:
        mine.unlink(missing_ok=True)


def keep(cast: str) -> None:
    """Store an asciicast. The only change: the checkout's path becomes ~/buildkit-bisect."""
    shown = cast.replace(str(PROJECT), "~/buildkit-bisect")
    CAST.write_bytes(gzip.compress(shown.encode(), mtime=0))


def read() -> str:
    """Return the recording as asciicast text."""
    return gzip.decompress(CAST.read_bytes()).decode()


def main(words: Sequence[str]) -> int:
    """Record, draw, or complain."""
    match list(words):
        case ["record"]:
            record()
        case ["draw"]:
            SVG.write_text(draw(frames(read())))
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
