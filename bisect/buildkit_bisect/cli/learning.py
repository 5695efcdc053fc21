"""The ``scenario learn`` and ``scenario check`` tasks."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign.learn import Watch
from buildkit_bisect.campaign.setup import Setup, patch_loader, prepare
from buildkit_bisect.cli.campaigns import conduct
from buildkit_bisect.cli.guard import DONE, NO_ANSWER
from buildkit_bisect.cli.variants import asked_for
from buildkit_bisect.errors import BadInput, NoAnswer, printable, printable_line
from buildkit_bisect.live import Display
from buildkit_bisect.model import ToolOutcome, Variant
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.option import find
from buildkit_bisect.options.requests import Campaign, ScenarioCheck, ScenarioLearn
from buildkit_bisect.options.scenario_requests import picks
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.scenario import Scenario, doubts, learned, learned_rules, learned_steps
from buildkit_bisect.scenario.doubts import Finding, Level
from buildkit_bisect.scenario.learned import Both, Difference
from buildkit_bisect.system import tomlfile

#: Trials of each end, and of a cell that is checked, unless the request gives a number.
_LEARN, _CHECK = 3, 5

#: Facts that are printed; JSON has all.
_SHOWN = 20


def learn(request: ScenarioLearn) -> int:
    """Run both ends, print the facts that tell them apart, and make rules of those picked."""
    if not (request.good and request.bad):
        raise BadInput(
            "scenario learn needs both endpoints",
            hint=inv("scenario-learn", request.folder or "DIR", good="R", bad="R"),
        )
    if request.trials == 1:
        raise BadInput(
            f"{words(Campaign, trials=1)}: facts of one trial never make a rule",
            hint=words(Campaign, trials=_LEARN),
        )
    scenario = scenarios.load(request.folder, unjudged=True)
    with Display() as events:
        setup, (good, bad) = _prepared(request, scenario, (request.good, request.bad), events)
        if good.label == bad.label or good.revision.sha == bad.revision.sha != "":
            raise BadInput(
                f"both ends are {bad.label}", hint=f"another {words(ScenarioLearn, good='R')}"
            )
        setup.tested_cells()
        watch = Watch(setup, (good, bad), request.trials or _LEARN)
        code = conduct(watch, setup)
        if code or request.dry_run:
            return code
    seen = watch.both(good, bad)
    found = learned.differences(setup.scenarios[0], seen)
    if request.json:
        print(json.dumps([learned.as_data(d, n) for n, d in enumerate(found, 1)], indent=1))
    else:
        _show(found, good, bad, several=len(seen) > 1)
    only = learned_steps.only(found)
    if not found or only:
        if not request.json:
            _show_steps(watch, setup.scenarios[0], seen, good, bad)
        lacking = learned_steps.lacks_output(setup.scenarios[0], seen)
        raise _nothing(f"{good.label} and {bad.label}", only, lacking=lacking)
    picked = _picked(request, found)
    if not picked:
        return DONE
    _write(scenario, setup.scenarios[0], picked, seen, f"{good.label} (good) and {bad.label} (bad)")
    return DONE


def _prepared(
    request: ScenarioLearn | ScenarioCheck,
    scenario: Scenario,
    revisions: Sequence[str],
    events: Display,
) -> tuple[Setup, list[Variant]]:
    """Return the setup of a campaign of *scenario*, and the variants of *revisions*."""
    asked = [asked_for(item, request) for item in revisions]
    loader = patch_loader(request, events)
    texts = dict.fromkeys([request.patches, *(with_ for _, with_ in asked)])
    patches = {text: loader.load(text) for text in texts}
    setup = prepare(
        replace(request, json=False),
        events,
        chosen=[p for group in patches.values() for p in group],
        script=scenario,
    )
    variants = [
        Variant(
            revision=setup.source.resolve(ref),
            patches=tuple(p.ref for p in patches[with_ or request.patches]),
        )
        for ref, with_ in asked
    ]
    return setup, variants


def _show(found: Sequence[Difference], good: Variant, bad: Variant, *, several: bool) -> None:
    """Print the facts, best first."""
    for number, one in enumerate(found[:_SHOWN], 1):
        rule = "" if one.can_be_bad else " (only of the good end)" if one.good else " (no rule)"
        cells = f", in {plural(len(one.cells), 'cell')}" if several else ""
        print(f"{number:3}  {one.separation:.2f}{cells}{rule}")
        for label, text in ((good.label, one.good_text), (bad.label, one.bad_text)):
            if text:
                print(f"     {printable_line(label)}: {printable_line(text)}")
    if len(found) > _SHOWN:
        print(f"     and {len(found) - _SHOWN} more: {words(Campaign, json=True)} lists all")
    if found:
        print(
            "Best first. The number is how likely the next trial of an end agrees with all"
            f" {found[0].trials} of it: (n + 1) / (n + 2)."
        )


def _show_steps(
    watch: Watch, scenario: Scenario, seen: Sequence[Both], good: Variant, bad: Variant
) -> None:
    """Print what each step did at both ends, and where all that was recorded is."""
    print("What the steps did:")
    for line in learned_steps.did(scenario, seen, good.label, bad.label):
        print(f"     {printable_line(line)}")
    if watch.folder:
        print(f"Logs and progress of each trial: {printable_line(watch.folder)}")


def _nothing(ends: str, only: str, *, lacking: bool) -> NoAnswer:
    """Return why no rule can be made.

    *only* is what differs and cannot be a rule; *lacking*: no output of a build was recorded.
    """
    if only:
        message = f"only {only} differ{'' if only.endswith('s') else 's'} between {ends}"
    else:
        message = f"no fact tells {ends} apart in every trial"
    if not lacking:
        return NoAnswer(message, hint=f"other endpoints, or {words(Campaign, trials=20)}")
    return NoAnswer(
        f"{message}; no output of a build was recorded",
        hint="add an output to a build: outputs = [{ type = 'local', dest = 'out' }]",
    )


def _picked(request: ScenarioLearn, found: Sequence[Difference]) -> list[Difference]:
    """Return the facts that the request names, or that the user chooses on a terminal."""
    numbers: Sequence[int] = request.pick
    if not numbers and not request.json and sys.stdin.isatty() and sys.stdout.isatty():
        given = input("Make rules of which facts? Numbers, or nothing for none: ").split()
        numbers = picks(find(ScenarioLearn, "pick"), given) if given else ()
    elif not numbers and not request.json:
        print(f"{words(ScenarioLearn, pick=1)} makes rules of a fact; trials are reused.")
    for number in numbers:
        if not 1 <= number <= len(found):
            raise BadInput(
                f"there is no fact {number}, only 1 to {len(found)}",
                hint=words(ScenarioLearn, pick=1),
            )
        if not (found[number - 1].good or found[number - 1].bad):
            log = found[number - 1].kind is learned.Kind.DAEMON
            because = (
                "what a daemon logs differs between releases and machines, except a panic"
                if log
                else "no condition of scenarios is about it"
            )
            raise BadInput(
                f"fact {number} cannot be a rule: {because}",
                hint=f"{words(ScenarioLearn, pick=1)}, or another that has no note (no rule)",
            )
    return [found[number - 1] for number in dict.fromkeys(numbers)]


def _write(
    scenario: Scenario,
    extended: Scenario,
    picked: Sequence[Difference],
    seen: Sequence[Both],
    ends: str,
) -> None:
    """Put the rules into the scenario's file: all of the new file at once, or nothing."""
    path = scenario.folders[0] / "scenario.toml"
    tomlfile.read(path, hint="docs/scenarios.md")
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    rules = learned_rules.made(extended, picked, seen)
    trials = min(one.trials for one in picked)
    comment = f"{trials} trials of each of {ends}."
    new = learned_rules.written(text, rules, comment)
    # A new file with a name that nobody knows before: a link there is not written through.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            file.write(new)
        try:
            loaded = scenarios.load_file(draft)
        except BadInput as error:
            message = error.message.replace(str(draft), str(path))
            raise BadInput(f"these rules are refused: {message}", hint="another fact") from None
        if loaded.run_digest != scenario.run_digest:
            raise BadInput(
                f"{path}: its steps or files changed since the trials began: these rules are not of"
                " what it is now",
                hint="the same command again",
            )
        judged = replace(extended, outcomes=loaded.outcomes)
        if refused := learned_rules.refusal(judged, picked, seen):
            raise refused
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    names = listed([f"{rule.name!r} ({rule.verdict})" for rule in rules])
    print(f"{path}: {names} come before its other outcomes.")


