"""A real sshd on loopback for the duration of a block, and a client that knows it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.system import process

_SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM yes
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
SetEnv {settings}
"""

_CLIENT = """IdentityFile {folder}/{key}
IdentitiesOnly yes
UserKnownHostsFile {folder}/{hosts}
GlobalKnownHostsFile /dev/null
"""


@dataclass(frozen=True, kw_only=True)
class Sshd:
    """An sshd that listens on `port`."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        """The value of DOCKER_HOST for it."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def client(self, *, key: str = "client", hosts: str = "known_hosts") -> dict[str, str]:
        """Return an environment in which `ssh` has that key and those known hosts.

        ssh uses the home of the password database and ignores HOME. So PATH begins with a wrapper
        that passes the configuration.
        """
        config = self.folder / f"{key}-{hosts}"
        config.write_text(_CLIENT.format(folder=self.folder, key=key, hosts=hosts))
        program = self.folder / f"bin-{config.name}" / "ssh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        program.chmod(0o755)
        return {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    def clients(self) -> list[str]:
        """Return the command lines of ssh processes that are connected to it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if Path(words[0]).name == "ssh" and str(self.port) in words:
                found.append(" ".join(words))
        return found


@contextmanager
def running(**settings: str) -> Iterator[Sshd]:
    """Yield an sshd whose sessions have *settings* in their environment.

    It accepts the key ``client`` and refuses ``stranger``; ``known_hosts`` contains the host's key,
    ``none`` does not.
    """
    Path("/run/sshd").mkdir(
        mode=0o755, exist_ok=True
    )  # sshd requires it; usually systemd creates it
    with tempfile.TemporaryDirectory(prefix="bkbs-") as short:
        folder = Path(short)
        for name in ("host", "client", "stranger"):
            key = str(folder / name)
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", key]
            subprocess.run(argv, check=True, timeout=30)
        (folder / "authorized_keys").write_bytes((folder / "client.pub").read_bytes())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        words = " ".join(f'"{key}={value}"' for key, value in settings.items())
        (folder / "config").write_text(_SSHD.format(port=port, folder=folder, settings=words))
        host_key = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        made = Sshd(port=port, folder=folder)
        log = folder / "log"
        argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")]
        with process.running(argv, log=log) as child:
            deadline = time.monotonic() + 20
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert child.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield made
