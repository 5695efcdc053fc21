"""The list of what a server was asked for, in a step's messages."""

from __future__ import annotations

from typing import cast

import pytest

from buildkit_bisect.lab.serving import Stand
from buildkit_bisect.runtime.servers import Request, Server
from buildkit_bisect.scenario import Action, Condition, Scenario, Step
from buildkit_bisect.scenario.conditions import holds
from buildkit_bisect.scenario.definition import Server as Spec
from buildkit_bisect.scenario.definition import ServerKind

ASKED = Step(id="asked", action=Action.REQUESTS, server="web")


class Asked:
    """A server that was asked for so many pages."""

    host = "127.0.0.1:1"

    def __init__(self, number: int) -> None:
        self.number = number

    def taken(self, _path: str) -> list[Request]:
        return [
            Request(method="GET", path=f"/page-{n:04}", status=200, sent=1)
            for n in range(self.number)
        ]


@pytest.mark.parametrize(("number", "first", "none"), [(2500, True, False), (5000, None, None)])
def test_a_list_of_requests_is_as_long_as_other_messages(
    number: int, first: bool | None, none: bool | None
) -> None:
    """Of 5,000 lines with 20 characters 64 KiB are kept: what is not in them is not known."""
    made = Scenario(
        name="x", title="x", issue="", steps=(ASKED,), outcomes=(),
        servers={"web": Spec(kind=ServerKind.HTTP)},
    )  # fmt: skip
    stand = Stand(made, {"web": cast(Server, Asked(number))})
    seen = stand.do(ASKED, lambda text: text)
    assert seen.metrics["requests"] == number
    assert seen.stderr.startswith("[") is (first is None)
    for pattern, known in (
        (f"^GET /page-{number - 1} ", True), ("^GET /page-0000 ", first), ("POST", none),
        ("left out", none),
    ):  # fmt: skip
        assert holds(Condition(step="asked", stderr=pattern), seen, None) is known, pattern
