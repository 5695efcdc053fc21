"""The ``worker`` task: this machine works for campaigns of others."""

from __future__ import annotations

import os
import sys

from buildkit_bisect.cli import doctor
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.errors import Missing
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import inv
from buildkit_bisect.sharing import open_store
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.workers import dask, facts, serving
from buildkit_bisect.workers.child import Settings


def worker(request: requests.Worker) -> int:
    """Do what a scheduler sends until this process is ended.

    Raises `Missing` without root, Dask or a scheduler, `InfraFailed` if the scheduler is lost.
    """
    dask.needed()
    if os.geteuid():
        raise Missing(
            "not running as root, which trials need for buildkitd",
            hint=f"sudo {inv('worker', request.scheduler)}",
        )
    shared = open_store(request, Deadlines().store, _say)
    doctor.ensure(_say, trials=True)
    own = facts.here(request.worker_name, shares=request.store_push)
    settings = Settings(name=own.name, shared=shared, cache_size=request.cache_size)
    serving.serve(request.scheduler, own, settings, _say)
    return DONE


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
