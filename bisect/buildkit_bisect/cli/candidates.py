"""What may stand at the cursor of a command line: tasks, options, and values of options.

Reads folders, scenarios and refs; creates nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from buildkit_bisect.cli import line
from buildkit_bisect.cli.line import Role, Word
from buildkit_bisect.options.groups import GROUPS, spoken
from buildkit_bisect.options.option import Form, Option, Position, options_of
from buildkit_bisect.options.requests import TASKS, Campaign, Plan
from buildkit_bisect.system import checkout, deadlines

if TYPE_CHECKING:
    from buildkit_bisect.scenario import Scenario

#: Instead of a word: the shell completes a path itself.
FILES, FOLDERS = "<files>", "<folders>"
PATHS = (FILES, FOLDERS)

#: Newest first; a shell that lists more asks whether to.
_MOST = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A word that fits, and what it means."""

    word: str
    text: str = ""


def candidates(before: Sequence[str], current: str) -> Iterator[Candidate]:
    """Yield what may replace *current*, the unfinished word after the words *before*.

    May raise `BisectError` or OSError, if a scenario cannot be read for example.
    """
    normal = line.normal(["inv", *before])[1:]
    words = list(line.read(normal, {"--help": True, "--list": False, "--version": False}))
    for one in _all(before, words, current):
        if one.word in PATHS or one.word.startswith(current):
            yield one


def _all(before: Sequence[str], words: list[Word], current: str) -> Iterator[Candidate]:
    """Yield the candidates for a place, whether or not they begin with *current*."""
    last = words[-1] if words else None
    if not last or last.text in line.HELP:
        yield from _tasks(helped=bool(last))
    elif before[-1] in GROUPS and last.role is Role.STRAY:
        group = before[-1]
        yield from (Candidate(word=one, text=_what(f"{group}-{one}")) for one in GROUPS[group])
    elif option := _unfinished(last):
        yield from _values(option, current, words)
    elif last.task == Plan.task:
        yield from _planned()
    elif last.task:
        yield from _in_task(last, words, current)


def _unfinished(last: Word) -> Option | None:
    """Return the option whose value comes next; None if none does."""
    option = last.option if last.role is Role.OPTION and last.attached is None else None
    return option if option and option.form is not Form.SWITCH else None


def _planned() -> Iterator[Candidate]:
    for name, kind in TASKS.items():
        if issubclass(kind, Campaign):
            yield Candidate(word=name, text=_what(name))


def _in_task(last: Word, words: list[Word], current: str) -> Iterator[Candidate]:
    """Yield positional values and options of a task, or values after an equals sign."""
    options = options_of(TASKS[last.task])
    flag, equals, part = current.partition("=")
    if equals:
        for option in options:
            if option.flag == flag:
                yield from _attached(option, _values(option, part, words))
        return
    yield from _positional(options, last, words, current)
    given = {one.text for one in words if one.role is Role.OPTION and one.task == last.task}
    for option in options:
        again = option.form is Form.REPEATED or option.flag not in given
        if again and option.position is not Position.REQUIRED:
            yield Candidate(word=option.flag, text=option.help)


def _attached(option: Option, found: Iterator[Candidate]) -> Iterator[Candidate]:
    for one in found:
        path = one.word in PATHS
        yield one if path else Candidate(word=f"{option.flag}={one.word}", text=one.text)


def _positional(
    options: Sequence[Option], last: Word, words: list[Word], current: str
) -> Iterator[Candidate]:
    """Yield the values that may stand here without an option."""
    if current.startswith("-"):
        return
    required = [one for one in options if one.position is Position.REQUIRED]
    done = sum(one.role is Role.POSITIONAL and one.task == last.task for one in words)
    if done < len(required):
        yield from _values(required[done], current, words)
    elif optional := line.OPTIONAL.get(last.task):
        another = last.option == optional and optional.form is Form.REPEATED
        if last.role is Role.TASK or another:
            yield from _values(optional, current, words)


def _tasks(*, helped: bool) -> Iterator[Candidate]:
    for name in TASKS:
        if spoken(name) == name:
            yield Candidate(word=name, text=_what(name))
    yield Candidate(word="patch", text="Create, list and check patches.")
    yield Candidate(word="scenario", text="Create scenarios, learn their rules, check them.")
    if not helped:
        yield Candidate(word="help", text="Print all tasks, or the options of one.")
        yield Candidate(word="list", text="Print an example of each task.")


def _what(task: str) -> str:
    return (TASKS[task].__doc__ or "").partition("\n")[0]


def _values(option: Option, current: str, words: list[Word]) -> Iterator[Candidate]:
    """Yield values for *option*; in a list, for the part after the last comma."""
    listed = "," in option.value or isinstance(option.default, tuple)
    begun, comma, part = current.rpartition(",") if listed else ("", "", current)
    taken = begun.split(",")
    source = SOURCES.get(option.value) or (_choices if "|" in option.value else None)
    for one in source(option, part, words) if source else ():
        if one.word in PATHS:
            yield one
        elif one.word not in taken:
            yield Candidate(word=f"{begun}{comma}{one.word}", text=one.text)


def _choices(option: Option, _part: str, _words: list[Word]) -> Iterator[Candidate]:
    yield from map(_word, option.value.split("|"))


def _word(text: str) -> Candidate:
    return Candidate(word=text)


def _scenarios(_option: Option, part: str, _words: list[Word]) -> Iterator[Candidate]:
    from buildkit_bisect import scenario as scenarios  # noqa: PLC0415 - takes a tenth of a second

    yield from map(_word, scenarios.names())
    yield Candidate(word=scenarios.LIBRARY, text="all public reports in it")
    if part.startswith(f"{scenarios.LIBRARY}/"):
        yield from map(_word, scenarios.library())
    elif "/" in part:
        yield Candidate(word=FOLDERS)


