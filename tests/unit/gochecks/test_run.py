from __future__ import annotations

import json

import pytest

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.gochecks import output, run
from buildkit_bisect.system.process import Completed

MODULE = "github.com/moby/buildkit"
PACKAGE = f"{MODULE}/solver"


def ended(*printed: str, said: str = "FAIL\t[build failed]\n", exit_: int = 1) -> Completed:
    """Return a ``go test -json`` in which no test ran; *printed* is from its builds."""
    events = [{"ImportPath": PACKAGE, "Action": "build-output", "Output": p} for p in printed]
    events += [
        {"Package": PACKAGE, "Action": "output", "Output": said},
        {"Package": PACKAGE, "Action": "fail"},
    ]
    text = "".join(json.dumps(e) + "\n" for e in events)
    return Completed(argv=("go", "test"), exit=exit_, stdout=text, stderr="", seconds=1.0)


def refuse(done: Completed) -> None:
    found = output.parse(done.stdout, MODULE)
    assert found["./solver"].broken
    run._refuse_spoiled(done, found)


def test_tests_that_the_source_breaks_are_reported() -> None:
    refuse(ended(f"# {PACKAGE} [{PACKAGE}.test]\n", "solver/x.go:3:9: undefined: missing\n"))
    refuse(ended(f"# {PACKAGE}\n", "found packages a (a.go) and b (b.go) in /tree/solver\n"))
    refuse(ended(said="panic: in an init function\n"))
    refuse(ended(said="open /x: permission denied\n"))  # of the test itself


@pytest.mark.parametrize(
    "done",
    [
        ended("# fmt\n", "compile: writing output: write $WORK/x: no space left on device\n"),
        ended(f"# {PACKAGE}\n", "solver/x.go:3:8: could not import fmt (open : no such file)\n"),
        ended("GOCACHEPROG exited pre-Close with 1 pending requests\n"),
        ended(said="signal: killed\n"),
        ended(said="FAIL\n", exit_=-9),
    ],
)
def test_tests_that_this_machine_breaks_are_not_the_patchs_fault(done: Completed) -> None:
    with pytest.raises(InfraFailed, match=r"^go test failed, and this need not be the source"):
        refuse(done)
