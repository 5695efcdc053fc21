"""What may be wrong with a valid scenario: rules that hold together, and what is flaky. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from buildkit_bisect.model import Observation, ToolOutcome, Verdict
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.scenario import daemon_log
from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario.definition import Action, Scenario, Step
from buildkit_bisect.scenario.learned_rules import matching
from buildkit_bisect.scenario.rules import together

#: Share of a step's deadline from which on a trial is near it, and the share that exceeds it far.
_NEAR = 0.5

#: Commands whose output or result is another one each time.
_CHANGING = re.compile(
    r"(?:^|[\s;&|(`])(date|uuidgen|mktemp|shuf|hostname)(?=[\s;&|)`]|$)"
    r"|/dev/u?random|\$\{?RANDOM|/proc/uptime|/proc/sys/kernel/random"
)
_NETWORK = re.compile(
    r"(?:^|[\s;&|(`])(apk add|apt|apt-get|curl|dnf|git clone|go get|go mod|npm|pip3? install|wget"
    r"|yum)(?=[\s;&|)`]|$)"
)


class Level(StrEnum):
    """How much a finding matters."""

    WRONG = "wrong"  # an answer may be wrong
    FLAKY = ToolOutcome.FLAKY.value  # trials may disagree
    NOTE = "note"  # worth knowing
    OK = "ok"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the check."""

    level: Level
    text: str


def static(scenario: Scenario) -> Iterator[Finding]:
    """Yield what the scenario's file shows. That every rule can match, loading has checked."""
    count = len(scenario.outcomes)
    rules = "the rule" if count == 1 else f"each of the {count} rules"
    yield Finding(level=Level.OK, text=f"{rules} can match")
    yield from _verdicts(scenario)
    yield from _overlaps(scenario)
    yield from _controls(scenario)
    yield from _order(scenario)
    yield from _images(scenario)
    yield from _commands(scenario)
    yield from _late(scenario)
    yield from _logs(scenario)


def _verdicts(scenario: Scenario) -> Iterator[Finding]:
    given = {rule.verdict for rule in scenario.outcomes}
    for verdict in (Verdict.GOOD, Verdict.BAD):
        if verdict not in given:
            text = f"no rule has the verdict {verdict}: a search needs both"
            yield Finding(level=Level.WRONG, text=text)


def _overlaps(scenario: Scenario) -> Iterator[Finding]:
    """Yield each good and bad rule that one trial may match."""
    pairs = [
        (one, other)
        for one, other in combinations(scenario.outcomes, 2)
        if {one.verdict, other.verdict} == {Verdict.GOOD, Verdict.BAD}
    ]
    found = [(one, other) for one, other in pairs if together(scenario, one, other)]
    for one, other in found:
        text = (
            f"{one.name!r} ({one.verdict}) and {other.name!r} ({other.verdict}) can hold together:"
            f" then {one.name!r} counts, because it is first"
        )
        yield Finding(level=Level.NOTE, text=text)
    if pairs and not found:
        yield Finding(level=Level.OK, text="no good rule and bad rule can hold together")


def _controls(scenario: Scenario) -> Iterator[Finding]:
    controls = [f"{n} {listed(a.controls)}" for n, a in scenario.axes.items() if a.controls]
    if controls:
        yield Finding(level=Level.OK, text=f"controls: {listed(controls)}")
        tested = [axes for axes in scenario.cells() if not scenario.is_control(axes)]
        if not tested:
            text = "every cell is a control: there is nothing to test"
            yield Finding(level=Level.WRONG, text=text)
        return
    compared = [r.name for r in scenario.outcomes if any(c.inner_layers for c, _ in r.leaves())]
    if compared:
        text = f"there is no control, so {listed(compared)} can never match: inner_layers needs one"
        yield Finding(level=Level.WRONG, text=text)
        return
    text = "there is no control: a cell in which the failure cannot occur would show other faults"
    yield Finding(level=Level.NOTE, text=text)


def _order(scenario: Scenario) -> Iterator[Finding]:
    """Yield imports that the daemon's own cache may answer, and steps that run concurrently."""
    for axes in scenario.cells()[:1]:
        built: Step | None = None
        for group in scenario.groups(axes):
            for step in group:
                if built and step.action is Action.BUILD and step.imports:
                    text = (
                        f"{step.id} imports a cache while the daemon still has that of {built.id}:"
                        " either may answer; a prune, or a fresh daemon, between them"
                    )
                    yield Finding(level=Level.FLAKY, text=text)
                fresh = step.action is Action.DAEMON and step.start == "fresh"
                if step.action is Action.PRUNE or fresh:
                    built = None
                elif step.action is Action.BUILD:
                    built = step
            if len(group) > 1:
                ids = listed([step.id for step in group])
                text = f"{ids} run concurrently: what they share depends on timing"
                yield Finding(level=Level.FLAKY, text=text)


