"""What a build did: reads the SolveStatus values that buildctl and buildx write. Pure.

The same value has had three forms, and any of them may come between two releases:

- ``--progress=rawjson`` on stderr, one value per line, beside messages (since 3fb3b0781);
- the same, indented over several lines (v0.13);
- a file of ``--trace``, whose keys begin with capitals before v0.13 (``Vertexes``). stderr then has
  the plain progress beside the messages.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from buildkit_bisect.model import Vertex

#: Bytes of messages that an observation keeps: the last ones.
MESSAGES_LIMIT = 64 * 1024

#: Characters of a vertex's log that an observation keeps: the first and the last half.
LOG_LIMIT = 64 * 1024

#: The keys of a SolveStatus; what is empty may be left out or null.
_KEYS = ("vertexes", "statuses", "logs", "warnings")

#: The start of a SolveStatus, also of one that ends in the middle.
_STARTS = re.compile(rf'\{{\s*"(?:{"|".join(_KEYS)})"\s*:', re.IGNORECASE)

#: What may follow a value: spaces, and the end of its line.
_SPACE = re.compile(r"[ \t]*\n?")

_DECODER = json.JSONDecoder()

#: A line of the plain progress: ``#5 [2/3] RUN x``, ``#5 0.042 its output``, ``#5 DONE 0.1s``.
_PLAIN = re.compile(r"#\d+ .*")

#: What the plain progress prints last: the end of the log of each failed vertex.
_FAILED_LOG = re.compile(r"(?m)^------\n > (?:.*\n)*?------\n")

#: A time in RFC 3339, and the days before 1970 as `seconds` counts them.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH, _MARCH = 719_469, 3

#: buildctl's own line about its trace file.
_TRACING = re.compile(r'time="[^"]*" level=info msg="tracing logs to .*')


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What a build did, and what it printed beside that."""

    vertices: tuple[Vertex, ...] = ()  # one per digest, in the order of their first updates
    messages: str = ""  # what is no progress; the last `MESSAGES_LIMIT` bytes
    trouble: str = ""  # what of the progress cannot be read: a vertex may then be missing
    transferred: int = 0  # bytes: of the context, of blobs, of files that were copied out


def read(stderr: str, trace: str | None = None, *, cut: bool = False) -> Progress:
    """Return what the build did that printed *stderr*, with its progress in *trace* if not None.

    If the build was *cut* short, its last value may end in the middle.
    """
    values, rest, trouble = _values(stderr if trace is None else trace, cut=cut)
    vertices = _vertices(values)
    if trace is not None:
        # A trace has nothing but values.
        trouble = trouble or _first(rest)
        rest = _without_plain(stderr, vertices)
    return Progress(
        vertices=vertices,
        messages=rest[-MESSAGES_LIMIT:],
        trouble=trouble,
        transferred=_transferred(values),
    )


def _transferred(values: Sequence[dict[str, Any]]) -> int:
    """Return the bytes of all statuses: of each the most that it had reached."""
    most: dict[tuple[str, str], int] = {}
    for status in map(_lower, values):
        for update in map(_lower, status.get("statuses") or ()):
            key = str(update.get("vertex")), str(update.get("id"))
            current = update.get("current")
            if type(current) is int:
                most[key] = max(current, most.get(key, 0))
    return sum(most.values())


def clipped(log: str) -> str:
    """Return a log; of a long one the first and the last half of `LOG_LIMIT` characters."""
    if len(log) <= LOG_LIMIT:
        return log
    half = LOG_LIMIT // 2
    return f"{log[:half]}\n[{len(log) - LOG_LIMIT} characters left out]\n{log[-half:]}"


def logs(vertices: Sequence[Vertex]) -> str:
    """Return what the vertices printed, each below its name; "" if none printed anything."""
    printed = [(v.name, v.log.removesuffix("\n")) for v in vertices if v.log]
    return "\n".join(f"{name}\n{log}\n" for name, log in printed)


def _values(text: str, *, cut: bool) -> tuple[list[dict[str, Any]], str, str]:
    """Return the SolveStatus values in *text*, the other lines, and what cannot be read."""
    found: list[dict[str, Any]] = []
    rest: list[str] = []
    trouble = ""
    at = 0
    while at < len(text):
        value, after = _value(text, at)
        if value is not None and _is_status(value):
            found.append(value)
            space = _SPACE.match(text, after)
            at = space.end() if space else after  # of the next value or message
            continue
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        if _claims(value) or (value is None and _STARTS.match(text, at)):
            if cut and value is None and not re.search(r"(?m)^\{", text[at + 1 :]):
                break  # the value that was being written
            trouble = trouble or _first(line)
        elif line != "{}":  # the status of a moment without news
            rest.append(line)
        at = end + 1
    return found, "\n".join(rest), trouble


