"""The facts that tell two ends apart, and the rules that are made of them."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_bisect.errors import BadInput, NoAnswer
from buildkit_bisect.model import (
    CacheConfig,
    CacheRecord,
    FileFacts,
    Observation,
    OutputFacts,
    StepResult,
    Verdict,
    Vertex,
)
from buildkit_bisect.scenario import Action, Axis, Condition, Scenario, Step, load
from buildkit_bisect.scenario.definition import DaemonIs
from buildkit_bisect.scenario.learned import Both, Difference, End, Kind, as_data, differences
from buildkit_bisect.scenario.learned_rules import BAD, GOOD, made, refusal, written
from buildkit_bisect.scenario.learned_steps import did, lacks_output, only
from buildkit_bisect.scenario.outcome import judge

RULE = replace(load("inline").outcomes[0], name="r", verdict=Verdict.WEAK, label=None)
MARK = "# Learned from "

STATES: dict[str, dict[str, Any]] = {
    "cached": {"cached": True, "started": True},
    "ran": {"started": True, "completed": True},
    "failed": {"started": True, "error": "no"},
}


def scenario(*ids: str, repeat: int = 1) -> Scenario:
    steps = tuple(Step(id=name, action=Action.BUILD, repeat=repeat) for name in ids or ("a", "b"))
    return Scenario(name="x", title="x", issue="", steps=steps, outcomes=())


def vertex(name: str, state: str = "ran", log: str = "", digest: str = "sha256:1") -> Vertex:
    return Vertex(name=name, digest=digest, log=log, **STATES[state])


def step(
    name: str, *vertices: Vertex, status: int = 0, stderr: str = "", late: bool = False
) -> StepResult:
    return StepResult(
        id=name, exit=status, seconds=1, stderr=stderr, timed_out=late, vertices=vertices
    )


def trial(*steps: StepResult, **more: Any) -> Observation:
    return Observation(steps=steps, seconds=1, **more)


def both(good: list[Observation], bad: list[Observation], **more: Any) -> Both:
    return Both(axes=(), good=End(trials=tuple(good), **more), bad=End(trials=tuple(bad), **more))


def found(good: list[Observation], bad: list[Observation], *ids: str) -> list[Difference]:
    return differences(scenario(*ids), [both(good, bad)])


def texts(differences_: list[Difference]) -> list[tuple[str, str, str]]:
    return [(one.kind.name, one.good_text, one.bad_text) for one in differences_]


STABLE = "[build 2/3] RUN echo stable > /stable"


def test_a_vertex_that_is_cached_and_one_that_runs() -> None:
    good = trial(step("a", vertex(STABLE)), step("b", vertex(STABLE, "cached")))
    bad = trial(step("a", vertex(STABLE)), step("b", vertex(STABLE)))
    one, *_ = found([good] * 2, [bad] * 2)
    assert one.kind is Kind.REUSE
    pattern = "RUN echo stable > /stable$"
    assert one.good == Condition(step="b", vertex=pattern, is_="cached")  # type: ignore[arg-type]
    assert one.bad == Condition(step="b", vertex=pattern, is_="ran")  # type: ignore[arg-type]
    assert one.good_text == 'in b, "RUN echo stable > /stable" is CACHED'
    assert (one.trials, one.separation) == (2, 0.75)


def test_the_number_of_a_step_in_its_stage_may_differ() -> None:
    good = trial(step("a", vertex("[build 2/3] RUN x", "cached")))
    bad = trial(step("a", vertex("[build 2/4] RUN x")))
    one, *_ = found([good] * 2, [bad] * 2)
    assert (one.kind, one.good_text) == (Kind.REUSE, 'in a, "RUN x" is CACHED')


def test_vertices_of_two_stages_with_one_command_are_told_apart() -> None:
    names = ("[one 2/3] RUN x", "[two 2/3] RUN x")
    good = trial(step("a", *(vertex(name, "cached") for name in names)))
    bad = trial(step("a", vertex(names[0], "cached"), vertex(names[1])))
    one, *_ = found([good] * 2, [bad] * 2)
    assert one.bad is not None
    assert one.bad.vertex == r"^\[two [0-9]+/[0-9]+\] RUN x$"
    assert one.bad_text == 'in a, "[two <number>/<number>] RUN x" runs: it is not CACHED'


def test_words_have_no_escapes_and_rules_have() -> None:
    """Of an issue that a variable's name brought: the words were those of the pattern."""
    run = "[2/2] RUN echo ${jammy:-x} | tee /a.b (c) 12345"
    good, bad = (trial(step("a", vertex(run, state))) for state in ("cached", "ran"))
    one, *_ = found([good] * 2, [bad] * 2)
    shown = "RUN echo ${jammy:-x} | tee /a.b (c) <number>"
    assert one.bad_text == f'in a, "{shown}" runs: it is not CACHED'
    rules = made(scenario("a", "b"), [one], [both([good] * 2, [bad] * 2)])
    assert [rule.means for rule in rules] == [one.good_text, one.bad_text]
    assert rules[1].all[1].vertex == (
        r"RUN echo \$\{jammy:-x\} \| tee /a\.b \(c\) [0-9]+$"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("good", "bad", "wanted"),
    [
        (step("a"), step("a", status=1), ("a exits 0", "a fails")),
        (step("a", status=1), step("a"), ("a fails", "a exits 0")),
        (step("a", status=1), step("a", status=2), ("a exits 1", "a exits 2")),
        (step("a"), step("a", status=1, late=True), ("a exits 0", "a times out")),
        (step("a", status=3), step("a", status=1, late=True), ("a exits 3", "a times out")),
    ],
)
def test_exits(good: StepResult, bad: StepResult, wanted: tuple[str, str]) -> None:
    (one,) = found([trial(good)] * 2, [trial(bad)] * 2)
    assert (one.kind, one.good_text, one.bad_text) == (Kind.EXIT, *wanted)


