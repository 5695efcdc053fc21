"""What upstream says of a report in the library: ``upstream.toml`` beside its ``scenario.toml``.

No search reads it: it is only compared with what a search found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.system import checkout, tomlfile, typed

FILE = "upstream.toml"

_HELP = "docs/scenarios.md"

_COMMIT = re.compile(r"[0-9a-f]{40}")

#: Longest text of a cell in the index, in characters.
_LONGEST = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """Upstream's answer: which commit broke it, or fixed it."""

    commit: str = ""  # full commit id; "" if nobody has named one
    pull: int = 0  # the pull request that brought it; 0 if none is known
    says: str = ""  # what upstream says of it; required if nobody has named a commit
    differs: str = ""  # if the search found another one: which is right, and how that was seen

    @property
    def named(self) -> bool:
        """Whether upstream names a commit or a pull request."""
        return bool(self.commit or self.pull)


def load(name: str, root: Path = checkout.SCENARIOS) -> Upstream:
    """Return upstream's answer to the scenario *name*, such as ``library/cache-mount-id``.

    Raises `BadInput` for a missing or invalid file, with the key at fault.
    """
    path = root / name / FILE
    made, problems = typed.structure(tomlfile.read(path, hint=_HELP), Upstream)
    if made is None:
        raise BadInput(f"{path}: {'; '.join(problems[:4])}", hint=_HELP)
    if problem := _wrong(made):
        raise BadInput(f"{path}: {problem}", hint=_HELP)
    return made


def _wrong(made: Upstream) -> str:
    if made.commit and not _COMMIT.fullmatch(made.commit):
        return f"commit: {typed.shown(made.commit)} is not a full commit id"
    if made.pull < 0:
        return "pull: must not be negative"
    if not made.named and not made.says:
        return "says: is missing, and there is neither commit nor pull"
    for key in ("says", "differs"):
        text: str = getattr(made, key)
        if len(text) > _LONGEST or text != " ".join(text.split()):
            return f"{key}: must be one line of at most {_LONGEST} characters"
    return ""
