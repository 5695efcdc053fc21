"""Parsers of option values. All raise `BadInput` that names the option and the value."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.nearest import first
from buildkit_bisect.options.option import Option, Parser, Position
from buildkit_bisect.system import addresses
from buildkit_bisect.system import deadlines as known_deadlines

E = TypeVar("E", bound=StrEnum)

_SNAPSHOTTER = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_UNITS = " kmgt"

_LONGEST_TEXT = 200

#: Maximum size in bytes; a float cannot hold a number of 400 digits.
_MOST = 10**18


def text(_: Option, given: str) -> str:
    """Return the text; revisions, patches and scenarios are checked where they are used."""
    return given


def names(_: Option, given: str) -> tuple[str, ...]:
    """Return the comma-separated names."""
    return tuple(name for name in given.split(",") if name)


def name_set(_: Option, given: str) -> frozenset[str]:
    """Return the set of comma-separated names."""
    return frozenset(name for name in given.split(",") if name)


def number(least: int, most: int) -> Parser[int]:
    """Return a parser of integers from *least* to *most*."""

    def parse(option: Option, given: str) -> int:
        try:
            value = int(given)
        except ValueError:
            raise BadInput(
                f"--{option.name} {given!r} is not an integer", hint=f"--{option.name} {least}"
            ) from None
        if not least <= value <= most:
            raise BadInput(
                f"--{option.name} {value} is not between {least} and {most}",
                hint=f"--{option.name} {least}",
            )
        return value

    return parse


def decimal(option: Option, given: str) -> float:
    """Return the number."""
    try:
        return float(given)
    except ValueError:
        raise BadInput(
            f"--{option.name} {given!r} is not a number", hint=f"--{option.name} {option.example}"
        ) from None


def one_of(choices: type[E]) -> Parser[E]:
    """Return a parser of the values of *choices*."""

    def parse(option: Option, given: str) -> E:
        try:
            return choices(given)
        except ValueError:
            raise BadInput(
                f"--{option.name} {given!r} is not one of {', '.join(choices)}",
                hint=f"--{option.name} {first(given, choices)}",
            ) from None

    return parse


def page(option: Option, given: str) -> str:
    """Return the address of a page, ``report.html`` added to that of a folder."""
    if not addresses.is_link(given.replace("{id}", "ID")):
        raise BadInput(
            f"--{option.name} {given!r} is not an https:// address",
            hint=f"--{option.name} '{option.example}'; for a folder, the option copy of report",
        )
    return f"{given}report.html" if given.endswith("/") else given


def image(option: Option, given: str) -> str:
    """Return an image reference or registry that the Engine's API accepts."""
    if not addresses.is_image(given):
        raise BadInput(
            f"--{option.name} {given!r} is not an image reference",
            hint="registry.example/name:tag",
        )
    return given


def store(option: Option, given: str) -> str:
    """Return the address of a repository in a registry."""
    if not addresses.is_store(given):
        raise BadInput(
            f"--{option.name} {given[:100]!r} is not oci://REGISTRY/REPOSITORY",
            hint=f"--{option.name} {option.example}",
        )
    return given


def scheduler(option: Option, given: str) -> str:
    """Return the address of a Dask scheduler; plain TCP to another machine must be asked for."""
    if not addresses.scheduler(given):
        raise BadInput(
            f"{_named(option)}{given[:100]!r} is not dask://HOST:PORT",
            hint=f"{_named(option)}{option.example}",
        )
    if addresses.is_exposed(given):
        rest = given.partition("://")[2]
        raise BadInput(
            f"{_named(option)}{given!r} is not on loopback, and what a worker is given runs as root"
            " there: without TLS, anyone on the way can give it something",
            hint=f"{_named(option)}dask+tls://{rest}, or dask+tcp://{rest}; docs/trust.md",
        )
    return given


def _named(option: Option) -> str:
    return "" if option.position is Position.REQUIRED else f"--{option.name} "


def executor(option: Option, given: str) -> str:
    """Return the address of a Dask scheduler; "" for this machine."""
    return "" if given == "local" else scheduler(option, given)


def loopback(option: Option, given: str) -> str:
    """Return the address of a registry on this machine."""
    if not addresses.is_local_registry(given):
        raise BadInput(
            f"--{option.name} {given!r} is not a loopback address; the registry is accessed over"
            " plain HTTP",
            hint=f"--{option.name} 127.0.0.1:PORT, or leave it out",
        )
    return given


