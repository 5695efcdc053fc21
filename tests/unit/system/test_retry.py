from __future__ import annotations

import pytest

from buildkit_bisect.system import retry
from buildkit_bisect.system.retry import passing, retried


@pytest.mark.parametrize(
    "output",
    [
        "fatal: unable to access 'https://x/': Failed to connect: Connection refused",
        "fatal: unable to access 'https://x/': The requested URL returned error: 503",
        "fatal: unable to access 'https://x/': The requested URL returned error: 429",
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
def test_transient_errors(output: str) -> None:
    assert passing(f"cloning\n{output}\n") == output


@pytest.mark.parametrize(
    "output",
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
def test_permanent_errors(output: str) -> None:
    assert passing(output) == ""


def run(troubles: list[str], within: float = 1000.0) -> tuple[str, list[float], list[str]]:
    """Return the result of a call that fails with *troubles* in turn, the pauses and warnings."""
    pauses: list[float] = []
    warnings: list[str] = []
    left = iter(troubles)
    result = retried(
        lambda _: next(left),
        within=within,
        trouble=lambda result: result,
        say=warnings.append,
        pause=pauses.append,
    )
    return result, pauses, warnings


def test_retries_pause_longer_each_time_and_warn() -> None:
    result, pauses, warnings = run(["reset", "refused", ""])
    assert result == ""
    assert pauses == [1, 2]
    assert warnings == [
        "warning: reset; retrying in 1 s",
        "warning: refused; retrying in 2 s",
    ]


def test_tries_are_limited_and_the_last_result_is_returned() -> None:
    result, pauses, warnings = run([f"trouble {n}" for n in range(99)])
    assert result == f"trouble {retry.TRIES - 1}"
    assert (len(pauses), len(warnings)) == (retry.TRIES - 1,) * 2


def test_retries_end_at_the_deadline() -> None:
    assert run(["late"] * 9, within=0.5) == ("late", [], [])


def test_the_call_gets_the_remaining_seconds() -> None:
    seen: list[float] = []
    retried(seen.append, within=7.0, trouble=lambda _: "", say=print)
    assert 6.5 < seen[0] <= 7.0


def test_an_exception_is_not_retried() -> None:
    def fail(_: float) -> str:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        retried(fail, within=9, trouble=str, say=print, pause=print)
