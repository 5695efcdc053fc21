"""Retries for transient network errors, and for nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

#: Most tries, and seconds before the second one; the pause doubles with each further try.
TRIES = 4
PAUSE = 1.0

#: Transient errors, as git, go, the Docker Engine and Python report them.
_PASSING = re.compile(
    r"connection (?:was |has been )?(?:refused|reset|aborted|closed|timed out)"
    r"|(?:returned error:|HTTP|status code|HTTP error) (?:408|425|429|5\d\d)"
    r"|\b50[0234] [A-Z]|too many requests"
    r"|timed? ?out|broken pipe|early EOF|unexpected (?:EOF|disconnect)|empty reply from server"
    r"|operation too slow|RPC failed|remote end closed|recv failure|handshake timeout"
    r"|temporary failure|connection broken|incomplete ?read",
    re.IGNORECASE,
)
#: Permanent errors, whatever else the output says.
_FINAL = re.compile(
    r"\b40[13]\b|\b404\b|\b410\b|not found|authentication|permission denied|access denied"
    r"|could not read username|couldn't find remote ref|certificate|unauthorized|forbidden",
    re.IGNORECASE,
)


def passing(output: str) -> str:
    """Return the line of *output* with a transient error; "" if there is none, or it is permanent.

    *output* comes from a failed command or server.
    """
    if _FINAL.search(output):
        return ""
    lines = [line.strip() for line in output.splitlines()]
    return next((line for line in lines if _PASSING.search(line)), "")


def retried(
    call: Callable[[float], T],
    *,
    within: float,
    trouble: Callable[[T], str],
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """Return the result of *call*, retried while *trouble* describes it, at most `TRIES` times.

    *call* gets the remaining seconds of *within*. *say* gets a warning before each further try.
    Exceptions are not retried; the last result is returned even if it is trouble.
    """
    # Imported late: it takes long, and a command that finds everything stored calls nothing.
    from tenacity import (  # noqa: PLC0415
        Retrying,
        retry_if_result,
        stop_after_attempt,
        stop_before_delay,
        wait_exponential,
    )

    end = time.monotonic() + within

    def warn(state: RetryCallState) -> None:
        assert state.outcome
        assert state.next_action
        reason = trouble(state.outcome.result())[:300]
        say(f"warning: {reason}; retrying in {state.next_action.sleep:g} s")

    tries: Retrying = Retrying(
        retry=retry_if_result(lambda result: bool(trouble(result))),
        stop=stop_after_attempt(TRIES) | stop_before_delay(within),
        wait=wait_exponential(multiplier=PAUSE),
        before_sleep=warn,
        sleep=pause,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    return tries(lambda: call(max(0.0, end - time.monotonic())))