def _images(scenario: Scenario) -> Iterator[Finding]:
    """Yield public images that may be another one tomorrow."""
    for name, image in scenario.images.items():
        if image.public and "@sha256:" not in image.public:
            text = (
                f"images.{name}.public {image.public} is not pinned by a digest: it may change"
                " between trials that use it"
            )
            yield Finding(level=Level.NOTE, text=text)
    for path, base in dict.fromkeys(_outer(scenario)):
        pinned = "@sha256:" in base
        text = f"{path}: FROM {base} is pulled in each trial{'' if pinned else ', unpinned'}"
        yield Finding(level=Level.NOTE if pinned else Level.FLAKY, text=text)


def _outer(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield the Dockerfile and the name of each image that one names itself."""
    for step in scenario.steps:
        for path, text in _text(scenario, step):
            args = {name: value for name, value in step.args.items() if "${" not in value}
            ours = {name for name, value in step.args.items() if "${" in value}
            for stage in dockerfiles.stages(dockerfiles.parse(text), args):
                own = any(name in stage.written for name in ours)
                if stage.outer and stage.image and not own:
                    yield path, stage.image


def _text(scenario: Scenario, step: Step) -> Iterator[tuple[str, str]]:
    path = scenario.file(step.dockerfile) if step.dockerfile else None
    if path and path.is_file():
        yield step.dockerfile, path.read_text(errors="replace")


def _commands(scenario: Scenario) -> Iterator[Finding]:
    """Yield RUN commands whose result changes, or that need the network."""
    once: dict[str, Finding] = {}
    for step in scenario.steps:
        for path, text in _text(scenario, step):
            for one in dockerfiles.parse(text).instructions:
                if one.word != "RUN":
                    continue
                if match := _CHANGING.search(one.rest):
                    what = f"uses {match[1] or match[0]}: its result is another one each time"
                elif match := _NETWORK.search(one.rest):
                    what = f"uses the network ({match[1]}): it fails if a server does"
                else:
                    continue
                shown = f"{path}: RUN {' '.join(one.rest.split())[:60]} {what}"
                once[shown] = Finding(level=Level.FLAKY, text=shown)
    yield from once.values()


def _late(scenario: Scenario) -> Iterator[Finding]:
    """Yield rules about a timeout: a slow machine alone can make them match."""
    limits = {step.id: step.timeout for step in scenario.steps}
    for rule in scenario.outcomes:
        for condition, _ in rule.leaves():
            if condition.exit == "late" and rule.verdict is not Verdict.WEAK:
                text = (
                    f"{rule.name!r} is {rule.verdict} if {condition.step} takes more than"
                    f" {limits[condition.step]:g} s: a slow machine may do that too"
                )
                yield Finding(level=Level.FLAKY, text=text)


def _logs(scenario: Scenario) -> Iterator[Finding]:
    """Yield rules about nothing but lines of the daemon's log, which differ without meaning."""
    for rule in scenario.outcomes:
        if rule.verdict in (Verdict.GOOD, Verdict.BAD) and daemon_log.alone(rule):
            text = (
                f"{rule.name!r} is {rule.verdict} for the daemon's log alone, and no panic or fatal"
                " error: what a daemon logs as it starts differs between releases and machines"
            )
            yield Finding(level=Level.FLAKY, text=text)


def observed(
    scenario: Scenario, trials: Sequence[Observation], control: Observation | None, where: str
) -> Iterator[Finding]:
    """Yield what *trials* of one cell show about the rules; *where* names the cell."""
    usable = [t for t in trials if not (t.infra or t.no_daemon or t.unsupported)]
    verdicts = {rule.name: rule.verdict for rule in scenario.outcomes}
    both: dict[tuple[str, ...], int] = {}
    for trial in usable:
        names = matching(scenario, scenario.outcomes, trial, control)
        if {Verdict.GOOD, Verdict.BAD} <= {verdicts[name] for name in names}:
            both[tuple(names)] = both.get(tuple(names), 0) + 1
    for held, count in both.items():
        text = (
            f"{where}: {listed([f'{n!r} ({verdicts[n]})' for n in held])} hold together in {count}"
            f" of {plural(len(usable), 'trial')}: only their order decides"
        )
        yield Finding(level=Level.WRONG, text=text)
    for step in scenario.steps:
        took = [
            result.seconds
            for trial in usable
            for run in step.runs
            if (result := trial.step(run)) and not result.timed_out
        ]
        if step.timeout and took and max(took) > _NEAR * step.timeout:
            text = (
                f"{where}: {step.id} took up to {max(took):.3g} s of the {step.timeout:g} s that it"
                " has: a busy machine may exceed that"
            )
            yield Finding(level=Level.FLAKY, text=text)
