"""The declarations of all options, and that tasks agree with them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from buildkit_bisect.campaign.matrix import TRIALS
from buildkit_bisect.errors import BadInput
from buildkit_bisect.options import parse, requests
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


def test_positional_options_come_first_then_the_requests_own() -> None:
    assert [o.name for o in options_of(Asked)] == ["from", "many", "dry-run", "where"]
    assert Asked() == Asked(many=2, dry_run=False, start="", where="")


def test_forms_of_an_options_name() -> None:
    many, dry, start = (find(Asked, key) for key in ("many", "dry_run", "from_"))
    assert (many.flag, many.usage, many.twin) == ("--many", "--many=N", "BKBISECT_MANY")
    assert (dry.usage, dry.key, dry.twin) == ("--dry-run", "dry_run", "BKBISECT_DRY_RUN")
    assert (start.attribute, start.name, start.sample) == ("start", "from", "a")
    assert (many.sample, dry.sample) == ("--many 3", "--dry-run")
    assert many.description == "how many (default: 2)"
    matching = find(TASKS["test"], "k")
    assert (matching.flag, matching.usage) == ("-k", "-k NAME")


def test_an_unknown_option() -> None:
    with pytest.raises(LookupError, match="Asked has no option 'few'"):
        find(Asked, "few")


@NAMED
def test_an_option_is_fully_described(task: str, one: Option) -> None:
    assert one.help.strip(" .") == one.help
    assert "\n" not in one.help
    assert "default" not in one.help, "the description appends it"
    assert one.default_text not in ("", "None", "()", "{}"), "describe the default in words"
    if one.form is Form.SWITCH:
        assert (one.value, one.example, one.default) == ("", "", False)
    else:
        assert one.value
        assert one.example


@NAMED
def test_an_example_is_valid(task: str, one: Option) -> None:
    if one.form is Form.SWITCH or one.name == "templates":  # must be an existing folder
        return
    value = one.parse(one, one.texts(one.example.strip("'"), {}))
    assert value != one.default, "the example is the default"


def test_a_folder_must_exist() -> None:
    with pytest.raises(BadInput, match=r"--templates .* is not a directory"):
        parse.folder(find(Campaign, "templates"), "/nonexistent")


def test_a_task_has_no_two_options_of_the_same_name() -> None:
    for kind in TASKS.values():
        names = [o.name for o in options_of(kind)]
        assert len(names) == len(set(names))
        assert len({o.attribute for o in options_of(kind)}) == len(names)


def test_shared_options_are_declared_once() -> None:
    """`Option.order` tells declarations apart; ``--id`` and a required ID are two."""
    declared: dict[tuple[str, str, Position], set[int]] = {}
    for _, one in EVERY:
        declared.setdefault((one.name, one.help, one.position), set()).add(one.order)
    assert {same: orders for same, orders in declared.items() if len(orders) > 1} == {}


def test_defaults_agree_with_the_code_that_uses_them() -> None:
    usual = SearchOptions()
    assert (Bisect().confidence, Bisect().trials) == (usual.confidence, usual.trials)
    assert Boundaries().resolution == RESOLUTION
    assert find(Matrix, "trials").default_text == str(TRIALS)
    size = find(Campaign, "cache_size")
    assert parse.size(size, size.default_text) == size.default
    assert Clean().cache_size is None


def test_an_environment_variable_has_one_meaning() -> None:
    """A variable that is exported for one task must not break another."""
    meanings: dict[str, set[tuple[str, str]]] = {}
    for kind in TASKS.values():
        for one in options_of(kind):
            meanings.setdefault(one.twin, set()).add((one.form, one.value))
    assert {twin: found for twin, found in meanings.items() if len(found) > 1} == {}


def test_help_has_the_defaults_of_the_task_alone() -> None:
    for task, kind in TASKS.items():
        others = [f"{other}:" for other in TASKS if other != task]
        for one in options_of(kind):
            assert not any(o in one.default_text for o in others), (task, one.name)
    assert find(requests.Validate, "patches").default_text.startswith(
        "required, unless --from-branch"
    )
    assert find(requests.Status, "id").default_text == "a list of all, and the latest in full"
    assert find(requests.Bisect, "trials").default_text == "as many as it needs"
