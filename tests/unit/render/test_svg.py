from __future__ import annotations

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

import results
from buildkit_bisect.render import svg
from buildkit_bisect.result import Result

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


def test_a_long_row_name_takes_two_lines() -> None:
    parts = tuple(f"a-part-of-a-series-number-{n}" for n in (1, 2))
    result = results.matrix(cells=results.row("master", 9, "cached", "cached", patches=parts))
    texts = [t.text for t in ET.fromstring(svg.matrix(result)).iter(f"{NS}text")]  # noqa: S314
    assert "master + a-part-of-a-series-number-1 +" in texts
    assert "a-part-of-a-series-number-2" in texts


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
        svg.timeline(getattr(results, name)())
        for name in ("bisect", "boundaries", "merged", "hostile")
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
    first = min(float(r.attrib["y"]) for r in root.iter(f"{NS}rect") if "y" in r.attrib)
    heads = [t for t in root.iter(f"{NS}text") if t.text in ("control", "runtime docker")]
    assert len(heads) == 4 * 2 + 6
    assert max(float(t.attrib["y"]) for t in heads) < first


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
    assert "cached 23 of 43, export-failed 20 of 43" in made
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
    assert xs[0] == 250.0
    assert xs[1] == 670.0
    assert xs[5] == xs[6] == pytest.approx(670 - 2.1)


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
    assert at["one of 2"] == circles[-1]
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
    assert xs[0] == 230
    assert xs[-1] == 980
    assert min(b - a for a, b in itertools.pairwise(xs)) > 100


def test_lanes_without_positions_fall_back_to_steps() -> None:
    found = results.boundaries()
    assert found.bisect
    steps = tuple(replace(s, position=None) for s in found.bisect.steps)
    made = svg.timeline(replace(found, bisect=replace(found.bisect, steps=steps)))
    assert "known outcomes" in made
