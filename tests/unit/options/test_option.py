"""What every declaration says, and that tasks agree with it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from buildkit_bisect.campaign.matrix import TRIALS
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Form, Option, Position, find, option, options_of, switch
from buildkit_bisect.options.requests import TASKS, Bisect, Boundaries, Campaign, Clean, Matrix
from buildkit_bisect.search import SearchOptions
from buildkit_bisect.search.boundary_search import RESOLUTION

EVERY = [(task, one) for task, kind in TASKS.items() for one in options_of(kind)]
NAMED = pytest.mark.parametrize(("task", "one"), EVERY, ids=[f"{t} {o.name}" for t, o in EVERY])


@dataclass(frozen=True, kw_only=True)
class Shared:
    where: str = option(parse.text, default="", value="X", help="where", example="here")


@dataclass(frozen=True, kw_only=True)
class Asked(Shared):
    many: int = option(parse.number(1, 9), default=2, value="N", help="how many", example="3")
    dry_run: bool = switch(help="do nothing")
    start: str = option(
        parse.text,
        name="from",
        default="",
        value="R",
        help="where from",
        example="a",
        position=Position.REQUIRED,
    )


def test_positional_options_come_first_then_those_of_the_request_itself() -> None:
    assert [o.name for o in options_of(Asked)] == ["from", "many", "dry-run", "where"]
    assert Asked() == Asked(many=2, dry_run=False, start="", where="")


def test_names_of_one_option() -> None:
    many, dry, start = (find(Asked, key) for key in ("many", "dry_run", "from_"))
    assert (many.flag, many.usage, many.twin) == ("--many", "--many=N", "BKBISECT_MANY")
    assert (dry.usage, dry.key, dry.twin) == ("--dry-run", "dry_run", "BKBISECT_DRY_RUN")
    assert (start.attribute, start.name, start.sample) == ("start", "from", "a")
    assert (many.sample, dry.sample) == ("--many 3", "--dry-run")
    assert many.description == "how many (default: 2)"
    matching = find(TASKS["test"], "k")
    assert (matching.flag, matching.usage) == ("-k", "-k NAME")


def test_an_option_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="Asked has no option 'few'"):
        find(Asked, "few")


@NAMED
def test_everything_about_an_option_is_said(task: str, one: Option) -> None:
    assert one.help.strip(" .") == one.help
    assert "\n" not in one.help
    assert "default" not in one.help, "it is told from the declaration"
    assert one.default_text not in ("", "None", "()", "{}"), "say what holds without it"
    if one.form is Form.SWITCH:
        assert (one.value, one.example, one.default) == ("", "", False)
    else:
        assert one.value
        assert one.example


@NAMED
def test_an_example_can_be_given(task: str, one: Option) -> None:
    if one.form is Form.SWITCH or one.name == "templates":  # which must be a folder
        return
    value = one.parse(one, one.texts(one.example.strip("'"), {}))
    assert value != one.default, "an example of what is anyway shows nothing"


def test_a_folder_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match=r"--templates .* is not a directory"):
        parse.folder(find(Campaign, "templates"), "/nonexistent")


def test_a_task_names_no_option_twice() -> None:
    for kind in TASKS.values():
        names = [o.name for o in options_of(kind)]
        assert len(names) == len(set(names))
        assert len({o.attribute for o in options_of(kind)}) == len(names)


def test_options_that_tasks_share_are_one_declaration() -> None:
    trials = [find(TASKS[task], "trials") for task in ("run", "matrix", "bisect", "validate")]
    assert all(one == trials[0] for one in trials)


def test_defaults_are_those_of_what_they_are_for() -> None:
    usual = SearchOptions()
    assert (Bisect().confidence, Bisect().trials) == (usual.confidence, usual.trials)
    assert Boundaries().resolution == RESOLUTION
    assert find(Matrix, "trials").default_text.startswith(f"{TRIALS};")
    size = find(Campaign, "cache_size")
    assert parse.size(size, size.default_text) == size.default
    assert Clean().cache_size is None
