"""buildctl's arguments, and how it can report progress. Pure: nothing here runs a process."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Reporting(StrEnum):
    """How a buildctl reports what a build does, to programs."""

    RAWJSON = "--progress=rawjson"  # since v0.13 (37131781d)
    TRACE = "--trace"


#: The oldest release that was tested. Older ones are run if they have what `build` uses.
OLDEST = "v0.10.6"

#: The build argument with the time of all that is built.
EPOCH = "SOURCE_DATE_EPOCH"

#: What `build` uses beside one of `Reporting`.
_OPTIONS = ("--export-cache", "--frontend", "--import-cache", "--local", "--opt", "--output")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedContext:
    """What a Dockerfile may name as an image: exactly one of an image, a folder and a layout."""

    image: str = ""
    folder: Path | None = None
    layout: Path | None = None  # an OCI layout
    digest: str = ""  # of the image in the layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options that few builds have; docs/scenarios.md explains each."""

    contexts: Mapping[str, NamedContext] = field(default_factory=dict)
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()  # stages
    platform: str = ""  # several are separated by commas
    attests: Mapping[str, str] = field(default_factory=dict)  # "provenance" -> "mode=max"
    labels: Mapping[str, str] = field(default_factory=dict)
    epoch: int | None = None  # SOURCE_DATE_EPOCH, in seconds
    secrets: Mapping[str, Path] = field(default_factory=dict)  # id -> a file with its text
    ssh: Mapping[str, Path] = field(default_factory=dict)  # id -> a private key
    allow: tuple[str, ...] = ()  # entitlements
    frontend: str = ""  # an image with another frontend than the daemon's own


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """One Dockerfile build that any runtime can run."""

    context: Path
    dockerfile: Path  # relative if it is in a remote context
    remote: str = ""  # the URL of a context that the daemon fetches, instead of the folder
    target: str = ""
    args: Mapping[str, str]
    exports: tuple[Mapping[str, str], ...] = ()
    imports: tuple[Mapping[str, str], ...] = ()
    outputs: tuple[Mapping[str, str], ...] = ()
    options: Options = field(default_factory=Options)
    timeout: float = 120.0

    @property
    def all_args(self) -> dict[str, str]:
        """The build arguments, with the one that sets the time of all that is built."""
        epoch = self.options.epoch
        return {**self.args, **({} if epoch is None else {EPOCH: str(epoch)})}


