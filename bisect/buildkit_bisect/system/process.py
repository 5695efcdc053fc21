"""Runs child processes; no other module does.

Every child is an argv list (never a shell), leads its own process group, has a deadline,
and dies with this process: ``PR_SET_PDEATHSIG`` kills it even if this process is killed with
SIGKILL. At the deadline the whole group gets SIGTERM, then SIGKILL. Processes that left the group
(``setsid``) get SIGKILL too; a mark in their environment identifies them. The output is kept up
to a limit.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from buildkit_bisect.errors import InfraFailed, Missing
from buildkit_bisect.system import marks
from buildkit_bisect.system.announce import by_default
from buildkit_bisect.system.pipes import Reader

#: Seconds between SIGTERM and SIGKILL for a whole group.
GRACE = 5.0

#: Seconds for a killed child to exit (in an uninterruptible wait it never does), and for the
#: rest of its output. With `GRACE`, every child ends within its deadline plus ten seconds.
_KILLED = 2.0
_DRAIN = 2.0

#: Milliseconds that one call can wait: three weeks.
_LONGEST_POLL = 2**31 - 1

#: Characters at the end of an output that `Completed.tail` reads.
_TAIL = 4000


class ProcessError(InfraFailed):
    """A child that had to succeed failed; carries the tail of its output.

    If the machine is not at fault, the caller knows and raises a better error.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """An ended child; ``exit`` is negative for a signal, ``timed_out`` means past its deadline."""

    argv: tuple[str, ...]
    exit: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    left_out: int = 0  # bytes missing from stdout and stderr, above the limit of what is kept

    @property
    def ok(self) -> bool:
        """Exited by itself with status 0."""
        return self.exit == 0 and not self.timed_out

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of stderr, or of stdout if stderr is empty."""
        text = self.stderr[-_TAIL:].strip() or self.stdout[-_TAIL:].strip()
        return "\n".join(text.splitlines()[-lines:])

    def whole(self) -> Completed:
        """Return self. Raises `ProcessError` if a part of the output is missing."""
        if self.left_out:
            raise ProcessError(
                f"{self.shown} printed too much: {self.left_out} bytes were left out"
            )
        return self

    @property
    def shown(self) -> str:
        """The command, shortened for a message."""
        return _shown(self.argv)


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv[:5])[:200]


#: What every child gets.
ALWAYS = {
    "LC_ALL": "C.UTF-8",
    # Otherwise every go command writes telemetry to the user's home, even with GOENV and GOCACHE.
    "TEST_TELEMETRY_DIR": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}


def child_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without the variables that would redirect git, plus *extra*."""
    env = {
        k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith("GIT_SSL")
    }
    return {**env, **ALWAYS, **(extra or {})}


class Child(subprocess.Popen[bytes]):
    """A child with the mark that its descendants inherit."""

    mark = ""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends, or raise `subprocess.TimeoutExpired` after *timeout* seconds.

        Python's own method looks again and again, with longer and longer pauses: it notices the end
        of a git command that takes 8 ms after 16.
        """
        if timeout is not None and self.poll() is None:
            with contextlib.suppress(OSError, AttributeError):  # an old kernel or C library
                # The id is still the child's: nothing else reaps it.
                if not _ended(self.pid, timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout)
        return super().wait(timeout)


def _ended(pid: int, seconds: float) -> bool:
    """Whether process *pid* ends within *seconds*. Raises OSError if the kernel cannot say."""
    descriptor = os.pidfd_open(pid)
    try:
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        return bool(end.poll(min(max(0, seconds) * 1000, _LONGEST_POLL)))
    finally:
        os.close(descriptor)


def death_signal() -> bool:
    """Whether children are killed with the thread that started them: `setpriv` is installed."""
    return shutil.which("setpriv") is not None


def _wrap(argv: Sequence[str]) -> list[str]:
    # setpriv instead of preexec_fn, which is not safe with threads.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *argv] if setpriv else list(argv)


def start(
    argv: Sequence[str],
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    stdin: int = subprocess.DEVNULL,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit: bool = True,
) -> Child:
    """Start *argv* as the leader of its own process group; end it with `stop`.

    *env* is added to our environment, or replaces it if *inherit* is false.
    The calling thread must outlive the child: the death signal is sent when the thread ends.
    Raises `Missing` if the program is not installed.
    """
    found = shutil.which(argv[0])
    if found is None:
        raise Missing(f"{argv[0]} is not installed", hint="./inv doctor")
    mark = marks.new()
    child = Child(
        _wrap([found, *argv[1:]]),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env={**(child_env(env) if inherit else env or {}), marks.NAME: mark},
        start_new_session=True,
    )
    child.mark = mark
    return child


def stop(child: Child, *, grace: float = GRACE) -> int:
    """End *child* and all its descendants: SIGTERM, *grace* seconds, SIGKILL.

    Returns its status; ``-SIGKILL`` also if the kernel does not release it.
    """
    for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED)):
        if child.poll() is not None:
            break
        _signal_group(child.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
    _signal_group(child.pid, signal.SIGKILL)  # processes that the leader left behind
    for _ in range(3):  # a process that forks during the scan is found in the next round
        if not (left := marks.carriers(child.mark)):
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return -signal.SIGKILL if child.poll() is None else child.returncode


def _signal_group(pid: int, sig: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sig)


@contextlib.contextmanager
def running(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, grace: float = GRACE
) -> Iterator[Child]:
    """Run a server during the block, its output in *log*."""
    with log.open("ab") as sink:
        child = start(argv, stdout=sink, stderr=subprocess.STDOUT, env=env)
        try:
            yield child
        finally:
            stop(child, grace=grace)


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: int = subprocess.DEVNULL,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit: bool = True,
    check: bool = True,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run *argv* until it ends or for *timeout* seconds; keep its output. *env*: see `start`.

    Announced as ``running ARGV`` unless the code around it is. *log* also receives stderr as it
    comes; *on_line* is called with each line of stderr. Of
    each stream `pipes.MOST` bytes are kept; with *check* a longer one is a failure. Raises
    `ProcessError` on failure unless *check* is false, `Missing` if the program is not installed,
    OSError if *log* cannot be written.
    """
    started = time.monotonic()
    pipe = subprocess.PIPE
    child = start(argv, stdin=stdin, stdout=pipe, stderr=pipe, cwd=cwd, env=env, inherit=inherit)
    with contextlib.ExitStack() as stack:
        stack.enter_context(by_default(f"running {_shown(argv)}"))
        sink = stack.enter_context(log.open("ab")) if log else None
        out = Reader(child.stdout)
        err = Reader(child.stderr, sink, on_line)
        timed_out = False
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            # Wait for the leader, not for the end of the pipes: a background grandchild may
            # keep them open. It is killed with the group.
            status = stop(child)
            until = time.monotonic() + _DRAIN
            out.finish(until)
            err.finish(until)
    if err.error:
        raise err.error
    done = Completed(
        argv=tuple(argv),
        exit=status,
        stdout=out.text,
        stderr=err.text,
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        left_out=out.left_out + err.left_out,
    )
    if not check:
        return done
    if not done.ok:
        how = f"timed out after {timeout:.0f} s" if timed_out else f"exited {done.exit}"
        tail = "; ".join(line.strip() for line in done.tail(3).splitlines())
        raise ProcessError(f"{done.shown} {how}: {tail or 'no output'}")
    return done.whole()
