"""Parses the output of the go command, and compares two trees. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from buildkit_bisect.result import CheckEffect, CheckInfo, CheckKind

#: Output lines of what is worse that a report may show.
LOG_LINES = 15

_SET_UP = re.compile(r"\[(?:build|setup) failed\]")
_COMPLAINT = re.compile(r"^(?:vet: )?(\S+\.go):\d+(?::\d+)?: (.*)$")
_COMPILER_ERROR = re.compile(r"^(vet: )?\S+\.(go|s):\d+(:\d+)?: ")
_OTHER_ERROR = re.compile(
    r"^(go: |package \S+|no required module|pattern \S+: |\S+: (import|undefined)|.*\.go:\d+)"
)
_PACKAGE_LINE = re.compile(r"^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~+-]+)*$")
_DULL = re.compile(r"^(=== |--- |PASS|FAIL|ok |exit status|\s*$)")


def packages(files: Iterable[str]) -> tuple[str, ...]:
    """Upstream's own packages that *files* belong to, as ``./solver``; sorted."""
    folders = set()
    for file in files:
        path = PurePosixPath(file)
        inner = path.parent.parts
        hidden = any(p.startswith(("_", ".")) or p == "testdata" for p in inner)
        if path.suffix == ".go" and inner[:1] != ("vendor",) and not hidden:
            folders.add("/".join([".", *inner]))
    return tuple(sorted(folders))


@dataclass(kw_only=True, slots=True)
class PackageRun:
    """One package's run of ``go test -json``."""

    ended: str = ""  # pass, fail, skip; "" if go reported nothing
    tests: dict[str, str] = field(default_factory=dict)  # name -> pass, fail, skip
    output: list[str] = field(default_factory=list)  # of the package itself
    test_output: dict[str, list[str]] = field(default_factory=dict)  # by test

    @property
    def broken(self) -> str:
        """Why no test could run, such as a compile error; "" if tests ran."""
        if self.ended != "fail" or "fail" in self.tests.values():
            return ""
        lines = [line for line in self.output if not _DULL.match(line) and line[:1] != "#"]
        return lines[0].strip() if lines else "failed without running a test"

    @property
    def failed(self) -> set[str]:
        """Tests that ran and failed; none if the package is `broken`."""
        return {t for t, state in self.tests.items() if state == "fail"}

    @property
    def summary(self) -> str:
        """``41 passed, 1 failed``, not counting subtests."""
        if not self.ended:
            return "no such package"
        if self.broken:
            return f"failed: {self.broken}"
        names = {"pass": "passed", "fail": "failed", "skip": "skipped"}
        found = Counter(state for name, state in self.tests.items() if "/" not in name)
        counts = [f"{found[s]} {name}" for s, name in names.items() if found[s]]
        return ", ".join(counts) or "no tests"


def parse(output: str, module: str) -> dict[str, PackageRun]:
    """``./solver`` -> its test run, from the standard output of ``go test -json``.

    A test that started and never ended (a panic, a deadline) counts as failed. *module* is the
    import path of ``.``.
    """
    found: dict[str, PackageRun] = {}
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        name = event.get("Package") or str(event.get("ImportPath", "")).split(" ")[0]
        package = found.setdefault(_local(name, module), PackageRun())
        _take(package, event)
    for package in found.values():
        for test, state in package.tests.items():
            if state == "run":
                package.tests[test] = "fail" if package.ended == "fail" else "skip"
    return found


def build_output(output: str, stderr: str) -> str:
    """What go printed about builds: in the JSON of ``go test`` since Go 1.24, else on stderr."""
    lines = []
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("Action") == "build-output":
            lines.append(str(event.get("Output", "")))
    return "".join(lines) + stderr


def _local(package: str, module: str) -> str:
    inner = package.removesuffix(".test").removesuffix("_test").removeprefix(module).strip("/")
    return f"./{inner}" if inner else "."


def _take(package: PackageRun, event: Mapping[str, object]) -> None:
    test, text = str(event.get("Test", "")), str(event.get("Output", "")).rstrip("\n")
    match event.get("Action"):
        case "run":
            package.tests[test] = "run"
        case "pass" | "fail" | "skip" as ended:
            if test:
                package.tests[test] = ended
            else:
                package.ended = ended
        case "output" | "build-output":
            (package.test_output.setdefault(test, []) if test else package.output).append(text)
            if not test and _SET_UP.search(text):
                package.ended = "fail"
        case _:
            pass


