"""Which buildx runs, and its command lines. Only `find` touches the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.buildctl import BuildRequest, NamedContext, Options, attributes, secret
from buildkit_bisect.errors import BadInput
from buildkit_bisect.golang import gotool
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.system import process
from buildkit_bisect.system.deadlines import Deadlines

#: Compiled if the machine has no suitable buildx.
TOOL = gotool.GoTool(
    name="buildx",
    version="v0.36.1",
    requires=("github.com/docker/buildx v0.36.1",),
    package="github.com/docker/buildx/cmd/buildx",
    go=GoWanted(minor=(1, 26), patch=3),
)

#: The first with ``--progress=rawjson``.
OLDEST = (0, 13)

_STATE = "_state"  # the docker-container driver's suffix for the container's volume

#: The first whose `bake` refuses all reads and writes outside the file's folder; v0.19 misses some.
OLDEST_BAKE = (0, 20)

_PLUGINS = (
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Buildx:
    """The program; it also runs without the docker command."""

    path: str
    version: str  # "v0.36.1"


def find(
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
    *,
    oldest: tuple[int, int] = OLDEST,
) -> Buildx:
    """``BKBISECT_BUILDX``, the user's plugin, or one compiled into the cache.

    Raises `BadInput` if BKBISECT_BUILDX is not buildx or is older than *oldest*; `Missing` or
    `InfraFailed` if buildx cannot be compiled.
    """
    named = os.environ.get("BKBISECT_BUILDX", "")
    if named:
        found = _version(named)
        if not found:
            raise BadInput(
                f"BKBISECT_BUILDX={named!r} is not a working buildx",
                hint="unset BKBISECT_BUILDX to find or compile one",
            )
        if _numbers(found) < oldest:
            raise BadInput(
                f"BKBISECT_BUILDX={named!r} is buildx {found}, but this needs"
                f" v{oldest[0]}.{oldest[1]} or newer",
                hint="unset BKBISECT_BUILDX to find or compile a newer one",
            )
        return Buildx(path=named, version=found)
    for path in _installed():
        found = _version(path)
        if found and _numbers(found) >= oldest:
            return Buildx(path=path, version=found)
    return Buildx(path=str(gotool.ensure(TOOL, say, deadlines)), version=TOOL.version)


def _installed() -> list[str]:
    plugins = [Path(folder).expanduser() / "docker-buildx" for folder in _PLUGINS]
    found = [str(p) for p in plugins if os.access(p, os.X_OK)]
    return found + [p for p in map(shutil.which, ("docker-buildx", "buildx")) if p]


def _version(path: str) -> str:
    if not shutil.which(path):
        return ""
    done = process.run([path, "version"], timeout=30, check=False)
    return gotool.version_in(done.stdout) if done.ok and "buildx" in done.stdout else ""


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = version.lstrip("v").split(".")
    return int(major), int(minor)


def create(
    name: str, *, image: str, config: Path, flags: Sequence[str], host_network: bool
) -> list[str]:
    """Arguments that create the builder and start its container."""
    network = ["--driver-opt", "network=host"] if host_network else []
    return [
        *("create", "--name", name, "--driver", "docker-container"),
        *("--driver-opt", f"image={image}"),
        *network,
        *("--buildkitd-flags", " ".join(flags)),
        *("--buildkitd-config", str(config)),
        "--bootstrap",
    ]


def build(name: str, request: BuildRequest) -> list[str]:
    """Arguments that build *request*, with its progress as ``rawjson`` on stderr."""
    argv = ["build", "--builder", name, "--progress=rawjson", "--file", str(request.dockerfile)]
    if request.target:
        argv += ["--target", request.target]
    for key, value in request.all_args.items():
        argv += ["--build-arg", f"{key}={value}"]
    argv += _own_options(request.options)
    outputs: Sequence[Mapping[str, str]] = request.outputs or ({"type": "cacheonly"},)
    for flag, entries in (
        ("--cache-to", request.exports),
        ("--cache-from", request.imports),
        ("--output", outputs),
    ):
        for entry in entries:
            argv += [flag, attributes(entry)]
    return [*argv, request.remote or str(request.context)]


def _own_options(options: Options) -> list[str]:
    words: list[tuple[str, ...]] = [
        ("--build-context", f"{name}={_named_context(context)}")
        for name, context in options.contexts.items()
    ]
    if options.no_cache:
        words.append(("--no-cache",))
    words += [("--no-cache-filter", stage) for stage in options.no_cache_filter]
    if options.platform:
        words.append(("--platform", options.platform))
    for kind, text in options.attests.items():
        words.append(("--attest", f"type={kind},{text}".removesuffix(",")))
    words += [("--label", f"{name}={text}") for name, text in options.labels.items()]
    words += [("--secret", secret(name, file)) for name, file in options.secrets.items()]
    words += [("--ssh", f"{name}={key}") for name, key in options.ssh.items()]
    words += [("--allow", word) for word in options.allow]
    if options.frontend:  # the daemon's own frontend passes the build on to it
        words.append(("--build-arg", f"BUILDKIT_SYNTAX={options.frontend}"))
    return [word for option in words for word in option]


def _named_context(context: NamedContext) -> str:
    if context.folder is not None:
        return str(context.folder)
    if context.layout is not None:
        return f"oci-layout://{context.layout}@{context.digest}"
    return f"docker-image://{context.image}"


def prune(name: str) -> list[str]:
    """Arguments that remove every cache record that is not in use."""
    return ["prune", "--builder", name, "--all", "--force"]


def forget(name: str) -> list[str]:
    """Arguments that remove the build history, which holds references to cache records."""
    return ["history", "rm", "--builder", name, "--all"]


def stop(name: str) -> list[str]:
    """Arguments that stop the builder's container and keep its state."""
    return ["stop", name]


def bootstrap(name: str) -> list[str]:
    """Arguments that start the builder's container again."""
    return ["inspect", "--builder", name, "--bootstrap"]


def remove(name: str) -> list[str]:
    """Arguments that remove the builder, its container and its state."""
    return ["rm", "--force", name]


def container(name: str) -> str:
    """The container of a builder with one node, as the docker-container driver names it."""
    return f"buildx_buildkit_{name}0"


def volume(name: str) -> str:
    """The volume with the state of that container."""
    return f"{container(name)}{_STATE}"


def container_of(volume: str) -> str:
    """The container that buildx made *volume* for; "" if it is not such a volume."""
    return volume.removesuffix(_STATE) if volume.endswith(_STATE) else ""
