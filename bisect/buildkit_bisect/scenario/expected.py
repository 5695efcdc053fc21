"""What to look for after a scenario's steps: its rules in words, and commands that show the facts.

Pure. The commands are bash, for the script of `reproduction`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from buildkit_bisect.scenario import runs, shell
from buildkit_bisect.scenario.cache_config import MEDIA_TYPE
from buildkit_bisect.scenario.definition import (
    Action,
    Condition,
    Kept,
    Rule,
    Scenario,
    Step,
    VertexIs,
)

_EXIT = {"ok": "exits 0", "failed": "fails", "late": "times out"}

_VERTEX = {
    VertexIs.CACHED: "is CACHED",
    VertexIs.RAN: "runs: it is not CACHED",
    VertexIs.FAILED: "fails",
    VertexIs.ABSENT: "is absent",
}

_KEPT = {
    Kept.ALL: "every inner record of its cache that has layers in the control's has layers",
    Kept.SOME: "some inner records of its cache have no layers, but have them in the control's",
    Kept.NONE: "no inner record of its cache has layers that has them in the control's",
}

#: Actions whose output and exit status the script keeps.
_LOGGED = (
    *(Action.BUILD, Action.SCRIPT, Action.PRUNE),
    *(Action.REQUESTS, Action.DU, Action.HISTORIES),
)

#: Prints the lines of the vertices of a log whose names match; a vertex's lines have one number.
_VERTEX_LINES = r"""
vertex() {
  for n in $(grep -P "^#[0-9]+ $2" "$1" | cut -d ' ' -f 1 | sort -u); do grep "^$n " "$1"; done
}"""

#: What a rule looks for in a step.
_Text = TypeVar("_Text", str, tuple[str, str])

#: Keeps what a vertex printed: the plain progress numbers the lines, with seconds since its start.
_UNNUMBERED = r"sed -nE 's/^#[0-9]+ [0-9]+\.[0-9]+ //p'"

#: Prints the JSON with the records and layers of an exported cache, in both forms that it has had.
_CONFIG = f"""
config() {{
  local blobs=$1/blobs/sha256 top
  top=$(jq -r '.manifests[0].digest | sub("sha256:"; "")' "$1/index.json")
  top=$(jq -r '([.config] + (.manifests // []))[]
    | select(.mediaType == "{MEDIA_TYPE}")
    | .digest | sub("sha256:"; "")' "$blobs/$top")
  cat "$blobs/$top"
}}"""

#: Counts the records that another record depends on, and those of them that have layers.
_INNER = """
inner() {
  [ -f "$1/index.json" ] || { echo "nothing was exported"; return; }
  config "$1" | jq -r '.records as $all
    | [.records[].inputs // [] | .[][] | .link // 0] | unique | map($all[.])
    | "\\(map(select(.layers // .chains)) | length) of \\(length) inner records have layers"'
}"""


def condition(one: Condition) -> str:
    """Return a condition in words: ``in import, "RUN echo stable" is CACHED``."""
    return "; ".join(_facts(one))


def _facts(one: Condition) -> list[str]:
    facts = []
    if one.exit:
        low, _, high = one.exit.partition("-")
        facts += [_EXIT.get(one.exit, f"exits {low}" + (f" to {high}" if high else ""))]
    if one.stderr:
        facts += [f'prints "{one.stderr}"']
    text = [f"{one.step} {' and '.join(facts)}"] if facts else []
    if one.is_ is not None:
        text += [f'in {one.step}, "{one.vertex}" {_VERTEX[one.is_]}']
    if one.log:
        text += [f'in {one.step}, "{one.vertex}" prints "{one.log}"']
    if one.inner_layers is not None:
        text += [f"in {one.step}, {_KEPT[one.inner_layers]}"]
    return text


def rules(scenario: Scenario) -> list[str]:
    """Return each rule in words, in the order in which they are tried: the first one counts."""
    repeats = {step.id: step.repeat for step in scenario.steps}
    return [
        f"{rule.verdict} ({rule.name}): {rule.means}.\n"
        f"    {'; '.join(_condition(c, rule, repeats.get(c.step, 1)) for c in rule.all)}."
        for rule in scenario.outcomes
    ]


def _condition(one: Condition, rule: Rule, repeat: int) -> str:
    if repeat == 1:
        return condition(one)
    # "and": the facts of one condition hold in the same run.
    return f"in {runs.phrase(one, rule.verdict, repeat)}: {' and '.join(_facts(one))}"


def needs_jq(scenario: Scenario, steps: Sequence[Step]) -> bool:
    """Return whether the script reads an exported cache."""
    return bool(_exported(scenario, steps)) or any(s.action is Action.DELETE_BLOB for s in steps)


def functions(scenario: Scenario, steps: Sequence[Step]) -> str:
    """Return the bash functions that `facts` and steps use; "" if none."""
    used = [_VERTEX_LINES] if any(_vertices(scenario, steps)) else []
    used += [_CONFIG] if needs_jq(scenario, steps) else []
    used += [_INNER] if _exported(scenario, steps) else []
    return "\n".join(text.strip("\n") for text in used)


def facts(scenario: Scenario, steps: Sequence[Step]) -> Iterator[str]:
    """Yield commands that show what the rules are about, and then the rules themselves."""
    ended = [s.id for s in steps if s.action in _LOGGED]
    yield f'for step in {shlex.join(ended)}; do echo "$step: exit $(cat $step.exit)"; done'
    printed = ((c.step, c.stderr) for r in scenario.outcomes for c in r.all if c.stderr)
    for step, regex in _each_run(scenario, steps, printed):
        yield f"echo {shlex.quote(f'-- {step}, lines with {regex}')}"
        yield f"grep -P -m 3 {shlex.quote(regex)} {step}.log"
    for step, regex in _vertices(scenario, steps):
        yield f"echo {shlex.quote(f'-- {step}, {regex}')}"
        yield f"vertex {step}.log {shlex.quote(_named(regex))}"
    for step, (regex, wanted) in _logs(scenario, steps):
        yield f"echo {shlex.quote(f'-- {step}, {regex}, lines with {wanted}')}"
        lines = f"vertex {step}.log {shlex.quote(_named(regex))} | {_UNNUMBERED}"
        yield f"{lines} | grep -P -m 3 {shlex.quote(wanted)}"
    for step, folder in _exported(scenario, steps):
        yield f"echo {shlex.quote(f'-- {step}, its cache')}"
        yield f"inner {shlex.quote(folder)}"
    yield "cat <<" + shell.document("\n".join(["", "The first that holds:", *rules(scenario)]))


def _named(regex: str) -> str:
    """Return a regular expression over names for the function ``vertex``."""
    return regex[1:] if regex.startswith("^") else f".*(?:{regex})"


def _logs(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, tuple[str, str]]]:
    """Return the steps, each with a vertex whose log some rule looks into, and for what."""
    asked = ((c.step, (c.vertex, c.log)) for r in scenario.outcomes for c in r.all if c.log)
    return _each_run(scenario, steps, asked)


def _vertices(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, str]]:
    pairs = ((c.step, c.vertex) for r in scenario.outcomes for c in r.all if c.vertex)
    return _each_run(scenario, steps, pairs)


def _each_run(
    scenario: Scenario, steps: Sequence[Step], pairs: Iterable[tuple[str, _Text]]
) -> list[tuple[str, _Text]]:
    """Return the pairs of a step and a text once, for each run of the step that is in *steps*."""
    ids = {step.id for step in steps}
    of = {step.id: step.runs for step in scenario.steps}
    once = dict.fromkeys(pairs)
    return [(run, text) for step, text in once for run in of.get(step, ()) if run in ids]


def _exported(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Return the steps whose local cache some rule looks into, with its folder.

    The runs of a repeated step write the same folder: the last one's cache is in it.
    """
    asked = {c.step for r in scenario.outcomes for c in r.all if c.inner_layers is not None}
    last = {step.runs[-1] for step in scenario.steps if step.id in asked}
    return [
        (step.id, entry["dest"])
        for step in steps
        if step.id in last
        for entry in step.exports
        if entry["type"] == "local"
    ]
