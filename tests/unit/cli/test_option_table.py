"""docs/options.md agrees with the declarations."""

from __future__ import annotations

from buildkit_bisect.cli import option_table
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.option import Position, options_of
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout


def test_the_published_table_is_up_to_date() -> None:
    published = (checkout.PROJECT / "docs" / "options.md").read_text()
    assert published == option_table.text(), (
        "run: python -m buildkit_bisect.cli.option_table > docs/options.md"
    )


def test_every_option_of_every_task_is_in_it() -> None:
    table = option_table.text()
    for task, kind in TASKS.items():
        assert f"| `{spoken(task)}` | " in table
        for option in options_of(kind):
            usage = option.usage.replace("|", "\\|")
            variable = "none" if option.position is Position.REQUIRED else f"`{option.twin}`"
            assert f"| `{usage}` | {variable} | " in table, (task, option.name)


def test_pipes_in_choices_are_escaped() -> None:
    rows = [line for line in option_table.text().splitlines() if line.startswith("| `--")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}
