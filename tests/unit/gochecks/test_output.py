from __future__ import annotations

import json

import pytest

from buildkit_bisect.gochecks import output as checks
from buildkit_bisect.gochecks.output import PackageRun

MODULE = "github.com/moby/buildkit"


def lines(*events: dict[str, str]) -> str:
    return "".join(json.dumps({"Package": f"{MODULE}/solver", **e}) + "\n" for e in events)


def ran(**tests: str) -> PackageRun:
    ended = "fail" if "fail" in tests.values() else "pass"
    return PackageRun(ended=ended, tests=dict(tests))


def check(before: PackageRun, after: PackageRun, *flaky: str) -> tuple[str, tuple[str, ...]]:
    made = checks.package_check("./solver", before, after, flaky=flaky)
    return made.change, made.worse


def test_packages_of_files() -> None:
    assert checks.packages(
        ["solver/a.go", "solver/a_test.go", "cache/x/y.go", "vendor/a/b.go", "go.mod", "main.go",
         "util/testdata/x.go", "_tools/x.go", "docs/x.md", ".github/x.go"]
    ) == (".", "./cache/x", "./solver")  # fmt: skip


def test_parse() -> None:
    output = lines(
        {"Action": "run", "Test": "TestA"},
        {"Action": "output", "Test": "TestA", "Output": "=== RUN   TestA\n"},
        {"Action": "output", "Test": "TestA", "Output": "    a_test.go:3: no\n"},
        {"Action": "fail", "Test": "TestA"},
        {"Action": "run", "Test": "TestB"},
        {"Action": "pass", "Test": "TestB"},
        {"Action": "run", "Test": "TestHung"},
        {"Action": "fail"},
    )
    found = checks.parse(f"not json\n[1]\n{output}", MODULE)
    (solver,) = found.values()
    assert list(found) == ["./solver"]
    assert solver.tests == {"TestA": "fail", "TestB": "pass", "TestHung": "fail"}
    assert solver.summary == "1 passed, 2 failed"
    made = checks.package_check("./solver", ran(TestA="pass", TestHung="pass"), solver)
    assert made.log == ("    a_test.go:3: no",)


def test_a_package_with_a_compile_error() -> None:
    output = "".join(
        json.dumps(event) + "\n"
        for event in (
            {"ImportPath": f"{MODULE}/solver [{MODULE}/solver.test]", "Action": "build-output",
             "Output": f"# {MODULE}/solver [{MODULE}/solver.test]\n"},
            {"ImportPath": f"{MODULE}/solver [{MODULE}/solver.test]", "Action": "build-output",
             "Output": "solver/a.go:3:2: undefined: x\n"},
            {"Action": "output", "Package": f"{MODULE}/solver",
             "Output": f"FAIL\t{MODULE}/solver [build failed]\n"},
            {"Action": "fail", "Package": f"{MODULE}/solver"},
        )
    )  # fmt: skip
    solver = checks.parse(output, MODULE)["./solver"]
    assert solver.broken == "solver/a.go:3:2: undefined: x"
    assert solver.summary == "failed: solver/a.go:3:2: undefined: x"
    assert check(ran(TestA="pass"), solver) == ("worse", ("the package's tests do not run",))
    assert check(solver, solver)[0] == "pre-existing"
    assert check(solver, ran(TestA="pass"))[0] == "better"


@pytest.mark.parametrize(
    ("before", "after", "flaky", "expected"),
    [
        (ran(A="pass"), ran(A="pass"), (), ("same", ())),
        (ran(A="pass"), ran(A="fail"), (), ("worse", ("A",))),
        (ran(A="fail"), ran(A="fail"), (), ("pre-existing", ())),
        (ran(A="fail"), ran(A="pass"), (), ("better", ())),
        (ran(A="fail", B="pass"), ran(A="fail", B="fail"), (), ("worse", ("B",))),
        (ran(A="pass"), ran(A="fail"), ("A",), ("same", ())),
        (ran(A="fail"), ran(A="pass"), ("A",), ("same", ())),
        (ran(A="fail"), ran(A="fail"), ("A",), ("pre-existing", ())),
        (PackageRun(), ran(A="fail"), (), ("worse", ("A",))),
        (PackageRun(), ran(A="pass"), (), ("same", ())),
        (
            ran(**{"A": "pass", "A/x": "pass"}),
            ran(**{"A": "fail", "A/x": "fail"}),
            *((), ("worse", ("A/x",))),
        ),
    ],
)
def test_before_and_after(
    before: PackageRun,
    after: PackageRun,
    flaky: tuple[str, ...],
    expected: tuple[str, tuple[str, ...]],
) -> None:
    assert check(before, after, *flaky) == expected


