"""The options of the one-line form: a Dockerfile and an expectation instead of a scenario."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options import parse
from buildkit_bisect.options.option import Option, option, repeated

_NAME = re.compile(r"[A-Za-z_][\w.-]{0,100}", re.ASCII)


def build_args(option: Option, given: Sequence[str]) -> dict[str, str]:
    """Return the value of each build argument, ``NAME=VALUE``; the last one counts."""
    found: dict[str, str] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not (equals and _NAME.fullmatch(name)):
            raise BadInput(
                f"--{option.name} {entry!r} is not NAME=VALUE",
                hint=f"--{option.name} {option.example}",
            )
        found[name] = value
    return found


def write_build_args(option: Option, value: Mapping[str, str]) -> list[str]:
    """Return one option for each build argument."""
    return [f"{option.flag}={name}={text}" for name, text in value.items()]


def expectation(option: Option, given: str) -> str:
    """Return the text without spaces around it; `scenario.one_line` reads it."""
    if not given.strip():
        raise BadInput(
            f"--{option.name} is empty", hint=f"--{option.name} {shlex.quote('cached: RUN make')}"
        )
    return given.strip()


@dataclass(frozen=True, kw_only=True)
class OneLine:
    """A Dockerfile, and what a build of it is expected to do."""

    dockerfile: str = option(
        parse.text,
        default="",
        unset="the scenario's steps",
        value="FILE",
        help="a Dockerfile instead of a scenario; needs --expect",
        example="./Dockerfile",
    )
    expect: str = option(
        expectation,
        default="",
        unset="none",
        value="EXPECTATION",
        help="what a build of --dockerfile does where it is good: 'cached: VERTEX', 'ran: VERTEX',"
        " ok, fails, 'fails: REGEX', 'prints: REGEX' or 'file: PATH=REGEX'",
        example="'cached: RUN echo stable'",
    )
    context: str = option(
        parse.text,
        variable="dockerfile_context",
        default="",
        unset="the folder of the Dockerfile",
        value="DIR",
        help="build context of --dockerfile; only the files that it copies are used",
        example="./app",
    )
    target: str = option(
        parse.text,
        default="",
        unset="the last stage",
        value="STAGE",
        help="stage of --dockerfile to build",
        example="build",
    )
    build_arg: Mapping[str, str] = repeated(
        build_args,
        write_build_args,
        default={},
        unset="none",
        value="NAME=VALUE",
        help="build argument of --dockerfile; repeatable",
        example="BUST=1",
    )
    rebuild_arg: Mapping[str, str] = repeated(
        build_args,
        write_build_args,
        default={},
        unset="as in the first build",
        value="NAME=VALUE",
        help="build argument of --dockerfile in the second build of cached and ran; repeatable",
        example="BUST=2",
    )
