"""Starts tasks as forks of a process that has imported the tool, since imports take a second.

A fork is a process like one of ``./inv``: with its own environment, working directory, output and
exit. What it does not show is that a task imports what it needs, and that the launcher starts it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import buildkit_bisect

_MOST = 1 << 20  # bytes of an order

#: Variables that count when Python starts, and those that the launcher reads.
_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "PATH")
_OF_LAUNCHER = ("BKBISECT_VENV", "BKBISECT_PYTHON", "BKBISECT_LOCK")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A task that has ended."""

    code: int  # negative if a signal ended it
    stdout: str
    stderr: str


class Warm:
    """A process that has the tool imported, from the first task until this process ends."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bkbw-")
        self._path = f"{self._folder.name}/s"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with listener:
            listener.bind(self._path)
            listener.listen(64)
            # The last word makes its forks this tool's processes for `owner.is_ours`.
            ours, socket_number = buildkit_bisect.__name__, str(listener.fileno())
            argv = [sys.executable, str(Path(__file__)), socket_number, ours]
            self._child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]
            )

    def run(self, argv: Sequence[str], env: Mapping[str, str], timeout: float) -> Ended:
        """Run a task. Raises `subprocess.TimeoutExpired` after *timeout* seconds."""
        order = json.dumps([list(argv), dict(env), str(Path.cwd())]).encode()
        assert len(order) < _MOST
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked,
        ):
            asked.connect(self._path)
            # All of an order, or it fails: its length is below the buffer's.
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MOST)
            socket.send_fds(asked, [order], [out.fileno(), err.fileno()])
            pid = int(asked.recv(100))
            asked.settimeout(timeout)
            try:
                code = int(asked.recv(100))
            except BaseException as error:
                os.kill(pid, signal.SIGKILL)
                if isinstance(error, TimeoutError):
                    raise subprocess.TimeoutExpired(list(argv), timeout) from None
                raise
            return Ended(code=code, stdout=_text(out), stderr=_text(err))


def suits(env: Mapping[str, str]) -> bool:
    """Whether a fork with *env* behaves like a new process with it."""
    count = {name for name in {*env, *os.environ} if name.startswith(_AT_START)}
    count |= {name for name in _OF_LAUNCHER if name in env}
    return all(env.get(name) == os.environ.get(name) for name in count)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(listener: socket.socket) -> Any:
    """Fork for each order, until standard input ends. Returns the order only in the forks."""
    while True:
        ready, _, _ = select.select([listener.fileno(), 0], [], [])
        if 0 in ready:
            sys.exit()
        asked, _ = listener.accept()
        with asked:
            if os.fork() == 0:
                listener.close()
                return _kept(asked)
        while _reaped():
            pass


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def _kept(asked: socket.socket) -> Any:
    """Fork the task, and tell its process id and then its exit code. Returns only in the task."""
    text, descriptors, _, _ = socket.recv_fds(asked, _MOST, 2)
    pid = os.fork()
    if pid:
        asked.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        asked.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    asked.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), *zip(descriptors, (1, 2), strict=True)):
        os.dup2(ours, theirs)
        os.close(ours)
    return json.loads(text)


def _main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    # Ctrl-C at a terminal is for the tests, which then end this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    doors = importlib.import_module("buildkit_bisect.cli")
    for module in pkgutil.iter_modules(doors.__path__, "buildkit_bisect.cli."):
        importlib.import_module(module.name)
    main = importlib.import_module("buildkit_bisect.__main__")
    importlib.import_module("git")  # which the tool imports late
    gc.collect()
    gc.freeze()  # so that no fork visits, and thereby copies, what they share
    argv, env, place = _serve(listener)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(place)
    tempfile.tempdir = None
    sys.argv = [str(main.__file__), *argv]
    main.main()


if __name__ == "__main__":
    _main()
