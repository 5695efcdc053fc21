"""Cache keys of builds, from everything that decides a build's bytes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

#: Part of every key: increment it when a change here invalidates older entries.
FORMAT = 1

#: A constant version string: it must be equal for commits with equal inputs.
VERSION = "v0.0.0+bkbisect"
REVISION = "bkbisect"

_MODULE = "github.com/moby/buildkit"
_PACKAGE = f"{_MODULE}/version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The arguments of `go build`; all of them are part of the key."""

    goos: str = "linux"
    goarch: str
    programs: tuple[str, ...] = ("buildkitd", "buildctl")
    tags: str = "osusergo netgo static_build seccomp"
    cover: bool = False  # the programs count which functions of the module ran
    debug_info: bool = False  # for debuggers; stack traces and profiles do without

    def arguments(self) -> list[str]:
        """Return the arguments of ``go`` without the output directory and ``-mod``."""
        ldflags = f"-X {_PACKAGE}.Version={VERSION} -X {_PACKAGE}.Revision={REVISION}"
        if not self.debug_info:
            ldflags = f"-s -w {ldflags}"  # links faster
        return [
            *("build", "-v", "-trimpath", "-buildvcs=false"),
            *("-tags", self.tags, "-ldflags", ldflags),
            *(["-cover", f"-coverpkg={_MODULE}/..."] if self.cover else []),
        ]

    def packages(self) -> list[str]:
        """Return the packages to build, relative to the tree."""
        return [f"./cmd/{name}" for name in self.programs]

    def only(self, programs: Iterable[str]) -> Recipe:
        """Return the recipe of some of the programs."""
        return replace(self, programs=tuple(programs))

    def binary(self, program: str) -> str:
        """Return the file name that the go command gives *program*."""
        return f"{program}.exe" if self.goos == "windows" else program


def request_key(source: str, revision: str, patches: tuple[str, ...], recipe: Recipe) -> str:
    """Return the key of a request, "this revision with these patches", whatever its inputs."""
    return _digest("request", source, revision, list(patches), _flags(recipe))


def program_key(
    program: str, inputs: str, patches: tuple[str, ...], go: str, recipe: Recipe
) -> str:
    """Return the key of one program: programs with equal keys have the same bytes.

    *inputs* identifies the content of its build inputs, *patches* are digests in order, *go* is
    the full version, as in ``1.25.5``.
    """
    return _digest("program", inputs, list(patches), go, _flags(recipe.only([program])))


def build_key(programs: Mapping[str, str]) -> str:
    """Return the key of a build that has *programs*: name -> `program_key`."""
    return _digest("build", sorted(programs.items()))


def _flags(recipe: Recipe) -> list[object]:
    return [recipe.goos, recipe.goarch, recipe.arguments(), recipe.packages()]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()
