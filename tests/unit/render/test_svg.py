from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import results
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from buildkit_bisect.render import svg

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


@pytest.mark.parametrize("result", [results.two_scenarios(), results.hostile(), results.many(40)])
def test_everything_is_within_the_picture(result: results.Result) -> None:
    root = ET.fromstring(svg.matrix(result))  # noqa: S314 - we have just made it
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    for box in root.iter(f"{NS}rect"):
        if box.attrib["width"] != "100%":
            assert float(box.attrib["x"]) + float(box.attrib["width"]) <= width
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height


def test_a_step_narrows_what_is_left() -> None:
    made = svg.timeline(results.bisect())
    bands = [float(w) for w in re.findall(r'class="band"[^>]*?width="([\d.]+)" height="6"', made)]
    assert bands == sorted(bands, reverse=True)
    assert bands[-1] < bands[0] / 2


def test_commits_without_a_place_stand_in_the_order_of_steps() -> None:
    found = results.bisect()
    assert found.bisect
    loose = tuple(replace(s, position=None) for s in found.bisect.steps)
    info = replace(found.bisect, gate=(), steps=loose)
    made = svg.timeline(replace(found, bisect=info))
    xs = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', made)]
    assert xs == sorted(xs)


def test_lanes_show_what_each_cell_did_along_the_history() -> None:
    made = svg.timeline(results.boundaries())
    root = ET.fromstring(made)  # noqa: S314 - we have just made it
    texts = ["".join(t.itertext()) for t in root.iter(f"{NS}text")]
    assert texts.count("export failed") == 2
    assert "v0.24.0" in texts
    assert "v0.32.0" in texts
    assert len([g for g in root.iter(f"{NS}g") if g.attrib.get("class") == "open"]) == 3
    assert len(list(root.iter(f"{NS}circle"))) == 12


def test_lanes_without_positions_fall_back_to_steps() -> None:
    found = results.boundaries()
    assert found.bisect
    steps = tuple(replace(s, position=None) for s in found.bisect.steps)
    made = svg.timeline(replace(found, bisect=replace(found.bisect, steps=steps)))
    assert "known of the history" in made
