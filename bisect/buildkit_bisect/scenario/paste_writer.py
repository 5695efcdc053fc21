"""The files of a scenario that was made of an issue's text, and what is reported of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buildkit_bisect.phrases import cut, plural
from buildkit_bisect.scenario.paste_daemon import CONTROL
from buildkit_bisect.scenario.paste_draft import Draft
from buildkit_bisect.scenario.paste_steps import Step
from buildkit_bisect.system.tomltext import pair, table

_OUTLINE = """\
# More rules, above the ones below, since the first that matches names the outcome. For example:
#
# [[outcomes]]
# name = "cached"
# verdict = "good"
# means = "the step came from the cache"
# all = [{ step = "STEP", exit = "ok" }, { step = "STEP", vertex = 'RUN echo', is = "cached" }]
#
# Conditions: exit = "ok" | "failed" | "late"; stderr = 'regex'; vertex = 'regex' with
# is = "cached" | "ran" | "failed" | "absent" or log = 'regex'. docs/scenarios.md lists all."""

#: Longest line of a comment, in characters.
_WIDEST = 98


def files(draft: Draft, name: str) -> dict[str, str]:
    """Return each file of the scenario *name*: ``scenario.toml``, Dockerfiles."""
    twins = {twin.file: twin.dockerfile for twin in draft.twins}
    own = {"scenario.toml": toml(draft, name), **twins}
    assert not own.keys() & draft.files.keys(), "a pasted file has the name of one of these"
    return {**own, **draft.files}


def toml(draft: Draft, name: str) -> str:
    """Return ``scenario.toml``."""
    parts = [
        "\n".join(_head(draft, name)),
        *_daemon(draft),
        *_images(draft),
        *(_step(step) for step in draft.steps),
        "\n".join([f"# {line}" for line in rules_said(draft)]),
        _OUTLINE,
        *(table("[[outcomes]]", dict(rule)).rstrip() for rule in draft.outcomes),
    ]
    return "\n\n".join(parts) + "\n"


def _head(draft: Draft, name: str) -> Iterator[str]:
    yield "# Made by `./inv scenario new` of an issue's text: check each step against it."
    for line in unresolved(draft, shown=False):
        yield from _comment(line)
    yield "schema = 1"
    yield pair("name", name)
    yield pair("title", _one_line(draft.title) or name)
    if not draft.issue:
        yield "# Fill in the address of the issue: the text does not name one, or names several."
    yield pair("issue", draft.issue or "https://github.com/moby/buildkit/issues")


def unresolved(draft: Draft, *, shown: bool = True) -> list[str]:
    """Return what was not taken, and what was taken in another way, in lines of text.

    Without *shown*, what a command printed is left out.
    """
    lines = []
    for one in draft.left:
        if one.shown and not shown:
            continue
        where = f"line {one.number}: " if one.number else ""
        lines.append(f"not taken: {where}{_one_line(one.source)}: {one.reason}")
    return [*lines, *draft.notes]


def rules_said(draft: Draft) -> list[str]:
    """Return where the outcomes come from."""
    said = draft.said
    out = []
    if said.cached:
        how = (
            ". Which one follows from the arguments and files that differ between the builds."
            if said.inferred
            else ", and names it."
        )
        out.append(f"Line {said.cached_line} says that a step must be cached{how}")
    if said.error:
        out.append(f"Line {said.error_line} shows the error of a build, which is the bad outcome.")
        if not said.cached:
            out.append("It is assumed that a build without an error is good.")
    if not out:
        out = [
            "The text shows no error and does not say which step must be cached: what is good and",
            "what is bad is open, so every outcome is weak.",
        ]
    return out


def _daemon(draft: Draft) -> Iterator[str]:
    daemon = draft.daemon
    if daemon.snapshotter:
        yield "\n".join([
            "# Where the other snapshotter is good too, the snapshotter makes no difference: then",
            "# remove this axis. A control must be good, or the other cells prove nothing.",
            "[axes.snapshotter]",
            pair("values", [CONTROL, daemon.snapshotter]),
            pair("controls", [CONTROL]),
        ])  # fmt: skip
    lines = ["[daemon]"]
    if daemon.snapshotter:
        lines.append(pair("snapshotter", "${axis.snapshotter}"))
    if daemon.config:
        lines.append(pair("config", daemon.config))
    if len(lines) > 1:
        yield "\n".join(lines)


def _images(draft: Draft) -> Iterator[str]:
    for twin in draft.twins:
        lines = [f"[images.{twin.name}]", pair("dockerfile", twin.file)]
        if twin.compression != "gzip":
            lines.append(pair("compression", twin.compression))
        yield "\n".join([*lines, pair("public", twin.public)])


def _step(step: Step) -> str:
    where = cut(f"# line {step.number}: {_one_line(step.source)}", _WIDEST)
    return f"{where}\n{table('[[steps]]', step.values).rstrip()}"


def _one_line(text: str) -> str:
    """Return *text* as printable text without line breaks."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return cut(" ".join(plain.split()), 200)


def _comment(text: str) -> Iterator[str]:
    """Yield comment lines with *text*."""
    line = ""
    for word in _one_line_long(text).split():
        if line and len(line) + len(word) + 3 > _WIDEST:
            yield f"# {line}"
            line = "  "
        line = f"{line} {word}".lstrip() if line.strip() else f"{line}{word}"
    yield f"# {line}"


def _one_line_long(text: str) -> str:
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text))


def summary(draft: Draft, folder: str) -> Iterator[str]:
    """Yield what was made, for a terminal."""
    images = f", {plural(len(draft.twins), 'local image')}" if draft.twins else ""
    yield f"{folder}: {plural(len(draft.steps), 'step')}{images}"
    width = max(len(str(step.values["id"])) for step in draft.steps)
    for step in draft.steps:
        values = step.values
        yield f"  {values['id']!s:{width}}  line {step.number}: {cut(_one_line(step.source), 90)}"
    for twin in draft.twins:
        yield f"  image {twin.name} stands for {twin.public}"
    yield from unresolved(draft)
    yield from rules_said(draft)
    tags = [image.rpartition(":")[2] for image in draft.versions]
    named = [*draft.versions, *(one for one in draft.releases if one not in tags)]
    if named:
        yield f"BuildKit in the text: {', '.join(named)}"
