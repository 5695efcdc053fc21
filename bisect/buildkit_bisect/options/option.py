"""The mechanism: one option is one declaration, and a request's fields are options.

    trials: int | None = option(
        number(1, 1000), default=None, unset="3", value="N", help="trials per cell", example="20"
    )

The type checker compares the field's type with the parser's and the default's. Classes that have
options are frozen dataclasses without slots: Python cannot combine several slotted bases.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from buildkit_bisect.errors import BadInput

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: An option as a command line has it; None and "" where it was not given.
Given = str | bool | Sequence[str] | None

#: Characters of an option's value; the longest that make sense are lists of patches.
LONGEST = 10_000

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")

#: Where a dataclass field keeps its declaration.
_KEY = "option"

_count = itertools.count()


class Form(StrEnum):
    """How an option is written."""

    VALUE = "value"
    SWITCH = "switch"
    REPEATED = "repeated"


class Position(StrEnum):
    """Whether a value may stand without its option's name."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"  # and must be given


class Parser(Protocol[T_co]):
    """Makes a typed value of the text of an option. Raises `BadInput` that names the option."""

    def __call__(self, option: Option, text: str, /) -> T_co:
        """The value."""
        ...


class ListParser(Protocol[T_co]):
    """The same of everything that a repeatable option was given."""

    def __call__(self, option: Option, texts: Sequence[str], /) -> T_co:
        """The value."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a request."""

    form: Form
    parse: Callable[[Option, Sequence[str]], Any]
    default: Any
    help: str  # one line, without the default
    example: str
    unset: str = ""  # what holds where the option is not given, unless that is just the default
    required: bool = False
    value: str = ""  # stands for the value in help, such as N or PATH
    position: Position = Position.NONE
    repeats: bool = True  # whether the command that asks the same again has it
    write: Callable[[Option, Any], list[str]] | None = None
    name: str = ""  # behind the dashes
    attribute: str = ""  # of the request
    order: int = 0  # of the declaration

    @property
    def key(self) -> str:
        """The name as a Python keyword argument has it."""
        return self.name.replace("-", "_")

    @property
    def flag(self) -> str:
        """``--trials``, or ``-k`` for a name of one letter."""
        return f"-{self.name}" if len(self.name) == 1 else f"--{self.name}"

    @property
    def usage(self) -> str:
        """``--trials=N``, ``--fresh``, ``-k NAME``."""
        if self.form is Form.SWITCH:
            return self.flag
        return f"{self.flag}{' ' if len(self.name) == 1 else '='}{self.value}"

    @property
    def sample(self) -> str:
        """The option with its example: ``--trials 20``; the example alone where that may be."""
        if self.position is Position.REQUIRED:
            return self.example
        return f"{self.flag} {self.example}".rstrip()

    @property
    def twin(self) -> str:
        """The environment variable that stands in for the option."""
        return f"BKBISECT_{self.key.upper()}"

    @property
    def default_text(self) -> str:
        """What holds without the option, as people read it."""
        if self.form is Form.SWITCH:
            return "off"
        return self.unset or ("required" if self.required else str(self.default))

    @property
    def description(self) -> str:
        """The line of ``--help``."""
        return f"{self.help} ({'' if self.required else 'default: '}{self.default_text})"

    def texts(self, given: Given, env: Mapping[str, str]) -> tuple[str, ...]:
        """What the option was given, else its environment twin; empty where neither says anything.

        Raises `BadInput` for what no option can be: control characters, undecodable bytes.
        """
        twin = env.get(self.twin, "")
        match self.form:
            case Form.SWITCH:
                found = ["1" if given else twin]
            case Form.REPEATED:
                several = [given] if isinstance(given, str) else given or ()
                found = [t for t in several if t] if isinstance(several, Sequence) else []
                found = found or twin.split()
            case Form.VALUE:
                found = [given if isinstance(given, str) and given else twin]
        return tuple(self._plain(text) for text in found if text)

    def _plain(self, text: str) -> str:
        """*text*, if it can be a name, a path or a number at all."""
        if len(text) > LONGEST:
            raise BadInput(
                f"--{self.name} has {len(text)} characters",
                hint=f"at most {LONGEST}, as {text[:20]!r}",
            )
        if not text.isprintable():
            raise BadInput(
                f"--{self.name} {text[:60]!r} holds a control character, a line break or invalid"
                " UTF-8",
                hint="./inv --help TASK",
            )
        return text


def option(
    parse: Parser[T],
    *,
    default: T,
    value: str,
    help: str,  # noqa: A002 - the word that Invoke and argparse use
    example: str,
    unset: str = "",
    required: bool = False,
    name: str = "",
    position: Position = Position.NONE,
    repeats: bool = True,
) -> T:
    """A field that is an option with one value; *name* where it is not the field's.

    One that is *required* has a default too: the task says what is missing, and what helps.
    """
    made: T = _field(
        Option(
            form=Form.VALUE,
            parse=lambda option, texts: parse(option, texts[0]),
            default=default,
            value=value,
            help=help,
            example=example,
            unset=unset,
            required=required,
            name=name,
            position=position,
            repeats=repeats,
            order=next(_count),
        )
    )
    return made


def repeated(
    parse: ListParser[T],
    write: Callable[[Option, T], list[str]],
    *,
    default: T,
    value: str,
    help: str,  # noqa: A002
    example: str,
    unset: str,
    name: str = "",
) -> T:
    """A field that is an option which may be given several times.

    *write* makes the words of a command line that come to the same value.
    """
    made: T = _field(
        Option(
            form=Form.REPEATED,
            parse=parse,
            write=write,
            default=default,
            value=value,
            help=help,
            example=example,
            unset=unset,
            name=name,
            order=next(_count),
        )
    )
    return made


def switch(*, help: str, name: str = "", repeats: bool = True) -> bool:  # noqa: A002
    """A field that is an option without a value; off where it is not given."""
    made: bool = _field(
        Option(
            form=Form.SWITCH,
            parse=lambda option, texts: _on(option, texts[0]),
            default=False,
            help=help,
            example="",
            name=name,
            repeats=repeats,
            order=next(_count),
        )
    )
    return made


def _on(option: Option, text: str) -> bool:
    """Whether a switch is on. Raises `BadInput` for an environment twin that is neither."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise BadInput(f"{option.twin}={text!r}: say 1 or 0", hint="1 or 0")


def _field(declared: Option) -> Any:
    # A factory, so that a default may be a mapping and the class has no attribute of that name.
    return field(default_factory=lambda: declared.default, metadata={_KEY: declared})


def options_of(kind: type[Any]) -> tuple[Option, ...]:
    """The options of a class: what must be given, its own, what it shares; as declared."""
    own = inspect.get_annotations(kind)
    found = [
        replace(
            declared,
            attribute=one.name,
            name=declared.name or one.name.replace("_", "-"),
        )
        for one in fields(kind)
        if (declared := one.metadata.get(_KEY))
    ]

    def place(one: Option) -> tuple[bool, bool, bool, int]:
        named = one.position is Position.NONE
        return named, not one.required, one.attribute not in own, one.order

    return tuple(sorted(found, key=place))


def find(kind: type[Any], key: str) -> Option:
    """The option of *kind* that a keyword argument names: ``dry_run`` or ``from_``.

    Raises `LookupError` where *kind* has none of that name.
    """
    name = key.rstrip("_").replace("_", "-")
    for one in options_of(kind):
        if one.name == name:
            return one
    raise LookupError(f"{kind.__name__} has no option {name!r}")
