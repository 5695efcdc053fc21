"""What to look for after a scenario's steps: commands that show the facts that its rules are about.

Pure. The commands are bash, for the script of `reproduction`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from buildkit_bisect.scenario import build_step, context_script, shell, shown_outputs
from buildkit_bisect.scenario.cache_config import MEDIA_TYPE
from buildkit_bisect.scenario.definition import Action, Condition, Scenario, Step
from buildkit_bisect.scenario.wording import rules

#: Actions whose output and exit status the script keeps.
_LOGGED = (
    *(Action.BUILD, Action.SCRIPT, Action.PRUNE),
    *(Action.REQUESTS, Action.DU, Action.HISTORIES),
    *context_script.ACTIONS,
)

#: Prints the lines of the vertices of a log whose names match; a vertex's lines have one number.
_VERTEX_LINES = r"""
vertex() {
  for n in $(grep -P "^#[0-9]+ $2" "$1" | cut -d ' ' -f 1 | sort -u); do grep "^$n " "$1"; done
}"""

#: Prints the first and last line of vertices, with their line numbers: their order.
_ORDER = r"""
order() {
  for n in $(grep -P "^#[0-9]+ (?:$2|$3)" "$1" | cut -d ' ' -f 1 | sort -u); do
    grep -n "^$n " "$1" | sed -n '1p;$p'
  done | sort -n
}"""

#: Commands that show a metric of a step. The plain progress has rounded sizes.
_METRICS = {
    "seconds": "awk 'NR == 1 {{ began = $1 }} END {{ print $1 - began }}' {0}.times",
    "vertices_run": "grep -cE '^#[0-9]+ (DONE|ERROR)' {0}.log",
    "bytes": "grep -E '^#[0-9]+ (transferring|copying|sha256:).* [0-9.]+[kMG]?B' {0}.log",
}

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

#: Prints the digest of the image that was put last into an OCI layout.
_LAYOUT = """
digest() { jq -r '.manifests[-1].digest' "$1/index.json"; }"""

#: Counts the records that another record depends on, and those of them that have layers.
_INNER = """
inner() {
  [ -f "$1/index.json" ] || { echo "nothing was exported"; return; }
  config "$1" | jq -r '.records as $all
    | [.records[].inputs // [] | .[][] | .link // 0] | unique | map($all[.])
    | "\\(map(select(.layers // .chains)) | length) of \\(length) inner records have layers"'
}"""


def conditions(scenario: Scenario) -> list[Condition]:
    """Return the innermost conditions of all rules."""
    return [condition for rule in scenario.outcomes for condition, _ in rule.leaves()]


def read_with_jq(scenario: Scenario, steps: Sequence[Step]) -> list[str]:
    """Return what the script reads with jq, in words."""
    read = ["the exported cache"] if _reads_cache(scenario, steps) else []
    return [*read, "OCI layouts"] if build_step.uses_layouts(scenario, steps) else read


def _reads_cache(scenario: Scenario, steps: Sequence[Step]) -> bool:
    return bool(_exported(scenario, steps)) or any(s.action is Action.DELETE_BLOB for s in steps)


def functions(scenario: Scenario, steps: Sequence[Step]) -> str:
    """Return the bash functions that `facts` and steps use; "" if none."""
    used = [_VERTEX_LINES] if any(_vertices(scenario, steps)) else []
    used += [_ORDER] if _ordered(scenario, steps) else []
    used += [_CONFIG] if _reads_cache(scenario, steps) else []
    used += [_LAYOUT] if build_step.uses_layouts(scenario, steps) else []
    used += [_INNER] if _exported(scenario, steps) else []
    used += shown_outputs.functions(scenario, steps)
    return "\n".join(text.strip("\n") for text in used)


def facts(scenario: Scenario, steps: Sequence[Step]) -> Iterator[str]:
    """Yield commands that show what the rules are about, and then the rules themselves."""
    ended = [s.id for s in steps if s.action in _LOGGED]
    yield f'for step in {shlex.join(ended)}; do echo "$step: exit $(cat $step.exit)"; done'
    printed = ((c.step, c.stderr) for c in conditions(scenario) if c.stderr)
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
    for step, (regex, later) in _ordered(scenario, steps):
        yield f"echo {shlex.quote(f'-- {step}, {regex} before {later}')}"
        yield f"order {step}.log {shlex.quote(_named(regex))} {shlex.quote(_named(later))}"
    builds = {step.id for step in steps if step.action is Action.BUILD}
    for step, metric in _measured(scenario, steps):
        yield f"echo {shlex.quote(f'-- {step}, {metric}')}"
        counted = metric == "seconds" or step in builds
        yield (_METRICS[metric] if counted else "cat {0}.log").format(step)
    for step, folder in _exported(scenario, steps):
        yield f"echo {shlex.quote(f'-- {step}, its cache')}"
        yield f"inner {shlex.quote(folder)}"
    yield from shown_outputs.facts(scenario, steps)
    yield from _of_daemon(scenario)
    yield "cat <<" + shell.document("\n".join(["", "The first that holds:", *rules(scenario)]))


def before_the_end(scenario: Scenario) -> list[str]:
    """Return a command that keeps whether the daemon still runs, if some rule is about that."""
    asked = any(c.daemon for c in conditions(scenario))
    return ['kill -0 "$daemon" 2> /dev/null; echo $? > daemon.exit'] if asked else []


def _of_daemon(scenario: Scenario) -> Iterator[str]:
    """Yield commands that show whether the daemon died, and the lines of its log in question."""
    if before_the_end(scenario):
        yield '[ "$(cat daemon.exit)" = 0 ] && echo "-- the daemon runs" || echo "-- it died"'
    for regex in dict.fromkeys(c.daemon_log for c in conditions(scenario) if c.daemon_log):
        yield f"echo {shlex.quote(f'-- the daemon, lines with {regex}')}"
        yield f"grep -P -m 3 {shlex.quote(regex)} buildkitd.log"


def timed(scenario: Scenario, step: Step, command: str) -> str:
    """Return *command* of *step*, one run; its start and end are in a file if a rule needs them."""
    if (step.id, "seconds") not in _measured(scenario, [step]):
        return command
    return f"date +%s.%N > {step.id}.times\n{command}\ndate +%s.%N >> {step.id}.times"


def _measured(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Return the steps, each with a metric that some rule has a bound for."""
    asked = ((c.step, c.metric) for c in conditions(scenario) if c.metric)
    return _each_run(scenario, steps, asked)


def _named(regex: str) -> str:
    """Return a regular expression over names for the function ``vertex``."""
    begin = next((b for b in ("^", r"\A") if regex.startswith(b)), None)
    if begin is None:
        return f".*(?:{regex})"
    rest = regex.removeprefix(begin)
    return f"(?:{rest})" if "|" in rest else rest


def _logs(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, tuple[str, str]]]:
    """Return the steps, each with a vertex whose log some rule looks into, and for what."""
    asked = ((c.step, (c.vertex, c.log)) for c in conditions(scenario) if c.log)
    return _each_run(scenario, steps, asked)


def _ordered(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, tuple[str, str]]]:
    """Return the steps, each with the vertices whose order some rule is about."""
    asked = ((c.step, (c.vertex, c.before)) for c in conditions(scenario) if c.before)
    return _each_run(scenario, steps, asked)


def _vertices(scenario: Scenario, steps: Sequence[Step]) -> list[tuple[str, str]]:
    pairs = ((c.step, c.vertex) for c in conditions(scenario) if c.vertex)
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
    asked = {c.step for c in conditions(scenario) if c.inner_layers is not None}
    last = {step.runs[-1] for step in scenario.steps if step.id in asked}
    return [
        (step.id, entry["dest"])
        for step in steps
        if step.id in last
        for entry in step.exports
        if entry["type"] == "local"
    ]
