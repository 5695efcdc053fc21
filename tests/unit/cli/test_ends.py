"""Both ends of a history in one value."""

from __future__ import annotations

import pytest

from buildkit_bisect.cli import ends
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Bisect, Boundaries


@pytest.mark.parametrize(
    ("given", "good", "bad"),
    [
        ({"range": "v0.24.0..v0.26.0"}, "v0.24.0", "v0.26.0"),
        ({"range": "v0.24.0...v0.26.0"}, "v0.24.0", "v0.26.0"),
        ({"range": "v0.24.0.."}, "v0.24.0", "HEAD"),
        ({"range": "0.24.0..pr/7107"}, "0.24.0", "pr/7107"),
        ({"good": "v0.24.0..v0.26.0"}, "v0.24.0", "v0.26.0"),
        ({"bad": "v0.24.0..v0.26.0"}, "v0.24.0", "v0.26.0"),
        ({"range": "master~3..origin/master"}, "master~3", "origin/master"),
        ({"range": "v0.24.0..v0.26.0", "find_fix": True}, "v0.26.0", "v0.24.0"),
        (
            {"range": "https://github.com/moby/buildkit/compare/v0.24.0...v0.26.0"},
            *("v0.24.0", "v0.26.0"),
        ),
        ({"good": "v0.24.0", "bad": "v0.26.0"}, "v0.24.0", "v0.26.0"),
    ],
)
def test_the_ends_of_a_bisection(given: dict[str, str | bool], good: str, bad: str) -> None:
    request = ends.of_bisection(read(Bisect, given, {}))
    assert (request.good, request.bad) == (good, bad)


@pytest.mark.parametrize("key", ["range", "from", "to"])
def test_the_ends_of_boundaries(key: str) -> None:
    request = ends.of_boundaries(read(Boundaries, {key: "v0.24.0..master"}, {}))
    assert (request.start, request.end) == ("v0.24.0", "master")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"range": "v0.24.0"}, r"not a range OLDER..NEWER \(try: ./inv bisect v0.24.0..master\)"),
        ({"range": "v1:v2"}, r"\(try: ./inv bisect v1..v2\)"),
        ({"range": "v1..v2", "bad": "v3"}, r"v1..v2 gives both ends.* \(try: ./inv bisect v1..v2"),
        ({"good": "v1..v2", "bad": "v3"}, "gives both ends"),
        ({"range": "..v2"}, r"has no older end \(try: ./inv bisect v0.24.0..v2\)"),
        ({"range": "v1..v2", "find_good": True}, r"\(try: --find-good --bad v2, or leave out"),
    ],
)
def test_what_is_not_a_range(given: dict[str, str | bool], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        ends.of_bisection(read(Bisect, given, {}))
