"""What the user asked for: options, or their ``BKBISECT_*`` twins, checked once."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.runtime import Kind, Served
from buildkit_bisect.source import DEFAULT_REPO
from buildkit_bisect.system import addresses, cache_limit, deadlines, paths

#: What an option may be as Invoke hands it over.
Raw = str | bool | Sequence[str]

#: Environment of a command that `resume` runs: the campaigns whose trials are its own.
RESUMED = "BKBISECT_RESUMED"
#: Characters of an option's value; the longest that make sense are lists of patches.
LONGEST = 10_000

_SNAPSHOTTER = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")

_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The common options, checked. Scenarios, refs and patches are checked by what reads them."""

    repo: str = DEFAULT_REPO
    source: str = "auto"
    scenarios: tuple[str, ...] = ()
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    patches: str = ""
    runtimes: tuple[Kind, ...] = (Kind.HOST,)  # several: an axis of every scenario
    base_image: str = ""  # of variants' images; "" for a published one, or one made here
    snapshotter_sockets: dict[str, Served] = field(default_factory=dict)  # by name
    jobs: int = 1
    trials: int | None = None
    out: Path = paths.PROJECT / "results"
    images: str = "local"  # or "public"
    registry: str = ""  # address of the user's own on loopback; "" starts one
    deadlines: dict[str, float] = field(default_factory=dict)  # as given, by name
    cache_size: int = cache_limit.DEFAULT  # bytes
    fresh: bool = False  # do not use stored trials
    resumed: tuple[str, ...] = ()  # campaigns that this one goes on with
    templates: Path | None = None  # folder whose files stand in for those of templates/
    dry_run: bool = False
    json: bool = False
    command: str = ""  # that reproduces this


def option(name: str, raw: Raw = "") -> str:
    """The value of an option: as given, else its environment twin, else "".

    Raises `BadInput` for what no option can be: control characters, undecodable bytes.
    """
    if isinstance(raw, bool):
        raw = "1" if raw else ""
    given = raw if isinstance(raw, str) else ",".join(raw)
    return _plain(name, given or os.environ.get(f"BKBISECT_{name.upper().replace('-', '_')}", ""))


def _plain(name: str, text: str) -> str:
    """*text*, where it can be a name, a path or a number at all: printable and not endless."""
    if len(text) > LONGEST:
        raise BadInput(
            f"--{name} has {len(text)} characters", hint=f"at most {LONGEST}, as {text[:20]!r}"
        )
    if not text.isprintable():
        raise BadInput(
            f"--{name} {text[:60]!r} holds a control character, a line break or bytes that are"
            " no UTF-8",
            hint="./inv --help TASK",
        )
    return text


def flag(name: str, raw: Raw = False) -> bool:
    """Whether a switch is on. Raises `BadInput` for an environment twin that is neither."""
    text = option(name, raw).lower()
    if text in _YES:
        return True
    if text in ("", "0", "false", "no", "off"):
        return False
    raise BadInput(f"BKBISECT_{name.upper().replace('-', '_')}={text!r}: say 1 or 0", hint="1 or 0")


def number(name: str, raw: Raw, least: int, most: int) -> int | None:
    """A whole number, None where it was not given."""
    text = option(name, raw)
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        raise BadInput(
            f"--{name} {text!r} is not a whole number", hint=f"--{name} {least}"
        ) from None
    if not least <= value <= most:
        raise BadInput(f"--{name} {value}: between {least} and {most}", hint=f"--{name} {least}")
    return value


def one_of(name: str, raw: Raw, choices: Sequence[str]) -> str:
    """One of *choices*, the first where it was not given."""
    text = option(name, raw) or choices[0]
    if text not in choices:
        raise BadInput(
            f"--{name} {text!r}: one of {', '.join(choices)}", hint=f"--{name} {choices[0]}"
        )
    return text


def image(name: str, raw: Raw) -> str:
    """An image or a registry, as the Engine's API takes one; "" where it was not given."""
    text = option(name, raw)
    if text and not addresses.is_image(text):
        raise BadInput(f"--{name} {text!r} names no image", hint="as in registry.example/name:tag")
    return text


def runtimes(raw: Raw) -> tuple[Kind, ...]:
    """One runtime or several by commas; ``auto`` is the host's."""
    names = (option("runtime", raw) or "auto").split(",")
    for name in names:
        if name not in ("auto", *Kind):
            raise BadInput(f"--runtime {name!r}: auto, {', '.join(Kind)}", hint="several by commas")
    return tuple(dict.fromkeys(Kind.HOST if n == "auto" else Kind(n) for n in names))


