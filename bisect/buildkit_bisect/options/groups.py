"""Tasks whose names are two words for people, ``patch new``, and one for Invoke, ``patch-new``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildkit_bisect.options.requests import TASKS, Request

#: By the first word, the second ones. Both forms work on a command line; two words read better.
GROUPS: Mapping[str, Sequence[str]] = {
    group: sorted(t.removeprefix(f"{group}-") for t in TASKS if t.startswith(f"{group}-"))
    for group in ("patch", "scenario")
}


def spoken(task: str) -> str:
    """Return a task as people write it: ``patch new``."""
    group, _, rest = task.partition("-")
    return f"{group} {rest}" if rest in GROUPS.get(group, ()) else task


def named(word: str, after: Sequence[str]) -> type[Request] | None:
    """Return the task that *word* names, alone or with the first word *after* it."""
    second = after[0] if after else ""
    return TASKS.get(f"{word}-{second}" if second in GROUPS.get(word, ()) else word)
