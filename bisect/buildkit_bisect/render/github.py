"""What GitHub Actions reads: job summary, annotations, a strategy's matrix."""

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
from buildkit_bisect.render.markdown import markdown
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import clean
from buildkit_bisect.result import CheckEffect, Result

#: Characters of a job summary; GitHub takes 1 MiB a step.
SUMMARY_LIMIT = 250_000

#: Annotations of one kind that GitHub shows a step; those beyond would be dropped silently.
ANNOTATIONS = 10


def publish(
    result: Result,
    folder: Path | None,
    *,
    env: Mapping[str, str],
    log: TextIO,
    templates: Templates | None = None,
) -> bool:
    """Where run by GitHub Actions: append the job summary, write annotations to *log*."""
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
    """Workflow commands: an error for each failed set of cells, a warning for what proves nothing.

    What a validation expects to be bad is neither.
    """
    told: dict[str, list[str]] = {"error": [], "warning": []}
    for case, why, fold in _cases(result):
        if case is Case.PASSED or why.startswith("expected"):
            continue
        kind = "error" if case is Case.FAILED else "warning"
        title = f"{symbols.word(fold.outcome)}: {fold.title}"
        message = "; ".join(filter(None, [why, fold.reason])) or fold.outcome
        told[kind].append(_command(kind, title, message))
    for check in result.validation.checks if result.validation else ():
        if check.change == CheckEffect.WORSE:
            title, names = f"worse: {check.kind} {check.subject}", listed(check.worse)
            told["error"].append(_command("error", title, names or check.after))
    lines = [_command("notice", f"buildkit-bisect {result.kind}", finding(result))]
    for kind, all_ in told.items():
        lines += all_[: ANNOTATIONS - 1]
        rest = len(all_) - (ANNOTATIONS - 1)
        if rest == 1:
            lines += all_[-1:]
        elif rest > 1:
            lines.append(_command(kind, "more", f"{rest} more: see the job summary"))
    return lines


def _cases(result: Result) -> Iterator[tuple[Case, str, cell_evidence.Fold]]:
    """Sets of cells that show the same and count as the same."""
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
    """As the runner wants data: one line, per cent signs and line ends escaped."""
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def strategy(variants: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    """(ref, patches) of each variant as the JSON of a workflow's ``strategy.matrix``.

    One job a variant: its cells share one build.
    """
    include = [
        {"name": " + ".join([ref, *patches]), "rev": ref, "patches": ",".join(patches)}
        for ref, patches in dict.fromkeys(variants)
    ]
    return json.dumps({"include": include})


def strategy_of(result: Result) -> str:
    """The `strategy` that would run *result*'s variants again."""
    return strategy((row.ref, row.patches) for row in table.matrix(result).rows)
