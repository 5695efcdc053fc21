from __future__ import annotations

import pytest

from buildkit_bisect.patch.message import Person, message
from buildkit_bisect.patch.patches import Metadata

ME = Person(name="Ada L.", email="ada@example.org")


def lines(meta: Metadata, **options: object) -> list[str]:
    return message(meta, author=ME, **options).split("\n")  # type: ignore[arg-type]


def test_a_claim_becomes_the_body_of_a_commit() -> None:
    claim = " ".join(["word"] * 40) + "\n\nA second paragraph\non two lines."
    found = lines(Metadata(title="solver: keep the  digest", claim=claim, issue=6893))
    assert found[:2] == ["solver: keep the digest", ""]
    assert max(map(len, found)) <= 72
    assert found[2] == " ".join(["word"] * 14)
    assert found[-5:] == ["", "A second paragraph on two lines.", "", "Relates to #6893", ""]


def test_the_message_of_a_patch_is_preferred_to_its_claim() -> None:
    meta = Metadata(title="t", claim="what it does", message="why it is needed\n")
    assert lines(meta) == ["t", "", "why it is needed", ""]


def test_without_a_claim_there_is_only_a_subject() -> None:
    assert lines(Metadata(title="t")) == ["t", ""]


def test_lists_keep_their_lines() -> None:
    claim = "Two things:\n\n- one\n- two\n\n    go test ./solver"
    assert lines(Metadata(title="t", claim=claim))[2:-1] == [
        *("Two things:", "", "- one", "- two", "", "    go test ./solver"),
    ]


def test_a_long_word_is_not_split() -> None:
    url = f"https://example.org/{'x' * 80}-y"
    assert url in lines(Metadata(title="t", claim=f"see {url}"))


def test_an_issue_that_the_body_names_is_not_repeated() -> None:
    assert lines(Metadata(title="t", claim="fixes #42", issue=42))[2:-1] == ["fixes #42"]
    assert "Relates to #4" in lines(Metadata(title="t", claim="fixes #42", issue=4))


def test_another_author_is_credited() -> None:
    meta = Metadata(title="t", author="A. Nother", source="https://example.org/pull/1")
    assert lines(meta)[2] == "Originally by A. Nother: https://example.org/pull/1"
    assert lines(Metadata(title="t", author="A. Nother"))[2] == "Originally by A. Nother"
    assert lines(Metadata(title="t", author="Ada L.")) == ["t", ""]


def test_whose_work_it_is_based_on_is_in_the_message() -> None:
    meta = Metadata(title="t", claim="why", credit="A. Nother (@a), in moby/buildkit#1")
    assert lines(meta, signoff=True)[2:-1] == [
        *("why", "", "Based on the work of A. Nother (@a), in moby/buildkit#1", ""),
        "Signed-off-by: Ada L. <ada@example.org>",
    ]


def test_trailers_keep_their_lines() -> None:
    claim = "Why it\nis needed.\n\nFixes: #5\nLink: https://example.org/1"
    assert lines(Metadata(title="t", claim=claim))[2:-1] == [
        *("Why it is needed.", "", "Fixes: #5", "Link: https://example.org/1"),
    ]


@pytest.mark.parametrize("line", ["---", "--- a/x", "diff --git a/x b/x", "Index: x"])
def test_no_line_ends_the_message_of_a_mail(line: str) -> None:
    found = lines(Metadata(title="t", claim=f"before\n\n{line}\n\nafter"))
    assert found[2:-1] == ["before", "", f" {line}", "", "after"]


def test_a_name_in_the_subject_of_another_part_stays() -> None:
    titles = {"one-part": "replace two-parts", "two-parts": "x"}
    assert lines(Metadata(title="t", claim="needs one-part"), titles=titles)[2] == (
        'needs "replace two-parts"'
    )


def test_a_sign_off_is_the_last_line_and_only_if_it_is_asked_for() -> None:
    meta = Metadata(title="t", claim="why", issue=1)
    assert lines(meta, signoff=True)[-4:] == [
        *("Relates to #1", "", "Signed-off-by: Ada L. <ada@example.org>", "")
    ]
    assert "Signed-off-by" not in message(meta, author=ME)


def test_a_name_that_may_be_a_word_is_not_replaced() -> None:
    assert lines(Metadata(title="t", claim="words say"), titles={"words": "x"})[2] == "words say"


@pytest.mark.parametrize(
    ("claim", "body"),
    [
        ("needs lazy-variants too", 'needs "cache: only \\1 blobs" too'),
        ("needs lazy-variants.", 'needs "cache: only \\1 blobs".'),
        ("lazy-variants-2, x/lazy-variants, lazy-variants.patch", None),
    ],
)
def test_other_parts_are_named_by_their_subject(claim: str, body: str | None) -> None:
    titles = {"lazy-variants": "cache: only \\1 blobs"}
    assert lines(Metadata(title="t", claim=claim), titles=titles)[2] == (body or claim)
