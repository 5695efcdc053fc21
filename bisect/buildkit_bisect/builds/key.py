"""What decides a build's bytes, and the name made from it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

#: Part of every key: raise it when a change here makes older entries wrong.
FORMAT = 1

#: A constant in place of a version: it must not differ between commits with equal inputs.
VERSION = "v0.0.0+bkbisect"
REVISION = "bkbisect"

_PACKAGE = "github.com/moby/buildkit/version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the go command is called; everything in it is part of the key."""

    goos: str = "linux"
    goarch: str
    programs: tuple[str, ...] = ("buildkitd", "buildctl")
    tags: str = "osusergo netgo static_build seccomp"

    def arguments(self) -> list[str]:
        """Arguments of ``go`` without the output directory and ``-mod``."""
        ldflags = f"-X {_PACKAGE}.Version={VERSION} -X {_PACKAGE}.Revision={REVISION}"
        return [
            *("build", "-v", "-trimpath", "-buildvcs=false"),
            *("-tags", self.tags, "-ldflags", ldflags),
        ]

    def packages(self) -> list[str]:
        """What is built, relative to the tree."""
        return [f"./cmd/{name}" for name in self.programs]

    def binary(self, program: str) -> str:
        """File name of a program as the go command writes it."""
        return f"{program}.exe" if self.goos == "windows" else program


def request_key(source: str, revision: str, patches: tuple[str, ...], recipe: Recipe) -> str:
    """Names a question, "this revision with these patches", whatever its inputs are."""
    return _digest("request", source, revision, list(patches), _flags(recipe))


def build_key(inputs: str, patches: tuple[str, ...], go: str, recipe: Recipe) -> str:
    """Names an answer: equal keys are one build.

    *inputs* identifies the content of the tree's build inputs, *patches* are digests in order,
    *go* is the full version, as in ``1.25.5``.
    """
    return _digest("build", inputs, list(patches), go, _flags(recipe))


def _flags(recipe: Recipe) -> list[object]:
    return [recipe.goos, recipe.goarch, recipe.arguments(), recipe.packages()]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()
