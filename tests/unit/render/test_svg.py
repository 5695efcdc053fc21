from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

import results
from buildkit_bisect.render import svg
from buildkit_bisect.result import Result, read
from buildkit_bisect.system.checkout import PROJECT

NS = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def pictures(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(SVGImageSnapshotExtension)


@pytest.mark.parametrize("name", ["matrix", "two_scenarios"])
def test_matrix(name: str, pictures: SnapshotAssertion) -> None:
    assert svg.matrix(getattr(results, name)()) == pictures


@pytest.mark.parametrize("name", ["bisect", "boundaries"])
def test_timeline(name: str, pictures: SnapshotAssertion) -> None:
    assert svg.timeline(getattr(results, name)()) == pictures


def test_no_search_no_timeline() -> None:
    assert svg.timeline(results.matrix()) == ""


@pytest.mark.parametrize("draw", [svg.matrix, svg.timeline])
def test_hostile_text_stays_text(draw: object) -> None:
    assert callable(draw)
    made = draw(results.hostile())
    root = ET.fromstring(made)  # noqa: S314 - we have just made it
    tags = {element.tag.removeprefix(NS) for element in root.iter()}
    assert tags <= {"svg", "title", "style", "rect", "text", "path", "g", "circle"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on") or "href" in name}
    assert "hunter22" not in made
    assert "\x1b" not in made


def texts(made: str) -> list[str]:
    return ["".join(t.itertext()) for t in ET.fromstring(made).iter(f"{NS}text")]  # noqa: S314


def test_a_long_row_name_takes_more_lines() -> None:
    parts = tuple(f"a-part-of-a-series-{n}" for n in (1, 2))
    result = results.matrix(cells=results.row("master", 9, "cached", "cached", patches=parts))
    found = texts(svg.matrix(result))
    name = found[found.index("master +") :][:3]
    assert name == ["master +", "a-part-of-a-series-1 +", "a-part-of-a-series-2"]


def few(variants: int) -> Result:
    """Return some variants in two scenarios with eight columns."""
    whole = results.two_scenarios()
    refs = [r.ref for r in whole.revisions[:variants]]
    return replace(whole, cells=tuple(c for c in whole.cells if c.ref in refs and not c.patches))


@pytest.mark.parametrize(
    "made",
    [
        svg.matrix(r)
        for r in (few(1), few(3), results.two_scenarios(), results.many(40, 16), results.hostile())
    ]
    + [svg.timeline(r) for r in (results.bisect(), results.boundaries(), results.merged())],
)
def test_letters_are_readable_where_a_page_is_780_pixels_wide(made: str) -> None:
    assert float(ET.fromstring(made).attrib["width"]) <= 780  # noqa: S314 - we have just made it
    sizes = [float(size) for size in re.findall(r"\b([\d.]+)px", made)]
    assert len(sizes) > 3
    assert min(sizes) >= 10


def test_few_variants_are_columns_if_the_cells_are_too_many() -> None:
    found = texts(svg.matrix(few(2)))
    assert found.count("v0.24.0") == found.count("v0.25.0") == 1
    assert found.index("v0.25.0") < found.index("two base images")
    assert found.index("cross-stage-lazy") < found.index("cross-stage-dedup")
    below = " ".join(found[found.index("v0.25.0") :])
    assert below.count("control") == 5 + 1, "each control, and what the outline is"


def test_many_variants_have_the_controls_of_a_scenario_in_one_column() -> None:
    whole = results.two_scenarios()
    made = svg.matrix(whole)
    found = texts(made)
    assert "4 controls" in found
    assert found.count("4 of 4 good") == 5
    first = next(c for c in whole.cells if c.control and c.scenario == "cross-stage-lazy")
    failed = replace(first, outcome="layers-dropped", verdict="bad")
    cells = tuple(failed if c is first else c for c in whole.cells)
    root = ET.fromstring(svg.matrix(replace(whole, cells=cells)))  # noqa: S314 - just made
    (box,) = [
        g for g in root.iter(f"{NS}g")
        if any("3 of 4 good" in "".join(t.itertext()) for t in g.findall(f"{NS}text"))
    ]  # fmt: skip
    assert box.attrib["class"] == "bad control"


def test_controls_are_outlined_as_in_the_page() -> None:
    made = svg.matrix(few(2))
    assert re.search(r"\.control\.good \.box\{fill:none", made)
    root = ET.fromstring(made)  # noqa: S314 - we have just made it
    outlined = [g for g in root.iter(f"{NS}g") if g.attrib.get("class", "").endswith(" control")]
    assert len(outlined) == sum(c.control for c in few(2).cells)
    assert any(text.startswith("control: ") for text in texts(made))


def test_each_scenario_has_a_legend_of_its_own() -> None:
    whole = results.two_scenarios()
    second = replace(
        whole.scenarios[1],
        outcomes=({"name": "cached", "verdict": "good", "means": "the base was lazy"},),
    )
    found = texts(svg.matrix(replace(whole, scenarios=(whole.scenarios[0], second))))
    first, other = (n for n, text in enumerate(found) if text.startswith("cached: "))
    assert found[first] != found[other] == "cached: the base was lazy"


@pytest.mark.parametrize("result", [results.two_scenarios(), results.hostile(), results.many(40)])
def test_all_boxes_are_within_the_picture(result: Result) -> None:
    root = ET.fromstring(svg.matrix(result))  # noqa: S314 - we have just made it
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    for box in root.iter(f"{NS}rect"):
        if box.attrib["width"] != "100%":
            assert float(box.attrib["x"]) + float(box.attrib["width"]) <= width
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height


@pytest.mark.parametrize(
    "made",
    [svg.matrix(getattr(results, name)()) for name in ("matrix", "two_scenarios", "hostile")]
    + [svg.matrix(results.many(3, 2)), svg.matrix(results.boundaries())]
    + [
        svg.timeline(getattr(results, name)(), narrow=narrow)
        for name in ("bisect", "boundaries", "merged", "hostile")
        for narrow in (False, True)
    ],
)
def test_every_text_ends_within_the_picture(made: str) -> None:
    root = ET.fromstring(made)  # noqa: S314 - we have just made it
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    letters = {"title": 8.6, "small": 5.4, "mono small": 6.4, "mono": 7.3}
    for text in root.iter(f"{NS}text"):
        long = len("".join(text.itertext())) * letters.get(text.attrib.get("class", ""), 6.5)
        share = {"middle": 0.5, "end": 0.0}.get(text.attrib.get("text-anchor", ""), 1.0)
        assert float(text.attrib["x"]) + long * share <= width, "".join(text.itertext())
        assert float(text.attrib["y"]) < height


def test_the_names_of_axes_do_not_overlap_the_cells() -> None:
    result = results.two_scenarios()
    axes = {**result.scenarios[0].axes, "runtime": {"values": ("host", "docker"), "controls": ()}}
    cells = tuple(
        replace(c, axes={**c.axes, "runtime": runtime})
        for c in result.cells if c.scenario == "cross-stage-lazy" for runtime in ("host", "docker")
    )  # fmt: skip
    deep = replace(result, scenarios=(replace(result.scenarios[0], axes=axes),), cells=cells)
    root = ET.fromstring(svg.matrix(deep))  # noqa: S314 - we have just made it
    boxes = [
        [float(r.attrib[name]) for name in ("x", "y", "width", "height")]
        for r in root.iter(f"{NS}rect") if "rx" in r.attrib and "x" in r.attrib
    ]  # fmt: skip
    heads = [t for t in root.findall(f"{NS}text") if "runtime docker" in (t.text or "")]
    assert heads
    for head in root.findall(f"{NS}text"):
        x, y = float(head.attrib["x"]) + 1, float(head.attrib["y"])
        for left, top, width, height in boxes:
            within = left < x < left + width and top < y < top + height
            assert not within, head.text


def test_a_commit_that_was_tested_often_has_one_line() -> None:
    found = results.bisect()
    assert found.bisect
    proof = found.bisect.steps[-1]
    more = tuple(
        replace(proof, number=n, verdict=v, shown=f"{o} 1 of 1", counts={o: 1})
        for n, (v, o) in enumerate((("good", "cached"), ("bad", "export-failed")) * 20, 9)
    )
    info = replace(found.bisect, steps=(*found.bisect.steps, *more))
    made = svg.timeline(replace(found, bisect=info))
    assert made.count("<circle") == 8
    assert "7 proof 0000000000 x41" in made
    assert "cached 23 of 43, export failed" in made
    assert "20 of 43</text>" in made
    assert '<g class="flaky"><circle' in made


def test_the_older_endpoint_is_on_the_left_and_a_merged_culprit_before_its_merge() -> None:
    found = results.bisect(bisect=replace(results.bisect().bisect, merge=results.sha(200)))  # type: ignore[type-var]
    assert found.bisect
    lost = {results.sha(100), results.sha(138), results.sha(132)}
    gate, steps = (
        tuple(replace(s, position=None) if s.sha in lost else s for s in tests)
        for tests in (found.bisect.gate, found.bisect.steps)
    )
    steps = tuple(replace(s, phase="descend") if s.sha in lost else s for s in steps)
    made = svg.timeline(replace(found, bisect=replace(found.bisect, gate=gate, steps=steps)))
    xs = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)]
    assert xs[0] == 232
    assert xs[1] == 522
    assert xs[5] == xs[6] == pytest.approx(522 - 290 / 200, abs=0.1)