def check(request: ScenarioCheck) -> int:
    """Print what is wrong with a scenario and may make it flaky; run it at a given revision."""
    scenario = scenarios.load(request.folder)
    found = list(doubts.static(scenario))
    if request.rev:
        with Display() as events:
            setup, variants = _prepared(request, scenario, (request.rev,), events)
            watch = Watch(setup, variants, request.trials or _CHECK)
            code = conduct(watch, setup)
            if request.dry_run:
                return code
        found += _of_trials(watch)
    elif request.trials:
        raise BadInput(
            f"trials need {words(ScenarioCheck, rev=True)}",
            hint=words(ScenarioCheck, rev="v0.26.0"),
        )
    if request.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        for one in sorted(found, key=lambda f: list(Level).index(f.level)):
            print(f"{one.level:5}  {printable(one.text)}")
        if not request.rev:
            print(f"{words(ScenarioCheck, rev='R')} also runs it, {_CHECK} trials in each cell.")
    return NO_ANSWER if any(one.level is Level.WRONG for one in found) else DONE


def _of_trials(watch: Watch) -> Iterable[Finding]:
    """Yield whether the trials of each cell agree, and which rules they match."""
    for (label, axes), cell in watch.cells.items():
        where = " ".join([label, *(f"{name}={value}" for name, value in axes)])
        counts = ", ".join(f"{name} {n} of {len(cell.judged)}" for name, n in cell.counts.items())
        trials = [trial.observation for trial in cell.trials]
        control = " (control)" if cell.scenario.is_control(axes) else ""
        agree = len(cell.counts) == 1
        text = f"{where}{control}: {cell.outcome.verdict}, {counts or cell.outcome.reason}"
        if not cell.judged or cell.outcome.name == ToolOutcome.CONTROL_FAILED:
            yield Finding(level=Level.WRONG, text=f"{text}; {cell.outcome.reason}")
        else:
            yield Finding(level=Level.OK if agree else Level.WRONG, text=text)
        yield from doubts.observed(cell.scenario, trials, cell.control, where)
