"""What a campaign on workers cannot do is refused before anything is cloned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import small_scenario
from buildkit_bisect.campaign import elsewhere
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.scenario import load

WHERE = "dask://127.0.0.1:8786"

BUILT = """
[images.base]
dockerfile = "Dockerfile"
public = "docker.io/library/busybox"
"""


def request(**more: Any) -> Matrix:
    return Matrix(executor=WHERE, dry_run=True, **more)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"runtime": (RuntimeKind.DOCKER,)}, "--runtime docker"),
        ({"runtime": (RuntimeKind.HOST, RuntimeKind.BUILDX)}, "--runtime host,buildx"),
        ({"registry": "127.0.0.1:5000"}, "--registry"),
        ({"snapshotter_socket": {"mine": Served(socket="/s")}}, "--snapshotter-socket"),
        ({"jobs": 2}, "--jobs 2"),
    ],
)
def test_what_is_of_one_machine(more: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        elsewhere.check(request(**more), [])
    assert caught.value.message == (
        f"{named} is of one machine and cannot be combined with --executor {WHERE}"
    )


def test_base_images_that_a_buildkit_builds(tmp_path: Path) -> None:
    folder = small_scenario.written(tmp_path, BUILT, dockerfile="FROM scratch\nRUN echo 1 > /x\n")
    one = small_scenario.loaded(folder)
    with pytest.raises(BadInput, match="the base images of small are built by a BuildKit"):
        elsewhere.check(request(), [one])
    elsewhere.check(request(images=Images.PUBLIC), [one])


def test_shipped_scenarios_can_be_sent() -> None:
    elsewhere.check(request(), [load("cross-stage-lazy"), load("warm-reexport")])
