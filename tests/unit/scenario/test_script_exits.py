"""What each exit code of a test script means, with and without options."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Observation, Outcome, StepResult
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Run
from buildkit_bisect.scenario import Scenario, from_script, outcome


def scenario(tmp_path: Path, options: str = "") -> Scenario:
    """Return a script's scenario with the options of a command line."""
    script = tmp_path / "t.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    given: dict[str, list[str]] = {}
    for word in shlex.split(options):
        name, _, value = word.partition("=")
        given.setdefault(name.replace("-", "_"), []).append(value)
    request = read(Run, {k: v if k == "outcome" else v[-1] for k, v in given.items()}, env={})
    return from_script(str(script), timeout=5, bad=request.script_bad, named=request.outcome)


def ended(made: Scenario, code: int, *, stderr: str = "", late: bool = False) -> Outcome:
    step = StepResult(id="script", exit=code, seconds=1.0, stderr=stderr, timed_out=late)
    return outcome.judge(made, Observation(steps=(step,), seconds=1.0), None)


def verdicts(made: Scenario) -> dict[int, str]:
    return {code: ended(made, code).verdict for code in range(-31, 256)}


SHELLS = "by the convention of shells, a program"
LINE = "; last line of output: b"

USUAL = {
    **dict.fromkeys(range(-31, 0), "weak"),
    0: "good",
    **dict.fromkeys(range(1, 125), "bad"),
    **dict.fromkeys((125, 126, 127), "skip"),
    **dict.fromkeys(range(128, 256), "weak"),
}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ("", {}),
        ("script-bad=127", {127: "bad"}),
        ("script-bad=126,127", {126: "bad", 127: "bad"}),
        ("script-bad=1-127", {126: "bad", 127: "bad"}),
        ("script-bad=3", {}),
        ("outcome=3=slow:good", {3: "good"}),
        ("outcome=3-5=slow:skip", {3: "skip", 4: "skip", 5: "skip"}),
        ("outcome=127=gone:good outcome=1=broken:bad", {127: "good"}),
        ("outcome=126-127=gone:bad", {126: "bad", 127: "bad"}),
        ("outcome=1-124=any:skip script-bad=127", {**dict.fromkeys(range(1, 125), "skip"),
                                                   127: "bad"}),
    ],
)  # fmt: skip
def test_the_verdict_of_every_status(tmp_path: Path, options: str, changed: dict[int, str]) -> None:
    assert verdicts(scenario(tmp_path, options)) == {**USUAL, **changed}


@pytest.mark.parametrize(
    ("options", "code", "name", "reason"),
    [
        ("", 1, "script-bad", "the script exited 1 to 124"),
        ("script-bad=127", 127, "script-bad", "the script exited 1 to 124 and 127"),
        ("outcome=3=slow:bad", 1, "script-bad", "the script exited 1 to 2 and 4 to 124"),
        ("outcome=3=slow:bad", 3, "slow", "the script exited 3"),
        ("outcome=3-9=slow:good", 4, "slow", "the script exited 3 to 9"),
        ("", 0, "script-good", "the script exited 0"),
        ("", 125, "script-skip", "the script exited 125: untestable; last line of output: b"),
        ("", 126, "program-not-executable", f"exit 126: {SHELLS} could not be executed{LINE}"),
        ("", 127, "program-not-found", f"exit 127: {SHELLS} was not found{LINE}"),
        ("outcome=3=odd:skip", 3, "odd", "the script exited 3; last line of output: b"),
        ("", 130, "unclassified", "no rule matched; step script exited 130: b"),
        ("", -9, "unclassified", "no rule matched; step script exited -9: b"),
    ],
)  # fmt: skip
def test_the_outcome_and_its_reason(
    tmp_path: Path, options: str, code: int, name: str, reason: str
) -> None:
    found = ended(scenario(tmp_path, options), code, stderr="a\nb\n\n")
    assert (found.name, found.reason) == (name, reason)


def test_a_skip_without_output_and_a_late_script(tmp_path: Path) -> None:
    made = scenario(tmp_path)
    assert ended(made, 127).reason.endswith("a program was not found; it printed nothing")
    assert ended(made, 127, late=True).verdict == "weak"


def test_rules_change_the_scenario_but_need_no_new_trials(tmp_path: Path) -> None:
    usual, named = scenario(tmp_path), scenario(tmp_path, "outcome=3=slow:bad")
    assert usual.run_digest == named.run_digest
    assert usual.digest != named.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *((f"script-bad={code}", why) for code, why in (
            ("0", "0 is always good"), ("0-3", "0 is always good"), ("125", "125 is always skip"),
            ("128", "128 is above 127, where shells report signals: it is no verdict"),
            ("100-139", "139 is above 127"), ("256", "256 is above 127"),
            ("9-3", "9 is greater than 3"), ("x", "'x' is neither an exit code nor a range"),
            ("-1", "'-1' is neither an exit code"), ("1,", "'' is neither an exit code"),
            ("1-", "'1-' is neither"), ("٣", "is neither an exit code"),
            ("1,1", "has exit code 1 twice"), ("1-5,3", "has exit code 3 twice"),
        )),
        *((f"outcome={text}", why) for text, why in (
            ("3", "is not CODE=NAME:VERDICT"), ("3=slow", "is not CODE=NAME:VERDICT"),
            ("3=:bad", "is not CODE=NAME:VERDICT"), ("3=Slow:bad", "with a plain name (a-z, 0-9"),
            ("3=slow:weak", "'weak' is not one of good, bad, skip"),
            ("3=slow:infra", "'infra' is not one of good, bad, skip"),
            ("3=flaky:bad", "flaky is an outcome that exists without it"),
            ("3=script-bad:good", "script-bad is an outcome that exists without it"),
            ("127=program-not-found:bad", "program-not-found is an outcome that exists"),
            ("0=fine:bad", "0 is always good"), ("125=x:bad", "125 is always skip"),
            ("120-127=x:bad", "125 is always skip"), ("137=oom:bad", "137 is above 127"),
        )),
        ("outcome=3=a:bad outcome=3=b:bad", "'3=b:bad' and '3=a:bad' both have exit code 3"),
        ("outcome=3-6=a:bad outcome=5=b:bad", "both have exit code 5"),
        ("outcome=3=a:bad outcome=4=a:bad", "'4=a:bad' and '3=a:bad' have the same name"),
        ("outcome=3=a:bad script-bad=3", "--outcome 3=a:bad both have exit code 3"),
    ],
)  # fmt: skip
def test_a_code_has_one_meaning(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        scenario(tmp_path, options)
    assert message in raised.value.message
    assert raised.value.message.startswith(("--script-bad", "--outcome"))
    assert "\n" not in raised.value.message
    assert raised.value.hint


def test_the_command_repeats_them(tmp_path: Path) -> None:
    request = read(
        Run, {"rev": "v1", "script_bad": "127", "outcome": ["3=slow:bad", "7-9=odd:skip"]}, env={}
    )
    assert request.command == (
        "./inv run --rev v1 --script-bad 127 --outcome=3=slow:bad --outcome=7-9=odd:skip"
    )