def _value(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value at *at* and where it ends; None if there is none."""
    if text[at : at + 1] != "{":
        return None, at
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at


def _first(text: str) -> str:
    """Return the first line of *text* that is not blank, shortened."""
    line = next((line for line in text.split("\n") if line.strip()), "")
    return line[:200]


def _claims(value: Any) -> bool:
    """Return whether *value* has a key of a SolveStatus."""
    return isinstance(value, dict) and not _lower(value).keys().isdisjoint(_KEYS)


def _is_status(value: Any) -> bool:
    """Return whether *value* is a SolveStatus whose vertices and logs are well formed."""
    if not _claims(value):
        return False
    status = _lower(value)
    parts = [status.get(key) or [] for key in _KEYS]
    if not all(isinstance(p, list) and all(isinstance(each, dict) for each in p) for p in parts):
        return False
    updates, printed = map(_lower, parts[0]), map(_lower, parts[2])
    return all(isinstance(u.get("digest"), str) for u in updates) and all(
        isinstance(p.get("vertex"), str) and _data(p) is not None for p in printed
    )


def _lower(value: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): part for key, part in value.items()}


def _data(log: dict[str, Any]) -> bytes | None:
    """Return the bytes of a log; None if they are not base64."""
    try:
        return base64.b64decode(log.get("data") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None


def _vertices(values: Sequence[dict[str, Any]]) -> tuple[Vertex, ...]:
    """Merge updates and logs; later updates omit ``cached`` and ``error``, so both are kept."""
    merged: dict[str, dict[str, Any]] = {}
    printed: dict[str, bytearray] = {}
    runs: dict[str, dict[float, float | None]] = {}  # start -> end
    for status in map(_lower, values):
        for update in map(_lower, status.get("vertexes") or ()):
            vertex = merged.setdefault(update["digest"], {})
            vertex.update({k: v for k, v in update.items() if v})
            if (started := seconds(update.get("started"))) is not None:
                runs.setdefault(update["digest"], {})[started] = seconds(update.get("completed"))
        for log in map(_lower, status.get("logs") or ()):
            printed.setdefault(log["vertex"], bytearray()).extend(_data(log) or b"")
    return tuple(
        Vertex(
            name=str(vertex.get("name", "")),
            digest=digest,
            cached=bool(vertex.get("cached")),
            started=bool(vertex.get("started")),
            completed=bool(vertex.get("completed")),
            error=str(vertex.get("error", "")),
            log=printed.get(digest, b"").decode(errors="replace"),
            **_times(runs.get(digest, {})),
        )
        for digest, vertex in merged.items()
    )


def _times(runs: dict[float, float | None]) -> dict[str, float]:
    """Return the times of a vertex that started and ended as in *runs*; empty if it never did."""
    ends = [end for end in runs.values() if end is not None]
    times = {"began": min(runs)} if runs else {}
    if runs and len(ends) == len(runs):
        spent = sum(end - start for start, end in zip(runs, ends, strict=True))
        times |= {"ended": max(ends), "took": max(0.0, spent)}
    return times


def seconds(moment: Any) -> float | None:
    """Return the seconds since 1970 of a time as Go writes it in JSON; None if it is not one."""
    found = _TIME.fullmatch(moment) if isinstance(moment, str) else None
    if not found:
        return None
    year, month, day, hour, minute = (int(found[n]) for n in range(1, 6))
    # Days by the proleptic Gregorian calendar, whose year begins in March here.
    year, month = (year - 1, month + 9) if month < _MARCH else (year, month - 3)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day
    shift = 0
    if found[7] != "Z":
        sign, hours, minutes = found[7][0], int(found[7][1:3]), int(found[7][4:])
        shift = (hours * 60 + minutes) * (-60 if sign == "-" else 60)
    return (days - _EPOCH) * 86_400 + hour * 3600 + minute * 60 + float(found[6]) - shift


def _without_plain(stderr: str, vertices: Sequence[Vertex]) -> str:
    """Return *stderr* without the plain progress: what ``rawjson`` would have left there.

    Otherwise a rule about messages would find what the build's own commands printed.
    """
    text = _FAILED_LOG.sub("", stderr)
    for vertex in vertices:
        for part in (vertex.name, vertex.error):
            if "\n" in part:  # only its first line has the vertex's number
                text = re.sub(rf"(?m)^#\d+ (?:ERROR: )?{re.escape(part)}$", "", text)
    return "\n".join(_messages(text))


def _messages(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        # The plain progress separates vertices by empty lines.
        if line and not _PLAIN.fullmatch(line) and not _TRACING.fullmatch(line):
            yield line
