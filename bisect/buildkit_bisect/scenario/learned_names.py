"""Names of vertices without what differs between releases and trials. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildkit_bisect.model import Vertex
from buildkit_bisect.scenario import normal
from buildkit_bisect.scenario.expectation import literal

_NUMBERED = re.compile(r"\[(\S+ )?\d+/\d+\] (?=\S)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """The name of a vertex; those that differ in numbers or in what varies are equal."""

    stage: str  # "build"; "" without a name
    line: normal.Line  # the rest
    numbered: bool

    def __str__(self) -> str:
        return f"[{self.stage}] {self.line}" if self.numbered else str(self.line)

    @property
    def command(self) -> str:
        """A pattern for the vertices of any stage with this command."""
        return f"{self.line.pattern}{self.line.end}"

    @property
    def whole(self) -> str:
        """A pattern for the vertices of this stage with this command."""
        stage = f"{literal(self.stage)} " if self.stage else ""
        head = rf"\[{stage}[0-9]+/[0-9]+\] " if self.numbered else ""
        return f"^{head}{self.command}"


def name_of(vertex: Vertex) -> Name:
    """The numbers of a step in its stage, ``[build 2/3]``, change when another step is added."""
    match = _NUMBERED.match(vertex.name)
    rest = vertex.name[match.end() :] if match else vertex.name
    stage = (match[1] or "").strip() if match else ""
    return Name(stage=stage, line=normal.line(rest), numbered=bool(match))
