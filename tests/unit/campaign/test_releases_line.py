"""The line of releases between two ends, as a module proxy and as a repository names them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from buildkit_bisect.campaign import candidates
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
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


def patch(folder: Path, name: str, metadata: str = "") -> Patch:
    (folder / name).mkdir()
    (folder / name / "patch.toml").write_text(f'title = "t"\n{metadata}')
    diff = "--- a/solver/x.go\n+++ b/solver/x.go\n@@ -1 +1 @@\n-a\n+b\n"
    (folder / name / "it.patch").write_text(diff)
    return patches.load(str(folder / name))


def test_without_a_history_a_patch_is_used_at_every_release(tmp_path: Path) -> None:
    chosen = patch(tmp_path, "everywhere")
    line = candidates.load(proxy(), "v0.24.0", "v0.26.0", [chosen], releases=True)
    assert {c: line.variant(c).patches for c in line.candidates} == dict.fromkeys(
        ("v0.25.0", "v0.26.0"), (chosen.ref,)
    )


@pytest.mark.parametrize("key", ["introduced-by", "fixed-by"])
def test_without_a_history_nobody_knows_which_releases_a_patch_is_for(
    tmp_path: Path, key: str
) -> None:
    chosen = [patch(tmp_path, "first"), patch(tmp_path, "limited", f'{key} = "051818cf3"\n')]
    with pytest.raises(BadInput, match="the patch limited is limited to some commits"):
        candidates.load(proxy(), "v0.24.0", "v0.26.0", chosen, releases=True)
