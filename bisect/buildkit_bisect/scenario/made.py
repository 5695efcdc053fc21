"""What the steps of a trial have made so far that later texts can name. Pure.

A trial and the script that reproduces it use this in the same way, so that both have the same
commits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from buildkit_bisect.scenario import content
from buildkit_bisect.scenario.definition import Action, Scenario, ServerKind, Step
from buildkit_bisect.scenario.git_objects import PATH, Repository


class Made:
    """The values of ``server.NAME``, ``commit.STEP`` and ``sha256.STEP``, and the repositories."""

    def __init__(self, scenario: Scenario, hosts: Mapping[str, str]) -> None:
        """*hosts* are the addresses of the servers, by name: ``127.0.0.1:8000``."""
        git = {name for name, one in scenario.servers.items() if one.kind is ServerKind.GIT}
        self._scenario = scenario
        self.repositories = {name: Repository() for name in git}
        self.values = {
            f"server.{name}": f"http://{host}" + (f"/{PATH}" if name in git else "")
            for name, host in hosts.items()
        }

    def note(self, step: Step, text: Callable[[str], str]) -> bytes:
        """Note what *step* makes; return the content of its file, if it makes one."""
        if step.action is Action.COMMIT:
            self.values[f"commit.{step.id}"] = self.repositories[step.server].commit(
                {path: text(inside) for path, inside in step.tree.items()},
                message=step.id,
                branch=step.branch,
                tag=step.tag,
                annotated=step.annotated,
                delete_branch=step.delete_branch,
            )
        elif step.action in (Action.WRITE, Action.SERVE) and not step.symlink:
            data = content.data(step, self._scenario, text)
            self.values[f"sha256.{step.id}"] = hashlib.sha256(data).hexdigest()
            return data
        return b""
