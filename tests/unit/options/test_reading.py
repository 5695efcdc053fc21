"""From a command line and an environment to a request and its reproduce command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import DEFAULT_REPO, RuntimeKind
from buildkit_bisect.options.choices import Checks, Images, SourceKind
from buildkit_bisect.options.option import LONGEST, Given
from buildkit_bisect.options.reading import misspelled, read
from buildkit_bisect.options.requests import (
    TASKS,
    Bisect,
    Boundaries,
    Matrix,
    Report,
    Run,
    Validate,
)
from buildkit_bisect.system import checkout


def test_defaults() -> None:
    chosen = read(Matrix, {}, {})
    assert chosen == Matrix(command="./inv matrix")
    assert (chosen.repo, chosen.source) == (DEFAULT_REPO, SourceKind.AUTO)
    assert (chosen.jobs, chosen.trials, chosen.axis, chosen.revs) == (1, None, {}, ())
    assert chosen.out.name == "results"


def test_every_option_has_an_environment_variable() -> None:
    variables = {
        "REPO": "/r",
        "SOURCE": "git",
        "SCENARIO": "a,b",
        "AXIS": "snapshotter=stargz bases=same",
        "PATCHES": "p",
        "RUNTIME": "docker",
        "JOBS": "2",
        "TRIALS": "7",
        "OUT": "/o",
        "DRY_RUN": "1",
        "JSON": "yes",
        "FRESH": "true",
        "IMAGES": "public",
        "REGISTRY": "127.0.0.1:5000",
        "REVS": "v1,v2",
    }
    chosen = read(Matrix, {}, {f"BKBISECT_{name}": value for name, value in variables.items()})
    assert chosen == Matrix(
        repo="/r",
        source=SourceKind.GIT,
        scenario=("a", "b"),
        axis={"snapshotter": ("stargz",), "bases": ("same",)},
        patches="p",
        runtime=(RuntimeKind.DOCKER,),
        jobs=2,
        trials=7,
        out=Path("/o"),
        dry_run=True,
        json=True,
        fresh=True,
        images=Images.PUBLIC,
        registry="127.0.0.1:5000",
        revs=("v1", "v2"),
        command="./inv matrix --revs v1,v2 --repo /r --source git --scenario a,b"
        " --axis=snapshotter=stargz --axis=bases=same --patches p --runtime docker"
        " --images public --registry 127.0.0.1:5000 --jobs 2 --trials 7 --fresh",
    )


def test_an_option_overrides_its_environment_variable() -> None:
    env = {"BKBISECT_TRIALS": "7", "BKBISECT_AXIS": "a=1", "BKBISECT_FRESH": "1"}
    chosen = read(Matrix, {"trials": "3", "axis": ["b=2"], "fresh": False}, env)
    assert (chosen.trials, chosen.axis, chosen.fresh) == (3, {"b": ("2",)}, True)


def test_variables_of_options_that_a_task_does_not_have_are_ignored() -> None:
    assert read(Report, {"id": "a"}, {"BKBISECT_TRIALS": "many"}).id == "a"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BKBISECT_CACHEDIR", "BKBISECT_CACHE_DIR"),
        ("BKBISECT_TRIAL", "BKBISECT_TRIALS"),
        ("BKBISECT_SCENARIOS", "BKBISECT_SCENARIO"),
        ("bkbisect_trials", "BKBISECT_TRIALS"),
        ("BKBISECT_CACHE_DRI", "BKBISECT_CACHE_DIR"),
    ],
)
def test_a_misspelled_variable(name: str, meant: str) -> None:
    with pytest.raises(BadInput, match=f"{name} is set, and nothing reads it") as raised:
        read(Matrix, {}, {name: "/x y"})
    assert raised.value.hint == f"{meant}='/x y'"


def test_other_variables_are_left_alone() -> None:
    ours = ("SCREENSHOTS", "FIGURES", "TEST_SEED", "MY_TOKEN", *_used())
    assert misspelled({f"BKBISECT_{name}": "1" for name in ours}) is None
    assert misspelled({"BKBISECT_TRIAL": "", "KBISECT_TRIALS": "1"}) is None


def _used() -> set[str]:
    """Return the variables in our code, without their prefix."""
    folder = checkout.PROJECT / "bisect" / "buildkit_bisect"
    texts = [path.read_text() for path in [*folder.rglob("*.py"), checkout.PROJECT / "inv"]]
    return {one for text in texts for one in re.findall(r"BKBISECT_([A-Z][A-Z_]+)", text)}


def test_the_command_has_options_instead_of_variables() -> None:
    given: dict[str, Given] = {
        "revs": "v1",
        "repo": "",
        "axis": ["bases=same"],
        "json": True,
        "fresh": True,
        "dry_run": False,
    }
    env = {"BKBISECT_REPO": "/a b", "BKBISECT_OUT": "/o", "BKBISECT_CACHE_SIZE": "5GB"}
    assert read(Matrix, given, env).command == (
        "./inv matrix --revs v1 --repo '/a b' --axis=bases=same --fresh"
    )


def test_deadlines_from_the_environment() -> None:
    chosen = read(Run, {"rev": "v1", "deadline": []}, {"BKBISECT_DEADLINE": "step=7 fetch=8"})
    assert chosen.deadline == {"step": 7, "fetch": 8}
    assert chosen.command == "./inv run --rev v1 --deadline step=7,fetch=8"


def test_a_field_and_its_option_may_have_different_names() -> None:
    chosen = read(Boundaries, {"from": "a"}, {"BKBISECT_BOUNDARIES_TO": "b"})
    assert (chosen.start, chosen.end) == ("a", "b")
    assert chosen.command == "./inv boundaries --from a --to b"


def test_typed_values() -> None:
    chosen = read(Bisect, {"confidence": "0.9", "bad_when": "x,,y", "no_verify": True}, {})
    assert (chosen.confidence, chosen.bad_when) == (0.9, frozenset({"x", "y"}))
    assert chosen.no_verify
    assert read(Validate, {"checks": "cells"}, {}).checks is Checks.CELLS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": "many"}, "--trials 'many' is not an integer (try: --trials 1)"),
        ({"trials": "0"}, "--trials 0 is not between 1 and 1000 (try: --trials 1)"),
        ({"jobs": "-1"}, "--jobs -1 is not between 1 and 64"),
        ({"source": "svn"}, "--source 'svn' is not one of auto, git, module (try: --source auto)"),
        ({"runtime": "podman"}, "--runtime 'podman' is not one of auto, host, docker, buildx"),
        ({"axis": ["snapshotter"]}, "'snapshotter' is not KEY=VALUE (try: --axis snapshotter="),
        ({"axis": ["=stargz"]}, "is not KEY=VALUE"),
        ({"registry": "registry.example:5000"}, "is not a loopback address"),
        ({"images": "mine"}, "--images 'mine' is not one of local, public"),
        ({"templates": "/nonexistent"}, "--templates '/nonexistent' is not a directory"),
        ({"repo": "a\nb"}, "--repo 'a\\nb' contains a control character"),
        ({"axis": ["a=\x1b"]}, "--axis 'a=\\x1b' contains a control character"),
        ({"deadline": ["step=1\n"]}, "--deadline 'step=1\\n' contains a control character"),
        ({"repo": "x" * (LONGEST + 1)}, "--repo has 10001 characters"),
    ],
)
def test_an_error_names_the_option_and_the_value(given: dict[str, Given], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(Matrix, given, {})
    assert message in str(refused.value)


def test_a_switch_in_the_environment_is_on_or_off() -> None:
    assert read(Matrix, {}, {"BKBISECT_FRESH": "Yes"}).fresh
    assert not read(Matrix, {}, {"BKBISECT_FRESH": "off"}).fresh
    with pytest.raises(BadInput, match="BKBISECT_FRESH='maybe' is neither 1 nor 0"):
        read(Matrix, {}, {"BKBISECT_FRESH": "maybe"})


def test_an_option_that_the_task_does_not_have_is_a_bug() -> None:
    with pytest.raises(LookupError, match="report has no options trials"):
        read(Report, {"trials": "3"}, {})


def test_a_mistake_in_an_option_of_one_letter_is_named_as_it_is_written() -> None:
    with pytest.raises(BadInput, match=r"^-k 'a\\x1b' contains a control character"):
        read(TASKS["test"], {"k": "a\x1b"}, {})