def test_a_commit_in_a_merge_that_was_not_tested_is_after_the_last_good_one() -> None:
    """It was tested first of all, so no earlier step has a place: it is not at the good end."""
    found = results.bisect()
    assert found.bisect
    inside = results.sha(138)
    descend = next(replace(s, phase="descend", position=None)
                   for s in found.bisect.steps if s.sha == inside)  # fmt: skip
    rest = tuple(s for s in found.bisect.steps if s.sha != inside)
    steps = (descend, *rest)
    made = svg.timeline(replace(found, bisect=replace(found.bisect, steps=steps)))
    xs = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)]
    last_good = max(s.position for s in rest if s.verdict == "good" and s.position is not None)
    assert xs[2] == pytest.approx(232 + 290 * (last_good + 0.5) / 100, abs=0.1)


def test_a_history_begins_after_the_end_that_was_named_if_that_was_not_run() -> None:
    """The tag of the first commit that was run is further on, and not where the line begins."""
    found = read(PROJECT / "results/issue-6893/bisect-same-bases")
    assert found.bisect
    before = f"older, after {found.bisect.good}"
    assert before not in svg.timeline(found)
    nearer = replace(
        found.bisect,
        not_run=found.bisect.good,
        gate=tuple(s for s in found.bisect.gate if s.position),
        steps=tuple(s for s in found.bisect.steps if s.position),
    )
    made = svg.timeline(replace(found, bisect=nearer))
    assert texts(made).count(before) == 1