def _axes(_option: Option, part: str, words: list[Word]) -> Iterator[Candidate]:
    key, equals, values = part.partition("=")
    axes = _axes_of(words)
    if not equals:
        yield from (Candidate(word=f"{name}=", text=", ".join(axes[name])) for name in axes)
        return
    begun, comma, _ = values.rpartition(",")
    for value in axes.get(key, ()):
        if value not in begun.split(","):
            yield Candidate(word=f"{key}={begun}{comma}{value}")


def _axes_of(words: list[Word]) -> Mapping[str, Sequence[str]]:
    """Return the values of each axis in the scenarios of the command line, or in all of them."""
    found: dict[str, dict[str, None]] = {}
    for scenario in _loaded(words):
        for name, axis in scenario.axes.items():
            found.setdefault(name, {}).update(dict.fromkeys(axis.values))
    return {name: list(values) for name, values in found.items()}


def _loaded(words: list[Word]) -> Iterator[Scenario]:
    from buildkit_bisect import scenario as scenarios  # noqa: PLC0415

    named = _given(words, "scenario")
    for name in scenarios.expanded(named.split(",")) if named else scenarios.names():
        yield scenarios.load(name)


def _outcomes(_option: Option, _part: str, words: list[Word]) -> Iterator[Candidate]:
    rules = {rule.name: rule.means for one in _loaded(words) for rule in one.outcomes}
    yield from (Candidate(word=name, text=means) for name, means in rules.items())


def _revisions(_option: Option, part: str, words: list[Word]) -> Iterator[Candidate]:
    begun, plus, _ = part.rpartition("+")
    if plus:
        yield from (Candidate(word=f"{begun}+{name}") for name in _patch_names(words))
        return
    from buildkit_bisect.source import refs  # noqa: PLC0415

    older, dots, _ = part.partition("..")
    for name in refs.newest(_given(words, "repo"))[:_MOST]:
        yield Candidate(word=f"{older}..{name}" if dots else name)


def _patches(_option: Option, part: str, words: list[Word]) -> Iterator[Candidate]:
    yield from map(_word, _patch_names(words))
    if "/" in part:
        yield Candidate(word=FOLDERS)


def _patch_names(words: list[Word]) -> Sequence[str]:
    root = Path(_given(words, "into") or checkout.PATCHES)
    return sorted(file.parent.name for file in root.glob("*/patch.toml"))


def _campaigns(_option: Option, part: str, words: list[Word]) -> Iterator[Candidate]:
    from buildkit_bisect.campaign import find  # noqa: PLC0415

    out = Path(_given(words, "out") or checkout.RESULTS)
    yield from map(_word, [*reversed(find.ids(out)), find.LATEST])
    if "/" in part:
        yield Candidate(word=FILES)


def _deadlines(_option: Option, _part: str, _words: list[Word]) -> Iterator[Candidate]:
    for name, seconds in deadlines.table().items():
        yield Candidate(word=f"{name}=", text=f"default {seconds:g} s")


def _files(_option: Option, _part: str, _words: list[Word]) -> Iterator[Candidate]:
    yield Candidate(word=FILES)


def _folders(_option: Option, _part: str, _words: list[Word]) -> Iterator[Candidate]:
    yield Candidate(word=FOLDERS)


def _executors(_option: Option, _part: str, _words: list[Word]) -> Iterator[Candidate]:
    yield Candidate(word="local", text="this machine")
    yield Candidate(word="dask://", text="the workers of a Dask scheduler")


def _nothing(_option: Option, _part: str, _words: list[Word]) -> Iterable[Candidate]:
    return ()


def _given(words: list[Word], key: str) -> str:
    """Return the value of an option on the command line or in the environment; "" if not set."""
    for word, after in zip(words, [*words[1:], None], strict=True):
        if word.role is Role.OPTION and word.option and word.option.key == key:
            return word.attached or (after.text if after else "")
    for kind in TASKS.values():
        for option in options_of(kind):
            if option.key == key:
                return os.environ.get(option.twin, "")
    return ""


_Source = Callable[[Option, str, list[Word]], Iterable[Candidate]]

#: By what stands for the value in help: who knows the values. Alternatives (``a|b``) need none.
SOURCES: Mapping[str, _Source] = {
    **dict.fromkeys(("REV", "REV,REV", "REF", "COMMIT", "OLDER..NEWER"), _revisions),
    **dict.fromkeys(("DIR", "DIR:BRANCH", "URL_OR_PATH"), _folders),
    "NAME_OR_DIR": _scenarios,
    "KEY=VALUE": _axes,
    **dict.fromkeys(("NAME,NAME", "NAME|FILE|URL|pr/N,..."), _patches),
    **dict.fromkeys(("ID", "RESULT"), _campaigns),
    "OUTCOME,OUTCOME": _outcomes,
    "NAME=SECONDS": _deadlines,
    "local|dask://HOST:PORT": _executors,
    **dict.fromkeys(("FILE", "FILE,FILE", "FILE|URL|-"), _files),
    **dict.fromkeys(
        ("N", "P", "NAME", "TEXT", "URL", "SIZE", "SECONDS", "IMAGE", "REGISTRY", "HOST:PORT",
         "oci://REGISTRY/REPOSITORY", "OWNER/NAME", "PATH,PATH", "CODE,CODE", "CODE=NAME:VERDICT",
         "EXPECTATION", "BRANCH", "dask://HOST:PORT", "NAME=VALUE", "STAGE", "NAME=SOCKET[:ROOT]",
          "I/N"),
        _nothing,
    ),
}  # fmt: skip
