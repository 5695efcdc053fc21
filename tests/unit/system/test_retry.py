from __future__ import annotations

import pytest

from buildkit_bisect.system import retry
from buildkit_bisect.system.retry import passing, retried


@pytest.mark.parametrize(
    "said",
    [
        "fatal: unable to access 'https://x/': Failed to connect: Connection refused",
        "fatal: unable to access 'https://x/': The requested URL returned error: 503",
        "error: RPC failed; curl 56 Recv failure: Connection reset by peer",
        "fatal: early EOF",
        'go: x@v1: Get "https://proxy/": dial tcp 127.0.0.1:9: connect: connection refused',
        "go: x@v1: reading https://proxy/x: 502 Bad Gateway",
        "net/http: TLS handshake timeout",
        "received unexpected HTTP status: 503 Service Unavailable",
        "Connection timed out after 45000 ms",
        "toomanyrequests: Too Many Requests",
    ],
)  # fmt: skip
def test_what_may_pass(said: str) -> None:
    assert passing(f"cloning\n{said}\n") == said


@pytest.mark.parametrize(
    "said",
    [
        "",
        "fatal: couldn't find remote ref refs/heads/x",
        "fatal: Authentication failed for 'https://x/'",
        "git@x: Permission denied (publickey).\nfatal: the remote end hung up unexpectedly",
        "fatal: unable to access 'https://x/': The requested URL returned error: 403",
        "go: x@v1: reading https://proxy/x: 404 Not Found\n\tserver response: timed out",
        "fatal: unable to access 'https://x/': server certificate verification failed",
        "fatal: Could not resolve host: x",
        "manifest for x:1 not found: manifest unknown",
        "./main.go:1: undefined: x",
    ],
)
def test_what_stays(said: str) -> None:
    assert passing(said) == ""


def world(troubles: list[str], within: float = 1000.0) -> tuple[str, list[float], list[str]]:
    """What *troubles*, one after another, come to; the pauses and what was said."""
    pauses: list[float] = []
    said: list[str] = []
    left = iter(troubles)
    result = retried(
        lambda _: next(left),
        within=within,
        trouble=lambda result: result,
        say=said.append,
        pause=pauses.append,
    )
    return result, pauses, said


def test_it_is_tried_again_with_longer_pauses_and_each_time_said() -> None:
    result, pauses, said = world(["reset", "refused", ""])
    assert result == ""
    assert pauses == [1, 2]
    assert said == [
        "warning: reset; trying again in 1 s",
        "warning: refused; trying again in 2 s",
    ]


def test_there_is_a_bound_and_the_last_answer_is_told() -> None:
    result, pauses, said = world([f"trouble {n}" for n in range(99)])
    assert result == f"trouble {retry.TRIES - 1}"
    assert (len(pauses), len(said)) == (retry.TRIES - 1,) * 2


def test_it_does_not_outlast_its_deadline() -> None:
    assert world(["late"] * 9, within=0.5) == ("late", [], [])


def test_the_seconds_that_are_left_are_told() -> None:
    seen: list[float] = []
    retried(seen.append, within=7.0, trouble=lambda _: "", say=print)
    assert 6.5 < seen[0] <= 7.0


def test_an_error_is_no_trouble() -> None:
    def fail(_: float) -> str:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        retried(fail, within=9, trouble=str, say=print, pause=print)
