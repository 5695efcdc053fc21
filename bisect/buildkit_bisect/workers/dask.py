"""What this tool sets of Dask, and says for its errors; importing this does not import Dask."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.system import addresses

#: Seconds for the first answer of a scheduler.
CONNECT = 6.0

#: Seconds that a scheduler which is lost may take to be there again, for workers and campaigns.
RETURN_WORKER, RETURN_HOME = 600.0, 60.0


def needed() -> None:
    """Raise `Missing` if Dask is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise Missing(
            "Dask's package distributed is not installed, which other machines are reached with",
            hint=f"{sys.executable} -m pip install distributed",
        )


def quiet(level: int = logging.CRITICAL) -> None:
    """Have Dask log nothing below *level*: this tool says what matters itself."""
    import distributed  # noqa: F401, PLC0415 - takes long, and sets up logging itself

    warnings.filterwarnings("ignore", module=r"distributed\b.*")
    rooms = ("distributed", "tornado", "asyncio")
    # Dask gives some below these a level of their own, like distributed.client.
    for name in (*rooms, *logging.root.manager.loggerDict):
        if name.partition(".")[0] in rooms:
            logging.getLogger(name).setLevel(level)


def address(where: str) -> str:
    """Return ``dask://HOST:PORT`` as Dask writes it."""
    return addresses.scheduler(where)


def absent(where: str) -> Missing:
    """Return the error for a scheduler that does not answer."""
    return Missing(
        f"no Dask scheduler answers at {where}",
        hint="start one there: docs/usage.md, Workers on other machines",
    )


def refused(where: str, error: Exception) -> BadInput:
    """Return the error for settings of TLS that do not fit, with its cause: Dask hides it."""
    cause = error.__cause__ or error
    return BadInput(
        f"cannot connect to {where}: {type(cause).__name__}: {cause}"[:300],
        hint="certificates in Dask's own configuration: DASK_DISTRIBUTED__COMM__TLS__CA_FILE=FILE"
        " and the like; docs/trust.md",
    )
