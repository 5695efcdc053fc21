"""The line of releases between two ends, as a module proxy and as a repository names them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from buildkit_bisect.campaign import candidates
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.source import Source

LISTED = ("v0.26.0", "v0.25.0", "v0.24.0")


def proxy() -> Source:
    """A module proxy: its list has no commit ids, and what it says of one version has."""

    def resolve(ref: str) -> Revision:
        name = ref if ref.startswith("v") else f"v{ref}"
        return Revision(ref=name, sha=name[4] * 40, describe=name)

    releases = [Revision(ref=name, sha="", describe=name) for name in LISTED]
    return cast(
        Source,
        SimpleNamespace(
            resolve_all=lambda refs: list(map(resolve, refs)), releases=lambda: releases
        ),
    )


def test_an_end_has_one_name_whatever_the_proxy_knows_of_it() -> None:
    line = candidates.load(proxy(), "v0.24.0", "v0.26.0", [], releases=True)
    assert (line.good, line.bad, line.candidates) == ("v0.24.0", "v0.26.0", ("v0.25.0", "v0.26.0"))
    assert line.revision(line.bad).sha == "6" * 40
    assert line.commits == 2
    assert not line.is_back(line.good, line.bad)


def test_ends_may_be_named_as_people_do() -> None:
    line = candidates.load(proxy(), "0.24.0", "0.25.0", [], releases=True)
    assert (line.good, line.bad) == ("v0.24.0", "v0.25.0")


def test_an_end_that_is_no_release_is_refused() -> None:
    with pytest.raises(BadInput, match=r"needs release tags, and 'v0\.25\.0-rc1' is not one"):
        candidates.load(proxy(), "v0.24.0", "v0.25.0-rc1", [], releases=True)
