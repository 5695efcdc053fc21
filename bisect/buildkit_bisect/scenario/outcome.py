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
)
from buildkit_bisect.phrases import listed
from buildkit_bisect.scenario import cache_config, metrics, runs, wording
from buildkit_bisect.scenario.conditions import all_known, holds_in_trial
from buildkit_bisect.scenario.definition import Action, Condition, Rule, Scenario, Step
from buildkit_bisect.scenario.metrics import Compared


def judge_all(
    scenario: Scenario, trials: Sequence[Observation], controls: Sequence[Observation] | None
) -> tuple[Outcome, ...]:
    """The outcomes of all *trials* of one cell, in their order.

    *controls* are the trials of its control; what does not compare all trials compares with the
    first. None if the cell is a control itself, or has none.
    """
    if controls is None:
        compared = metrics.of_control(scenario)
    else:
        compared = metrics.compare(scenario, trials, controls)
    first = controls[0] if controls else None
    return tuple(judge(scenario, seen, first, compared) for seen in trials)


def judge(
    scenario: Scenario,
    seen: Observation,
    control: Observation | None,
    compared: Mapping[Condition, Compared] | None = None,
) -> Outcome:
    """The outcome that *scenario*'s rules give *seen*.

    *control* is the same variant's observation in an eager cell; conditions that compare
    with it do not hold if it is None. *compared* are those that compare all trials. If no rule
    matches, or one that may match is not decided, the outcome is unclassified, which is weak and
    never bad.
    """
    if seen.infra:
        return ToolOutcome.INFRA.because(seen.infra)
    if seen.no_daemon:
        return ToolOutcome.NO_DAEMON.because(seen.no_daemon)
    if seen.unsupported:
        return ToolOutcome.UNSUPPORTED.because(seen.unsupported)
    steps = {step.id: step for step in scenario.steps}
    known = {condition: each.holds for condition, each in (compared or {}).items()}

    def holds(rule: Rule, *, hoped: bool = False) -> bool | None:
        given = (rule.verdict, steps, seen, control)
        return all_known(holds_in_trial(c, *given, compared=known, hoped=hoped) for c in rule.all)

    def is_open(rule: Rule, leaf: Condition, negated: bool) -> bool:
        given = (leaf, rule.verdict, steps, seen, control)
        now, then = (
            holds_in_trial(*given, compared=known, negated=negated, hoped=hoped)
            for hoped in (False, True)
        )
        return now is None and then is not None

    for rule in scenario.outcomes:
        matches = holds(rule)
        if matches:
            reason = _because(rule, steps, seen, control, compared or {})
            reason += _cause(rule, steps, seen)
            return Outcome(name=rule.name, verdict=rule.verdict, reason=reason)
        # A later rule must not match because this one lacks trials, or what was not recorded.
        if matches is None and holds(rule, hoped=True):
            leaf = next(c for c, negated in rule.leaves() if is_open(rule, c, negated))
            text = _open(leaf, (compared or {}).get(leaf))
            return ToolOutcome.UNCLASSIFIED.because(f"{rule.name} is not decided: {text}")
    return ToolOutcome.UNCLASSIFIED.because(_what_happened(seen))


def _open(leaf: Condition, compared: Compared | None) -> str:
    """Why it is not known whether *leaf* holds."""
    if compared:
        return compared.text
    if metrics.relative(leaf):
        return "one trial alone is not compared with the control"
    return f"it is not known whether {' '.join(wording.condition(leaf).split())}"


def _because(
    rule: Rule,
    steps: Mapping[str, Step],
    seen: Observation,
    control: Observation | None,
    compared: Mapping[Condition, Compared],
) -> str:
    """What *rule* means, in which runs of repeated steps, and the numbers that it is about."""
    repeated = [
        (c, steps[c.step], negated)
        for c, negated in rule.leaves()
        if c.step and steps[c.step].repeat > 1 and not metrics.relative(c)
    ]
    details = [
        f"{(runs.opposite if negated else runs.phrase)(c, rule.verdict, step.repeat)} of {step.id}"
        for c, step, negated in repeated
    ]
    details += [each.text for c, _ in rule.leaves() if (each := compared.get(c)) and each.text]
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


def _cause(rule: Rule, steps: Mapping[str, Step], seen: Observation) -> str:
    """Return what was printed, for a *rule* whose verdict leaves the cause to the reader."""
    if rule.verdict is Verdict.SKIP:
        return _last_line(rule, steps, seen)
    return _failure(rule, steps, seen) if rule.verdict is Verdict.WEAK else ""


def _last_line(rule: Rule, steps: Mapping[str, Step], seen: Observation) -> str:
    """Return the last line that the step of a *rule* printed: why a commit could not be tested."""
    named = next((c.step for c, _ in rule.leaves() if c.step), "")
    step = seen.step(named)
    lines = step.stderr.strip().splitlines() if step else []
    if lines:
        return f"; last line of output: {lines[-1][:300]}"
    return "; it printed nothing" if named and steps[named].action is Action.SCRIPT else ""


def _failure(rule: Rule, steps: Mapping[str, Step], seen: Observation) -> str:
    """Return how a step failed that a *rule* wants to fail: what is weak has a cause to look at."""
    wanted = [c.step for c, negated in rule.leaves() if c.exit == "failed" and not negated]
    for run in (run for step in wanted for run in steps[step].runs):
        if (result := seen.step(run)) and (shown := _failed(result)):
            return f"; {shown}"
    return ""


def _failed(step: StepResult) -> str:
    """Return how a step failed, with the last line of its messages; "" if it exited 0."""
    if step.timed_out:
        return f"step {step.id} timed out"
    if step.exit == 0:
        return ""
    last = step.stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
    return f"step {step.id} exited {step.exit}: {last[0][:300]}"


def _what_happened(seen: Observation) -> str:
    failed = next(filter(None, map(_failed, seen.steps)), "every step exited 0")
    return f"{ToolOutcome.UNCLASSIFIED.means}; {failed}"


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
