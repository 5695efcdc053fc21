"""Servers of a trial: what steps put on them, and what daemons asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime.servers import Page, Server, serve
from buildkit_bisect.scenario import Action, Scenario, Step, content
from buildkit_bisect.scenario.made import Made
from buildkit_bisect.solve_status import MESSAGES_LIMIT

_NOT_MODIFIED = 304


class Stand:
    """The servers of one trial, by name, and what its steps made."""

    def __init__(self, scenario: Scenario, servers: Mapping[str, Server]) -> None:
        self._servers = servers
        self.made = Made(scenario, {name: server.host for name, server in servers.items()})
        for name in self.made.repositories:
            self._publish(name)

    def _publish(self, name: str) -> None:
        pages = self.made.repositories[name].pages()
        self._servers[name].put({path: Page(data=data) for path, data in pages.items()})

    def do(self, step: Step, text: Callable[[str], str]) -> StepResult:
        """Do what *step* does to its server; *text* fills in placeholders."""
        if step.action is Action.REQUESTS:
            return self._asked(step)
        data = self.made.note(step, text)
        if step.action is Action.COMMIT:
            self._publish(step.server)
        else:
            page = Page(
                data=data,
                status=step.status,
                etag=content.etag(step.etag),
                mtime=content.MTIME if step.mtime is None else step.mtime,
            )
            self._servers[step.server].put({step.path: page})
        return StepResult(id=step.id, exit=0, seconds=0.0)

    def _asked(self, step: Step) -> StepResult:
        asked = self._servers[step.server].taken(step.path)
        return StepResult(
            id=step.id,
            exit=0,
            seconds=0.0,
            stderr=_listed("".join(f"{request}\n" for request in asked)),
            metrics={
                "requests": float(len(asked)),
                "not_modified": float(sum(r.status == _NOT_MODIFIED for r in asked)),
                "bytes": float(sum(r.sent for r in asked)),
            },
        )


def _listed(requests: str) -> str:
    """Return the requests; of a long list the last ones, below a line about the others."""
    over = len(requests) - MESSAGES_LIMIT
    if over <= 0:
        return requests
    return f"[{over} characters left out]\n{requests[over:]}"


def opened(scenario: Scenario, stack: ExitStack) -> Stand:
    """Start the servers of *scenario*; *stack* ends them. Raises `InfraFailed`."""
    return Stand(scenario, {name: stack.enter_context(serve()) for name in scenario.servers})