def test_a_history_ends_before_the_bad_end_if_that_was_not_run() -> None:
    found = read(PROJECT / "results/issue-6893/bisect-same-bases")
    assert found.bisect
    assert any(f"{found.bisect.total} candidates" in one for one in texts(svg.timeline(found)))
    nearer = replace(found.bisect, bad_not_run=found.bisect.bad)
    made = texts(svg.timeline(replace(found, bisect=nearer)))
    assert made.count(f"newer, before {found.bisect.bad}") == 1


def test_a_search_for_a_fix_calls_its_commit_good() -> None:
    info = results.bisect().bisect
    assert info
    made = svg.timeline(results.bisect(bisect=replace(info, find_fix=True)))
    assert "first good: 0000000000" in made


def test_each_step_narrows_the_range() -> None:
    made = svg.timeline(results.bisect())
    bands = [float(w) for w in re.findall(r'class="band"[^>]*?width="([\d.]+)" height="6"', made)]
    assert bands == sorted(bands, reverse=True)
    assert bands[-1] < bands[0] / 2


def test_commits_without_a_position_are_in_the_order_of_steps() -> None:
    found = results.bisect()
    assert found.bisect
    loose = tuple(replace(s, position=None) for s in found.bisect.steps)
    info = replace(found.bisect, gate=(), steps=loose)
    made = svg.timeline(replace(found, bisect=info))
    xs = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)]
    assert xs == sorted(xs)


