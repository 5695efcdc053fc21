"""What a store says of a build: its key, Go, flags, files and who built it. Pure.

This is the config of the OCI artifact, and what is signed. Nothing in it is believed before it
was read here; `tests/unit/sharing/test_store.py` has a lie for each check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from buildkit_bisect.sharing.refused import Refused
from buildkit_bisect.system import strictjson, typed

SCHEMA = 1

#: Bounds, in bytes: of a manifest or an entry, of a file, and of all files of an entry. A
#: buildkitd has 40 to 80 MB, an instrumented one 120 MB.
LARGEST_TEXT = 1 << 18
LARGEST_FILE = 1 << 28
LARGEST_ENTRY = 1 << 29
MOST_FILES = 16

#: Longest name of who built an entry, in characters.
LONGEST_NAME = 200

#: Bounds of what is compared or printed: flags, texts of `Entry.meta`, and the number of both.
LONGEST_TEXT = 4096
MOST_TEXTS = 64

BUILD, FAILURE = "build", "failure"

#: What the build cache says of a failure.
_FAILURE_META = frozenset({"format", "stage", "reason"})

KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GO = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}")
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked of a store: an entry has to be of exactly this."""

    key: str
    go: str  # "1.25.5"
    flags: tuple[str, ...]  # GOOS, GOARCH, and the arguments of go
    binaries: tuple[str, ...]  # the files of its programs, which a build must have


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file of an entry, as it is after unpacking."""

    name: str
    size: int  # bytes
    sha256: str  # hex
    executable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A build, or a failure to build: named files, and *meta*, which the build cache wrote."""

    schema: int = SCHEMA
    kind: str  # "build" or "failure"
    key: str
    go: str
    flags: tuple[str, ...]
    built_by: str  # text of whoever pushed it: never more than a name to print
    created: str  # UTC, ISO 8601
    files: tuple[StoredFile, ...]
    meta: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def write(entry: Entry) -> bytes:
    """Return *entry* as JSON; equal entries have equal bytes."""
    return json.dumps(asdict(entry), sort_keys=True, indent=1).encode()


def read(data: bytes) -> Entry:
    """Return the entry in *data*. Raises `Refused` if anything in it is not as `write` makes it."""
    value = document(data, "the entry")
    # What the build cache wrote is checked again where it is used.
    meta = value.get("meta")
    made, problems = typed.structure(
        {name: part for name, part in value.items() if name != "meta"}, _Form
    )
    if made is None or not isinstance(meta, dict):
        raise Refused(f"the entry is invalid: {(problems or ['meta: must be a table'])[0][:200]}")
    entry = Entry(**{name: getattr(made, name) for name in _Form.__slots__}, meta=meta)
    if problem := _problem(entry):
        raise Refused(f"the entry is invalid: {problem}")
    return entry


def check_asked(entry: Entry, asked: Asked) -> None:
    """Raise `Refused` unless *entry* is of what was asked."""
    for what, has, wanted in (
        ("key", entry.key, asked.key),
        ("Go", entry.go, asked.go),
        ("flags", entry.flags, asked.flags),
    ):
        if has != wanted:
            raise Refused(f"it is of another {what}: {_short(has)} instead of {_short(wanted)}")


def document(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in *data*. Raises `Refused` if it is not one."""
    try:
        value = strictjson.loads(data.decode())
    except ValueError as error:
        raise Refused(f"{what} is not JSON: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        raise Refused(f"{what} is not a JSON object")
    if problem := strictjson.problem(value):
        raise Refused(f"{what} is invalid: {problem}")
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """The fields of `Entry` that `typed` can check."""

    schema: int
    kind: str
    key: str
    go: str
    flags: tuple[str, ...]
    built_by: str
    created: str
    files: tuple[StoredFile, ...]


def _problem(entry: Entry) -> str:
    """Return what is wrong with *entry*; "" if nothing is."""
    texts = (entry.built_by, *entry.flags)
    checks: Sequence[tuple[bool, str]] = (
        (entry.schema == SCHEMA, f"schema {entry.schema} is not {SCHEMA}"),
        (entry.kind in (BUILD, FAILURE), "kind is neither build nor failure"),
        (bool(KEY.fullmatch(entry.key)), "key is not a sha256"),
        (bool(_GO.fullmatch(entry.go)), "go is not a release"),
        (bool(_CREATED.fullmatch(entry.created)), "created is not a time"),
        (all(text.isprintable() for text in texts), "a text is not printable"),
        (len(entry.built_by) <= LONGEST_NAME, "built_by is too long"),
        (len(entry.flags) <= MOST_TEXTS, f"more than {MOST_TEXTS} flags"),
        (all(len(flag) <= LONGEST_TEXT for flag in entry.flags), "a flag is too long"),
        (len(entry.files) <= MOST_FILES, f"more than {MOST_FILES} files"),
        (len({f.name for f in entry.files}) == len(entry.files), "two files have one name"),
        (entry.size <= LARGEST_ENTRY, f"files of more than {LARGEST_ENTRY} bytes"),
        *_of_files(entry.files),
        *_of_meta(entry.meta, entry.kind),
    )
    return next((problem for good, problem in checks if not good), "")


def _of_meta(meta: Mapping[str, Any], kind: str) -> list[tuple[bool, str]]:
    texts = [*meta, *(value for value in meta.values() if isinstance(value, str))]
    return [
        (len(meta) <= MOST_TEXTS, f"meta has more than {MOST_TEXTS} keys"),
        (
            all(isinstance(value, str | int | float) for value in meta.values()),  # and booleans
            "meta has something else than texts, numbers and booleans",
        ),
        (all(len(text) <= LONGEST_TEXT for text in texts), "a text of meta is too long"),
        # A compiler's complaint may have tabs.
        (
            all(text.replace("\t", " ").isprintable() for text in texts),
            "a text of meta is not printable",
        ),
        (
            kind != FAILURE or meta.keys() == _FAILURE_META,
            f"meta of a failure is not {', '.join(sorted(_FAILURE_META))}",
        ),
    ]


def _of_files(files: Sequence[StoredFile]) -> list[tuple[bool, str]]:
    return [
        check
        for file in files
        for check in (
            (bool(_NAME.fullmatch(file.name)), f"{file.name[:60]!a} is not a name of a file"),
            (0 <= file.size <= LARGEST_FILE, f"{file.name!a} has {file.size} bytes"),
            (bool(KEY.fullmatch(file.sha256)), f"{file.name!a} has no sha256"),
        )
    ]


def _short(value: str | Sequence[str] | Mapping[str, Any]) -> str:
    return repr(value)[:80]