def test_what_a_vertex_prints_and_messages() -> None:
    def seen(log: str, stderr: str) -> Observation:
        return trial(step("a", vertex(STABLE, log=log), stderr=stderr))

    good = [seen(f"took 0.{n}s\nv1.{n}", f"id {n}0123456789abcdef") for n in range(3)]
    bad = [seen(f"took 1.{n}s\nmkdir: not a directory", "warning: lost") for n in range(3)]
    assert texts(found(good, bad)) == [
        ("LOG", "", 'in a, "RUN echo stable > /stable" prints "mkdir: not a directory"'),
        ("MESSAGE", "", 'a prints "warning: lost"'),
        ("MESSAGE", 'a prints "id <id>"', ""),
    ]


def test_a_vertex_of_one_end_only_comes_after_what_it_follows_from() -> None:
    good = trial(step("a", vertex("[1/2] RUN a"), vertex("[2/2] RUN b")))
    bad = trial(step("a", vertex("[1/2] RUN a", "failed"), status=1, stderr="failed to solve"))
    kinds = [one.kind for one in found([good] * 2, [bad] * 2)]
    assert kinds == [Kind.EXIT, Kind.FAILURE, Kind.MESSAGE, Kind.NUMBER, Kind.PRESENCE, Kind.DIGEST]


def test_digests_and_records_are_shown_and_are_no_rules() -> None:
    def exported(layers: tuple[str, ...], digest: str) -> StepResult:
        records = (CacheRecord(digest="1", layers=layers), CacheRecord(digest="2"))
        config = CacheConfig(records=records, layers=layers, form="image")
        return replace(step("a", vertex(STABLE, digest=digest)), export=config)

    good = trial(exported(("sha256:aa",), "sha256:1"))
    bad = trial(exported((), "sha256:2"))
    seen = found([good] * 2, [bad] * 2)
    assert [one.kind for one in seen] == [Kind.RECORDS, Kind.DIGEST, Kind.DIGEST]
    assert not any(one.good or one.bad for one in seen)
    assert seen[0].good_text == "a exports 2 records, 1 of them with layers"
    with pytest.raises(BadInput, match="none of these facts is of the bad end"):
        made(scenario(), seen[:1], [both([good] * 2, [bad] * 2)])


