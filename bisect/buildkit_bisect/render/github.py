"""Output for GitHub Actions: job summary, annotations, and the matrix of a strategy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from buildkit_bisect.phrases import listed
from buildkit_bisect.render import cell_evidence, symbols, table
from buildkit_bisect.render.cases import Case, judge
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.machines import missing
from buildkit_bisect.render.markdown import markdown
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import CheckEffect, Result

#: Maximum length of a job summary, in characters; GitHub accepts 1 MiB per step.
SUMMARY_LIMIT = 250_000

#: Annotations of one kind that GitHub shows per step; it silently drops the others.
ANNOTATIONS = 10


def publish(
    result: Result,
    folder: Path | None,
    *,
    env: Mapping[str, str],
    log: TextIO,
    templates: Templates | None = None,
) -> bool:
    """Under GitHub Actions, append the job summary and write annotations to *log*.

    Return whether this runs under GitHub Actions.
    """
    if env.get("GITHUB_ACTIONS") != "true":
        return False
    summary = env.get("GITHUB_STEP_SUMMARY")
    if summary:
        text = markdown(result, folder, templates=templates, limit=SUMMARY_LIMIT)
        with Path(summary).open("a") as file:
            file.write(text + "\n")
    log.writelines(line + "\n" for line in commands(result))
    return True


def commands(result: Result) -> list[str]:
    """Return workflow commands: errors for failed cells, warnings for cells that prove nothing.

    Cells that a validation expects to be bad get neither.
    """
    result = spoken(result)
    messages: dict[str, list[str]] = {"error": [], "warning": []}
    for case, why, fold in _cases(result):
        if case is Case.PASSED or why.startswith("expected"):
            continue
        kind = "error" if case is Case.FAILED else "warning"
        title = f"{symbols.word(fold.outcome)}: {fold.title}"
        message = "; ".join(filter(None, [why, fold.reason])) or fold.outcome
        messages[kind].append(_command(kind, title, message))
    for check in result.validation.checks if result.validation else ():
        if check.change == CheckEffect.WORSE:
            title, names = f"worse: {check.kind} {check.subject}", listed(check.worse)
            messages["error"].append(_command("error", title, names or check.after))
    lines = [_command("notice", f"buildkit-bisect {result.kind}", finding(result))]
    lines += [_command("warning", "incomplete", text) for text in missing(result)]
    for kind, all_ in messages.items():
        lines += all_[: ANNOTATIONS - 1]
        rest = len(all_) - (ANNOTATIONS - 1)
        if rest == 1:
            lines += all_[-1:]
        elif rest > 1:
            lines.append(_command(kind, "more", f"{rest} more: see the job summary"))
    return lines


def _cases(result: Result) -> Iterator[tuple[Case, str, cell_evidence.Fold]]:
    """Yield sets of cells with the same evidence and the same case."""
    judged = judge(result)
    for fold in cell_evidence.folds(result, None, 0):
        parts: dict[tuple[Case, str], list[cell_evidence.Place]] = {}
        for place in fold.places:
            parts.setdefault(judged(place.cell), []).append(place)
        for (case, why), places in parts.items():
            yield case, why, replace(fold, places=places)


def _command(kind: str, title: str, message: str) -> str:
    head = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={head}::{_data(message)}"


def _data(text: str) -> str:
    """Return *text* escaped for a workflow command, on one line."""
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def strategy(variants: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    """Return JSON for a workflow's ``strategy.matrix``, from the ref and patches of each variant.

    There is one job per variant, whose cells share one build.
    """
    include = [
        {"name": " + ".join([ref, *patches]), "rev": ref, "patches": ",".join(patches)}
        for ref, patches in dict.fromkeys(variants)
    ]
    return json.dumps({"include": include})


def strategy_of(result: Result) -> str:
    """Return the `strategy` that runs the variants of *result* again."""
    return strategy((row.ref, row.patches) for row in table.matrix(result).rows)