def attributes(entry: Mapping[str, str]) -> str:
    """Return ``type=local,mode=max,...``, quoted like BuildKit's CSV attributes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{k}={v}" for k, v in entry.items())
    return line.getvalue()


#: The arguments that print the options of ``buildctl build``, for `lacking` and `reporting`.
BUILD_HELP = ("build", "--help")


def lacking(build_help: str, request: BuildRequest | None = None) -> str:
    """Return an option that `build` uses and *build_help* does not list; "" if it lists all.

    Without *request*, only options that every build uses.
    """
    listed = set(re.findall(r"(?m)^\s*(--[a-z-]+)", build_help))
    traced = (Reporting.TRACE,) if reporting(build_help) is Reporting.TRACE else ()
    own = _own_options(request.options) if request else ()
    used = (*_OPTIONS, *traced, *(word.partition("=")[0] for word in own))
    return next((option for option in used if option not in listed), "")


def reporting(build_help: str) -> Reporting:
    """Return how the buildctl that printed *build_help* reports what a build does.

    Not by its version: commits between releases and patched builds have none, or a wrong one.
    """
    raw = re.search(r"(?m)^\s*--progress\b.*\brawjson\b", build_help)
    return Reporting.RAWJSON if raw else Reporting.TRACE


def build(address: str, request: BuildRequest, trace: Path | None = None) -> list[str]:
    """Return the arguments that build *request*; `solve_status` reads what it did.

    Its progress is on stderr as ``rawjson``, or in the file *trace* if that is given.
    """
    progress = ["--progress=plain", f"--trace={trace}"] if trace else ["--progress=rawjson"]
    argv = ["--addr", address, "build", *progress, *_frontend(request.options.frontend)]
    if request.remote:
        argv += [f"--opt=context={request.remote}", f"--opt=filename={request.dockerfile}"]
    else:
        argv += [f"--local=context={request.context}"]
        argv += [f"--local=dockerfile={request.dockerfile.parent}"]
        argv += [f"--opt=filename={request.dockerfile.name}"]
    if request.target:
        argv.append(f"--opt=target={request.target}")
    argv += [f"--opt=build-arg:{name}={value}" for name, value in request.all_args.items()]
    argv += _own_options(request.options)
    for flag, entries in (
        ("--export-cache", request.exports),
        ("--import-cache", request.imports),
        ("--output", request.outputs),
    ):
        argv += [f"{flag}={attributes(entry)}" for entry in entries]
    return argv


def _frontend(image: str) -> list[str]:
    return (
        ["--frontend=gateway.v0", f"--opt=source={image}"]
        if image
        else ["--frontend=dockerfile.v0"]
    )


def _own_options(options: Options) -> list[str]:
    argv = [
        word
        for number, (name, context) in enumerate(options.contexts.items())
        for word in _named_context(name, context, f"named-{number}")
    ]
    if options.no_cache:
        argv.append("--no-cache")
    if options.no_cache_filter:
        argv.append(f"--opt=no-cache={','.join(options.no_cache_filter)}")
    if options.platform:
        argv.append(f"--opt=platform={options.platform}")
    argv += [f"--opt=attest:{kind}={text}" for kind, text in options.attests.items()]
    argv += [f"--opt=label:{name}={text}" for name, text in options.labels.items()]
    argv += [f"--secret={secret(name, file)}" for name, file in options.secrets.items()]
    argv += [f"--ssh={name}={key}" for name, key in options.ssh.items()]
    argv += [f"--allow={word}" for word in options.allow]
    return argv


def secret(name: str, file: Path) -> str:
    """Return what ``--secret`` takes for a file, in buildctl as in buildx."""
    return attributes({"id": name, "src": str(file)})


def _named_context(name: str, context: NamedContext, own: str) -> list[str]:
    """Return the options for a named context; the session calls what it reads *own*."""
    option = f"--opt=context:{name}="
    if context.folder is not None:
        return [f"--local={own}={context.folder}", f"{option}local:{own}"]
    if context.layout is not None:
        layout = f"oci-layout://{own}@{context.digest}"
        return [f"--oci-layout={own}={context.layout}", f"{option}{layout}"]
    return [f"{option}docker-image://{context.image}"]


def prune(address: str) -> list[str]:
    """Return the arguments that remove every cache record that is not in use."""
    return ["--addr", address, "prune", "--all"]


def prune_histories(address: str) -> list[str]:
    """Return the arguments that remove build histories, whose records hold references (v0.12+)."""
    return ["--addr", address, "prune-histories"]


#: Lists what the cache has (v0.11+), and the records of builds (v0.13+), as JSON.
DISK_USAGE = ("du", "--format", "{{json .}}")
HISTORIES = ("debug", "histories", "--format", "{{json .}}")


def workers(address: str) -> list[str]:
    """Return the arguments of a command that succeeds once the daemon serves."""
    return ["--addr", address, "debug", "workers"]


def notable(log: Iterable[str], limit: int = 16 * 1024) -> str:
    """Return the warnings, errors and panics of a daemon's log, at most *limit* characters.

    A line about bytes that `pipes.excerpt` left out stays: there may be more.
    """
    marks = ("level=warn", "level=error", "level=fatal", "panic", "goroutine ", "fatal error")
    lines = [
        line.rstrip("\n")
        for line in log
        if any(mark in line for mark in marks) or re.fullmatch(r"\[\d+ bytes left out\]\n?", line)
    ]
    return "\n".join(lines)[:limit]
