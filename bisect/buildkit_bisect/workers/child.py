"""The process in which a worker does its orders: it can be ended at any time, with all it runs."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NoReturn

from buildkit_bisect.lab.executors import follow
from buildkit_bisect.sharing import SharedStore
from buildkit_bisect.system import cache_limit
from buildkit_bisect.workers.bench import Bench
from buildkit_bisect.workers.orders import Answer, Order

#: Orders after which a new process follows: only then the cache can be trimmed.
ORDERS = 200

#: Seconds from SIGTERM to SIGKILL: a daemon and its mounts end within a part of it.
GRACE = 15.0

#: Seconds between looks at whether an order is done, or cancelled.
_TICK = 0.02


class Cancelled(Exception):
    """The order is not wanted any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a worker was started with."""

    name: str
    shared: SharedStore | None
    cache_size: int  # bytes


class Child:
    """The process, started with the first order, and again after an order that was cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._done = 0  # orders of this process

    async def perform(self, order: Order, cancelled: Callable[[], bool]) -> Answer:
        """Return the answer to *order*; end the process and raise `Cancelled` if *cancelled*."""
        whole = False
        try:
            pipe = self._ready()
            pipe.send(order)
            while not pipe.poll():
                if cancelled():
                    raise Cancelled
                await asyncio.sleep(_TICK)
            answer: Answer = await asyncio.to_thread(pipe.recv)
            whole = True
            self._done += 1
        except (EOFError, OSError) as error:  # killed, by whom it may be
            why = f"the process that did it ended: {type(error).__name__}"
            return Answer(worker=self._settings.name, trouble=why)
        finally:
            if not whole:
                await self.end()
        return answer

    def _ready(self) -> Connection:
        if self._process and (self._done >= ORDERS or not self._process.is_alive()):
            self.kill()
        if self._process is None or self._pipe is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            grew = self._done >= ORDERS
            self._process = context.Process(target=_serve, args=(theirs, self._settings, grew))
            self._process.start()
            theirs.close()
            self._pipe, self._done = ours, 0
        return self._pipe

    async def end(self) -> None:
        """End the process: SIGTERM, then SIGKILL; its children follow by their death signal."""
        if self._process is None:
            return
        self._process.terminate()
        waited = 0.0
        while self._process.is_alive() and waited < GRACE:
            waited += _TICK
            try:
                await asyncio.sleep(_TICK)
            except asyncio.CancelledError:  # the worker ends too
                break
        self.kill()

    def kill(self) -> None:
        """End the process now."""
        process, self._process = self._process, None
        if self._pipe:
            self._pipe.close()
            self._pipe = None
        if process:
            process.kill()
            process.join()


def _serve(pipe: Connection, settings: Settings, grew: bool) -> None:
    """Do the orders that come through *pipe* until it is closed; first trim the cache."""
    follow()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the worker decides
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    try:
        cache_limit.trim(settings.cache_size, grew=grew)
    except OSError as error:
        _say(f"cannot trim the cache: {error}")
    bench = Bench(settings.name, settings.shared, _say)
    try:
        while True:
            order = pipe.recv()
            _say(order.what)
            answer = bench.perform(order)
            if answer.failed:
                _say(f"{order.what}: {answer.failed}")
            pipe.send(answer)
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        bench.close()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
