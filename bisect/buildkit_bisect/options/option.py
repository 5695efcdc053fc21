"""Declares options: each is declared once, as a field of a request.

    trials: int | None = option(
        number(1, 1000), default=None, unset="3", value="N", help="trials per cell", example="20"
    )

The type checker compares the field's type with the parser's and the default's. Classes with
options are frozen dataclasses without slots, as Python cannot combine several slotted bases.
"""

from __future__ import annotations

import inspect
import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from buildkit_bisect.errors import BadInput

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: An option's value on the command line; None or "" if it was not given.
Given = str | bool | Sequence[str] | None

#: Maximum length of a value, in characters; the longest useful values are lists of patches.
LONGEST = 10_000

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")

#: The key of the declaration in a dataclass field's metadata.
_KEY = "option"

_count = itertools.count()


class Form(StrEnum):
    """How an option is written."""

    VALUE = "value"
    SWITCH = "switch"
    REPEATED = "repeated"


class Position(StrEnum):
    """Whether a value may be given without its option's name."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Parser(Protocol[T_co]):
    """Converts an option's text to a typed value. Raises `BadInput` that names the option."""

    def __call__(self, option: Option, text: str, /) -> T_co:
        """Return the value."""
        ...


class ListParser(Protocol[T_co]):
    """Converts all texts given for a repeatable option. Raises `BadInput` that names the option."""

    def __call__(self, option: Option, texts: Sequence[str], /) -> T_co:
        """Return the value."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a request."""

    form: Form
    parse: Callable[[Option, Sequence[str]], Any]
    default: Any
    help: str  # one line, without the default
    example: str
    unset: str = ""  # describes the default; empty if its value does
    required: bool = False
    value: str = ""  # placeholder for the value in help, such as N or PATH
    position: Position = Position.NONE
    repeats: bool = True  # whether the reproduce command contains it
    write: Callable[[Option, Any], list[str]] | None = None
    name: str = ""  # without the leading dashes
    variable: str = ""  # of the environment, without its prefix; by default the name's
    attribute: str = ""  # of the request
    order: int = 0  # of the declaration

    def __deepcopy__(self, _: object) -> Option:
        """Return the option itself: Invoke copies arguments several times at each start."""
        return self

    @property
    def key(self) -> str:
        """The name as a Python keyword argument."""
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
        """The option with its example: ``--trials 20``; only the example if it is positional."""
        if self.position is Position.REQUIRED:
            return self.example
        return f"{self.flag} {self.example}".rstrip()

    @property
    def twin(self) -> str:
        """The environment variable that sets the option."""
        return f"BKBISECT_{(self.variable or self.key).upper()}"

    @property
    def default_text(self) -> str:
        """The default as shown in help."""
        if self.form is Form.SWITCH:
            return "off"
        return self.unset or ("required" if self.required else str(self.default))

    @property
    def description(self) -> str:
        """The line of ``--help``."""
        return f"{self.help} ({'' if self.required else 'default: '}{self.default_text})"

    def texts(self, given: Given, env: Mapping[str, str]) -> tuple[str, ...]:
        """Return the texts *given*, else those of the environment variable, else nothing.

        Raises `BadInput` for a text that is too long or not printable.
        """
        twin = env.get(self.twin, "")
        match self.form:
            case Form.SWITCH:
                found = ["1" if given else twin]
            case Form.REPEATED:
                several = (given,) if isinstance(given, str | bool) else given or ()
                found = [t for t in several if isinstance(t, str) and t] or twin.split()
            case Form.VALUE:
                found = [given if isinstance(given, str) and given else twin]
        return tuple(self._plain(text) for text in found if text)

    def _plain(self, text: str) -> str:
        """Return *text*. Raises `BadInput` if it is too long or not printable."""
        if len(text) > LONGEST:
            raise BadInput(
                f"{self.flag} has {len(text)} characters: {text[:20]!r}...",
                hint=f"at most {LONGEST} characters",
            )
        if not text.isprintable():
            raise BadInput(
                f"{self.flag} {text[:60]!r} contains a control character, a line break or"
                " invalid UTF-8",
                hint=f"{self.flag} {_printable(text[:60])}",
            )
        return text


def _printable(text: str) -> str:
    """Return *text* without the characters that cannot be printed, quoted for a shell."""
    return shlex.quote("".join(filter(str.isprintable, text)).strip())


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
    variable: str = "",
    position: Position = Position.NONE,
    repeats: bool = True,
) -> T:
    """Declare an option with one value; *name* if it differs from the field's.

    A *required* option has a default too: the task itself reports that it is missing.
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
            variable=variable,
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
    required: bool = False,
    position: Position = Position.NONE,
) -> T:
    """Declare an option that may be given several times, or several values without its name.

    *write* returns the command-line words that yield the same value.
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
            required=required,
            position=position,
            order=next(_count),
        )
    )
    return made


def switch(
    *,
    help: str,  # noqa: A002
    name: str = "",
    variable: str = "",
    repeats: bool = True,
) -> bool:
    """Declare an option without a value; it is off by default."""
    made: bool = _field(
        Option(
            form=Form.SWITCH,
            parse=lambda option, texts: _on(option, texts[0]),
            default=False,
            help=help,
            example="",
            name=name,
            variable=variable,
            repeats=repeats,
            order=next(_count),
        )
    )
    return made


def _on(option: Option, text: str) -> bool:
    """Return whether a switch is on. Raises `BadInput` if its environment variable is invalid."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise BadInput(f"{option.twin}={text!r} is neither 1 nor 0", hint=f"{option.twin}=1")


def _field(declared: Option) -> Any:
    # A factory allows a mapping as the default, and adds no class attribute of that name.
    return field(default_factory=lambda: declared.default, metadata={_KEY: declared})


#: What `options_of` returned: the start of a command asks for the options of each task five times.
_found: dict[type[Any], tuple[Option, ...]] = {}


def options_of(kind: type[Any]) -> tuple[Option, ...]:
    """Return the options of a class: positional ones, required ones, its own, inherited ones.

    Within each of these they are in the order of declaration. ``kind.unset`` has the defaults of
    inherited options that differ in this task, by attribute; ``kind.lacks`` has the attributes of
    those that it does not have: they keep their defaults.
    """
    if kind not in _found:
        _found[kind] = _options_of(kind)
    return _found[kind]


def _options_of(kind: type[Any]) -> tuple[Option, ...]:
    own = inspect.get_annotations(kind)
    unset: Mapping[str, str] = getattr(kind, "unset", {})
    lacks: frozenset[str] = getattr(kind, "lacks", frozenset())
    found = [
        replace(
            declared,
            attribute=one.name,
            name=declared.name or one.name.replace("_", "-"),
            unset=unset.get(one.name, declared.unset),
        )
        for one in fields(kind)
        if (declared := one.metadata.get(_KEY)) and one.name not in lacks
    ]

    def place(one: Option) -> tuple[bool, bool, bool, int]:
        named = one.position is Position.NONE
        return named, not one.required, one.attribute not in own, one.order

    return tuple(sorted(found, key=place))


def find(kind: type[Any], key: str) -> Option:
    """Return the option of *kind* for a keyword argument such as ``dry_run`` or ``from_``.

    Raises `LookupError` if *kind* has no option of that name.
    """
    name = key.rstrip("_").replace("_", "-")
    for one in options_of(kind):
        if one.name == name:
            return one
    raise LookupError(f"{kind.__name__} has no option {name!r}")
