"""Builds with a variant's own buildctl, in the way in which it can report what they do."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from buildkit_bisect import buildctl
from buildkit_bisect.buildctl import BuildRequest, Reporting
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.options.command import inv
from buildkit_bisect.runtime import Built, UnsupportedClient
from buildkit_bisect.system import pipes, process

#: Seconds for a buildctl to print its help, on a busy machine.
_HELP = 60.0


class Run(Protocol):
    """Runs buildctl with arguments in a runtime's environment."""

    def __call__(self, arguments: list[str], /, *, timeout: float) -> process.Completed:
        """Run it; its failure is not raised."""
        ...


def build(program: Path, run: Run, address: str, request: BuildRequest, scratch: Path) -> Built:
    """Build *request* with *run*, which runs the buildctl *program*; a trace is in *scratch*.

    Raises `UnsupportedClient` if it lacks an option, `InfraFailed` if it does not print its help.
    """
    listed = _help(program, program.stat().st_mtime_ns)
    if lacking := buildctl.lacking(listed):
        raise UnsupportedClient(
            f"this buildctl build has no {lacking}; {buildctl.OLDEST} is the oldest release that"
            " this tool supports"
        )
    if lacking := buildctl.lacking(listed, request):
        raise UnsupportedClient(f"this buildctl build has no {lacking}, which the step needs")
    if buildctl.reporting(listed) is Reporting.RAWJSON:
        return Built(done=run(buildctl.build(address, request), timeout=request.timeout))
    with tempfile.TemporaryDirectory(dir=scratch, prefix="trace-") as folder:
        trace = Path(folder) / "trace.json"  # buildctl appends, so it must be new
        done = run(buildctl.build(address, request, trace), timeout=request.timeout)
        if not trace.exists():  # buildctl failed before it began
            return Built(done=done, trace="")
        left_out = max(0, trace.stat().st_size - pipes.MOST)
        return Built(
            done=replace(done, left_out=done.left_out + left_out),
            trace=pipes.excerpt(trace),
        )


@functools.cache
def _help(program: Path, _modified: int) -> str:
    """Return the options that *program* lists. It is asked once per process and program."""
    done = process.run([str(program), *buildctl.BUILD_HELP], timeout=_HELP, check=False)
    if not done.ok or "--" not in done.stdout:
        how = f"timed out after {_HELP:g} s" if done.timed_out else f"exited {done.exit}"
        raise InfraFailed(
            f"buildctl build --help {how}, and did not list its options: {done.tail(3)[-500:]}",
            hint=f"{inv('doctor')}, then {inv('resume')}",
        )
    return done.stdout
