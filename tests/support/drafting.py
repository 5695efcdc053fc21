"""Scenarios of texts, for tests of ``scenario new``."""

from __future__ import annotations

import tomllib
from typing import Any

from buildkit_bisect.scenario import paste_writer
from buildkit_bisect.scenario.paste_draft import Draft, draft

DOCKERFILE = "```dockerfile\nFROM alpine\nCOPY a.txt /\nRUN echo stable\n```\n"


def shell(text: str, dockerfile: str = DOCKERFILE) -> Draft:
    return draft(f"{dockerfile}```bash\n{text}\n```\n")


def data(made: Draft) -> dict[str, Any]:
    return tomllib.loads(paste_writer.toml(made, "name"))


def actions(made: Draft) -> list[tuple[str, str]]:
    steps = data(made)["steps"]
    return [(s["action"], s.get("path", s.get("start", s["id"]))) for s in steps]


def reasons(made: Draft) -> list[str]:
    return [one.reason for one in made.left]
