"""Publishes searches of the library, and writes their index, results/library/README.md.

``python -m buildkit_bisect.cli.library [FOLDER ...]``: each folder is a campaign, whose reports are
copied to results/library/NAME; of a matrix, to results/library/matrix.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from buildkit_bisect import result
from buildkit_bisect import scenario as scenarios
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.render import library, redact, reports
from buildkit_bisect.result import CampaignKind, Result
from buildkit_bisect.scenario import upstream
from buildkit_bisect.system.checkout import PROJECT

PUBLISHED = PROJECT / "results" / scenarios.LIBRARY

_MATRIX = "matrix"


def text(published: Path = PUBLISHED) -> str:
    """Return the content of the index of the results in *published*."""
    entries = [
        library.Entry(upstream=upstream.load(name), result=result.read(folder))
        for name in scenarios.library()
        for folder in [published / name.partition("/")[2]]
        if (folder / "result.json").is_file()
    ]
    matrix = published / _MATRIX
    over = result.read(matrix) if (matrix / "result.json").is_file() else None
    done = {entry.scenario.name for entry in entries}
    waiting = [scenarios.load(name) for name in scenarios.library() if name not in done]
    return library.index(entries, over, waiting)


def publish(folder: Path, published: Path = PUBLISHED) -> Path:
    """Copy the campaign in *folder*, redacted, and return where to.

    Raises `BadInput` if it is neither a search nor a matrix of the library.
    """
    done = redact.cleaned(result.read(folder))
    target = published / _place(done)
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    result.write(done, target)
    render_again(target)
    return target


def render_again(target: Path) -> None:
    """Write the reports of the published result in *target*, as the code renders them now."""
    done = result.read(target)
    with tempfile.TemporaryDirectory() as scratch:
        for path in reports.write(done, Path(scratch)):
            if path.name in library.KEPT:
                (target / path.name).write_text(path.read_text())


def _place(done: Result) -> str:
    names = {one.name for one in done.scenarios}
    known = set(scenarios.library())
    if not names or not names <= known:
        raise BadInput(
            f"{done.id} is not of the library: {', '.join(sorted(names - known))}",
            hint=words(Campaign, scenario="library/NAME"),
        )
    if done.kind == CampaignKind.MATRIX:
        return _MATRIX
    if done.kind != CampaignKind.BISECT or len(names) != 1:
        raise BadInput(
            f"{done.id} is neither a bisection nor a matrix",
            hint=f"a campaign of {inv('bisect')} or {inv('matrix')}",
        )
    return names.pop().partition("/")[2]


def main(folders: Iterable[str]) -> None:
    """Publish *folders*, render what was published before again, and write the index."""
    for folder in folders:
        publish(Path(folder))
    for path in sorted(PUBLISHED.glob("*/result.json")):
        render_again(path.parent)
    (PUBLISHED / "README.md").write_text(text())


if __name__ == "__main__":
    main(sys.argv[1:])