def test_a_daemon_that_dies_and_what_it_logs() -> None:
    good = trial(step("a"), daemon="running", daemon_log="level=warn msg=x")
    bad = trial(step("a"), daemon="died", daemon_log="level=warn msg=x\npanic: at 0xc000123abc")
    one, two = found([good] * 2, [bad] * 2)
    assert (one.kind, one.bad) == (Kind.DEATH, Condition(daemon=DaemonIs.DIED))
    assert one.good == Condition(not_=Condition(daemon=DaemonIs.DIED))
    assert (two.kind, two.bad_text) == (
        Kind.PANIC, 'the daemon\'s log has "panic: at <id>"',
    )  # fmt: skip
    cell = both([good] * 2, [bad] * 2)
    rules = made(scenario("a"), [one], [cell])
    assert refusal(replace(scenario("a"), outcomes=tuple(rules)), [one], [cell]) is None
    # A fact of no step: all steps are as they were at the good end.
    rules = made(scenario("a"), [two], [cell])
    assert [(c.step, c.exit) for c in rules[1].all] == [("a", "ok")]
    text = written(FILE, rules, "2 trials.")
    assert 'daemon_log = "panic: at [0-9a-fx]+"' in text


#: What two releases logged on one machine, as they started.
STARTS = (
    'level=error msg="CDI setup error /etc/cdi: failed to monitor for changes"',
    'level=warn msg="failed to get disk size"',
)


def test_what_a_daemon_logs_as_it_starts_is_shown_last_and_is_no_rule() -> None:
    good = trial(step("a", vertex(STABLE, digest="sha256:1")), daemon_log=STARTS[0])
    bad = trial(step("a", vertex(STABLE, digest="sha256:2")), daemon_log=STARTS[1])
    seen = found([good] * 2, [bad] * 2, "a")
    assert [one.kind for one in seen] == [Kind.DIGEST, Kind.DAEMON, Kind.DAEMON]
    assert not any(one.good or one.bad for one in seen)
    assert "failed to get disk size" in seen[2].bad_text
    assert only(seen) == "the daemon's log and digests"
    assert only(seen[1:]) == "the daemon's log"
    changed = replace(bad, steps=(step("a", status=1),))
    seen = found([good] * 2, [changed] * 2, "a")
    assert seen[0].kind is Kind.EXIT
    assert [one.kind for one in seen[-2:]] == [Kind.DAEMON, Kind.DAEMON]
    assert only(seen) == ""


def test_a_panic_is_found_after_many_other_lines() -> None:
    log = "\n".join([*(f"level=warn msg=w{n}x" for n in range(9)), "fatal error: all asleep"])
    one = found([trial(step("a"))] * 2, [trial(step("a"), daemon_log=log)] * 2, "a")[0]
    assert (one.kind, one.bad) == (Kind.PANIC, Condition(daemon_log="fatal error: all asleep"))


def test_what_each_step_did() -> None:
    build = step("a", vertex("x", "cached"), vertex("y"), vertex("z"))
    other = trial(step("a", status=1, late=True))
    cell = both([trial(build, step("b"))] * 2, [trial(build), trial(build), other])
    steps = scenario("a", "b").steps
    prune = replace(steps[1], action=Action.PRUNE)
    shown = replace(scenario(), steps=(steps[0], prune))
    one, two = did(shown, [replace(cell, axes=(("s", "native"),))], "v1", "v2")
    assert one == "v1 s=native (2 trials): a exits 0, vertices: 1 CACHED and 2 ran; b exits 0"
    assert two == (
        "v2 s=native (3 trials): a exits 0, vertices: 1 CACHED and 2 ran (2 of 3)"
        " or timed out, vertices: none (1 of 3)"
    )
    assert lacks_output(shown, [cell])
    assert not lacks_output(shown, [both([output()], [])])
    assert not lacks_output(replace(shown, steps=(prune,)), [cell])


