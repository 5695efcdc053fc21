"""Who may run trials, and what others can do: checked before a repository is cloned."""

from __future__ import annotations

import os

from buildkit_bisect.errors import Missing
from buildkit_bisect.options.choices import Format
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.requests import Campaign, Matrix


def check(request: Campaign) -> None:
    """Raise `Missing` unless this process is root, or *request* only prints something."""
    prints = isinstance(request, Matrix) and request.format is Format.GITHUB_MATRIX
    if os.geteuid() and not request.dry_run and not prints:
        command = request.command or f"./inv {spoken(request.task)}"
        planned = f"{inv('plan')}{command.removeprefix('./inv')}"
        raise Missing(
            "not running as root, which trials need for buildkitd",
            hint=f"sudo {command}, or {planned}",
        )
