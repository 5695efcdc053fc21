"""Conditions about output files, images and the daemon: what holds, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import buildctl, scenario, solve_status
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import (
    FileFacts,
    Observation,
    OutputFacts,
    StepResult,
    Verdict,
    Vertex,
)
from buildkit_bisect.scenario import Condition, Scenario, document_path, kept_text, wording
from buildkit_bisect.scenario.conditions import holds, holds_in_trial
from buildkit_bisect.scenario.definition import DaemonIs, VertexIs
from buildkit_bisect.scenario.kept_text import DAEMON_LOG_LIMIT
from buildkit_bisect.scenario.outcome import judge
from buildkit_bisect.scenario.reproduction import script


def file(path: str, text: str | None = "hello\n", **facts: Any) -> FileFacts:
    usual = {"mode": 0o644, "mtime": 5, "size": len(text or ""), "sha256": f"sha-{text}"}
    return FileFacts(path=path, kind="file", text=text, **{**usual, **facts})


OUT = OutputFacts(
    name="out", kind="local", files=(file("d/f"), FileFacts(path="d", kind="directory", mode=0o700,
    mtime=5), file("binary", None, size=3), file("long", "abc", size=9000)),
)  # fmt: skip
CUT = replace(OUT, left_out="it has more than 2000 files")
IMAGE = OutputFacts(
    name="o.tar", kind="oci", files=(file("d/f"),), too_large=("attestations",),
    documents={
        "config": {"config": {"Labels": {"a.b": "c"}, "User": None}, "history": [{"n": 1}, {}]},
        "layers": [],
    },
)  # fmt: skip


def step(*outputs: OutputFacts, name: str = "go") -> StepResult:
    return StepResult(id=name, exit=0, seconds=1, outputs=outputs)


@pytest.mark.parametrize(
    ("facts", "output", "known"),
    [
        ({"exists": True}, OUT, True),
        ({"exists": False}, OUT, False),
        ({"content": "^hel"}, OUT, True),
        ({"content": "bye"}, OUT, False),
        ({"mode": "0644"}, OUT, True),
        ({"mode": "644"}, OUT, True),
        ({"mode": "0755"}, OUT, False),
        ({"mtime": 5}, OUT, True),
        ({"mtime": 0}, OUT, False),
        ({"content": "hel", "mode": "0755"}, OUT, False),
        ({"file": "./d//f", "exists": True}, OUT, True),
        ({"file": "d", "mode": "0700"}, OUT, True),
        ({"file": "d", "content": "x"}, OUT, False),
        ({"file": "g", "exists": True}, OUT, False),
        ({"file": "g", "exists": False}, OUT, True),
        ({"file": "g", "content": "x"}, OUT, False),
        ({"file": "binary", "content": "x"}, OUT, None),
        ({"file": "binary", "content": "x", "mode": "0755"}, OUT, False),
        ({"file": "long", "content": "abc"}, OUT, True),
        ({"file": "long", "content": "x"}, OUT, None),
        ({"file": "g", "exists": False}, CUT, None),
        ({"file": "g", "exists": True}, CUT, None),
        ({"exists": True}, CUT, True),
        ({"output": "out", "exists": True}, OUT, True),
        ({"output": "other", "exists": True}, OUT, None),
    ],
)
def test_a_file(facts: dict[str, Any], output: OutputFacts, known: bool | None) -> None:
    condition = Condition(step="go", **{"file": "d/f", **facts})
    assert holds(condition, step(output), None) is known


@pytest.mark.parametrize(
    ("path", "facts", "known"),
    [
        ('config.config.Labels."a.b"', {"matches": "^c$"}, True),
        ('config.config.Labels."a.b"', {"matches": "^d$"}, False),
        ("config.config.Labels.b", {"exists": False}, True),
        ("config.config.Labels.b", {"exists": True}, False),
        ("config.config.User", {"exists": True}, True),
        ("config.config.User", {"matches": "null"}, True),
        ("config.config.User.x", {"exists": True}, False),
        ("config.history[0]", {"matches": '^{"n": 1}$'}, True),
        ("config.history[-1].n", {"exists": True}, False),
        ("config.history[2]", {"exists": False}, True),
        ("config[0]", {"exists": True}, False),
        ("layers[0]", {"exists": False}, True),
        ("manifest", {"exists": False}, True),
        ("attestations[0]", {"exists": False}, None),
        ("attestations[0]", {"matches": "x"}, None),
    ],
)
def test_a_document(path: str, facts: dict[str, Any], known: bool | None) -> None:
    assert document_path.problem(path) == ""
    assert holds(Condition(step="go", image=path, **facts), step(OUT, IMAGE), None) is known


def test_nothing_is_known_of_an_output_that_was_not_written() -> None:
    for exists in (False, True):
        assert holds(Condition(step="go", file="f", exists=exists), step(), None) is None
        image = Condition(step="go", image="config.x", exists=exists)
        assert holds(image, step(OUT), None) is None


@pytest.mark.parametrize(
    ("other", "known"),
    [
        (OUT, True),
        (replace(OUT, name="other", kind="tar"), True),
        (replace(OUT, files=(file("d/f", "other\n"),)), False),
        (replace(OUT, files=(file("d/f", sha256=""),)), None),
        (replace(OUT, files=(replace(file("d/f"), kind="link"),)), False),
        (replace(OUT, files=()), False),
        (replace(CUT, files=()), None),
    ],
)
def test_the_same_file_in_another_step(other: OutputFacts, known: bool | None) -> None:
    condition = Condition(step="go", file="d/f", same_as="there")
    seen = Observation(steps=(step(OUT), step(other, name="there")), seconds=1)
    assert holds(condition, seen.steps[0], None, seen) is known
    alone = replace(seen, steps=seen.steps[:1])
    assert holds(condition, alone.steps[0], None, alone) is None


def test_the_same_value_in_another_step() -> None:
    changed = replace(IMAGE, documents={**IMAGE.documents, "layers": [{"digest": "x"}]})
    seen = Observation(steps=(step(IMAGE), step(changed, name="there")), seconds=1)
    for path, known in (("config", True), ("layers", False), ("attestations", None)):
        condition = Condition(step="go", image=path, same_as="there")
        assert holds(condition, seen.steps[0], None, seen) is known
    absent = Condition(step="go", image="config.nothing", same_as="there")
    assert holds(absent, seen.steps[0], None, seen) is False


@pytest.mark.parametrize(
    ("facts", "seen", "known"),
    [
        ({"daemon": DaemonIs.DIED}, {"daemon": "died"}, True),
        ({"daemon": DaemonIs.DIED}, {"daemon": "running"}, False),
        ({"daemon": DaemonIs.DIED}, {}, None),
        ({"daemon_log": "panic: "}, {"daemon_log": "panic: x"}, True),
        ({"daemon_log": "panic: "}, {"daemon_log": "error"}, False),
        ({"daemon_log": "panic: "}, {"daemon_log": "x" * DAEMON_LOG_LIMIT}, None),
        ({"daemon": DaemonIs.DIED, "daemon_log": "x"}, {"daemon_log": "y"}, False),
    ],
)
def test_the_daemon(facts: dict[str, Any], seen: dict[str, Any], known: bool | None) -> None:
    trial = Observation(steps=(), seconds=1, **seen)
    condition = Condition(**facts)
    assert holds_in_trial(condition, Verdict.BAD, {}, trial, None, compared={}) is known
    opposite = holds_in_trial(Condition(not_=condition), Verdict.BAD, {}, trial, None, compared={})
    assert opposite is (None if known is None else not known)


def vertex(name: str, began: float | None, ended: float | None) -> Vertex:
    took = None if began is None or ended is None else ended - began
    return Vertex(
        name=name, digest=f"{name} {began}", started=True, began=began, ended=ended, took=took
    )


TIMED = StepResult(
    id="go", exit=0, seconds=9,
    vertices=(vertex("a 1", 0, 2), vertex("a 2", 1, 5), vertex("b", 5, 5.5), vertex("c", 4, 6),
              vertex("open", 3, None), vertex("old", None, None)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({"vertex": "a", "took": "> 3"}, True),
        ({"vertex": "a", "took": "> 4"}, False),
        ({"vertex": "a", "took": "<4.5"}, True),
        ({"vertex": "a", "took": "< 3"}, False),
        ({"vertex": "x", "took": "> 0"}, False),
        ({"vertex": "x", "took": "< 9"}, False),
        ({"vertex": "open", "took": "> 1"}, None),
        ({"vertex": "open|a", "took": "> 3"}, True),
        ({"vertex": "open|a", "took": "< 3"}, False),
        ({"vertex": "open|a", "took": "< 9"}, None),
        ({"vertex": "a", "before": "^b"}, True),
        ({"vertex": "a", "before": "^[bc]$"}, False),
        ({"vertex": "a 1", "before": "c"}, True),
        ({"vertex": "a", "before": "x"}, False),
        ({"vertex": "x", "before": "a"}, False),
        ({"vertex": "a 1", "before": "open"}, True),
        ({"vertex": "open", "before": "b"}, None),
        ({"vertex": "a", "before": "old"}, None),
        ({"vertex": "a 1|b", "before": "b"}, True),
    ],
)
def test_the_time_and_order_of_vertices(facts: dict[str, Any], known: bool | None) -> None:
    assert holds(Condition(step="go", **facts), TIMED, None) is known


ONE = vertex("RUN test", 0, 1)


def test_a_vertex_is_not_before_itself() -> None:
    alone = StepResult(id="go", exit=0, seconds=9, vertices=(ONE,))
    condition = Condition(step="go", vertex="RUN", before="RUN test")
    assert holds(condition, alone, None) is False
    two = replace(alone, vertices=(ONE, vertex("RUN x", 0, 2)))
    assert holds(condition, two, None) is False
    assert holds(condition, replace(two, vertices=(vertex("RUN x", 3, 4), ONE)), None) is False
    later = replace(two, vertices=(vertex("RUN x", -2, -1), ONE))
    assert holds(condition, later, None) is True


PENDING = Vertex(name="RUN test", digest="p")
CACHED = replace(PENDING, digest="c", cached=True)
OTHER = Vertex(name="FROM", digest="f", started=True, error="no such image")
STATES = [VertexIs.CACHED, VertexIs.RAN, VertexIs.FAILED, VertexIs.ABSENT]


@pytest.mark.parametrize(
    ("how", "vertices", "known"),  # known: of cached, ran, failed, absent
    [
        ({}, (CACHED,), (True, False, False, False)),
        ({}, (), (False, False, False, True)),
        ({}, (PENDING,), (None, False, False, False)),
        ({}, (PENDING, CACHED), (None, False, False, False)),
        ({}, (PENDING, ONE), (False, True, False, False)),
        ({"exit": 1}, (OTHER,), (None, False, False, True)),
        ({"exit": 1}, (OTHER, PENDING), (None, False, False, False)),
        ({"exit": 1}, (OTHER, replace(ONE, error="x")), (False, False, True, False)),
        ({"exit": 1}, (), (None, None, None, None)),
        ({"timed_out": True}, (OTHER,), (None, None, None, None)),
        ({"timed_out": True}, (PENDING,), (None, None, None, False)),
    ],
)
def test_what_a_build_did_not_come_to_is_not_known(
    how: dict[str, Any], vertices: tuple[Vertex, ...], known: tuple[bool | None, ...]
) -> None:
    seen = StepResult(id="go", **{"exit": 0, "seconds": 1, **how}, vertices=vertices)
    asked = [Condition(step="go", vertex="RUN test", is_=state) for state in STATES]
    assert tuple(holds(condition, seen, None) for condition in asked) == known


def test_what_a_build_that_told_nothing_printed_is_not_known() -> None:
    seen = StepResult(id="go", exit=1, seconds=1)
    asked: list[dict[str, Any]] = [
        {"log": "x"}, {"took": "> 1"}, {"took": "< 1"}, {"before": "y"}
    ]  # fmt: skip
    for facts in asked:
        condition = Condition(step="go", vertex="RUN", **facts)
        assert holds(condition, seen, None) is None
        assert holds(condition, replace(seen, exit=0), None) is False


@pytest.mark.parametrize(
    ("text", "parts", "known"),
    [
        ("begin", (True, False), True),
        (r"\Abegin$", (True, False), True),
        ("^end", (True, False), None),
        ("las$", (True, False), None),
        (r"las\z", (True, False), None),
        (r"\blas\b", (True, False), None),
        (r"[a-z]\z", (True, False), None),
        ("(?s)begin.*", (True, False), True),
        ("other", (True, False), None),
        (r"st\z", (False, True), True),
        ("^st$", (False, True), None),
        (r"\Ast", (False, True), None),
        (r"\Bst", (False, True), None),
        ("other", (True, True), False),
        ("^last$", (True, True), True),
    ],
)
def test_the_end_of_a_part_is_no_end(
    text: str, parts: tuple[bool, bool], known: bool | None
) -> None:
    """The text is "begin", a line break and "last"; of the latter "las" or "st" is known."""
    begins, ends = parts
    kept = "begin\nlast" if begins and ends else "begin\nlas" if begins else "st"
    part = kept_text.Part(text=kept, before=not begins, after=not ends)
    assert kept_text.searched(text, [part]) is known


def test_texts_that_are_cut() -> None:
    limit = solve_status.MESSAGES_LIMIT
    whole = StepResult(id="go", exit=0, seconds=1, stderr="y" * (limit - 1))
    prints = Condition(step="go", stderr=r"\Ay")
    assert holds(prints, whole, None) is True
    assert holds(prints, replace(whole, stderr="y" * limit), None) is None
    # a list of requests has a line about the rest, which is not one of them
    listed = replace(whole, stderr="[7 characters left out]\n" + "y" * limit)
    assert holds(Condition(step="go", stderr="left out"), listed, None) is None
    # a vertex's log
    log = solve_status.clipped("first\n" + "z" * 2 * limit + "\nlast")
    ran = replace(whole, vertices=(replace(ONE, log=log),))
    for pattern, known in (
        (r"\Afirst$", True), (r"^last\z", True), ("characters left out", None), ("^z", True),
        ("z$", True), (r"\Az", None), ("w", None), ("^zzz+$", None),
    ):  # fmt: skip
        assert holds(Condition(step="go", vertex="RUN", log=pattern), ran, None) is known, pattern
    # a file
    short = replace(OUT, files=(file("d/f", "a" * 8192, size=8192),))
    ends = Condition(step="go", file="d/f", content=r"a\z")
    assert holds(ends, step(short), None) is True
    cut = replace(OUT, files=(file("d/f", "a" * 8192, size=8193),))
    assert holds(ends, step(cut), None) is None
    # with a secret in it, whose placeholder is longer
    hidden = replace(OUT, files=(file("d/f", "a" * 9000, size=8500),))
    assert holds(ends, step(hidden), None) is None
    # the middle of the daemon's log
    text = buildctl.notable(["panic: a", "x", "[5 bytes left out]", "error", "panic: b"])
    seen = Observation(steps=(), seconds=1, daemon_log=text)
    for pattern, known in (("panic: a", True), ("panic: b", True), ("panic: c", None),
                           ("a$", None), ("left out", None), (r"\Apanic", True)):  # fmt: skip
        condition = Condition(daemon_log=pattern)
        assert holds_in_trial(condition, Verdict.BAD, {}, seen, None, compared={}) is known, pattern


def test_a_file_below_a_link_is_not_known() -> None:
    """``bin/sh`` where ``bin`` is a link to ``usr/bin``, as in images of Debian."""
    link = FileFacts(path="bin", kind="link", mode=0o777, mtime=5, size=7, text="usr/bin")
    linked = replace(OUT, files=(link, file("usr/bin/sh")))
    for facts, known in (
        ({"file": "bin/sh", "exists": False}, None),
        ({"file": "bin/sh", "exists": True}, None),
        ({"file": "bin/sh", "content": "x"}, None),
        ({"file": "bin", "exists": True}, True),
        ({"file": "bin2/sh", "exists": False}, True),
        # a directory without an entry of its own
        ({"file": "usr/bin", "exists": False}, False),
        ({"file": "usr", "mode": "0755"}, None),
    ):
        assert holds(Condition(step="go", **facts), step(linked), None) is known, facts
    seen = Observation(steps=(step(OUT), step(linked, name="there")), seconds=1)
    plain = replace(OUT, files=(file("bin/sh"),))
    same = Condition(step="go", file="bin/sh", same_as="there")
    assert holds(same, step(plain), None, seen) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("labels", "does not begin with one of index, manifest, config"),
        ("config.", "is not a path such as"),
        ("config..x", "is not a path such as"),
        ("config[x]", "is not a path such as"),
        ('config."', "is not a path such as"),
        ("config.a b", "quote a key that has dots"),
        ("config." + "x" * 500, "longer than 500 characters"),
        ("", "does not begin"),
    ],
)
def test_paths_that_are_not_valid(path: str, problem: str) -> None:
    assert problem in document_path.problem(path)


def test_a_path_as_a_jq_filter() -> None:
    path = 'config.config.Labels."a.b"[-1]'
    assert document_path.jq(path) == '.["config"]["config"]["Labels"]["a.b"][-1]'


HEAD = """
schema = 1
name = "x"
title = "x"
issue = "https://example.org/1"