def test_lanes_show_the_outcomes_of_each_cell_along_the_history() -> None:
    made = svg.timeline(results.boundaries())
    root = ET.fromstring(made)  # noqa: S314 - we have just made it
    texts = ["".join(t.itertext()) for t in root.iter(f"{NS}text")]
    assert texts.count("export failed") == 2
    assert "v0.24.0" in texts
    assert "v0.32.0" in texts
    assert len([g for g in root.iter(f"{NS}g") if g.attrib.get("class") == "open"]) == 3
    assert len(list(root.iter(f"{NS}circle"))) == 12


def test_changes_from_a_merge_are_drawn_at_the_merge() -> None:
    found = results.boundaries()
    assert found.bisect
    first = replace(found.bisect.changes[0], sha="ab" * 20, merge=results.sha(181))
    twice = (first, *found.bisect.changes)
    inside = replace(found.bisect.steps[0], sha="ab" * 20, position=None)
    info = replace(found.bisect, changes=twice, steps=(*found.bisect.steps, inside))
    root = ET.fromstring(svg.timeline(replace(found, bisect=info)))  # noqa: S314 - just made
    named = [t for t in root.iter(f"{NS}text") if t.text in ("ababababab", "0000000000")]
    places = [(t.attrib["x"], t.attrib["y"]) for t in named]
    assert len(named) == 3
    assert len(set(places)) == 3
    assert places[0][0] == places[1][0]
    assert "1 tested commit inside merges not shown" in "".join(root.itertext())


def test_changes_inside_a_merge_are_drawn_before_it_in_their_order() -> None:
    root = ET.fromstring(svg.timeline(results.merged()))  # noqa: S314 - we have just made it
    texts = list(root.iter(f"{NS}text"))
    at = {t.text: float(t.attrib["x"]) for t in texts if t.text}
    xs = [at[results.far(n)[:10]] for n in (11, 13, 14)]
    circles = sorted(float(c.attrib["cx"]) for c in root.iter(f"{NS}circle"))
    assert circles[2:5] == xs, "between the merge's first parent and the merge"
    assert len(circles) == 7
    assert circles[-1] - 10 < at["one of 2"] <= circles[-1], "as far as there is room"
    words = [t for t in texts if t.text in {"cached", "export failed", "layers dropped"}]
    assert [t.text for t in words] == [
        "cached", "export failed", "layers dropped", "export failed", "cached",
    ]  # fmt: skip
    assert [float(t.attrib["x"]) for t in words[1:4]] == [x - 4 for x in xs]
    assert words[3].attrib["y"] > words[2].attrib["y"], "no room on the first line"
    assert "1 tested commit inside merges not shown" in "".join(root.itertext())


def test_a_crowded_part_of_history_is_drawn_wider() -> None:
    found = results.boundaries()
    assert found.bisect
    steps = tuple(
        replace(s, position=p)
        for s, p in zip(found.bisect.steps, (0, 1, 2, 3, 4, 400), strict=True)
    )
    made = svg.timeline(replace(found, bisect=replace(found.bisect, steps=steps)))
    xs = sorted({float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)})
    assert xs[0] == 30
    assert xs[-1] == 750
    assert min(b - a for a, b in itertools.pairwise(xs)) > 100


def test_lanes_without_positions_fall_back_to_steps() -> None:
    found = results.boundaries()
    assert found.bisect
    steps = tuple(replace(s, position=None) for s in found.bisect.steps)
    made = svg.timeline(replace(found, bisect=replace(found.bisect, steps=steps)))
    assert "known outcomes" in made


