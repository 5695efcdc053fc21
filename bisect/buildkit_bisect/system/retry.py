"""Once more, a little later: for what a network does to a request, and for nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
)

T = TypeVar("T")

#: How often something is tried at most, and the seconds before the second try; then twice that.
TRIES = 4
PAUSE = 1.0

#: What git, go, the Docker Engine and Python say of a connection that may work in a moment.
_PASSING = re.compile(
    r"connection (?:was |has been )?(?:refused|reset|aborted|closed|timed out)"
    r"|(?:returned error:|HTTP|status code|HTTP error) 5\d\d|\b50[0234] [A-Z]|too many requests"
    r"|timed? ?out|broken pipe|early EOF|unexpected (?:EOF|disconnect)|empty reply from server"
    r"|operation too slow|RPC failed|remote end closed|recv failure|handshake timeout"
    r"|temporary failure|connection broken|incomplete ?read",
    re.IGNORECASE,
)
#: What stays so, whatever else is said beside it.
_FINAL = re.compile(
    r"\b40[13]\b|\b404\b|\b410\b|not found|authentication|permission denied|access denied"
    r"|could not read username|couldn't find remote ref|certificate|unauthorized|forbidden",
    re.IGNORECASE,
)


def passing(said: str) -> str:
    """The line of *said* that tells of trouble that may pass; "" where none does, or it is final.

    *said* is what a failed command or server answered.
    """
    if _FINAL.search(said):
        return ""
    lines = [line.strip() for line in said.splitlines()]
    return next((line for line in lines if _PASSING.search(line)), "")


def retried(
    call: Callable[[float], T],
    *,
    within: float,
    trouble: Callable[[T], str],
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """What *call* comes to, tried again while *trouble* has a word for it: `TRIES` times at most.

    *call* is given the seconds that are left of *within*. *say* gets a warning before each
    further try. What *call* raises is not tried again; the last result is returned as it is.
    """
    end = time.monotonic() + within

    def warn(state: RetryCallState) -> None:
        assert state.outcome
        assert state.next_action
        reason = trouble(state.outcome.result())[:300]
        say(f"warning: {reason}; trying again in {state.next_action.sleep:g} s")

    tries: Retrying = Retrying(
        retry=retry_if_result(lambda result: bool(trouble(result))),
        stop=stop_after_attempt(TRIES) | stop_before_delay(within),
        wait=wait_exponential(multiplier=PAUSE),
        before_sleep=warn,
        sleep=pause,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    return tries(lambda: call(max(0.0, end - time.monotonic())))
