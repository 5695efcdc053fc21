"""Generates docs/options.md: ``python -m buildkit_bisect.cli.option_table``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildkit_bisect.options.command import inv, twin
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.option import Option, Position, options_of
from buildkit_bisect.options.requests import TASKS, Campaign
from buildkit_bisect.source import forms

_HEAD = f"""# Options

`./inv TASK --help` prints the same for one task. If an option is not given, its environment
variable is used: `{twin(Campaign, "trials")}=20 {inv("matrix")}` is `{inv("matrix", trials=20)}`.
`1` turns a switch on, `0` turns it off. Tasks ignore the variables of options that they do not
have.

Shells complete tasks, options and values (scenarios, axes, patches, revisions, campaigns) after one
line in `~/.bashrc` or `~/.zshrc`, `eval "$(/PATH/OF/inv completion bash)"` (or `zsh`), or in
`~/.config/fish/config.fish`, `/PATH/OF/inv completion fish | source`.

Generated from the code by `python -m buildkit_bisect.cli.option_table`.
"""

_REVISIONS = (
    (
        "`v0.26.0`, `master`, `origin/master`, `54b9d6e`, `HEAD~3`, `v0.26`",
        "as for git, in the repository",
    ),
    ("`0.26.0`", "`v0.26.0`"),
    ("`v0.26.x`", "the newest release of v0.26; `v0.26` too if there is no such branch"),
    ("`latest`", "the newest release"),
    ("`main`, `origin/master`", "`master`, if the repository has no such ref"),
    ("`2025-09-11`", "the last commit of the main branch up to the end of that day (UTC)"),
    (
        "`pr/7107`, `pull/7107/head`, `'#7107'`, `moby/buildkit#7107`",
        "the newest commit of a pull request ([where it is fetched from](patches.md))",
    ),
    (
        "an address on github.com: `/pull/N`, `/commit/SHA`, `/tree/BRANCH`, `/releases/tag/TAG`",
        "the same; also in a fork",
    ),
    ("`REV+PATCH`", "with patches, in `run`, `build` and `matrix`: [patches](patches.md)"),
    (
        "`v0.24.0..v0.26.0`, or GitHub's `/compare/` address",
        "both ends, in `bisect` and `boundaries`",
    ),
    (
        "`'v0.2[4-9].*'`",
        (
            "in `matrix` and `patch check`: every final release that matches, as in"
            " `git tag --list` (with a dash, as in `'v0.26.0-rc*'`, also candidates), at most"
            f" {forms.MOST}"
        ),
    ),
    ("`'v0.2[4-9].x'`", "in `matrix` and `patch check`: the newest patch release of each"),
)

_COLUMNS = ("option", "environment variable", "default", "description", "example")


#: Commands in which the option's name is left out.
_WITHOUT_NAME = f"""A revision, a range or a patch may follow its task without the option's name:
`{inv("run", "v0.26.0")}`, `{inv("matrix", "v0.25.0,master")}`,
`{inv("bisect", "v0.24.0..v0.26.0")}`, `{inv("validate", "pr/7107")}`. A ref that exists in the
repository is that ref, whatever else its name may mean. Reports have the name of what was found,
and stderr says what `latest`, `main` and patterns stand for.
"""


def text() -> str:
    """Return the content of docs/options.md."""
    shared = options_of(Campaign)
    campaigns = [task for task, kind in TASKS.items() if issubclass(kind, Campaign)]
    parts = [_HEAD, "\n## Tasks\n\n", _table(("task", "options"), _tasks())]
    parts += [
        "\n## Every campaign\n\n",
        f"The options of {_listed(campaigns)}.\n",
        _lacking(),
        "\n",
    ]
    parts.append(_table(_COLUMNS, map(_row, shared)))
    parts += ["\n## Revisions\n\n", _WITHOUT_NAME, "\n"]
    parts.append(_table(("value", "revision"), iter(_REVISIONS)))
    for task, kind in TASKS.items():
        own = [o for o in options_of(kind) if o not in shared or task not in campaigns]
        if own:
            parts += [f"\n## {spoken(task)}\n\n", _table(_COLUMNS, map(_row, own))]
    return "".join(parts)


def _lacking() -> str:
    """Return a sentence about the options of every campaign that some campaigns do not have."""
    tasks: dict[frozenset[str], list[str]] = {}
    for task, kind in TASKS.items():
        if issubclass(kind, Campaign) and kind.lacks:
            tasks.setdefault(kind.lacks, []).append(task)
    flags = {o.attribute: f"`{o.flag}`" for o in options_of(Campaign)}
    return "".join(
        f"But {_listed(names)} have none of these:"
        f" {', '.join(flag for name, flag in flags.items() if name in lacks)}.\n"
        for lacks, names in tasks.items()
    )


def _tasks() -> Iterator[tuple[str, ...]]:
    """Yield a row per task with its options; those of every campaign are one link."""
    common = options_of(Campaign)
    for task, kind in TASKS.items():
        is_campaign = issubclass(kind, Campaign)
        names = [_name(o) for o in options_of(kind) if not (is_campaign and o in common)]
        names += ["[options of every campaign](#every-campaign)"] if is_campaign else []
        yield f"`{spoken(task)}`", ", ".join(names) or "none"


def _name(option: Option) -> str:
    return f"`{option.value if option.position is Position.REQUIRED else option.flag}`"


def _row(option: Option) -> tuple[str, ...]:
    return (
        f"`{option.usage}`",
        "none" if option.position is Position.REQUIRED else f"`{option.twin}`",
        option.default_text,
        option.help,
        f"`{option.sample}`",
    )


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _listed(tasks: Sequence[str]) -> str:
    *most, last = [f"`{spoken(task)}`" for task in tasks]
    return f"{', '.join(most)} and {last}"


if __name__ == "__main__":
    print(text(), end="")