def sockets(raw: Raw) -> dict[str, Served]:
    """``NAME=SOCKET`` or ``NAME=SOCKET:ROOT`` texts, several by commas."""
    found: dict[str, Served] = {}
    for entry in filter(None, option("snapshotter-socket", raw).split(",")):
        name, _, where = entry.partition("=")
        path, colon, root = where.partition(":")
        places = [path, root] if colon else [path]
        if not _SNAPSHOTTER.fullmatch(name) or not all(map(_is_place, places)):
            raise BadInput(
                f"--snapshotter-socket {entry!r} is not NAME=/PATH/OF/SOCKET or"
                " NAME=/PATH/OF/SOCKET:/ROOT",
                hint="--snapshotter-socket mine=/run/mine.sock --axis snapshotter=mine",
            )
        path, root = (os.path.normpath(p) if p else "" for p in (path, root))
        found[name] = Served(socket=path, root=root)
    return found


def _is_place(path: str) -> bool:
    """Whether *path* is absolute, not ``/`` itself, and says where it is without ``..``."""
    whole = path.startswith("/") and path.isprintable() and ":" not in path
    return whole and ".." not in path.split("/") and bool(path.strip("/."))


def templates(raw: Raw) -> Path | None:
    """The folder of the user's own templates, None where none was given."""
    text = option("templates", raw)
    if text and not Path(text).is_dir():
        raise BadInput(
            f"--templates {text!r} is not a directory", hint="a folder such as templates/"
        )
    return Path(text).absolute() if text else None


def _entries(raw: Raw | None) -> list[str]:
    """What a repeatable option was given."""
    given = [] if isinstance(raw, bool) else [raw] if isinstance(raw, str) else list(raw or ())
    return [e for e in given if e]


def axes(raw: Raw | None) -> dict[str, tuple[str, ...]]:
    """``KEY=VALUE`` texts, several values of a key by commas or repetition."""
    chosen: dict[str, tuple[str, ...]] = {}
    entries = _entries(raw) or os.environ.get("BKBISECT_AXIS", "").split()
    for entry in entries:
        _plain("axis", entry)
        key, equals, values = entry.partition("=")
        if not (key and equals and values):
            raise BadInput(f"--axis {entry!r} is not KEY=VALUE", hint="--axis snapshotter=stargz")
        chosen[key] = (*chosen.get(key, ()), *values.split(","))
    return chosen


def read(task: str, raw: Mapping[str, Raw]) -> Settings:
    """The settings that *raw* options and the environment come to. Raises `BadInput`."""
    registry = option("registry", raw.get("registry", ""))
    if registry and not addresses.is_local_registry(registry):
        raise BadInput(
            f"--registry {registry!r}: plain HTTP is for loopback only",
            hint="--registry 127.0.0.1:PORT, or leave it out",
        )
    out = option("out", raw.get("out", ""))
    return Settings(
        repo=option("repo", raw.get("repo", "")) or DEFAULT_REPO,
        source=one_of("source", raw.get("source", ""), ("auto", "git", "module")),
        scenarios=tuple(s for s in option("scenario", raw.get("scenario", "")).split(",") if s),
        axes=axes(raw.get("axis", ())),
        patches=option("patches", raw.get("patches", "")),
        runtimes=runtimes(raw.get("runtime", "")),
        snapshotter_sockets=sockets(raw.get("snapshotter_socket", "")),
        base_image=image("base-image", raw.get("base_image", "")),
        jobs=number("jobs", raw.get("jobs", ""), 1, 64) or 1,
        trials=number("trials", raw.get("trials", ""), 1, 1000),
        out=Path(out).absolute() if out else paths.PROJECT / "results",
        images=one_of("images", raw.get("images", ""), ("local", "public")),
        registry=registry,
        deadlines=deadlines.parse(_entries(raw.get("deadline"))),
        cache_size=cache_limit.parse(option("cache-size", raw.get("cache_size", ""))),
        fresh=flag("fresh", raw.get("fresh", False)),
        resumed=tuple(filter(None, os.environ.get(RESUMED, "").split(","))),
        templates=templates(raw.get("templates", "")),
        dry_run=flag("dry-run", raw.get("dry_run", False)),
        json=flag("json", raw.get("json", False)),
        command=command(task, raw),
    )


def command(task: str, raw: Mapping[str, Raw]) -> str:
    """The command line that says the same, with environment twins written out."""
    words = ["./inv", task]
    for name, value in raw.items():
        dashed = name.replace("_", "-")
        if dashed in ("json", "dry-run", "out", "cache-size"):
            continue
        if isinstance(value, bool):
            words += [f"--{dashed}"] if flag(dashed, value) else []
        elif dashed == "axis":
            words += [f"--axis={k}={','.join(v)}" for k, v in axes(value).items()]
        elif dashed == "deadline":
            given = deadlines.written(deadlines.parse(_entries(value)))
            words += ["--deadline", given] if given else []
        elif text := option(dashed, value):
            words += [f"--{dashed}", text]
    return shlex.join(words)
