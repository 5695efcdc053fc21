"""Texts of reports become scenarios that run on real BuildKit, without an edit by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import pastes
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]


def made(folder: Path, text: str) -> str:
    """Return the folder of a new scenario."""
    (folder / "issue.md").write_text(text)
    new = folder / "mine"
    done = inv("scenario", "new", str(new), "--from", str(folder / "issue.md"))
    assert done.code == 0, done.stderr
    return str(new)


def run(folder: Path, scenario: str, rev: str) -> TaskOutput:
    done = inv(
        *("run", "--source", "module", "--rev", rev, "--scenario", scenario, "--trials", "1"),
        *("--fresh", "--json", "--out", str(folder / "results")),
    )
    assert done.code == 0, done.stderr
    return done


def test_6893_shows_the_bug_and_its_control_is_good(tmp_path: Path) -> None:
    """As the shipped cross-stage-lazy does: the stable RUN runs again on stargz only."""
    done = run(tmp_path, made(tmp_path, pastes.LAZY_EXPORT), "v0.26.0")
    seen = {c["axes"]["snapshotter"]: (c["verdict"], c["outcome"]) for c in done.document["cells"]}
    assert seen == {"overlayfs": ("good", "cached"), "stargz": ("bad", "ran")}
    assert left_behind() == []


def test_two_builders_and_a_file_that_the_text_does_not_show(tmp_path: Path) -> None:
    """Builds on a local image: its shell, a file made up for COPY, an empty second daemon."""
    text = pastes.TWO_RELEASES.replace("ln -s /var/www /srv/www", "ln -s /srv /linked").replace(
        "COPY --link x /var/www/x", "RUN test -L /linked\nCOPY x /linked/x\nRUN cat /srv/x"
    )
    (cell,) = run(tmp_path, made(tmp_path, text), "v0.26.0").document["cells"]
    assert (cell["verdict"], cell["outcome"]) == ("good", "built")
