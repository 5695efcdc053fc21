"""A Dask scheduler and workers on loopback, each with a cache of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from buildkit_bisect.system import paths
from golang_repo import GolangRepo
from tool import argv, environment

#: Seconds for a scheduler or a worker to be ready on a busy machine.
PATIENCE = 90.0

#: What caches share, so that no test compiles the standard library or downloads a Go.
_SHARED = ("toolchains", "gocache", "gomod")


def soon(holds: Callable[[], bool], seconds: float = PATIENCE, what: object = "") -> None:
    """Wait until *holds*."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def cache_in(root: Path, *more: str) -> Path:
    """Return a new cache below *root*; *more* are further folders that are shared."""
    cache = root / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in (*_SHARED, *more):
        (cache / name).symlink_to(paths.cache(name))
    return cache


@dataclass(kw_only=True)
class Program:
    """A process in a group of its own, and what it prints."""

    words: list[str]
    log: Path
    env: Mapping[str, str]
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.words, env=dict(self.env), stdout=log, stderr=log, start_new_session=True
            )

    @property
    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ready(self, word: str, times: int = 1) -> None:
        """Wait until it has printed *word* so many *times*."""
        soon(lambda: self.printed.count(word) >= times or self._ended(), what=self.log)
        assert self.printed.count(word) >= times, self.printed

    def _ended(self) -> bool:
        return self.child is not None and self.child.poll() is not None

    def kill(self) -> None:
        """End it with SIGKILL: it alone, so that what it started must follow by itself."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """End it as a user does; return its exit code."""
        return self._signal(signal.SIGTERM)

    def _signal(self, sign: signal.Signals) -> int:
        assert self.child
        if self.child.poll() is None:
            self.child.send_signal(sign)
        return self.child.wait(60)


@dataclass(kw_only=True)
class Cluster:
    """A scheduler, and workers by name."""

    root: Path
    port: int
    scheduler: Program
    tls: Mapping[str, str] = field(default_factory=dict)
    workers: dict[str, Program] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"dask{'+tls' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def executor(self) -> tuple[str, str]:
        return ("--executor", self.where)

    def cache(self, name: str) -> Path:
        return self.root / name / "cache"

    def add(
        self, name: str, *more: str, cache: Path | None = None, shared: tuple[str, ...] = ()
    ) -> Program:
        """Start a worker; *more* are options of it."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        own = cache or cache_in(folder, *shared)
        words = argv("worker", self.where, "--worker-name", name, *more)
        env = environment({"BKBISECT_CACHE_DIR": str(own), **self.tls})
        made = self.workers[name] = Program(words=words, log=folder / "log", env=env)
        made.start()
        return made

    def ready(self) -> None:
        """Wait until all workers are registered."""
        for one in self.workers.values():
            one.ready("waits for work")

    def said(self, word: str) -> list[str]:
        """Return the names of workers that printed *word*."""
        return [name for name, one in self.workers.items() if word in one.printed]

    def restart(self, *, away: float = 0) -> None:
        """Kill the scheduler, and start another at its address after *away* seconds."""
        self.scheduler.kill()
        time.sleep(away)
        times = self.scheduler.printed.count("Scheduler at:") + 1
        self.scheduler.start()
        self.scheduler.ready("Scheduler at:", times)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certified(certificates: Path) -> dict[str, str]:
    """Return Dask's configuration for TLS, for every role, as its environment has it."""
    prefix = "DASK_DISTRIBUTED__COMM__TLS"
    files = {"CERT": "cert.pem", "KEY": "key.pem"}
    return {f"{prefix}__CA_FILE": str(certificates / "ca.pem")} | {
        f"{prefix}__{role}__{what}": str(certificates / name)
        for role in ("SCHEDULER", "WORKER", "CLIENT")
        for what, name in files.items()
    }


@contextmanager
def scheduling(root: Path, *, tls: Path | None = None) -> Iterator[Cluster]:
    """Provide a scheduler without workers; end it and the workers that are added.

    With *tls*, certificates, there is no plain connection.
    """
    root.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = [
        *(sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1"),
        *("--port", str(port), "--no-dashboard", "--protocol", "tls" if tls else "tcp"),
    ]
    more = certified(tls) if tls else {}
    scheduler = Program(words=words, log=root / "scheduler.log", env=environment(more))
    made = Cluster(root=root, port=port, scheduler=scheduler, tls=more)
    with ExitStack() as stack:
        scheduler.start()
        stack.callback(scheduler.kill)
        stack.callback(lambda: [one.stop() for one in made.workers.values()])
        scheduler.ready("Scheduler at:")
        yield made


@dataclass(frozen=True, kw_only=True)
class Home:
    """The machine that has campaigns: a cache, a repository, and a script that tests its builds."""

    root: Path
    repo: GolangRepo

    @classmethod
    def create(cls, root: Path, template: GolangRepo, script: str) -> Home:
        cache_in(root)
        path = root / "script"
        path.write_text(script.format(root=root))
        path.chmod(0o755)
        return cls(root=root, repo=template.copy(root / "upstream"))

    @property
    def env(self) -> dict[str, str]:
        return {"BKBISECT_CACHE_DIR": str(self.root / "cache")}

    @property
    def out(self) -> Path:
        return self.root / "out"

    def words(self, *words: str) -> list[str]:
        given = ("--repo", str(self.repo.path), "--script", str(self.root / "script"))
        return [*words, *given, "--out", str(self.out)]

    def start(self, *words: str) -> Program:
        """Start a campaign; it goes on while the test does something else."""
        made = Program(
            words=argv(*self.words(*words)), log=self.root / "log", env=environment(self.env)
        )
        made.start()
        return made


def running(text: str) -> list[str]:
    """Return the processes whose command line contains *text*, without this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if text in words and int(entry.name) != os.getpid():
            found.append(f"{entry.name}: {words}")
    return found
