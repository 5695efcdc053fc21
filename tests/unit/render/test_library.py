"""The index of the library."""

from __future__ import annotations

from dataclasses import replace

import pytest

import results
from buildkit_bisect.render import library
from buildkit_bisect.render.library import Entry
from buildkit_bisect.result import Result, RevisionInfo
from buildkit_bisect.scenario.upstream import Upstream


def searched(**changes: object) -> Result:
    """A search in a scenario of the library, whose merge names a pull request."""
    made = results.bisect()
    assert made.bisect
    named = results.scenario("library/lazy")
    merge = RevisionInfo(
        ref="m", sha=results.sha(140), subject="Merge pull request #6129 from someone/branch"
    )
    others = tuple(r for r in made.revisions if r.sha != merge.sha)
    info = replace(made.bisect, scenario="library/lazy", **changes)  # type: ignore[arg-type]
    cells = tuple(replace(c, scenario="library/lazy") for c in made.cells)
    return replace(made, scenarios=(named,), bisect=info, revisions=(*others, merge), cells=cells)


def row(entry: Entry, matrix: Result | None = None) -> list[str]:
    text = library.index([entry], matrix)
    (line,) = [line for line in text.splitlines() if line.startswith("| [lazy]")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


OURS = Upstream(commit=results.sha(138), pull=6129)


def test_a_row_says_what_was_found_and_what_upstream_says() -> None:
    result = searched()
    name, report, what, answer, pull, bad, minutes, trials, theirs, agree = row(
        Entry(upstream=OURS, result=result)
    )
    assert name == "[lazy](lazy/report.md)"
    url = "https://github.com/moby/buildkit/issues/6893"
    assert report.replace("&#8203;", "") == f"[moby/buildkit#6893]({url})"
    assert what == result.scenarios[0].title
    assert answer.startswith("first bad [")
    assert answer.endswith("confidence 99.7 %")
    assert "/pull/6129)" in pull
    assert bad == "v0.25.0; the commit is in v0.25.0 and newer"
    # All cells have one build of 71.5 s; a trial takes 1.25 s.
    assert minutes == f"{(71.5 + int(trials) * 1.25) / 60:.0f}"
    assert trials == str(sum(len(c.trials) for c in result.cells))
    assert results.sha(138)[:12] in theirs
    assert agree == "yes"


@pytest.mark.parametrize(
    ("upstream", "agrees"),
    [
        (OURS, True),
        (Upstream(commit=results.sha(140)), True),  # the merge that brought it
        (Upstream(commit=results.sha(141)), True),  # the same change on a release branch
        (Upstream(commit=results.sha(139)), False),
        (Upstream(pull=6129), True),
        (Upstream(pull=6130), False),
        (Upstream(says="open"), False),
    ],
)
def test_the_same_commit_its_merge_or_its_pull_request_agree(
    upstream: Upstream, agrees: bool
) -> None:
    assert library.agrees(Entry(upstream=upstream, result=searched())) is agrees


def test_a_difference_is_explained() -> None:
    theirs = Upstream(commit=results.sha(139), differs="theirs came later")
    assert row(Entry(upstream=theirs, result=searched()))[-1] == "no: theirs came later"


def test_a_report_that_nobody_has_bisected() -> None:
    cells = row(Entry(upstream=Upstream(says="open"), result=searched()))
    assert cells[-2:] == ["open", "nobody has named one"]
    text = library.index([Entry(upstream=Upstream(says="open"), result=searched())], None)
    assert "1 commit found in 1 report; upstream names one in 0 of them" in text


def test_a_search_without_an_answer_says_why() -> None:
    result = searched(status="range", reason="two commits do not build", first_bad="")
    assert row(Entry(upstream=OURS, result=result))[3].startswith("range: two commits do not build")


def test_a_bad_end_that_was_not_run_is_not_called_bad() -> None:
    result = searched(bad_not_run="v0.25.0", contained=())
    assert row(Entry(upstream=OURS, result=result))[5] == "given as bad, not run: v0.25.0"


def test_a_bad_end_that_is_good_is_not_called_bad() -> None:
    result = searched(bad_shown="cached 3 of 3", contained=())
    assert row(Entry(upstream=OURS, result=result))[5] == (
        "given as bad: v0.25.0, which is cached 3 of 3"
    )


def test_a_fix_is_called_one() -> None:
    assert row(Entry(upstream=OURS, result=searched(find_fix=True)))[3].startswith("fixed by [")


def test_the_matrix_says_at_which_releases_it_is_bad() -> None:
    refs = ("v0.22.0", "v0.23.0", "v0.24.0", "v0.25.0", "v0.26.0")
    verdicts = ("good", "bad", "bad", "good", "bad")
    cells = tuple(
        replace(
            results.cell(ref, n, "cached", snapshotter="stargz", bases="same"),
            scenario="library/lazy",
            verdict=verdict,
        )
        for n, (ref, verdict) in enumerate(zip(refs, verdicts, strict=True), 300)
    )
    revisions = tuple(RevisionInfo(ref=c.ref, sha=c.revision) for c in cells)
    matrix = results.matrix(
        scenarios=(results.scenario("library/lazy"),), cells=cells, revisions=revisions
    )
    assert row(Entry(upstream=OURS, result=searched()), matrix)[5] == (
        "v0.23.0 to v0.24.0 and v0.26.0; the commit is in v0.25.0 and newer"
    )


def test_a_matrix_is_no_search() -> None:
    with pytest.raises(ValueError, match="is not a bisection"):
        library.index([Entry(upstream=OURS, result=results.matrix())], None)


def test_text_of_a_result_is_escaped() -> None:
    result = searched(status="range", reason="<script>|", first_bad="")
    text = library.index([Entry(upstream=OURS, result=result)], None)
    assert "<script>" not in text
    assert {
        line.replace("\\|", "").count("|") for line in text.splitlines() if line[:1] == "|"
    } == {11}
