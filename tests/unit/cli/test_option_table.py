"""docs/options.md is what the declarations say."""

from __future__ import annotations

from buildkit_bisect.cli import option_table
from buildkit_bisect.options.option import Position, options_of
from buildkit_bisect.options.requests import TASKS
from buildkit_bisect.system import checkout


def test_the_published_table_is_that_of_today() -> None:
    published = (checkout.PROJECT / "docs" / "options.md").read_text()
    assert published == option_table.text(), (
        "run: python -m buildkit_bisect.cli.option_table > docs/options.md"
    )


def test_every_option_of_every_task_is_in_it() -> None:
    table = option_table.text()
    for task, kind in TASKS.items():
        assert f"| `{task}` | " in table
        for option in options_of(kind):
            usage = option.usage.replace("|", "\\|")
            twin = "none" if option.position is Position.REQUIRED else f"`{option.twin}`"
            assert f"| `{usage}` | {twin} | " in table, (task, option.name)


def test_a_choice_does_not_end_a_cell() -> None:
    rows = [line for line in option_table.text().splitlines() if line.startswith("| `--")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}