def leaves(tests: Collection[str]) -> list[str]:
    """*tests* without those that have a subtest among them."""
    return sorted(t for t in tests if not any(other.startswith(f"{t}/") for other in tests))


def effect(worse: Sized, better: Sized, known: Sized) -> str:
    """What patches did to a check, by what fails with them alone, without them alone, and both."""
    if worse:
        return CheckEffect.WORSE.value
    if better:
        return CheckEffect.BETTER.value
    return (CheckEffect.PRE_EXISTING if known else CheckEffect.SAME).value


def package_check(
    name: str, before: PackageRun, after: PackageRun, *, note: str = "", flaky: Collection[str] = ()
) -> CheckInfo:
    """What the patches change in the tests of a package.

    *flaky* tests failed once and passed in the same tree, or fail intermittently in both trees: the
    patches neither broke nor fixed them.
    """
    old, new = (_failed(t) for t in (before, after))
    passed = {t for t, state in after.tests.items() if state == "pass"}
    shaky = (old ^ new) & set(flaky)
    worse = new - old - shaky
    better = set() if after.broken else old - new - shaky
    known = old & new
    return CheckInfo(
        kind=CheckKind.TEST.value,
        subject=name,
        change=effect(worse, better, known),
        before=before.summary,
        after=after.summary,
        worse=tuple(leaves(worse)),
        known=tuple(leaves(known)),
        better=tuple(leaves(better)),
        added=tuple(leaves(passed - set(before.tests))) if not before.broken else (),
        flaky=tuple(leaves(shaky)),
        note=note,
        log=tuple(_log(after, worse)),
    )


def _failed(tested: PackageRun) -> set[str]:
    """Names of failed tests; `_WHOLE` if no test could run."""
    if tested.broken:
        return {_WHOLE}
    return tested.failed


#: Replaces the names of tests if a package's tests cannot run at all.
_WHOLE = "the package's tests do not run"


def _log(tested: PackageRun, names: Collection[str]) -> list[str]:
    lines: list[str] = []
    for name in leaves(names):
        output = tested.output if name == _WHOLE else tested.test_output.get(name, [])
        lines += [line for line in output if not _DULL.match(line)]
    # A panic ends the tests. Its first lines say what happened; the end of its trace is go's own.
    panics = next((i for i, line in enumerate(lines) if line.startswith("panic: ")), None)
    return lines[-LOG_LINES:] if panics is None else lines[panics:][:LOG_LINES]


def first_error(output: str) -> str:
    """The first error in the output of the go command, as one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (_COMPILER_ERROR, _OTHER_ERROR):
        for line in lines:
            if pattern.match(line) and "downloading" not in line:
                return line
    rest = [line for line in lines if not _PACKAGE_LINE.match(line) and line[0] != "#"]
    return rest[-1] if rest else "go failed without an error message"


def complaints(output: str) -> tuple[str, ...]:
    """What ``go vet`` reports, in order, each once; no line numbers, as a patch moves lines."""
    found = []
    for line in output.splitlines():
        match = _COMPLAINT.match(line.strip())
        if match:
            found.append(f"{_inside(match[1])}: {match[2]}")
    return tuple(dict.fromkeys(found))


def _inside(path: str) -> str:
    """A path without the detour out of the tree and back into it.

    Vet prints the same file in both ways (``solver/a.go``, ``../tree/solver/a.go``).
    """
    parts = PurePosixPath(path).parts
    ups = next((i for i, part in enumerate(parts) if part != ".."), 0)
    return str(PurePosixPath(*parts[2 * ups :]))


def vet_check(names: Collection[str], before: tuple[str, ...], after: tuple[str, ...]) -> CheckInfo:
    """What the patches change in the complaints of vet."""
    worse = tuple(c for c in after if c not in before)
    better = tuple(c for c in before if c not in after)
    known = tuple(c for c in after if c in before)
    return CheckInfo(
        kind=CheckKind.VET.value,
        subject=" ".join(names),
        change=effect(worse, better, known),
        before=_complained(before),
        after=_complained(after),
        worse=worse,
        known=known,
        better=better,
    )


def _complained(found: tuple[str, ...]) -> str:
    return f"{len(found)} complaint{'s' if len(found) > 1 else ''}" if found else "clean"
