"""The connection of a campaign to a Dask scheduler."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import distributed

from buildkit_bisect.workers import choice, dask, facts
from buildkit_bisect.workers.choice import Chosen
from buildkit_bisect.workers.dispatch import Lost
from buildkit_bisect.workers.facts import Facts
from buildkit_bisect.workers.orders import Answer, Order
from buildkit_bisect.workers.serving import resources
from buildkit_bisect.workers.task import work

#: Seconds between two tries to reach a scheduler that was lost.
_AGAIN = 0.5


#: What Dask calls a client that is connected.
_CONNECTED = "running"


class _Client(distributed.Client):
    """One that is closed if it cannot start: else Dask tries that at exit, for 12 s, in vain."""

    async def _start(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._start(*args, **kwargs)  # type: ignore[no-untyped-call]
        except Exception:
            await self._close()
            raise


class DaskLink:
    """A `dispatch.Link` to the scheduler at *where*, for workers of one kind."""

    def __init__(self, where: str) -> None:
        """Raises `Missing` if no scheduler answers in time, or none of its workers can be used."""
        dask.quiet()
        self._where = where
        self._client = self._connected(dask.CONNECT)
        try:
            self._ours = facts.here()
            self.chosen: Chosen = choice.choose(self._registered(), self._ours, where)
        except BaseException:
            self.close()
            raise

    def _connected(self, seconds: float) -> Any:
        try:
            return _Client(  # type: ignore[no-untyped-call]
                dask.address(self._where), timeout=seconds, set_as_default=False
            )
        except (OSError, TimeoutError):
            raise dask.absent(self._where) from None
        except (TypeError, ValueError, RuntimeError, ImportError) as error:
            raise dask.refused(self._where, error) from None

    def _registered(self) -> dict[str, Facts | None]:
        info = self._client.scheduler_info(n_workers=-1)
        return {a: facts.read(one.get(facts.NAME)) for a, one in info["workers"].items()}

    def workers(self) -> Mapping[str, Facts]:
        """See `Link`."""
        if self._client.status != _CONNECTED:
            raise Lost
        try:
            found = self._registered()
        except Exception:
            raise Lost from None
        return {
            address: one
            for address, one in found.items()
            if one
            and one.root
            and one.kind == self.chosen.kind
            and not choice.differs(one, self._ours)
        }

    def submit(self, order: Order, among: Collection[str], /) -> Future[Answer]:
        """See `Link`."""
        if self._client.status != _CONNECTED:
            raise Lost
        wanted = resources(next(iter(self.chosen.workers.values())))
        executor = self._client.get_executor(pure=False, resources=wanted)
        try:
            future: Future[Answer] = executor.submit(
                work, order, key=order.id, workers=sorted(among) or None
            )
        except Exception:
            raise Lost from None
        return future

    def again(self) -> bool:
        """See `Link`."""
        self.close()
        until = time.monotonic() + dask.RETURN_HOME
        while (left := until - time.monotonic()) > 0:
            with suppress(Exception):
                self._client = self._connected(min(left, dask.CONNECT))
                return True
            time.sleep(_AGAIN)
        return False

    def close(self) -> None:
        """Close the connection; the scheduler then cancels what this client asked for."""
        with suppress(Exception):
            self._client.close(timeout=5)
