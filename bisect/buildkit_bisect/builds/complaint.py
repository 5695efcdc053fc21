"""Whether a failed build is the source's fault, from what go or git printed. Pure.

Only a complaint about the source makes a commit untestable, and only that is stored. A full disk
can look like a missing package, and a killed compiler like a broken one: so every line of the
output has to be understood, and anything else is infrastructure. docs/untestable.md says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: What the machine or the network may do to any program, as it is printed by all of them.
TROUBLE = re.compile(
    r"no space left on device|disk quota exceeded|file too large|cannot allocate memory"
    r"|out of memory|signal: |resource temporarily unavailable|too many open files"
    r"|read-only file system|input/output error|text file busy|stale (?:NFS )?file handle"
    r"|permission denied|operation not permitted|exec format error|fork/exec"
    r"|dial tcp|i/o timeout|connection re(?:fused|set)|no such host|network is unreachable"
    r"|TLS handshake|x509: |proxyconnect|unexpected EOF|\b50\d \w+|Client\.Timeout"
    r"|checksum mismatch|module lookup disabled",
    re.IGNORECASE,
)

#: Characters of a line that is read: go's are far shorter, and a log may come from a store.
_LONGEST = 4096

#: Go 1.13 and 1.17 have the compiler's status 2, Go 1.20 and 1.26 have 1.
_FAILED = (1, 2)

_PACKAGE = re.compile(r"[A-Za-z0-9_.~+-]+(/[A-Za-z0-9_.~+-]+)*")
_NOISE = re.compile(
    r"go: (downloading|extracting|finding) .*|go: errors parsing go\.mod:"
    r"|\S+\.go:\d+:\d+:|asm: assembly of \S+ failed|too many errors"
    r"|note: module requires Go [\d.]+"
)
_HEADER = re.compile(r"# (?P<package>\S+)( \[.*\])?")
_AT = re.compile(r"(?P<file>[^\s:]+\.(go|s|S|mod)):\d+(:\d+)?: (?P<text>.+)")

# The compiler says these of the files that go gave it, not of the source.
_NOT_SOURCE = re.compile(
    r"could not import.*|internal compiler error.*|fatal error: .*|cannot find package.*"
    rf"|.*: ({TROUBLE.pattern}|no such file or directory)",
    re.IGNORECASE,
)
_LINKER = re.compile(
    r"\S+: function main is undeclared in the main package"
    r"|\S+: relocation target \S+ not defined"
    r"|(link: )?\S+: invalid reference to \S+"
    r"|(link: )?duplicated definition of symbol .*"
)

# The go command, while it looks for packages. Not "package X is not in std": it prints that too
# if its cache is on a full disk, or if a part of Go itself is missing.
_LOADER = re.compile(
    r"no required module provides package .*"
    r"|cannot find module providing package \S+: import lookup disabled by -mod=.*"
    r"|cannot query module due to -mod=vendor"
    r"|(\S+@\S+: )?missing go\.sum entry .*"
    r"|use of (internal|vendored) package \S+ not allowed"
    r"|import cycle not allowed"
    r"|build constraints exclude all Go files in .*"
    r"|found packages \S+ \([^()]*\) and \S+ \([^()]*\) in .*"
    r"|import \S+ is a program, not an importable package"
    r"|(invalid|malformed) import path.*|local import \S+ in non-local package"
    r"|pattern \S+: (no matching files found|cannot embed .*|invalid pattern syntax)"
    r"|(C|C\+\+|Objective-C|SWIG|Fortran) source files not allowed when not using .*"
    # the parser
    r"|expected .+, found .+|(string|rune|raw string) literal not terminated|comment not terminated"
    r"|illegal (character|UTF-8|byte order mark).*|missing import path.*|newline in .*"
    r"|imports must appear before other declarations|invalid quoted string in //go:embed.*"
    r"|go:embed only allowed in Go files that import .*|multiple //go:build comments"
    r"|parsing //go:build line: .*"
)
#: Which package imports which; the last line has the reason, or the line before all of them.
_STACK = re.compile(r"package \S+")
_IMPORTS = re.compile(r"imports \S+")
_NAMED = re.compile(r"(package|imports) (?P<package>\S+)( from \S+)?: (?P<text>.+)")
_COMMAND = re.compile(
    r"stat \S+/cmd/[^\s/]+: directory not found|no Go files in \S+/cmd/[^\s/]+"
    r"|import cycle not allowed"
    r"|build (?P<path>\./cmd/\S+): cannot find module for path (?P=path)"
)
#: Before Go 1.18, of a package that is not in ``vendor/`` or not in the tree.
_NO_PACKAGE = re.compile(r".*: cannot find package \".\" in:")
_NO_DIRECTORY = re.compile(
    r"build (?P<package>\S+): cannot load (?P=package):"
    r" (open \S+: no such file or directory|no Go source files)"
)
_MODULE = re.compile(
    r"go: updates to go\.(mod|sum) needed.*"
    r"|go: (go\.mod file not found in current directory|cannot find main module).*"
    r"|go: inconsistent vendoring in .*"
    r"|go: \S+@\S+: missing go\.sum entry for go\.mod file.*"
)
#: The directory of a package of Go's own, in a message.
_GOROOT = re.compile(r"/(go|toolchain@)[^/\s]*/src/")

#: Our words for a patch that git refuses. Git itself may also have failed.
_UNPATCHED = re.compile(
    r".+ (is already applied|does not apply: .+|changes .+, which is not in the Go module .+"
    r"|changes .+, and vendored packages are not in the Go module: .+)"
)
_GIT_FAILED = re.compile(r"can't open patch|fatal: |git apply exited")


def of_source(output: str, exit_status: int = 1) -> str:
    """Return the first complaint about the source in the output of ``go build -v``, as one line.

    Returns "" unless go ended by itself with its status for a failed build, and every line of
    the output is part of such a complaint or says nothing.
    """
    found, strange = _read(output)
    return found[0] if found and not strange and exit_status in _FAILED else ""


def of_trouble(output: str) -> str:
    """Return the line that is no complaint about the source and tells most; "" if there is none."""
    _, strange = _read(output)
    return next((line for line in strange if TROUBLE.search(line)), next(iter(strange), ""))


def of_patch(reason: str) -> bool:
    """Whether *reason*, for which a patch was not applied, is about the patch and the tree."""
    failed = TROUBLE.search(reason) or _GIT_FAILED.search(reason)
    return bool(_UNPATCHED.fullmatch(reason)) and not failed


def _read(output: str) -> tuple[list[str], list[str]]:
    """Return the complaints about the source, and the lines that are not certainly of it."""
    found: list[str] = []
    strange: list[str] = []
    package = ""  # whose compiler or linker prints
    for first, *rest in _messages(output):
        if any(len(line) > _LONGEST for line in (first, *rest)):
            strange.append(first[:_LONGEST])
            continue
        if header := _HEADER.fullmatch(first):
            package = header["package"]
        if header or _NOISE.fullmatch(first) or _PACKAGE.fullmatch(first):
            strange += rest[:1]
        elif _STACK.fullmatch(first) and rest and all(map(_IMPORTS.fullmatch, rest)):
            pass  # of the import cycle that the line before it names
        elif complaint := _complaint(first, rest, package):
            found.append(complaint)
        else:
            strange.append(first)
    return found, strange


def _messages(output: str) -> Iterator[list[str]]:
    """Yield each message with its further lines, which go indents."""
    message: list[str] = []
    for line in filter(str.strip, output.splitlines()):
        if message and not line[0].isspace():
            yield message
            message = []
        message.append(line.strip())
    if message:
        yield message


def _complaint(first: str, rest: list[str], package: str) -> str:
    """Return a message as one line if it is certainly about the source, else ""."""
    if _MODULE.fullmatch(first):
        return " ".join([first, *rest[: first.endswith(":")]])
    if _STACK.fullmatch(first) and rest:
        return rest[-1] if _loads(rest[-1]) else ""
    if _NO_PACKAGE.fullmatch(first) and rest:
        inside = rest[0].rpartition("/vendor/")
        return " ".join([first, rest[0]]) if not inside[1] or _is_theirs(inside[2]) else ""
    if package:
        return first if _compiles(first, package) else ""
    at, missing = _AT.fullmatch(first), _NO_DIRECTORY.fullmatch(first)
    if missing:
        return first if _is_theirs(missing["package"]) else ""
    of_go_mod = at and f"/{at['file']}".endswith("/go.mod")
    return first if of_go_mod or _COMMAND.fullmatch(first) or _loads(first) else ""


def _compiles(line: str, package: str) -> bool:
    """Whether the compiler, assembler or linker prints *line* of a *package* that is not Go's."""
    at = _AT.fullmatch(line)
    if not _is_theirs(package.strip("[]")):
        return False
    if at:
        return not _NOT_SOURCE.fullmatch(at["text"])
    return bool(_LINKER.fullmatch(line) or _LOADER.fullmatch(line))  # the latter by `go test`


def _loads(line: str) -> bool:
    """Whether the go command says in *line* that a package cannot be loaded as it is."""
    named = _NAMED.fullmatch(line)
    if _GOROOT.search(line) or (named and not _is_theirs(named["package"])):
        return False
    text = named["text"] if named else ""
    while at := _AT.fullmatch(text or line):
        text = line = at["text"]
    return bool(text and _LOADER.fullmatch(text))


def _is_theirs(package: str) -> bool:
    """Whether *package* is a module's: only Go's own have no domain."""
    return "." in package.split("/", maxsplit=1)[0]
