from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

import results
from buildkit_bisect import result
from buildkit_bisect.cli import png as picture
from buildkit_bisect.cli import results as commands
from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.options.requests import Report
from buildkit_bisect.render import svg

pytestmark = pytest.mark.system


def size(png: Path) -> tuple[int, int]:
    head = png.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", head[16:])
    return width, height


@pytest.mark.parametrize("program", ["rsvg-convert", "chromium"])
@pytest.mark.parametrize("draw", [svg.matrix, svg.timeline])
def test_png(draw: object, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(draw)
    which = shutil.which
    assert which(program)
    drawers = ("rsvg-convert", "chromium", "chromium-browser", "google-chrome")
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name: which(name) if name == program or name not in drawers else None,
    )
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    source = tmp_path / "picture.svg"
    source.write_text(draw(results.bisect()))
    made = picture.png(source, tmp_path / "picture.png")
    width, height = size(made)
    assert f'width="{width // 2}' in source.read_text().replace(".0", "")
    assert height > 200
    assert not list(tmp_path.glob("cache/tmp/*"))


def test_no_program_that_draws_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "picture.svg"
    source.write_text(svg.matrix(results.matrix()))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="neither rsvg-convert nor Chromium found"):
        picture.png(source, tmp_path / "picture.png")


def test_a_picture_without_a_size(tmp_path: Path) -> None:
    source = tmp_path / "picture.svg"
    source.write_text("<svg/>")
    with pytest.raises(BadInput, match="no width and height"):
        picture.png(source, tmp_path / "picture.png")


def test_a_report_with_png(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "one"
    folder.mkdir()
    result.write(results.bisect(), folder)
    assert commands.report(Report(id=str(folder), png=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("matrix.png", "timeline.png"):
        assert size(folder / name)[0] > 600
        assert str(folder / name) in lines
