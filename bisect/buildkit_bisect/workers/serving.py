"""A worker: it registers with a scheduler, does orders, and waits for a scheduler that is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from buildkit_bisect.errors import BisectError, InfraFailed
from buildkit_bisect.options.command import inv
from buildkit_bisect.system import addresses, paths
from buildkit_bisect.workers import dask
from buildkit_bisect.workers.child import Child, Settings
from buildkit_bisect.workers.facts import NAME, Facts

if TYPE_CHECKING:
    from buildkit_bisect.workers.task import Hand

#: Resources of a worker: one order at a time, as root, of one tool and kind of machine.
TRIALS, ROOT = "trials", "root"

#: Seconds between two tries to reach a scheduler.
_AGAIN = 1.0


def resources(facts: Facts) -> dict[str, float]:
    """Return what a worker offers and an order asks for: Dask gives it to no other worker."""
    same = f"{facts.tool}/{facts.python}/{facts.dask}/{facts.arch}"
    names = (TRIALS, ROOT, f"tool {same}", f"kind {facts.kind.digest}")
    return dict.fromkeys(names, 1.0)


def serve(where: str, facts: Facts, settings: Settings, say: Callable[[str], None]) -> None:
    """Do orders of the scheduler at *where* until this process gets a signal to end.

    Raises `Missing` if no scheduler answers, `InfraFailed` if it is lost for too long.
    """
    dask.quiet()
    with paths.scratch("dask") as home:
        made = _Serving(where=where, facts=facts, settings=settings, say=say, home=home)
        asyncio.run(made.run())


@dataclass(kw_only=True)
class _Serving:
    """A worker while it runs."""

    where: str
    facts: Facts
    settings: Settings
    say: Callable[[str], None]
    home: Path  # for what Dask writes
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """See `serve`."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(sign, self.over.set)
        child = Child(self.settings)
        registered = False
        try:
            while not self.over.is_set():
                until = time.monotonic() + (dask.RETURN_WORKER if registered else dask.CONNECT)
                hand = await self._registered(child, until)
                if hand is None:
                    if not self.over.is_set():
                        raise self._absent(registered=registered)
                    break
                registered = True
                await self._ended(hand)
                await child.end()
                if not self.over.is_set():
                    self.say(f"lost the scheduler at {self.where}; waiting for it")
        finally:
            child.kill()

    def _absent(self, *, registered: bool) -> BisectError:
        if not registered:
            return dask.absent(self.where)
        seconds = f"{dask.RETURN_WORKER:g} s"
        return InfraFailed(
            f"the scheduler at {self.where} did not come back within {seconds}",
            hint=inv("worker", self.where),
        )

    async def _registered(self, child: Child, until: float) -> Hand | None:
        """Return a worker that the scheduler knows; None if it has none before *until*."""
        from buildkit_bisect.workers.task import Hand  # noqa: PLC0415 - imports Dask

        host = addresses.scheduler(self.where).partition("://")[2].rpartition(":")[0]
        while not self.over.is_set() and (left := until - time.monotonic()) > 0:
            hand = Hand(
                dask.address(self.where),
                nthreads=1,
                resources=resources(self.facts),
                startup_information={NAME: lambda _: self.facts.plain()},
                local_directory=str(self.home),
                host=host if addresses.is_loopback(host) else None,
                dashboard_address="127.0.0.1:0",
                death_timeout=min(left, dask.CONNECT),
                memory_limit=0,
            )
            hand.child = child
            try:
                await hand
            except (OSError, TimeoutError):
                await _close(hand)
                await asyncio.sleep(_AGAIN)
                continue
            except (TypeError, ValueError, RuntimeError) as error:
                await _close(hand)
                raise dask.refused(self.where, error) from None
            child.prepare()
            self.say(f"worker {self.facts.name} at {hand.address} waits for work of {self.where}")
            return hand
        return None

    async def _ended(self, hand: Hand) -> None:
        """Wait until the scheduler is lost, or this process gets a signal to end."""
        closed = hand.finished()  # type: ignore[no-untyped-call]
        ends = [asyncio.ensure_future(closed), asyncio.ensure_future(self.over.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
        await _close(hand)


async def _close(hand: Hand) -> None:
    with contextlib.suppress(Exception):  # it is over, whatever it says
        await asyncio.wait_for(hand.close(timeout=5), 10)
