"""What bare ``./inv`` and ``./inv help`` print."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from buildkit_bisect import __version__
from buildkit_bisect.cli.columns import columns, wrapped
from buildkit_bisect.errors import BadInput, BisectError, printable_line
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import TASKS, Status
from buildkit_bisect.phrases import plural
from buildkit_bisect.system import paths

_WHAT = "finds where moby/buildkit is broken, with real builds and real runs"

#: The questions, and the command that answers each.
QUESTIONS = (
    ("Where is it broken?", inv("matrix", revs="v0.25.0,master")),
    ("Which commit broke it?", inv("bisect", good="v0.24.0", bad="v0.26.0")),
    ("Does a patch fix it?", inv("validate", patches="record-ctx-opts")),
    ("What happened?", inv("status")),
)

#: All tasks, by what they are for.
GROUPS = {
    "Where is it broken?": ("matrix", "run"),
    "Which commit broke or fixed it?": ("bisect", "boundaries"),
    "What does the report say?": ("scenario-new", "scenario-learn", "scenario-check"),
    "Does a patch fix it?": ("validate", "patch-new", "patch-list", "patch-check", "patch-export"),
    "What happened?": ("status", "report", "diff", "merge", "post", "resume"),
    "Before and after": ("plan", "doctor", "build", "warm", "worker", "clean", "completion"),
    "For this project itself": ("test", "check"),
}


def screen(width: int) -> str:
    """Return the questions and what is cached already, in lines of at most *width* characters."""
    questions = columns(QUESTIONS, width)
    state = [line for text in _state() for line in wrapped(text, width)]
    more = (
        f"{inv('plan')} TASK prints what a task would build and run, and how long that takes."
        " ./inv help lists all tasks; ./inv help TASK explains one."
    )
    title = wrapped(f"buildkit-bisect {__version__} {_WHAT}.", width)
    return "\n".join([*title, "", *questions, "", *state, "", *wrapped(more, width)])


def usage(width: int) -> str:
    """Return all tasks by what they are for, in lines of at most *width* characters."""
    lines = ["Usage: ./inv TASK [--options]"]
    longest = max(map(len, TASKS))
    for title, tasks in GROUPS.items():
        rows = [(f"{spoken(task):{longest}}", (TASKS[task].__doc__ or "")) for task in tasks]
        lines += ["", title, *columns(rows, width)]
    more = "./inv help TASK prints the options of a task, ./inv list an example of each task."
    return "\n".join([*lines, "", *wrapped(more, width)])


def _state() -> Iterator[str]:
    """Yield what is cached, and the newest campaign. Creates nothing."""
    # Only bare ./inv needs the rooms above, and every task would wait for their import.
    from buildkit_bisect.lab import journal  # noqa: PLC0415

    root = paths.cache_place()
    where = printable_line(root).replace(str(Path.home()), "~", 1)
    built = _count(root / "builds")
    try:
        ran = journal.count(root / paths.JOURNAL)
    except (BisectError, OSError):
        yield f"Cached in {where}: {plural(built, 'build')}; the trials cannot be read."
    else:
        if built or ran:
            done = f"{plural(built, 'build')} and {plural(ran, 'trial')}"
            yield f"Cached in {where}: {done}, to be reused."
        else:
            yield f"No build or trial is cached yet in {where}."
    yield _newest()


def _newest() -> str:
    from buildkit_bisect.campaign import find, record  # noqa: PLC0415
    from buildkit_bisect.result import CampaignStatus  # noqa: PLC0415

    try:
        out = read(Status, {}, os.environ).out
        one = record.read(find.find(find.LATEST, out))
    except BadInput:
        return "No campaign yet."
    text = f"Last campaign: {printable_line(one.id)}, {printable_line(one.status)}"
    if one.status == CampaignStatus.RUNNING:
        return f"{text}. {inv('status', watch=True)} follows it."
    if one.status in record.UNFINISHED:
        return f"{text}. {inv('resume')} continues it."
    found = printable_line(record.headline(one.folder))
    return f"{text}: {found} ({one.folder}/report.md)" if found else f"{text}."


def _count(builds: Path) -> int:
    """Return how many builds are stored; 0 if there is no such folder."""
    with suppress(OSError):
        return sum((entry / "build.json").is_file() for entry in builds.iterdir())
    return 0
