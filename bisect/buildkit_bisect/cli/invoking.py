"""Makes Invoke tasks from requests: a request's options become arguments with help."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.tasks import Task

from buildkit_bisect.cli.guard import guarded
from buildkit_bisect.errors import BisectError
from buildkit_bisect.options.command import again
from buildkit_bisect.options.option import Form, Given, Option, Position, options_of
from buildkit_bisect.options.reading import read
from buildkit_bisect.options.requests import Building, Request

R = TypeVar("R", bound=Request)


class OptionArgument(Argument):
    """An option as an argument for Invoke's parser."""

    def __init__(self, option: Option) -> None:
        self.option = option
        form = {Form.VALUE: str, Form.SWITCH: bool, Form.REPEATED: list}[option.form]
        required = option.position is Position.REQUIRED
        super().__init__(
            names=(option.name,),
            attr_name=option.key if option.key != option.name else None,
            kind=form,
            # Invoke fills positional arguments only if their default is None.
            default=None if required else form(),
            help=option.description,
            positional=required,
        )
        if form is list:
            self.raw_value = None  # else Invoke accepts the option without a value


class RequestTask(Task[Any]):
    """A task whose arguments are a request's options.

    Invoke derives arguments from the body's signature, and drops their help once it is read.
    """

    def __init__(self, body: Callable[..., Any], kind: type[Request]) -> None:
        self.kind = kind
        super().__init__(body, positional=(), auto_shortflags=False)

    def get_arguments(
        self,
        ignore_unknown_help: bool | None = None,  # noqa: ARG002 - Invoke's signature
    ) -> list[Argument]:
        """Return an argument per option, in order; new ones each time, as parsing fills them."""
        return [OptionArgument(option) for option in options_of(self.kind)]


def task(kind: type[R], *, ends: bool = True) -> Callable[[Callable[[R], int]], RequestTask]:
    """Make a task from a function that takes a request and returns an exit code.

    The task *ends* the program with that code; otherwise the next task runs if the code is 0.
    """

    def declare(command: Callable[[R], int]) -> RequestTask:
        @functools.wraps(command)
        def body(_: Context, **given: Given) -> None:
            code = guarded(lambda: _run(command, read(kind, given, os.environ)), kind)
            if ends or code:
                sys.exit(code)

        return RequestTask(body, kind)

    return declare


def _run(command: Callable[[R], int], request: R) -> int:
    """Run *command*; commands in the hint of its error are about the same repository and cells."""
    try:
        return command(request)
    except BisectError as error:
        if isinstance(request, Building):
            error.hint = again(error.hint, request.command)
        raise