def test_tests_added_by_a_patch() -> None:
    made = checks.package_check("./solver", ran(A="pass"), ran(A="pass", B="pass", C="skip"))
    assert made.added == ("B",)
    assert (made.before, made.after) == ("1 passed", "2 passed, 1 skipped")
    assert PackageRun(ended="skip").summary == "no tests"
    assert PackageRun().summary == "no such package"


def test_the_log_of_a_panic_has_what_happened() -> None:
    trace = [
        "panic: boom [recovered]",
        "",
        "goroutine 7 [running]:",
        *(f"f{n}()" for n in range(30)),
    ]
    broken = ran(A="fail", B="fail")
    broken.test_output = {"A": ["=== RUN A", "a failure"] * 20, "B": trace}
    made = checks.package_check("./solver", ran(A="pass", B="pass"), broken)
    assert made.log[:3] == ("panic: boom [recovered]", "goroutine 7 [running]:", "f0()")
    assert len(made.log) == checks.LOG_LINES
    broken.test_output["B"] = ["the last one"]
    last = checks.package_check("./solver", ran(A="pass", B="pass"), broken).log
    assert (len(last), last[-1]) == (checks.LOG_LINES, "the last one")


def test_vet() -> None:
    output = (
        f"# {MODULE}/solver\nsolver/a.go:3:2: unreachable code\n"
        "vet: solver/b.go:9:1: undefined: x\nsolver/a.go:99:2: unreachable code\n"
    )
    found = checks.complaints(output)
    assert found == ("solver/a.go: unreachable code", "solver/b.go: undefined: x")
    roundabout = checks.complaints("../../tmp-1/tree/solver/a.go:99:2: unreachable code\n")
    assert roundabout == found[:1], "both paths name the same file"
    moved = checks.vet_check(["./solver"], found, found)
    assert moved.change == "pre-existing"
    worse = checks.vet_check(["./solver"], (), found)
    assert (worse.change, worse.before, worse.after) == ("worse", "clean", "2 complaints")
    assert checks.vet_check(["./solver"], found, ()).change == "better"


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (
            "internal/abi\n# solver\nsolver/x.go:3:9: undefined: missing\nsolver/x.go:4:1: bad\n",
            "solver/x.go:3:9: undefined: missing",
        ),
        (
            "go: downloading a/b v1\ngo: go.mod requires go >= 1.26.3\n",
            "go: go.mod requires go >= 1.26.3",
        ),
        ("go: inconsistent vendoring in /x:\n\tfoo\n", "go: inconsistent vendoring in /x:"),
        ("runtime\n/usr/bin/ld: cannot find -lx\n", "/usr/bin/ld: cannot find -lx"),
        ("x.s:12: unexpected EOF\n", "x.s:12: unexpected EOF"),
        ("fmt\n", "go failed without an error message"),
        ("", "go failed without an error message"),
    ],
)
def test_first_error(output: str, error: str) -> None:
    assert checks.first_error(output) == error


def test_what_go_printed_about_builds() -> None:
    events = lines(
        {"Action": "build-output", "Output": "# x\n"},
        {"Action": "output", "Output": "permission denied\n"},
        {"Action": "build-output", "Output": "x.go:1:1: no\n"},
    )
    text = checks.build_output(f"{events}not json\n", "go: downloading a/b v1\n")
    assert text == "# x\nx.go:1:1: no\ngo: downloading a/b v1\n"
