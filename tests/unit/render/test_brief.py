"""What a comment shows before its folds: the headline, at most five rows, and the next command."""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import replace

import pytest

import results
from buildkit_bisect import render
from buildkit_bisect.render.brief import brief
from buildkit_bisect.result import CandidateInfo, read
from buildkit_bisect.system.checkout import PROJECT
from comments import GFM, first_screen, rows
from validations import result as validated

KINDS = {
    "matrix": results.matrix(),
    "two scenarios": results.two_scenarios(),
    "many": results.many(84),
    "run": results.only(results.cell("v1", 1, "cached", bases="same", snapshotter="stargz")),
    "only controls": results.only(
        *(c for c in results.row("v1", 1, "cached", "cached") if c.control)
    ),
    "bisect": results.bisect(),
    "refused": results.refused(),
    "boundaries": results.boundaries(),
    "merged": results.merged(),
    "validate": validated(),
    "hostile": results.hostile(),
    "hostile many": results.hostile_many(12),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_headline_has_two_sentences_in_200_characters(name: str) -> None:
    found = render.finding(KINDS[name])
    assert 10 < len(found) <= 200
    if "hostile" not in name:
        assert len(re.findall(r"\.(?: |$)", found)) <= 2


@pytest.mark.parametrize("name", KINDS)
def test_below_the_headline_are_at_most_five_rows(name: str) -> None:
    page = GFM.render(first_screen(render.markdown(KINDS[name])))
    assert page.count("<table>") <= 1
    assert 1 <= len(rows(page)) - 1 <= 5
    assert len(rows(page)[0]) >= 2


def test_500_cells_are_under_6_kb_before_the_folds() -> None:
    made = [
        results.many(84),
        replace(results.many(84), patches=()),
        results.many(10, 50),
        results.only(*itertools.chain.from_iterable(
            results.row(f"v0.{n}.0", n, "layers-dropped", "cached",
                        patches=(f"p{n % 7}",) * (n % 3))
            for n in range(84)
        )),
    ]  # fmt: skip
    for result in made:
        assert len(result.cells) >= 500
        assert len(first_screen(render.markdown(result)).encode()) < 6_000


def test_adjacent_revisions_that_show_the_same_are_one_row() -> None:
    cells = [
        *results.row("v0.24.0", 24, "layers-dropped", "cached"),
        *results.row("v0.25.0", 25, "export-failed", "cached"),
        *itertools.chain(*(results.row(f"v0.{n}.0", n, "layers-dropped", "cached")
                           for n in range(26, 35))),
    ]  # fmt: skip
    made = first_screen(render.markdown(results.only(*cells)))
    table = [[re.sub("<.*?>", "", cell) for cell in row] for row in rows(GFM.render(made))]
    assert table == [
        ["revision", "lazy snapshotter (stargz), two base images"],
        ["v0.24.0", "❌ layers dropped3 of 3"],
        ["v0.25.0", "❌ export failed3 of 3"],
        ["v0.26.0 … v0.34.09 revisions: same", "❌ layers dropped27 of 27"],
    ]
    assert "1 more tested cell of each row: good everywhere" in made
    assert "all 44 controls, which the bug cannot affect, are good" in made


def test_patches_that_fix_and_that_break_have_a_row_before_others() -> None:
    cells = [results.row(f"v{n}", n, *ways) for n, ways in enumerate(
        [("layers-dropped", "cached"), ("export-failed", "cached")] * 4)]  # fmt: skip
    for patches, ways in {
        "nothing": ("export-failed", "cached"),
        "else": ("layers-dropped", "cached"),
        "fix": ("cached", "cached"),
        "break": ("export-failed", "layers-dropped"),
    }.items():
        cells.append(results.row("v7", 7, *ways, patches=(patches,)))
    made = first_screen(render.markdown(results.only(*itertools.chain(*cells))))
    first = [re.sub("<.*?>", "", row[0]) for row in rows(GFM.render(made))[1:]]
    assert first[-4:] == ["v7", "v7 + fix", "v7 + break", "and 8 more rows, folded below"]


def test_each_scenario_has_its_own_legend() -> None:
    """Two scenarios give the outcome *cached* different meanings."""
    other = tuple(
        {**rule, "means": f"elsewhere, {rule['means']}"} for rule in results.scenario().outcomes
    )
    scenarios = (results.scenario(), results.scenario("cross-stage-dedup", outcomes=other))
    result = replace(results.two_scenarios(), scenarios=scenarios)
    means = "the stable RUN came from the imported cache"
    for made in (render.markdown(result), render.html(result)):
        lazy, _, dedup = made.partition(f"elsewhere, {means}")
        assert means in lazy
        assert dedup
    fold = render.markdown(result).partition("<summary>All outcomes")[2].partition("</details>")[0]
    assert fold.index(f": {means}") < fold.index("<code>cross-stage-dedup</code>")
    assert fold.index("<code>cross-stage-dedup</code>") < fold.index(f"elsewhere, {means}")


def test_cells_of_several_scenarios_are_named_with_theirs() -> None:
    """One cell would seem to be both cached and run."""
    result = results.two_scenarios()
    title = "cross-stage-dedup: overlayfs, same layers pulled before"
    evidence = render.markdown(result).partition("<summary>Evidence")[2]
    assert title in evidence
    assert "cross-stage-lazy: lazy snapshotter" in evidence
    base = results.cell("master", 999, "layers-dropped", scenario="cross-stage-dedup", warm="yes")
    patched = replace(base, patches=("record-ctx-opts",))
    page = render.html(replace(result, cells=(*result.cells, patched)))
    versus = page.partition("Before and after</h2>")[2].partition("</section>")[0]
    assert f'<th scope="row">{title}</th>' in versus
    assert '<th scope="row">cross-stage-lazy: lazy snapshotter' in versus


def test_without_a_page_there_are_no_links_to_it() -> None:
    result = results.matrix()
    assert "whole report" not in render.markdown(result)
    assert ">comment<" not in render.html(result)
    url = "https://someone.example/bk/ID/report.html"
    comment = "https://github.com/moby/buildkit/issues/6893#issuecomment-1"
    there = replace(result, page=url, comment=comment)
    assert f"[whole report]({url})" in first_screen(render.markdown(there))
    assert f'<a href="{comment}" rel="noreferrer">comment</a>' in render.html(there)


def test_the_next_command_is_about_the_same_repository_and_patches() -> None:
    """Also in results of earlier versions, whose hints name revisions only."""
    command = "./inv bisect --good a --bad b --repo /src/buildkit --patches lazy-variants --fresh"
    made = first_screen(render.markdown(replace(results.refused(), command=command)))
    shown = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), made)
    assert "./inv bisect --bad 6c0aa8c8f --find-good --repo PATH --patches lazy-variants" in shown


