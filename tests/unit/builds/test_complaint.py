"""What go and git really printed, with one fault at a time.

``go_output.txt`` is from Go 1.26, or from the version in a section's name.

Each section has the name of the fault, the line that has to be reported (``source:`` if only the
source can be at fault, else ``machine:``), and the output.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildkit_bisect.builds.complaint import of_patch, of_source, of_trouble

SECTIONS = Path(__file__).with_name("go_output.txt").read_text().split("=== ")[1:]
HEADER = "github.com/moby/buildkit/solver\n# github.com/moby/buildkit/solver\n"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.split("\n", 1)[0])
def test_the_output_of_go(section: str) -> None:
    _, expected, output = section.split("\n", 2)
    whose, _, line = expected.partition(": ")
    if whose == "source":
        assert of_source(output) == line
        assert of_trouble(output) == ""
    else:
        assert of_source(output) == ""
        assert of_trouble(output) == line


def test_both_kinds_are_in_the_table() -> None:
    kinds = [section.split("\n")[1].split(":")[0] for section in SECTIONS]
    assert kinds.count("source") >= 70
    assert kinds.count("machine") >= 50


@pytest.mark.parametrize(
    "line",
    [
        # Words of a machine's trouble, quoted by the compiler.
        'solver/x.go:3:9: cannot use "permission denied" (untyped string constant) as int value',
        "solver/x.go:3:9: undefined: errSignal: killed by hand",
        "solver/x.go:3: syntax error: unexpected newline",
        "../gomod/github.com/pkg/errors@v0.9.1/x.go:3:9: undefined: missing",
        "vendor/github.com/pkg/errors/x.go:3:9: undefined: missing",
    ],
)
def test_the_compiler_complains(line: str) -> None:
    assert of_source(f"{HEADER}{line}\n") == line
    assert of_source(f"{HEADER}{line}\n\thave (int)\n\twant (string)\n") == line
    assert of_source(f"{HEADER}{line}\nsolver/y.go:1:1: more\ntoo many errors\n") == line


@pytest.mark.parametrize(
    "line",
    [
        "solver/x.go:3:8: could not import fmt (open : no such file or directory)",
        "solver/x.go:3:8: internal compiler error: panic: runtime error",
        "solver/x.go:3:10: fatal error: seccomp.h: No such file or directory",
        "solver/x.go:3:8: open solver/x.go: input/output error",
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "fatal error: runtime: out of memory",
        "compile: writing output: write $WORK/b001/_pkg_.a: no space left on device",
        'compile: version "go1.25.5" does not match go tool version "go1.26.8"',
        "Killed process 12 (compile)",
        'cgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH',
    ],
)
def test_a_machine_is_never_the_source(line: str) -> None:
    assert of_source(f"{HEADER}{line}\n") == ""
    assert of_trouble(f"{HEADER}{line}\n") == line
    # Nor beside a real complaint: that may be true, but it is tried again.
    both = f"{HEADER}solver/y.go:1:1: undefined: missing\n{line}\n"
    assert of_source(both) == ""
    assert of_trouble(both) == line


@pytest.mark.parametrize("status", [0, 3, 126, 127, 137, -9, -6])
def test_only_the_status_of_a_failed_build_counts(status: int) -> None:
    output = f"{HEADER}solver/x.go:3:9: undefined: missing\n"
    assert of_source(output, 1)
    assert of_source(output, status) == ""


@pytest.mark.parametrize("output", ["", "\n", "fmt\nio\n", "go: downloading a/b v1\n", HEADER])
def test_no_complaint_is_not_the_source(output: str) -> None:
    assert of_source(output) == ""
    assert of_trouble(output) == ""


def test_a_complaint_in_a_package_of_go_itself() -> None:
    line = "fmt/print.go:3:9: undefined: missing"
    assert of_source(f"fmt\n# fmt\n{line}\n") == ""
    stack = "package github.com/moby/buildkit/cmd/buildctl\n\timports fmt: "
    assert (
        of_source(f"{stack}build constraints exclude all Go files in /usr/lib/go/src/fmt\n") == ""
    )


def test_every_truncation_of_a_machines_output_is_infrastructure() -> None:
    for section in SECTIONS:
        _, expected, output = section.split("\n", 2)
        if expected.startswith("machine: ") and "cacheprog-fails-broken" not in section:
            lines = output.splitlines(keepends=True)
            assert not any(of_source("".join(lines[:n])) for n in range(len(lines)))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("p does not apply: patch failed: f:1; f: patch does not apply", True),
        ("p does not apply: gone: No such file or directory", True),
        ("p does not apply: f: already exists in working directory", True),
        ("p does not apply: its context matches at 2 places in solver/x.go", True),
        ("p is already applied", True),
        ("p changes hack/x/y.go, which is not in the Go module (nested modules and ...", True),
        ("p changes vendor/x.go, and vendored packages are not in the Go module: ...", True),
        ("p does not apply: can't open patch '/x/p.patch': No such file or directory", False),
        ("p does not apply: git apply exited -9", False),
        ("p does not apply: fatal: Out of memory, malloc failed", False),
        ("p does not apply: unable to write f: No space left on device", False),
        ("go build failed", False),
    ],
)
def test_the_reason_of_a_patch(reason: str, expected: bool) -> None:
    assert of_patch(reason) is expected


def test_a_log_that_takes_long_to_read() -> None:
    """A log of a store may have anything: no line takes more than its length allows."""
    evil = "a.go:1:1: found packages a (" + ") and b (" * 400
    began = time.monotonic()
    assert of_source("\n".join([evil] * 250)) == ""
    assert of_source("a.go:1:1: " * 100_000) == ""
    assert of_source("a.go:1:1: found packages a (" + ") and b (" * 100_000) == ""
    assert of_source("\n".join(["stat " + "/cmd/a" * 600 + " "] * 250)) == ""
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("before", ["", HEADER])
def test_a_line_that_go_would_not_print_is_no_complaint(before: str) -> None:
    line = "solver/x.go:3:9: expected x, found "
    assert of_source(f"{before}{line}{'y' * 100}\n")
    long = f"{before}{line}{'y' * 5000}\n"
    assert of_source(long) == ""
    assert len(of_trouble(long)) == 4096
