"""(Scenario, Observation, control's Observation) -> Outcome. Pure; first matching rule wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from buildkit_bisect.model import (
    Observation,
    Outcome,
    StepResult,
    ToolOutcome,
    Verdict,
    VertexState,
)
from buildkit_bisect.phrases import listed
from buildkit_bisect.scenario import cache_config, pattern, runs
from buildkit_bisect.scenario.definition import Condition, Kept, Rule, Scenario, Step, VertexIs


def judge(scenario: Scenario, seen: Observation, control: Observation | None) -> Outcome:
    """The outcome that *scenario*'s rules give *seen*.

    *control* is the same variant's observation in an eager cell; conditions that compare
    with it do not hold if it is None. If no rule matches, the outcome is unclassified, which is
    weak and never bad.
    """
    if seen.infra:
        return ToolOutcome.INFRA.because(seen.infra)
    if seen.no_daemon:
        return ToolOutcome.NO_DAEMON.because(seen.no_daemon)
    if seen.unsupported:
        return ToolOutcome.UNSUPPORTED.because(seen.unsupported)
    steps = {step.id: step for step in scenario.steps}
    for rule in scenario.outcomes:
        if all(_enough(rule, c, steps[c.step], seen, control) for c in rule.all):
            reason = _because(rule, steps, seen, control)
            if rule.verdict is Verdict.SKIP:
                reason += _last_line(rule, seen)
            return Outcome(name=rule.name, verdict=rule.verdict, reason=reason)
    return ToolOutcome.UNCLASSIFIED.because(_what_happened(seen))


def _enough(
    rule: Rule, condition: Condition, step: Step, seen: Observation, control: Observation | None
) -> bool:
    """Whether *condition* of *rule* holds in as many runs of *step* as it asks for."""
    ended = [run for run in map(seen.step, step.runs) if run is not None]
    count = sum(holds(condition, run, control) for run in ended)
    return count >= runs.needed(condition, rule.verdict, step.repeat)


def holds(condition: Condition, step: StepResult, control: Observation | None) -> bool:
    """Whether every fact that *condition* names holds of *step*, one run of the step it names."""
    return (
        (not condition.exit or _exited(step, condition.exit))
        and (not condition.stderr or pattern.found(condition.stderr, step.stderr))
        and (condition.is_ is None or _vertex(step, condition.vertex) is condition.is_)
        and (not condition.log or _logged(step, condition))
        and (condition.inner_layers is None or _kept(step, control) is condition.inner_layers)
    )


def _exited(step: StepResult, wanted: str) -> bool:
    if wanted == "late":
        return step.timed_out
    if wanted in ("ok", "failed"):
        return (step.exit != 0 or step.timed_out) == (wanted == "failed")
    low, _, high = wanted.partition("-")
    return not step.timed_out and int(low) <= step.exit <= int(high or low)


def _vertex(step: StepResult, wanted: str) -> VertexIs | None:
    states = {v.state for v in step.vertices if pattern.found(wanted, v.name)}
    if not states:
        return VertexIs.ABSENT
    if VertexState.FAILED in states:
        return VertexIs.FAILED
    if VertexState.RAN in states:
        return VertexIs.RAN
    return VertexIs.CACHED if states == {VertexState.CACHED} else None


def _logged(step: StepResult, condition: Condition) -> bool:
    return any(
        pattern.found(condition.log, vertex.log)
        for vertex in step.vertices
        if pattern.found(condition.vertex, vertex.name)
    )


def _kept(step: StepResult, control: Observation | None) -> Kept | None:
    other = control.step(step.id) if control else None
    if step.export is None or other is None or other.export is None:
        return None
    here, wanted = cache_config.kept(step.export, other.export)
    if not wanted:
        return None
    return Kept.ALL if here == wanted else Kept.SOME if here else Kept.NONE


def _because(
    rule: Rule, steps: Mapping[str, Step], seen: Observation, control: Observation | None
) -> str:
    """What *rule* means, in which runs of repeated steps, and how many records kept layers."""
    repeated = [(c, steps[c.step]) for c in rule.all if steps[c.step].repeat > 1]
    details = [f"{runs.phrase(c, rule.verdict, step.repeat)} of {step.id}" for c, step in repeated]
    details += _records(steps.values(), seen, control)
    return f"{rule.means} ({', '.join(dict.fromkeys(details))})" if details else rule.means


def _records(
    steps: Iterable[Step], seen: Observation, control: Observation | None
) -> Iterator[str]:
    """How many inner records have layers in the first export that the control has too."""
    for step in steps:
        both = [(seen.step(run), control and control.step(run)) for run in step.runs]
        kept = [
            cache_config.kept(one.export, other.export)
            for one, other in both
            if one and other and one.export and other.export
        ]
        if kept:
            counts = listed([f"{here} of {wanted}" for here, wanted in dict.fromkeys(kept)])
            yield f"{counts} inner records have layers"
            return


def _last_line(rule: Rule, seen: Observation) -> str:
    """Return the last line that the step of a *rule* printed: why a commit could not be tested."""
    step = seen.step(rule.all[0].step)
    lines = step.stderr.strip().splitlines() if step else []
    return f"; last line of output: {lines[-1][:300]}" if lines else "; it printed nothing"


def _what_happened(seen: Observation) -> str:
    because = ToolOutcome.UNCLASSIFIED.means
    for step in seen.steps:
        if step.timed_out:
            return f"{because}; step {step.id} timed out"
        if step.exit != 0:
            last = step.stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
            return f"{because}; step {step.id} exited {step.exit}: {last[0][:300]}"
    return f"{because}; every step exited 0"


def combine(outcomes: Sequence[Outcome]) -> tuple[Outcome, Counter[str]]:
    """One outcome for a cell from its trials', and how often each was seen.

    Infrastructure failures prove nothing and are left out if any trial has another outcome.
    Trials that disagree are flaky: good or bad only if all verdicts agree.
    """
    counted = [o for o in outcomes if o.verdict is not Verdict.INFRA] or list(outcomes)
    counts = Counter(o.name for o in counted)
    if len(counts) == 1:
        return counted[0], counts
    verdicts = {o.verdict for o in counted}
    shown = ", ".join(f"{name} {n} of {len(counted)}" for name, n in counts.most_common())
    verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.WEAK
    return ToolOutcome.FLAKY.because(f"{ToolOutcome.FLAKY.means}: {shown}", verdict), counts