def test_numbers_of_a_step() -> None:
    def seen(records: float, size: float) -> Observation:
        return trial(replace(step("a"), metrics={"bytes": size, "records": records}))

    good, bad = [seen(1, 500), seen(2, 900)], [seen(1, 1000.5), seen(1, 2000)]
    (one,) = found(good, bad, "a")
    assert one.kind is Kind.NUMBER
    assert one.good == Condition(step="a", metric="bytes", under="950.25")
    assert one.bad == Condition(step="a", metric="bytes", over="950.25")
    assert found([seen(1, 1e-12)] * 2, [seen(1, 2e-12)] * 2, "a") == []
    assert found([seen(1, 500), seen(1, 1500)], bad, "a") == []


def test_what_is_not_known_of_a_trial_is_no_difference() -> None:
    before, running = trial(step("a")), trial(step("a"), daemon="running")
    assert found([before] * 2, [running] * 2, "a") == []
    left_out = OutputFacts(name="out", kind="oci", left_out="more than 2000 files")
    unread = trial(replace(step("a"), outputs=(left_out,)))
    read = output(file("x", "one"))
    assert differences(with_output(), [both([read] * 2, [unread] * 2)]) == []


def output(*files: FileFacts, **documents: Any) -> Observation:
    facts = OutputFacts(name="out", kind="oci", files=files, documents=documents)
    return trial(replace(step("a"), outputs=(facts,)))


def with_output() -> Scenario:
    of = Step(id="a", action=Action.BUILD, outputs=({"type": "oci", "dest": "out"},))
    return replace(scenario("a"), steps=(of,))


def file(path: str, text: str = "", mode: int = 0o644) -> FileFacts:
    return FileFacts(path=path, kind="file", mode=mode, mtime=0, sha256=f"{text}{mode}", text=text)


def test_files_of_an_output() -> None:
    good = output(file("x", "one\ntwo\n"), file("m", mode=0o755), file("same"))
    bad = output(file("x", "one\n"), file("m"), file("same"), file("more"))
    seen = differences(with_output(), [both([good] * 2, [bad] * 2)])
    assert texts(seen) == [
        ("FILE", "in a, the file m has the mode 0755", "in a, the file m has the mode 0644"),
        ("FILE", "in a, the file more does not exist", "in a, the file more exists"),
        ("FILE", 'in a, the file x has "two"', ""),
    ]


def test_documents_of_an_image() -> None:
    def config(label: str, created: str, **more: Any) -> dict[str, Any]:
        return {"created": created, "config": {"Labels": {"a.b": label}, **more}}

    good = output(config=config("old", "2026-11-30T14:09:44Z"))
    bad = output(config=config("new", "2026-11-30T15:09:44Z", User="root"))
    seen = differences(with_output(), [both([good] * 2, [bad] * 2)])
    assert texts(seen) == [
        (
            "IMAGE",
            'in a, the image\'s config.config.Labels."a.b" has "old"',
            'in a, the image\'s config.config.Labels."a.b" has "new"',
        ),
        (
            "IMAGE",
            "in a, the image's config.config.User does not exist",
            'in a, the image\'s config.config.User has "root"',
        ),
    ]
    cell = both([good] * 2, [bad] * 2)
    rules = made(with_output(), seen, [cell])
    assert refusal(replace(with_output(), outcomes=tuple(rules)), seen, [cell]) is None


