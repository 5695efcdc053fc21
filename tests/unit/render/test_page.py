from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

import results
import validations
from buildkit_bisect import render
from buildkit_bisect.render import page, text
from buildkit_bisect.result import BackportInfo, Result, StepInfo


class Seen(HTMLParser):
    """Elements with attributes, and the content of script and style elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []
        self._in = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag in {"script", "style"}
        if self._in:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = False

    def handle_data(self, data: str) -> None:
        if self._in:
            self.code[-1] += data


def embedded(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    made: dict[str, Any] = json.loads(found[1])
    return made


@pytest.mark.parametrize(
    "name", ["two_scenarios", "bisect", "refused", "boundaries", "merged", "hostile"]
)
def test_only_our_own_code_may_run(name: str) -> None:
    seen = Seen(render.html(getattr(results, name)()))
    policy = next(a["content"] for t, a in seen.elements if a.get("http-equiv")) or ""
    style, _, script = seen.code
    for kind, code in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert [t for t, _ in seen.elements].count("script") == 2
    for tag, attributes in seen.elements:
        assert not any(n.startswith("on") or n in {"style", "src", "srcdoc"} for n in attributes)
        address = attributes.get("href") or ""
        ours = ("https://github.com/moby/buildkit", "result.json", "#h-again")
        assert not address or address.startswith(ours), (tag, address)


def again(page: str) -> list[tuple[str, str]]:
    """Return the commands above the table, each after what it is for."""
    shown = re.findall(r'<div class="again"><span>(\w+)</span><pre[^>]*>(.*?)</pre>', page)
    return [(what, unescape(command)) for what, command in shown]


@pytest.mark.parametrize("name", ["matrix", "bisect", "refused"])
def test_the_first_screen_says_what_was_asked_and_how_to_go_on(name: str) -> None:
    found = getattr(results, name)()
    head = render.html(found).split("<main>")[0]
    assert f"cross-stage-lazy ({found.scenarios[0].title})" in head
    assert f'<a href="{results.scenario().issue}" rel="noreferrer">issue</a>' in head
    assert '<a href="#h-again">reproduce</a>' in head
    if name == "refused":
        assert again(head) == [("Next", "./inv bisect --bad 6c0aa8c8f --find-good")]
    else:
        assert again(head) == [("Reproduce", text.command(found.command))]


def test_the_page_completes_the_hint_of_an_earlier_version() -> None:
    asked = "./inv bisect --good 6c0aa8c8f --bad v0.26.0 --patches p"
    made = render.html(replace(results.refused(), command=asked))
    hint = "./inv bisect --bad 6c0aa8c8f --find-good --patches p"
    assert again(made) == [("Next", hint)]
    assert made.count(f"<code>{hint}</code>") == 1


def test_a_long_command_is_one_line_that_scrolls() -> None:
    short, long = (
        render.html(replace(results.matrix(), command=f"./inv matrix --revs {'v1,' * n}v2"))
        for n in (5, 80)
    )
    assert '<pre tabindex="0" aria-label="command">./inv matrix' in short
    assert '<pre class="long" tabindex="0" aria-label="command">./inv matrix' in long


def test_every_command_of_a_hint_can_be_copied() -> None:
    found = results.refused()
    assert found.bisect
    hint = "./inv bisect --bad v1 --find-good, or ./inv boundaries --from v0 --to v1"
    page = render.html(replace(found, bisect=replace(found.bisect, hint=hint)))
    assert [what for what, _ in again(page)] == ["Next", "or"]
    assert page.count('class="copy" hidden') == 2


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (results.matrix(), "3 trials in each of 30 cells; not bisected (see ./inv bisect)"),
        (results.bisect(), "7 commits tested, 3 trials in each cell."),
        (results.boundaries(), "5 commits tested, 3 trials in each cell."),
        (validations.result(), "alternating without and with the patch; not bisected"),
    ],
)
def test_trials_are_above_the_table_with_whether_a_commit_was_looked_for(
    found: Result, says: str
) -> None:
    head = render.html(found).split('class="plain brief')[0]
    assert says in head


def test_a_wide_table_is_stacked_on_a_phone_and_stays_a_table() -> None:
    found = results.boundaries()
    revisions = tuple(replace(r, subject=f"{r.subject} (#6129)") for r in found.revisions)
    page = render.html(replace(found, revisions=revisions))
    assert 'class="plain brief stack changes" role="table"' in page
    assert 'data-head="PR"' in page
    assert 'class="plain brief stack columns-3"' in render.html(results.two_scenarios())
    assert 'class="plain brief" role="table"' in render.html(results.bisect())


def test_each_change_inside_a_merge_is_a_row_with_the_merge() -> None:
    text = render.html(results.merged())
    rows = re.findall(r"<tr>.*?</tr>", text, re.DOTALL)
    merged = [r for r in rows if "cross-stage-lazy: lazy" in r and ", in merge <a" in r]
    assert len(merged) == 4
    for n, row in zip((11, 13, 14), merged, strict=False):
        commits = re.findall(r"<code>(\w+)</code>", row)
        assert commits[:2] == [results.far(m)[:12] for m in (n, 3)]


def test_hostile_text_is_clean_in_the_data_too() -> None:
    text = render.html(results.hostile())
    for secret in ("hunter22", "abcdefgh12345678", "user:pw", "/home/someone", "\x1b"):
        assert secret not in text
    cell = embedded(text)["cells"][0]
    assert cell["outcome"].startswith("<script>alert(1)</script>")


def test_five_hundred_cells_are_small() -> None:
    text = render.html(results.many(84))
    assert len(embedded(text)["cells"]) == 504
    assert len(text.encode()) < 1_500_000


def test_long_texts_are_shortened_too() -> None:
    text = render.html(results.hostile_many(84))
    assert len(text.encode()) < 1_500_000
    assert len(embedded(text)["cells"]) == 504
    assert not any(secret in text for secret in ("hunter22", "user:pw", "someone", "\x1b"))


def test_a_failed_vertex_has_what_it_printed() -> None:
    vertices = (
        {"name": "RUN mkdir /x/y", "state": "failed", "error": "exit 1", "log": "one\n\x1b[1mtwo"},
        {"name": "RUN true", "state": "ran"},
    )
    cell = results.cell("v1", 1, "export-failed", bases="same", snapshotter="stargz")
    steps = (StepInfo(id="go", exit=1, seconds=1, vertices=vertices),)
    trials = tuple(replace(t, steps=steps) for t in cell.trials)
    made = embedded(render.html(results.matrix(cells=(replace(cell, trials=trials),))))
    assert [
        ["failed", "RUN mkdir /x/y", "exit 1", ["one", "two"]],
        ["ran", "RUN true", "", []],
    ] in made["pool"]


def test_logs_are_shortened_to_fit_the_limit() -> None:
    result = results.many(84)
    small = render.html(result, limit=700_000)
    assert len(small) < len(render.html(result))
    assert len(embedded(small)["cells"]) == 504


def test_layers_are_compared_with_the_control() -> None:
    text = render.html(results.matrix())
    data = embedded(text)
    cell = next(c for c in data["cells"] if c["outcome"] == "layers dropped")
    nodes = data["pool"][cell["trials"][0]["steps"][0]["graph"]]
    assert [(n[1], n[2]) for n in nodes] == [(1, 1), (0, 2), (1, 1)]
    assert [n[3] for n in nodes] == [[], [0], [1]]
    assert [n[4] for n in nodes] == [0, 1, 2]


def step(*records: tuple[str, int, list[str]]) -> StepInfo:
    return StepInfo(
        id="export",
        exit=0,
        seconds=1,
        records=tuple({"digest": d, "layers": n, "inputs": i} for d, n, i in records),
    )


def test_a_record_that_only_the_control_has() -> None:
    nodes = page.graph(step(("a", 1, [])), step(("a", 1, []), ("b", 2, ["a"])))
    assert nodes == [["a", 1, 1, [], 0], ["b", None, 2, [0], 1]]


def test_a_cycle_in_invalid_data_ends() -> None:
    nodes = page.graph(step(("a", 1, ["b"]), ("b", 1, ["a", "a", "gone"])), None)
    assert len(nodes) == 2


def test_no_export_no_graph() -> None:
    assert page.graph(step(), step(("a", 1, []))) == []


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("evidence/v0.25.0 + p/x/1", "evidence/v0.25.0%20%2B%20p/x/1"),
        ("/etc/passwd", ""),
        ("../up", ""),
        ("javascript:alert(1)", ""),
        ("a\\b", ""),
        ("", ""),
        ("a?b#c", "a%3Fb%23c"),
    ],
)
def test_links_stay_in_the_folder(path: str, link: str) -> None:
    assert page.href(path) == link


def test_json_cannot_end_its_element() -> None:
    made = page.script_json({"a": "</script><!--\u2028&"})
    assert "<" not in made
    assert json.loads(made) == {"a": "</script><!--\u2028&"}


def test_a_page_compares_before_and_after_a_patch() -> None:
    text = render.html(results.matrix())
    assert re.search(r"change-changed.*?two base images", text, re.DOTALL)
    assert re.search(r"change-fixed.*?one base image", text, re.DOTALL)
    assert not re.search(r'<tr class="change-broken"', text)


def test_a_page_has_the_diffs_of_its_patches() -> None:
    diff = "--- a/x.go\n+++ b/x.go\n@@ -1 +1 @@\n-a < b\n+a > b\n" + "+more\n" * 3000
    (patch,) = results.matrix().patches
    text = render.html(results.matrix(patches=(replace(patch, diffs={"x.patch": diff}),)))
    assert "<summary>x.patch</summary>" in text
    assert "-a &lt; b\n+a &gt; b\n+more" in text
    assert "... 1005 more lines" in text
    assert "<summary>x.patch</summary>" not in render.html(results.matrix())


def test_a_page_has_the_time_when_each_trial_ended() -> None:
    result = results.matrix()
    trial = replace(result.cells[0].trials[0], ended="2026-01-02T03:04:05Z")
    text = render.html(replace(result, cells=(replace(result.cells[0], trials=(trial,)),)))
    assert embedded(text)["cells"][0]["trials"][0]["at"] == "2026-01-02T03:04:05Z"


def test_equal_evidence_is_stored_once() -> None:
    one = results.many(1)
    twice = replace(one, cells=(*one.cells, *(replace(c, ref="other") for c in one.cells)))
    assert len(embedded(render.html(twice))["pool"]) == len(embedded(render.html(one))["pool"])


def test_cells_that_are_the_same_are_folded_below_those_that_changed() -> None:
    text = render.html(validations.result())
    before = text[text.index('id="h-versus"') : text.index('id="h-matrix"')]
    changed, _, same = before.partition("<details>")
    assert "change-changed" in changed
    assert "change-same" not in changed
    assert "change-same" in same
    assert re.search(r"<summary>\d+ cells with the same outcome</summary>", same)


def test_branches_with_the_same_state_are_one_row() -> None:
    branches = tuple(
        BackportInfo(ref=f"v0.{n}", sha=results.sha(n), state="conflicts", detail="solver.go:147")
        if n < 23 else BackportInfo(ref=f"v0.{n}", sha=results.sha(n), state="applies")
        for n in range(20, 26)
    )  # fmt: skip
    text = render.html(validations.result(backports=branches))
    table = text[text.index('aria-label="Where it applies"') : text.index('id="h-versus"')]
    rows = [re.findall(r">(v0\.\d+)<", row) for row in table.split("<tr>")[2:]]
    assert rows == [["v0.25", "v0.24", "v0.23"], ["v0.22", "v0.21", "v0.20"]]


def test_good_cells_of_a_validation_are_folded_if_they_are_many() -> None:
    good = tuple(
        validations.change("still-good", "cross-stage-lazy", "overlayfs", control=True,
                           bases=f"b{n}", snapshotter="overlayfs")
        for n in range(4)
    )  # fmt: skip
    few = render.html(validations.result(cells=(*validations.CELLS[:3], *good[:3])))
    many = render.html(validations.result(cells=(*validations.CELLS[:3], *good)))
    assert "<details><summary>4 cells</summary>" in many
    assert "<details><summary>3 cells</summary>" not in few


def test_each_scenario_has_a_legend_of_its_own() -> None:
    whole = results.two_scenarios()
    other = replace(
        whole.scenarios[1],
        outcomes=({"name": "cached", "verdict": "good", "means": "the base was lazy"},),
    )
    text = render.html(replace(whole, scenarios=(whole.scenarios[0], other)))
    first, second = text.split("<h3>Outcomes of ")[1:3]
    assert first.startswith("cross-stage-lazy")
    assert "the base was lazy" not in first
    assert second.startswith("cross-stage-dedup")
    assert "the base was lazy" in second
