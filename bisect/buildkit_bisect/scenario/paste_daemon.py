"""How an issue starts buildkitd: its snapshotter and configuration. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import attributes
from buildkit_bisect.scenario.paste_shell import Left
from buildkit_bisect.scenario.paste_text import Told
from buildkit_bisect.system.tomltext import key, value

#: Snapshotters that a daemon here can have, and the one that is each trial's control.
_SNAPSHOTTERS = ("native", "overlayfs", "stargz", "fuse-overlayfs")
CONTROL = "overlayfs"

_SOCKET = words(Campaign, snapshotter_socket="NAME=SOCKET")


@dataclass(frozen=True, kw_only=True, slots=True)
class Daemon:
    """The settings of a trial's daemon."""

    snapshotter: str = ""  # "": the usual one
    config: str = ""  # what is appended to buildkitd.toml


def of(told: Told, left: list[Left], notes: list[str]) -> Daemon:
    """Return the settings; what a scenario may not set is added to *left* or *notes*."""
    snapshotter = ""
    for flag in told.flags:
        name, _, text = flag.partition("=")
        if name in ("--oci-worker-snapshotter", "--containerd-worker-snapshotter"):
            snapshotter = text
        elif name == "--oci-worker-proxy-snapshotter-path":
            notes.append(f"{flag}: your own snapshotter is one of {_SOCKET}")
        elif name not in _OWN:
            left.append(Left(number=0, source=flag, reason="buildkitd's own flag: not taken"))
    data = _parsed(told.config, left)
    worker = data.get("worker")
    oci = worker.get("oci") if isinstance(worker, dict) else None
    if isinstance(oci, dict):
        found = oci.pop("snapshotter", "")
        snapshotter = snapshotter or (found if isinstance(found, str) else "")
    config = _config(data, left)
    if snapshotter and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", snapshotter):
        left.append(Left(number=0, source=snapshotter, reason="not the name of a snapshotter"))
        snapshotter = ""
    if snapshotter and snapshotter not in _SNAPSHOTTERS:
        notes.append(
            f"the snapshotter {snapshotter} is not built in: {_SOCKET} says where it listens"
        )
    return Daemon(snapshotter="" if snapshotter in (CONTROL, "auto") else snapshotter,
                  config=config)  # fmt: skip


#: Flags that a trial sets itself, or that change nothing that it observes.
_OWN = frozenset({
    *("--addr", "--root", "--debug", "--trace", "--config", "--oci-worker", "--containerd-worker"),
    *("--oci-worker-net", "--oci-worker-no-process-sandbox", "--allow-insecure-entitlement"),
    *("--rootless", "--debugaddr", "--containerd-worker-net", "--log-format", "--group"),
    *("--oci-worker-rootless", "--oci-cni-binary-dir", "--oci-worker-binary"),
})  # fmt: skip


def _parsed(text: str, left: list[Left]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        left.append(Left(number=0, source="buildkitd.toml", reason=f"not TOML: {error}"))
        return {}


def _config(data: Mapping[str, Any], left: list[Left]) -> str:
    """Return the settings of *data* that a scenario may have, each in a line."""
    lines = []
    for path, leaf in _leaves(data):
        line = f"{'.'.join(map(key, path))} = {value(leaf)}"
        name = ".".join(path)
        if path[0] in ("registry", "grpc", "root", "insecure-entitlements") or "enabled" in path:
            continue
        if attributes.config_problem(line):
            left.append(Left(number=0, source=line, reason=f"a scenario may not set {name}"))
            continue
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _leaves(
    data: Mapping[str, Any], above: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Any]]:
    out: list[tuple[tuple[str, ...], Any]] = []
    for name, found in data.items():
        if isinstance(found, dict) and found:
            out += _leaves(found, (*above, name))
        else:
            out.append(((*above, name), found))
    return out