def test_inner_layers_are_compared_with_the_control() -> None:
    def exported(*layers: str) -> Observation:
        records = (
            CacheRecord(digest="1", layers=layers),
            CacheRecord(digest="2", layers=("sha256:2",), inputs=("1",)),
        )
        config = CacheConfig(records=records, layers=layers, form="image")
        return trial(replace(step("a"), export=config))

    control = exported("sha256:1")
    cell = both([exported("sha256:1")] * 2, [exported()] * 2, control=control)
    found_ = differences(scenario("a"), [cell])
    assert [one.kind for one in found_ if one.can_be_bad] == [Kind.LAYERS]


def test_what_differs_between_trials_of_one_end_is_left_out() -> None:
    states = ((0, "cached"), (1, "ran"))
    good = [trial(step("a", vertex(STABLE, state), status=n)) for n, state in states]
    bad = [trial(step("a", vertex(STABLE, "ran"), status=1))] * 2
    assert found(good, bad) == []


@pytest.mark.parametrize(("good", "bad"), [(1, 5), (5, 1), (0, 5), (1, 1)])
def test_facts_of_one_trial_never_make_a_rule(good: int, bad: int) -> None:
    with pytest.raises(NoAnswer, match="no cell has 2 trials of each end that are evidence"):
        found([trial(step("a"))] * good, [trial(step("a", status=1))] * bad)


def test_trials_that_are_no_evidence_do_not_count() -> None:
    lost = trial(step("a"), infra="the registry is gone")
    dead = trial(no_daemon="it exits 1")
    with pytest.raises(NoAnswer, match="the good end: the registry is gone and the bad end: it ex"):
        found([trial(step("a")), lost], [dead] * 3)
    (one,) = found([trial(step("a")), lost, trial(step("a"))], [trial(step("a", status=1))] * 3)
    assert one.trials == 2


def test_a_fact_of_more_cells_is_better() -> None:
    ok, failed, other = (trial(step("a", status=n), step("b", status=m)) for n, m in
                         ((0, 0), (1, 1), (0, 1)))  # fmt: skip
    cells = [
        replace(both([ok] * 3, [failed] * 3), axes=(("x", "1"),)),
        replace(both([ok] * 4, [other] * 2), axes=(("x", "2"),)),
    ]
    one, two = differences(scenario(), cells)
    assert (one.bad_text, len(one.cells), one.trials) == ("b fails", 2, 2)
    assert (two.bad_text, len(two.cells), two.trials) == ("a fails", 1, 3)


def test_repeated_steps_differ_in_every_run_or_in_some() -> None:
    def runs(*statuses: int) -> Observation:
        names = ("a", "a-2", "a-3")
        return trial(*(step(n, status=s) for n, s in zip(names, statuses, strict=True)))

    seen = differences(scenario("a", repeat=3), [both([runs(0, 0, 0)] * 2, [runs(0, 1, 0)] * 2)])
    assert len(seen) == 1
    assert seen[0].good == Condition(step="a", exit="ok", runs="every")
    assert seen[0].bad == Condition(step="a", exit="failed", runs="any")


def test_as_data() -> None:
    (one,) = found([trial(step("a"))] * 2, [trial(step("a", status=1))] * 2)
    data = as_data(one, 1)
    assert data["good_condition"] == {"step": "a", "exit": "ok"}
    assert (data["number"], data["kind"], data["separation"]) == (1, "exit", 0.75)


# --- properties --------------------------------------------------------------------------

LOGS = st.lists(
    st.sampled_from(["x", "y", "a.b", "(", "took 1.5s", "sha256:0011223344", "x y"]), max_size=3
).map("\n".join)


