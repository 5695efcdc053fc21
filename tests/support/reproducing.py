"""Runs a script that reproduces a cell, and reads what it shows at its end."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.model import Build
from buildkit_bisect.scenario import Condition, Kept, Scenario, VertexIs


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a script printed at its end."""

    exits: dict[str, int]
    facts: dict[str, list[str]]  # "import, RUN echo stable" -> lines

    def holds(self, condition: Condition) -> bool:
        """Whether a reader sees that *condition* holds."""
        step = condition.step
        if step not in self.exits:
            return False  # it is not in this cell
        seen = True
        if condition.exit:
            number = condition.exit.isdigit() and int(condition.exit) == self.exits[step]
            seen &= number or (self.exits[step] == 0) == (condition.exit == "ok")
        if condition.stderr:
            seen &= bool(self.facts.get(f"{step}, lines with {condition.stderr}"))
        if condition.is_ is not None:
            lines = self.facts[f"{step}, {condition.vertex}"]
            failed = any(re.match(r"#\d+ ERROR", line) for line in lines)
            cached = any(re.fullmatch(r"#\d+ CACHED", line) for line in lines)
            state = VertexIs.FAILED if failed else VertexIs.CACHED if cached else VertexIs.RAN
            seen &= bool(lines) and condition.is_ is state
        if condition.log:
            key = f"{step}, {condition.vertex}, lines with {condition.log}"
            seen &= bool(self.facts.get(key))
        if condition.inner_layers is not None:
            numbers = re.findall(r"\d+", " ".join(self.facts[f"{step}, its cache"]))
            here, of = map(int, numbers or (0, 0))
            kept = Kept.ALL if here == of else Kept.SOME if here else Kept.NONE
            seen &= condition.inner_layers is kept
        return seen

    def outcome(self, loaded: Scenario) -> str:
        """Return the first rule of *loaded* that holds."""
        return next(r.name for r in loaded.outcomes if all(map(self.holds, r.all)))


def shown(output: str) -> Shown:
    """Read the end of a script's output, before the rules."""
    end = output.partition("\nThe first that holds:\n")[0]
    exits = {
        name: int(code) for name, code in re.findall(r"^([\w-]+): exit (\d+)$", end, re.MULTILINE)
    }
    parts = re.split(r"^-- (.*)$", end, flags=re.MULTILINE)[1:]
    facts = {
        name: lines.strip().splitlines()
        for name, lines in zip(parts[::2], parts[1::2], strict=True)
    }
    return Shown(exits=exits, facts=facts)


def run_script(
    text: str, build: Build, folder: Path, *, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script in *folder* with the binaries of *build*; it has nothing else of ours."""
    (folder / "reproduce.sh").write_text(text)
    own = {
        "PATH": f"{build.directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": os.environ["HOME"],
        "TMPDIR": str(folder),
    }
    return subprocess.run(
        ["/bin/bash", "reproduce.sh"],
        cwd=folder,
        env={**own, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def processes(text: str) -> list[str]:
    """Return command lines that contain *text*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and "pytest" not in line.split(text)[0]:
            found.append(line)
    return found