def test_a_side_of_a_change_has_no_symbol_if_scenarios_judge_its_outcome_differently() -> None:
    found = results.boundaries()
    outcomes = tuple({**one, "verdict": "bad"} for one in found.scenarios[0].outcomes)
    other = replace(found.scenarios[0], name="other", outcomes=outcomes)
    made = render.markdown(replace(found, scenarios=(*found.scenarios, other)))
    assert "| ❌\u00a0layers dropped → cached<br>" in made


def test_a_long_command_is_only_in_the_fold() -> None:
    found = replace(results.matrix(), command=f"./inv matrix --revs {','.join(['v0.24.0'] * 20)}")
    assert "Reproduce: " not in render.markdown(found)
    assert "Reproduce: <code>./inv matrix</code>" in render.markdown(
        replace(found, command="./inv matrix")
    )


def test_only_a_few_scenarios_have_their_titles_below_the_table() -> None:
    found = results.two_scenarios()
    third = replace(found.scenarios[0], name="third")
    titles = [html.unescape(f"({one.title})") for one in found.scenarios]
    few = html.unescape(first_screen(render.markdown(found)))
    more = replace(found, scenarios=(*found.scenarios, third))
    many = html.unescape(first_screen(render.markdown(more)))
    assert all(title in few for title in titles)
    assert not any(title in many for title in titles)


def test_a_commit_older_than_the_older_end_comes_first() -> None:
    """It is why there is no single first bad commit."""
    found = results.bisect()
    assert found.bisect
    old = results.sha(126)
    info = replace(
        found.bisect, status="inconclusive", first_bad="", candidates=(
            CandidateInfo(sha=old, reason="bad", probability=None),)
    )  # fmt: skip
    ends = {results.sha(100): "v0.24.0", results.sha(200): "v0.25.0"}
    for date, first in (("2025-09-10", "tested"), ("2025-09-12", "given as good")):
        revisions = tuple(
            replace(r, ref=ends.get(r.sha, r.ref), date=date if r.sha == old else r.date)
            for r in found.revisions
        )
        table = brief(replace(found, bisect=info, revisions=revisions))
        assert table
        assert table.rows[0][0] == first
        assert len(table.rows) == 3


def test_a_commit_that_ran_as_another_one_shows_what_that_showed() -> None:
    """The culprit of moby/moby#49851 is the same build as its merge, which alone was run."""
    done = read(PROJECT / "results/library/chmod-new-folder")
    assert done.bisect
    found = brief(done)
    assert found
    ((_, _, shown),) = [row for row in found.rows if "first bad" in row[0]]
    assert "❌" in shown
    assert "2 of 2" in shown
    assert "run as another commit, the same build" in shown


def test_an_end_that_was_not_run_is_one_that_was_given() -> None:
    found = results.bisect()
    assert found.bisect
    note = "v0.24.0 was not run in this search, but its merge base was"
    late = replace(found, bisect=replace(found.bisect, not_run="v0.24.0", notes=(note,)))
    assert "| good end | v0.24.0 |" in render.markdown(found)
    shown = render.markdown(late)
    assert "| good end, not run | v0.24.0 |" in shown
    assert note in shown
    assert (
        "- Endpoints: given as good <code>v0.24.0</code> (not run), bad <code>v0.25.0</code>"
        in shown
    )
    assert "given as good <code>v0.24.0</code> (not run), bad" in render.html(late)


def test_a_bad_end_that_is_good_is_only_given_as_bad() -> None:
    found = results.bisect()
    assert found.bisect
    good = replace(found, bisect=replace(found.bisect, bad_shown="cached 3 of 3"))
    shown = render.markdown(good)
    assert "given as bad <code>v0.25.0</code> (which is cached 3 of 3), in" in shown
    assert "given as bad <code>v0.25.0</code> (which is cached 3 of 3), " in render.html(good)
    assert "| given as bad, is cached 3 of 3 | v0.25.0 |" in shown


def test_neither_end_may_have_been_run() -> None:
    found = results.bisect()
    assert found.bisect
    neither = replace(found.bisect, not_run="v0.24.0", bad_not_run="v0.25.0")
    late = replace(found, bisect=neither)
    shown = render.markdown(late)
    assert "| bad end | v0.25.0 |" in render.markdown(found)
    assert "| bad end, not run | v0.25.0 |" in shown
    assert "(not run), given as bad <code>v0.25.0</code> (not run), in" in shown
    assert "(not run), given as bad <code>v0.25.0</code> (not run), " in render.html(late)