[[steps]]
id = "first"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "local", dest = "out" }]

[[steps]]
id = "both"
action = "build"
dockerfile = "Dockerfile"
outputs = [
  { type = "oci", dest = "o.tar" },
  { type = "image", name = "${registry}/x:1", push = "true" },
]

[[steps]]
id = "hidden"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "image", name = "${registry}/y:1" }]

[[steps]]
id = "none"
action = "prune"
"""


def loaded(tmp_path: Path, *rules: str) -> Scenario:
    """The scenario with rules, each a verdict and its list of conditions."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    text = "".join(
        f'[[outcomes]]\nname = "{rule.partition(" ")[0]}-{number}"\nmeans = "m"\n'
        f'verdict = "{rule.partition(" ")[0]}"\nall = [{rule.partition(" ")[2]}]\n'
        for number, rule in enumerate(rules)
    )
    (tmp_path / "scenario.toml").write_text(HEAD + text)
    return scenario.load(str(tmp_path))


FIRST, BOTH = "{ step = 'first', file = 'f',", "{ step = 'both', output = 'o.tar',"
X = "{ step = 'first', vertex = 'x',"

MISTAKES = [
    (
        '{ step = "first", file = "f" }',
        "all[0]: file needs one of content, mode, mtime, exists, same",
    ),
    (
        '{ step = "first", file = "/f", exists = true }',
        "all[0].file: '/f' is not a path inside the ou",
    ),
    ('{ step = "first", file = "a/../b", exists = true }', "all[0].file: 'a/../b' is not a path"),
    (
        '{ step = "first", file = "f", mode = "rwx" }',
        "all[0].mode: 'rwx' is not permission bits such",
    ),
    ('{ step = "first", file = "f", mode = "0888" }', "all[0].mode: '0888' is not permission bits"),
    ('{ step = "first", file = "f", content = "(" }', "all[0].content: not a valid RE2 regular"),
    (
        '{ step = "first", file = "f", matches = "x" }',
        "all[0].matches: is not for file; file takes",
    ),
    (
        '{ step = "first", file = "f", mtime = "1" }',
        "all[0].mtime: must be a whole number, not a text",
    ),
    ('{ step = "first", file = "f", exists = "yes" }', "all[0].exists: must be true or false"),
    (
        '{ step = "first", file = "f", exists = false, mode = "0644" }',
        "all[0]: can never match: what does not exist has no mode",
    ),
    ('{ step = "first", exit = "ok", exists = true }', "all[0]: exists needs file or image"),
    ('{ step = "first", exit = "ok", output = "out" }', "all[0]: output needs file or image"),
    (
        '{ step = "both", file = "f", image = "config", exists = true }',
        "all[0]: has file and image: write two conditions",
    ),
    (
        '{ step = "first", output = "oot", file = "f", exists = true }',
        "all[0].output: 'oot' is not one of out; did you mean out?",
    ),
    (
        '{ step = "both", file = "f", exists = true }',
        "all[0]: both has several outputs: output must be one of o.tar, ${registry}/x:1",
    ),
    (
        '{ step = "hidden", file = "f", exists = true }',
        "all[0]: can never match: hidden has no output with files (local, tar, oci, docker",
    ),
    ('{ step = "none", file = "f", exists = true }', "all[0]: can never match: none has no output"),
    (
        '{ step = "first", image = "config", exists = true }',
        "all[0]: can never match: first has no output with an image (oci, docker, or an image that",
    ),
    (
        '{ step = "both", image = "labels", exists = true }',
        "all[0].image: 'labels' does not begin with",
    ),
    (
        '{ step = "both", output = "o.tar", image = "config" }',
        "all[0]: image needs one of matches, exis",
    ),
    (
        '{ step = "both", output = "o.tar", image = "config", mode = "0644" }',
        "all[0].mode: is not for image; image takes matches, exists, same_as",
    ),
    (
        '{ step = "first", file = "f", same_as = "frist" }',
        "all[0].same_as: unknown step 'frist'; did you mean first?",
    ),
    (
        '{ step = "first", file = "f", same_as = "first" }',
        "all[0].same_as: is the step itself, which runs once",
    ),
    (
        '{ step = "first", file = "f", same_as = "none" }',
        "all[0].same_as: can never match: none has no",
    ),
    (
        '{ step = "first", file = "f", same_as = "both" }',
        "all[0].same_as: both has several outputs: output must be one of o.tar, ${registry}/x:1",
    ),
    ('{ step = "first", took = "> 5" }', "all[0]: vertex must be used together with is, log, took"),
    (
        '{ step = "first", vertex = "x" }',
        "all[0]: vertex must be used together with is, log, took or",
    ),
    (
        "{ step = 'first', vertex = 'x', took = '5' }",
        "all[0].took: '5' is not a bound in seconds such",
    ),
    (
        "{ step = 'first', vertex = 'x', took = '< 0' }",
        "all[0].took: '< 0' is not a bound in seconds",
    ),
    ("{ step = 'first', vertex = 'x', before = '(' }", "all[0].before: not a valid RE2 regular"),
    (
        "{ step = 'first', vertex = 'x', is = 'absent', took = '> 1' }",
        "all[0]: can never match: a vertex that is absent has no time",
    ),
    (
        "{ step = 'first', vertex = 'x', is = 'absent', before = 'y' }",
        "all[0]: can never match: a vertex that is absent started before no other",
    ),
    (
        f"{X} took = '> 5' }}, {X} took = '<5' }}",
        ": can never match: contradictory conditions on step 'first'",
    ),
    (
        f"{X} took = '> 5' }}, {{ not = {X} took = '> 4' }} }}",
        ": can never match: contradictory conditions on step 'first'",
    ),
    ('{ daemon = "dead" }', "all[0].daemon: 'dead' is not one of died"),
    ('{ daemon_log = "(" }', "all[0].daemon_log: not a valid RE2"),
    (
        '{ step = "first", daemon = "died" }',
        "all[0]: daemon and daemon_log are of no step: write two",
    ),
    ('{ daemon = "died", exit = "ok" }', "all[0]: daemon and daemon_log are of no step: write two"),
    (
        '{ exit = "ok" }',
        "all[0]: needs step with exit, stderr, vertex, inner_layers, metric, file",
    ),
    ("{ any = [] }", "all[0]: needs step with"),
    ('{ any = [{ step = "first" }] }', "all[0].any[0]: needs exit, stderr, vertex"),
    ('{ not = { step = "frist", exit = "ok" } }', "all[0].not.step: unknown step 'frist'"),
    ('{ not = { step = "first", exit = "ok" }, exit = "ok" }', "all[0]: not must be the only key"),
    ('{ any = [{ daemon = "died" }], step = "first" }', "all[0]: any must be the only key of a"),
    ('{ any = { daemon = "died" } }', "all[0].any: must be a list, not a table"),
    ('{ not = [{ daemon = "died" }] }', "all[0].not: must be a table, not a list"),
    ('{ not = { not = { colour = "x" } } }', "all[0].not.not.colour: unknown key"),
    (
        "{ not = { not = { not = { not = { not = { not = { daemon = 'died' } } } } } } }",
        "all[0].not.not.not.not.not: any and not are nested more than 5 times",
    ),
    (
        f"{FIRST} mode = '0644' }}, {FIRST} mode = '755' }}",
        ": can never match: contradictory conditions on step 'first'",
    ),
    (
        f"{FIRST} exists = false }}, {FIRST} content = 'x' }}",
        ": can never match: contradictory conditions on step 'first'",
    ),
    (
        f"{BOTH} image = 'config.x', exists = false }}, {BOTH} image = 'config.x', matches = 'x'}}",
        ": can never match: contradictory conditions on step 'both'",
    ),
    (
        '{ daemon = "died" }, { not = { daemon = "died" } }',
        ": can never match: contradictory conditions on the daemon",
    ),
]


