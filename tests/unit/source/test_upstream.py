from __future__ import annotations

import pytest

from buildkit_bisect.source.upstream import release_branches

OWN, ORIGIN, REAL, THEIRS = (
    f"refs/{place}/v0.32" for place in ("heads", "remotes/origin", "remotes/real", "remotes/a")
)


@pytest.mark.parametrize(
    ("refs", "expected"),
    [
        ((OWN, ORIGIN, REAL, THEIRS), REAL),
        ((THEIRS, OWN, ORIGIN), ORIGIN),
        ((THEIRS, OWN), OWN),
        ((THEIRS,), THEIRS),
    ],
)
def test_upstreams_branch_is_preferred_to_others_with_the_same_name(
    refs: tuple[str, ...], expected: str
) -> None:
    assert release_branches(refs, ("real", "upstream")) == {(0, 32): expected}
    assert release_branches(refs[::-1], ("real", "upstream")) == {(0, 32): expected}


def test_remotes_and_topic_branches_may_have_a_slash_in_their_names() -> None:
    refs = ["refs/remotes/moby/buildkit/v0.32", "refs/remotes/me/topic/v0.31"]
    assert release_branches(refs, ("moby/buildkit",)) == {(0, 32): refs[0]}


def test_only_release_branches_are_returned_in_order_of_version() -> None:
    refs = [f"refs/heads/{name}" for name in ("v0.9", "v0.10", "v0.10.1", "v0.10-fix", "x/v0.8")]
    assert release_branches([*refs, "refs/tags/v0.7"], ()) == {
        (0, 9): "refs/heads/v0.9",
        (0, 10): "refs/heads/v0.10",
    }
    assert [*release_branches(reversed(refs), ())] == [(0, 9), (0, 10)]
