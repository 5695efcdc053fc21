"""The task that a scheduler gives to a worker: one order."""

from __future__ import annotations

from dataclasses import replace

import distributed

from buildkit_bisect.workers.child import Cancelled, Child
from buildkit_bisect.workers.orders import Answer, Order


class Hand(distributed.Worker):
    """A Dask worker that does orders in a process of its own."""

    child: Child

    def wants(self, key: str) -> bool:
        """Whether the task *key* is still wanted: not cancelled, and its client not gone."""
        found = self.state.tasks.get(key)
        return found is not None and found.state != "cancelled"


async def work(order: Order) -> Answer:
    """Do *order* on this worker. A cancelled one ends with all that it runs.

    A coroutine runs in the worker's main thread, where a task in a thread could not be ended.
    """
    worker = distributed.get_worker()
    assert isinstance(worker, Hand)
    try:
        answer = await worker.child.perform(order, lambda: not worker.wants(order.id))
    except Cancelled:
        answer = Answer(trouble="cancelled")
    return replace(answer, address=worker.address)
