"""(Scenario, Observation, control's Observation) -> Outcome. Pure; first matching rule wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from buildkit_bisect.model import (
    Observation,
    Outcome,
    StepResult,
    ToolOutcome,
    Verdict,
    VertexState,
)
from buildkit_bisect.scenario import cache_config, pattern
from buildkit_bisect.scenario.definition import Condition, Kept, Rule, Scenario, VertexIs


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
    for rule in scenario.outcomes:
        if all(holds(condition, seen, control) for condition in rule.all):
            reason = _because(rule.means, seen, control)
            if rule.verdict is Verdict.SKIP:
                reason += _last_line(rule, seen)
            return Outcome(name=rule.name, verdict=rule.verdict, reason=reason)
    return ToolOutcome.UNCLASSIFIED.because(_what_happened(seen))


def holds(condition: Condition, seen: Observation, control: Observation | None) -> bool:
    """Whether every fact that *condition* names holds."""
    step = seen.step(condition.step)
    if step is None:
        return False
    return (
        (not condition.exit or _exited(step, condition.exit))
        and (not condition.stderr or pattern.found(condition.stderr, step.stderr))
        and (condition.is_ is None or _vertex(step, condition.vertex) is condition.is_)
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


def _kept(step: StepResult, control: Observation | None) -> Kept | None:
    other = control.step(step.id) if control else None
    if step.export is None or other is None or other.export is None:
        return None
    here, wanted = cache_config.kept(step.export, other.export)
    if not wanted:
        return None
    return Kept.ALL if here == wanted else Kept.SOME if here else Kept.NONE


def _because(means: str, seen: Observation, control: Observation | None) -> str:
    for step in seen.steps:
        other = control.step(step.id) if control else None
        if step.export and other and other.export:
            here, wanted = cache_config.kept(step.export, other.export)
            return f"{means} ({here} of {wanted} inner records have layers)"
    return means


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