@pytest.mark.parametrize(("conditions", "message"), MISTAKES)
def test_mistakes_are_named(tmp_path: Path, conditions: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        loaded(tmp_path, f"bad {conditions}")
    start = f"{tmp_path}/scenario.toml: outcomes[0]"
    assert raised.value.message.startswith(f"{start}{'' if message[0] == ':' else '.'}{message}")


def test_keys_with_dots_that_are_nested_too_deeply(tmp_path: Path) -> None:
    """tomllib reads these without recursion."""
    with pytest.raises(BadInput, match="nested too deeply"):
        loaded(tmp_path, f"bad {{ {'.'.join(['not'] * 3000)}.daemon = 'died' }}")


def test_files_and_modes_that_differ_do_not_clash(tmp_path: Path) -> None:
    loaded(
        tmp_path,
        f"bad {FIRST} mode = '0644' }}, {{ step = 'first', file = 'g', mode = '755' }}",
        'good { step = "both", output = "o.tar", file = "f", exists = false },'
        ' { step = "both", output = "${registry}/x:1", file = "f", exists = true }',
    )


def test_a_rule_may_skip(tmp_path: Path) -> None:
    made = loaded(tmp_path, 'skip { step = "first", exit = "failed" }', 'skip { daemon = "died" }')
    failed = StepResult(id="first", exit=1, seconds=1, stderr="one\ntwo\n")
    outcome = judge(made, Observation(steps=(failed,), seconds=1), None)
    assert (outcome.verdict, outcome.reason) == (Verdict.SKIP, "m; last line of output: two")
    dead = Observation(steps=(), seconds=1, daemon="died")
    assert judge(made, dead, None).reason == "m"


def test_a_weak_rule_about_a_failure_says_how_it_failed(tmp_path: Path) -> None:
    first, both = (f'{{ step = "{name}", exit = "failed" }}' for name in ("first", "both"))
    made = loaded(tmp_path, f"weak {{ any = [{first}, {both}] }}", f"weak {{ not = {first} }}")

    def reason(*steps: StepResult) -> str:
        return judge(made, Observation(steps=steps, seconds=1), None).reason

    fails = StepResult(id="both", exit=1, seconds=1, stderr="one\nerror: no such file\n")
    ok = StepResult(id="first", exit=0, seconds=1, stderr="warning")
    assert reason(ok, fails) == "m; step both exited 1: error: no such file"
    assert reason(replace(ok, exit=2, stderr=" "), fails) == (
        "m; step first exited 2: nothing on stderr"
    )
    assert reason(replace(ok, timed_out=True)) == "m; step first timed out"
    assert reason(ok) == "m"


def test_words_and_commands_for_every_condition(tmp_path: Path) -> None:
    made = loaded(
        tmp_path,
        'good { step = "first", file = "./d/f", content = "it\'s", mode = "0644", mtime = 5 }',
        'bad { any = [{ step = "first", file = "f", exists = false },'
        ' { not = { step = "both", output = "o.tar", image = "config.x", matches = "y" } }] }',
        'bad { step = "both", output = "${registry}/x:1", file = "f", same_as = "first" }',
        'skip { daemon = "died", daemon_log = "panic: " }',
        "bad { step = 'first', vertex = '^a', took = '< 1.50', before = 'b' }",
    )
    words = "\n".join(wording.rules(made))
    assert (
        'in first, the file ./d/f has "it\'s" and has the mode 0644 and was modified at 5.' in words
    )
    assert (
        "(in first, the file f does not exist) or "
        '(not (in both, the image\'s config.x of o.tar has "y")).' in words
    )
    assert "the file f of ${registry}/x:1 is the same as in first" in words
    assert 'the daemon died; the daemon\'s log has "panic: "' in words
    assert 'in first, "^a" takes under 1.5 s; in first, "^a" ends before "b" starts.' in words
    text = script(made, ())
    assert "-- first, ^a before b'\norder first.log a '.*(?:b)'\n" in text
    assert "-- first, ./d/f of out'\nfile out d/f\n" in text
    assert """documents o.tar | jq '.["config"]["x"]'\n""" in text
    assert "image_file 127.0.0.1:5001/x:1 f\n" in text
    assert '[ "$(cat first.exit)" != 0 ] || {' in text
    assert "grep -P -m 3 'panic: ' buildkitd.log" in text
    assert text.index("daemon.exit\nstop\n") < text.index('"$(cat daemon.exit)"')
    assert "# - in PATH: jq and curl, to read the images that steps write" in text