def described(result: Result, names: dict[str, str]) -> Result:
    """Return *result* with what ``git describe`` says of some commits."""
    revisions = tuple(
        replace(r, describe=names.get(r.sha, f"v0.9.0-5-g{r.sha[:12]}")) for r in result.revisions
    )
    return replace(result, revisions=revisions)


@pytest.mark.parametrize("narrow", [False, True])
def test_releases_are_marked_on_the_timeline_of_a_search(narrow: bool) -> None:
    found = results.bisect()
    assert found.bisect
    steps = [*found.bisect.gate, *found.bisect.steps]
    line = sorted({(s.position, s.sha) for s in steps if s.position is not None})
    newest = line[-1][1]
    names = {sha: f"v1.0.0-rc1-9-g{sha[:12]}" for _, sha in line[len(line) // 2 :]}
    made = svg.timeline(described(found, {**names, newest: "v1.1.0"}), narrow=narrow)
    assert "older, after v0.9.0<" in made
    assert ">v1.0.0-rc1<" in made
    assert ">v1.1.0<" in made
    assert "dotted: between two tested commits" in made
    at = [float(x) for x in re.findall(r'class="release" d="M([\d.]+)', made)]
    circles = {float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)}
    assert len(set(at) - circles) == 1, "v1.0.0-rc1 is at no tested commit"


@pytest.mark.parametrize("narrow", [False, True])
def test_releases_are_marked_along_the_lanes(narrow: bool) -> None:
    found = results.boundaries()
    names = {results.sha(1): "v0.24.0", results.sha(101): f"v0.25.0-rc1-3-g{'a' * 12}"}
    later = {results.sha(n + 1): f"v0.25.0-rc1-99-g{'b' * 12}" for n in (180, 181, 240, 410)}
    made = svg.timeline(described(found, names | later), narrow=narrow)
    assert "releases; dotted: between two tested commits" in made
    shown = [t for t in texts(made) if t.startswith("v0.")]
    assert shown == ["v0.24.0", "v0.25.0-rc1", "v0.32.0"]
    (between,) = re.findall(r'class="release" d="M([\d.]+) [^>]*stroke-dasharray="1 4"', made)
    circles = {float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)}
    assert float(between) not in circles


def test_a_search_without_positions_has_no_release_between_its_steps() -> None:
    found = results.bisect()
    assert found.bisect
    steps = tuple(replace(s, position=None) for s in found.bisect.steps)
    gate = tuple(replace(s, position=None) for s in found.bisect.gate)
    loose = replace(found, bisect=replace(found.bisect, gate=gate, steps=steps))
    names = {s.sha: f"v1.{n}.0-1-g{s.sha[:12]}" for n, s in enumerate((*gate, *steps))}
    made = svg.timeline(described(loose, names | {gate[0].sha: "v1.9.0"}))
    assert "dotted" not in made
    assert made.count('class="release"') == 1
    assert ">v1.9.0<" in made


def test_symbols_that_would_overlap_are_ticks_but_every_change_has_one() -> None:
    found = results.merged()
    assert found.bisect
    wide, slim = (svg.timeline(found, narrow=narrow) for narrow in (False, True))
    assert wide.count("<circle") == slim.count("<circle") == 7
    steps = tuple(
        replace(found.bisect.steps[0], number=n, sha=results.far(n), position=n)
        for n in range(1, 120)
    )
    axes: Any = {"bases": "different", "snapshotter": "stargz"}
    cells = tuple(
        results.cell(results.far(n)[:12], n << 144, "cached", **axes) for n in range(1, 120)
    )
    info = replace(found.bisect, steps=steps, changes=())
    made = svg.timeline(replace(found, bisect=info, cells=cells, revisions=()), narrow=True)
    assert 20 < made.count("<circle") < 40
    assert made.count("<circle") + len(re.findall(r'class="edged" d="M', made)) == 119
