"""What a scenario may pass to BuildKit: attributes of a build, and the daemon's configuration.

A scenario is untrusted. Its steps run in containers, but these two are read on the host, as
root: so both are allowlists, without anything that leads out of a trial.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

from buildkit_bisect.system.typed import not_one_of

#: BuildKit lowercases keys and splits at the first "=": other keys could hide a `dest`.
_KEY = re.compile(r"[a-z][a-z0-9._-]*")

#: An image in the trial's own registry. Only axis values, which are plain, may be in it: a
#: comma would start another image's name.
_OWN = re.compile(
    r"\$\{registry\}/(?:[a-z0-9._/-]|\$\{axis\.[a-z0-9-]+\})+:(?:[\w.-]|\$\{axis\.[a-z0-9-]+\})+",
    re.ASCII,
)

#: Cache backends and exporters that stay within the trial.
TYPES = {
    "exports": ("local", "registry", "inline"),
    "imports": ("local", "registry"),
    "outputs": ("local", "tar", "oci", "docker", "image"),
}

#: Tables and keys of buildkitd.toml that set how it works, not what it runs or where it writes.
_DAEMON = ("debug", "trace", "frontend", "history", "system", "worker")
_OCI = (
    *("gc", "gckeepstorage", "gcpolicy", "reservedspace", "maxusedspace", "minfreespace"),
    *("max-parallelism", "platforms", "labels", "stargzsnapshotter"),
)


def problem(key: str, entry: Mapping[str, str]) -> tuple[str, str]:
    """Where *entry* of a step's exports, imports or outputs is wrong, and why; "" "" if valid."""
    if odd := [name for name in entry if not _KEY.fullmatch(name)]:
        return "", f"{odd[0]!r} is not a valid attribute name"
    kind = entry.get("type")
    if kind is None:
        return ".type", "is missing"
    if kind not in TYPES[key]:
        return ".type", not_one_of(kind, TYPES[key])
    for name in ("ref", "name"):
        if name in entry and not (_OWN.fullmatch(entry[name]) and ".." not in entry[name]):
            return f".{name}", "must be ${registry}/NAME:TAG"
    return "", ""


def config_problem(text: str) -> str:
    """Why *text* cannot be appended to buildkitd.toml; "" if it can."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not TOML: {error}"
    for path in _paths(data):
        if not _allowed(path):
            return f"{'.'.join(path)}: a scenario may not set this"
    return ""


def _allowed(path: tuple[str, ...]) -> bool:
    match tuple(name.lower() for name in path):
        case ("worker", "oci", name, *rest):
            # `resolver` would change how registry hosts are contacted.
            return name in _OCI and "resolver" not in rest
        case ("worker", *_):
            return False
        case (name, *_):
            return name in _DAEMON
    return False


def _paths(data: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in data.items():
        path = (*above, name)
        if isinstance(value, dict) and value:
            yield from _paths(value, path)
        else:
            yield path