@st.composite
def results(draw: st.DrawFn) -> Observation:
    """A trial of two steps with up to three vertices."""
    steps = []
    for name in ("a", "b"):
        seen = [
            vertex(f"[s {n}/3] RUN {n}", draw(st.sampled_from(sorted(STATES))), draw(LOGS))
            for n in range(draw(st.integers(0, 3)))
        ]
        late = draw(st.booleans()) if draw(st.integers(0, 9)) == 0 else False
        steps.append(
            step(name, *seen, status=draw(st.integers(0, 2)), stderr=draw(LOGS), late=late)
        )
    return trial(*steps)


TRIALS = st.lists(results(), min_size=2, max_size=4)


@given(TRIALS, TRIALS)
@settings(max_examples=150, deadline=None)
def test_each_condition_holds_in_every_trial_of_its_end_and_in_none_of_the_other(
    good: list[Observation], bad: list[Observation]
) -> None:
    for one in found(good, bad):
        for condition, own, other, verdict in (
            (one.good, good, bad, Verdict.GOOD),
            (one.bad, bad, good, Verdict.BAD),
        ):
            if condition is None:
                continue
            rule = replace(RULE, all=(condition,), verdict=verdict)
            alone = replace(scenario(), outcomes=(rule,))
            assert all(judge(alone, seen, None).name == "r" for seen in own)
            assert not any(judge(alone, seen, None).name == "r" for seen in other)


@given(TRIALS, TRIALS, st.data())
@settings(max_examples=150, deadline=None)
def test_rules_give_each_trial_the_verdict_of_its_end(
    good: list[Observation], bad: list[Observation], data: st.DataObject
) -> None:
    seen = [one for one in found(good, bad) if one.good or one.bad]
    if not seen:
        return
    picked = data.draw(st.lists(st.sampled_from(seen), min_size=1, max_size=3, unique=True))
    cell = both(good, bad)
    try:
        rules = made(scenario(), picked, [cell])
    except BadInput:
        assert not all(one.good and one.bad for one in picked)
        return
    judged = replace(scenario(), outcomes=tuple(rules))
    assert refusal(judged, picked, [cell]) is None
    assert {judge(judged, one, None).verdict for one in good} == {Verdict.GOOD}
    assert {judge(judged, one, None).verdict for one in bad} == {Verdict.BAD}


@given(TRIALS)
@settings(max_examples=50, deadline=None)
def test_an_end_does_not_differ_from_itself(trials: list[Observation]) -> None:
    assert found(trials, trials) == []


@given(TRIALS, TRIALS)
@settings(max_examples=50, deadline=None)
def test_swapped_ends_swap_the_conditions(good: list[Observation], bad: list[Observation]) -> None:
    forward = {(d.kind, d.good, d.bad) for d in found(good, bad)}
    back = {(d.kind, d.bad, d.good) for d in found(bad, good)}
    assert forward == back


# --- in scenario.toml --------------------------------------------------------------------

FILE = """\
# A comment at the top.
schema = 1
name = "x"   # the name
title = "x"
issue = "https://github.com/moby/buildkit/issues/1"

[[steps]]
id = "a"
action = "build"
dockerfile = "Dockerfile"

# What the reporter wants.
[[outcomes]]
name = "fine"
verdict = "good"
means = '''
[[outcomes]]
'''
all = [
    { step = "a", vertex = "RUN x", is = "cached" },  # a comment in a rule
]
"""


def learned(text: str, comment: str = "3 trials.") -> str:
    good, bad = [trial(step("a"))] * 2, [trial(step("a", status=1))] * 2
    rules = made(scenario("a"), found(good, bad, "a"), [both(good, bad)])
    return written(text, rules, comment)


def test_the_rest_of_the_file_stays() -> None:
    text = learned(FILE)
    assert text.replace(text[text.index("# Learned") : text.index("# What")], "") == FILE
    names = [rule["name"] for rule in tomllib.loads(text)["outcomes"]]
    assert names == [GOOD, BAD, "fine"]
    assert "# Learned from 3 trials.\n[[outcomes]]\n" in text