def runtimes(option: Option, given: str) -> tuple[RuntimeKind, ...]:
    """Return the comma-separated runtimes without duplicates; ``auto`` means the host."""
    asked = given.split(",")
    known = ("auto", *RuntimeKind)
    for name in asked:
        if name not in known:
            raise BadInput(
                f"--{option.name} {name!r} is not one of {', '.join(known)}",
                hint=f"--{option.name} {first(name, known)}",
            )
    found = (RuntimeKind.HOST if name == "auto" else RuntimeKind(name) for name in asked)
    return tuple(dict.fromkeys(found))


def sockets(option: Option, given: str) -> dict[str, Served]:
    """Return the sockets of comma-separated ``NAME=SOCKET`` or ``NAME=SOCKET:ROOT``."""
    found: dict[str, Served] = {}
    for entry in filter(None, given.split(",")):
        name, _, where = entry.partition("=")
        path, colon, root = where.partition(":")
        places = [path, root] if colon else [path]
        if not _SNAPSHOTTER.fullmatch(name) or not all(map(_is_place, places)):
            raise BadInput(
                f"--{option.name} {entry!r} is not NAME=/PATH/OF/SOCKET or"
                " NAME=/PATH/OF/SOCKET:/ROOT",
                hint=f"--{option.name} {option.example}",
            )
        path, root = (os.path.normpath(p) if p else "" for p in (path, root))
        found[name] = Served(socket=path, root=root)
    return found


def _is_place(path: str) -> bool:
    """Return whether *path* is absolute, not ``/`` itself, and without ``..``."""
    whole = path.startswith("/") and path.isprintable() and ":" not in path
    return whole and ".." not in path.split("/") and bool(path.strip("/."))


def path(_: Option, given: str) -> Path:
    """Return the absolute path; it need not exist."""
    return Path(given).absolute()


def short_text(option: Option, given: str) -> str:
    """Return the text, of at most 200 characters."""
    if len(given) > _LONGEST_TEXT:
        raise BadInput(
            f"--{option.name} has {len(given)} characters: {given[:20]!r}...",
            hint=f"at most {_LONGEST_TEXT} characters",
        )
    return given


def folder(option: Option, given: str) -> Path:
    """Return the absolute path of an existing directory."""
    if not Path(given).is_dir():
        raise BadInput(
            f"--{option.name} {given!r} is not a directory",
            hint=f"--{option.name} {option.example}",
        )
    return Path(given).absolute()


def size(option: Option, given: str) -> int:
    """Return the number of bytes in ``20GB`` or ``500 MiB``."""
    found = _SIZE.fullmatch(given.strip())
    if not found:
        raise BadInput(
            f"invalid --{option.name} {given!r}", hint=f"--{option.name} {option.example}"
        )
    count, unit, binary = found.groups()
    power = _UNITS.index(unit.lower() or " ")
    value = float(count) * (1024 if binary else 1000) ** power
    if value > _MOST:
        raise BadInput(
            f"--{option.name} {given[:20]!r} is too large",
            hint=f"--{option.name} {option.example}",
        )
    return int(value)


def axes(option: Option, given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each key; a key may be repeated or have comma-separated values."""
    chosen: dict[str, tuple[str, ...]] = {}
    for entry in given:
        key, equals, values = entry.partition("=")
        if not (key and equals and values):
            raise BadInput(
                f"--{option.name} {entry!r} is not KEY=VALUE",
                hint=f"--{option.name} {option.example}",
            )
        chosen[key] = (*chosen.get(key, ()), *values.split(","))
    return chosen


def write_axes(option: Option, value: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return one option for each axis."""
    return [f"{option.flag}={key}={','.join(values)}" for key, values in value.items()]


def deadlines(option: Option, given: Sequence[str]) -> dict[str, float]:
    """Return the seconds for each name in comma-separated ``NAME=SECONDS``."""
    found: dict[str, float] = {}
    for entry in ",".join(given).replace(" ", ",").split(","):
        if not entry:
            continue
        name, _, after = entry.partition("=")
        try:
            seconds = float(after)
        except ValueError:
            seconds = math.nan
        names_known = known_deadlines.NAMES
        if name not in names_known or not 0 < seconds <= known_deadlines.LONGEST:
            raise BadInput(
                f"--{option.name} {entry!r} is not NAME=SECONDS (at most one day); the names are"
                f" {', '.join(names_known)}",
                hint=f"--{option.name} {first(name, names_known)}=SECONDS",
            )
        found[name] = seconds
    return found


def write_deadlines(option: Option, value: Mapping[str, float]) -> list[str]:
    """Return one option for all deadlines: ``--deadline compile=60,step=5``."""
    written = ",".join(f"{name}={seconds:g}" for name, seconds in value.items())
    return [option.flag, written] if written else []
