"""Measures what a task takes of Dask's scheduler, and of the client at home.

    .venv/bin/python benchmarks/scheduler_costs.py --write docs/scaling.md

A real scheduler, a client and workers, in three processes on loopback; all workers share one, and
their tasks do nothing. Seconds are those of the processor, so that it does not matter that the
three share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import section
from distributed import Client, Scheduler, Worker

WORKERS = (1, 10, 100)
TASKS = 5000
#: Bytes that a task returns: the evidence of a trial, on average.
RESULT = 47_000


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Milliseconds of each task."""

    workers: int
    scheduler: float
    client: float
    worker: float
    wall: float


def nothing(number: int) -> bytes:
    """Return as many bytes as a trial's evidence has, different ones each time."""
    return number.to_bytes(8, "big") * (RESULT // 8)


def _scheduler(pipe: Connection) -> None:
    logging.getLogger("distributed").setLevel(logging.WARNING)

    async def serve() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
            pipe.send(scheduler.address)
            await scheduler.finished()

    asyncio.run(serve())


def _workers(address: str, count: int) -> None:
    logging.getLogger("distributed").setLevel(logging.WARNING)

    async def work() -> None:
        workers = [
            Worker(address, nthreads=1, resources={"trial": 1}, dashboard_address=":0")
            for _ in range(count)
        ]
        await asyncio.gather(*workers)
        await asyncio.gather(*(w.finished() for w in workers))  # type: ignore[no-untyped-call]

    asyncio.run(work())


@contextmanager
def cluster(count: int) -> Iterator[tuple[str, int, int]]:
    """Provide a scheduler's address, and the process ids of it and of its *count* workers."""
    fresh = multiprocessing.get_context("spawn")
    ours, theirs = fresh.Pipe()
    scheduler = fresh.Process(target=_scheduler, args=(theirs,))
    scheduler.start()
    address = ours.recv()
    workers = fresh.Process(target=_workers, args=(address, count))
    workers.start()
    try:
        assert scheduler.pid
        assert workers.pid
        yield address, scheduler.pid, workers.pid
    finally:
        for process in (workers, scheduler):
            process.terminate()
            process.join()


def spent(pid: int) -> float:
    """Return the processor's seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(workers: int, tasks: int) -> Costs:
    """Run *tasks* that do nothing, as the tool submits trials."""
    with (
        cluster(workers) as (address, *pids),
        Client(address) as client,  # type: ignore[no-untyped-call]
    ):
        client.wait_for_workers(workers, timeout=300)
        client.submit(nothing, 0).result()
        before, began = [spent(pid) for pid in (*pids, os.getpid())], time.monotonic()
        executor = client.get_executor(pure=False, resources={"trial": 1})
        for future in [executor.submit(nothing, number) for number in range(tasks)]:
            future.result()
        wall = time.monotonic() - began
        used = [spent(pid) - then for pid, then in zip((*pids, os.getpid()), before, strict=True)]
    scheduler, ran, own = (1000 * each / tasks for each in used)
    return Costs(
        workers=workers, scheduler=scheduler, worker=ran, client=own, wall=1000 * wall / tasks
    )


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    lines = [
        "| workers | scheduler | home's client | all workers | wall time |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for count in options.workers:
        found = measured(count, options.tasks)
        each = (found.scheduler, found.client, found.worker, found.wall)
        lines.append(f"| {count:,} | {' | '.join(f'{one:.2f} ms' for one in each)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    section.put(options.write, "scheduler costs", "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