def test_learning_again_replaces_the_rules() -> None:
    once = learned(FILE)
    assert learned(once) == once
    other = learned(once, "9 trials of x\nand more")
    assert "# Learned from 9 trials of x and more\n" in other
    assert other.count(MARK) == 1
    assert tomllib.loads(other) == tomllib.loads(once)
    assert FILE.splitlines()[-1] in other


def test_a_file_without_outcomes() -> None:
    start = FILE[: FILE.index("# What")]
    for text in (start, start.rstrip("\n"), start.replace("\n", "\r\n")):
        made_ = learned(text)
        assert made_.startswith(text)
        assert [rule["name"] for rule in tomllib.loads(made_)["outcomes"]] == [GOOD, BAD]
    assert learned(learned(start)) == learned(start)


def test_a_file_whose_outcomes_are_one_list_is_refused() -> None:
    inline = FILE[: FILE.index("[[steps]]")].replace("schema", "outcomes = []\nschema")
    with pytest.raises(BadInput, match="cannot be put into scenario"):
        learned(inline)


def test_the_rules_load(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "scenario.toml").write_text(learned(FILE))
    loaded = load(f"{tmp_path}/")
    assert [rule.name for rule in loaded.outcomes] == [GOOD, BAD, "fine"]
    assert [c.exit for c in loaded.outcomes[1].all] == ["failed"]


def test_rules_hold_the_exits_of_the_steps_that_they_are_about() -> None:
    good = [trial(step("a"), step("b", vertex(STABLE, "cached")))] * 2
    bad = [trial(step("a"), step("b", vertex(STABLE)))] * 2
    one, two = made(scenario(), found(good, bad)[:1], [both(good, bad)])
    assert [(c.step, c.exit) for c in one.all] == [("b", "ok"), ("b", "")]
    assert (one.verdict, two.verdict) == ("good", "bad")
    assert two.means == 'in b, "RUN echo stable > /stable" runs: it is not CACHED'
    failed = trial(step("a"), step("b", vertex(STABLE), status=1))
    judged = replace(scenario(), outcomes=(one, two))
    assert judge(judged, failed, None).verdict is Verdict.WEAK


def test_without_a_fact_of_the_good_end_what_ends_alike_and_is_not_bad_is_good() -> None:
    good = [trial(step("a", stderr="x"))] * 2
    bad = [trial(step("a", stderr="x\nlost"))] * 2
    one, two = made(scenario("a"), found(good, bad, "a"), [both(good, bad)])
    assert (one.name, two.name) == (BAD, GOOD)
    assert two.means == "a as at the good end, and not bad"


def test_rules_that_are_wrong_about_their_own_trials_are_refused() -> None:
    good, bad = [trial(step("a"))] * 2, [trial(step("a", status=1))] * 2
    cell = both(good, bad)
    picked = found(good, bad, "a")
    rules = tuple(made(scenario("a"), picked, [cell]))
    first = replace(RULE, all=(Condition(step="a", exit="0-1"),))
    above = replace(scenario("a"), outcomes=(first, *rules))
    wrong = refusal(above, picked, [cell])
    assert wrong
    assert "a trial of the good end is weak, r:" in wrong.message
    axes = {"s": Axis(values=("eager", "lazy"), controls=("eager",))}
    judged = replace(scenario("a"), outcomes=rules, axes=axes)
    controlled = replace(cell, axes=(("s", "lazy"),), bad=replace(cell.bad, control=bad[0]))
    told = [replace(one, cells=(controlled.axes,)) for one in picked]
    wrong = refusal(judged, told, [controlled])
    assert wrong
    assert "the control of the bad end in the cell s=lazy is bad" in wrong.message
    # In another cell both ends may be the same, but the good end is never bad.
    elsewhere = replace(cell, axes=(("s", "other"),), good=replace(cell.bad))
    wrong = refusal(judged, told, [elsewhere])
    assert wrong
    assert "a trial of the good end in the cell s=other is bad" in wrong.message
