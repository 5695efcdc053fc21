"""What a scenario must satisfy where it has servers: ``[servers]`` and their steps. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buildkit_bisect.scenario import git_objects
from buildkit_bisect.scenario.context_steps import check_mtime, check_sources
from buildkit_bisect.scenario.definition import Action, Scenario, ServerKind, Step
from buildkit_bisect.scenario.placeholders import names_in
from buildkit_bisect.scenario.require import require, require_known, require_name, require_path
from buildkit_bisect.system.typed import below, shown

#: A path in a URL that needs no escapes.
_PATH = re.compile(r"[A-Za-z0-9._~/-]{1,200}", re.ASCII)

#: What stands between quotes in an ETag header, or the whole of it.
_ETAG = re.compile(r'[\x21\x23-\x7e]{0,100}|(?:W/)?"[\x21\x23-\x7e]{0,100}"')

#: Statuses of errors; 200 is the usual one. A redirect would need an address.
_LOWEST, _HIGHEST = 400, 599

#: A context on a server of the trial. The first placeholder is one, so it cannot be another host.
_REMOTE = re.compile(
    r"\$\{server\.[a-z0-9-]+\}(?:/[A-Za-z0-9._~/-]*)?(?:#(?:[A-Za-z0-9._/:-]|\$\{[a-z0-9.-]+\})*)?",
    re.ASCII,
)

_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,100}", re.ASCII)

#: Servers of one scenario.
_MOST = 10


def check_servers(scenario: Scenario) -> None:
    """Raise `BadInput` for an invalid name of a server, or too many."""
    for name in scenario.servers:
        require_name(name, below("servers", name))
    require(len(scenario.servers) <= _MOST, "servers", f"must be at most {_MOST}")


def check_step(scenario: Scenario, step: Step, where: str) -> None:
    """Raise `BadInput` for the first error in a step that uses a server."""
    require_known(step.server, scenario.servers, f"{where}.server", "server")
    wanted = {Action.SERVE: ServerKind.HTTP, Action.COMMIT: ServerKind.GIT}.get(step.action)
    kind = scenario.servers[step.server].kind
    other = f"{shown(step.server)} is of kind {kind}; {step.action} needs {wanted}"
    require(wanted in (None, kind), f"{where}.server", other)
    if step.action is Action.COMMIT:
        _check_commit(step, where)
        _check_deleted(scenario, step, where)
        return
    if step.path or step.action is Action.SERVE:
        require_path(step.path, f"{where}.path")
        plain = bool(_PATH.fullmatch(step.path)) and not step.path.endswith("/")
        require(plain, f"{where}.path", f"{shown(step.path)} is not a plain path of a URL")
    if step.action is Action.SERVE:
        check_sources(scenario, step, where)
        check_mtime(step.mtime, f"{where}.mtime")
        good = bool(_ETAG.fullmatch(step.etag))
        require(good, f"{where}.etag", f"{shown(step.etag)} cannot be in an ETag header")
        known = step.status == 200 or _LOWEST <= step.status <= _HIGHEST  # noqa: PLR2004
        require(known, f"{where}.status", f"must be 200, or {_LOWEST} to {_HIGHEST}")


def check_remote(step: Step, where: str) -> None:
    """Raise `BadInput` unless a build's context is on a server, with its Dockerfile in it."""
    good = bool(_REMOTE.fullmatch(step.context))
    usual = "${server.NAME}, with a path or a #REF:FOLDER behind it"
    require(good, f"{where}.context", f"{shown(step.context)} is not {usual}")
    require_path(step.dockerfile, f"{where}.dockerfile")


def _check_commit(step: Step, where: str) -> None:
    require(bool(step.tree), f"{where}.tree", "must not be empty")
    for path in step.tree:
        at = below(f"{where}.tree", path)
        require_path(path, at)
        parts = path.split("/")
        plain = not {"", ".", ".git"} & {part.lower() for part in parts} and path.isprintable()
        require(plain, at, f"{shown(path)} is not a path in a git tree")
    clash = git_objects.clashing(step.tree)
    require(not clash, f"{where}.tree", f"{shown(clash)} is both a file and a folder")
    names = {"branch": step.branch, "tag": step.tag, "delete_branch": step.delete_branch}
    for key, name in names.items():
        if name or key == "branch":
            odd = re.search(r"\.\.|//|/\.|\.lock(/|$)|[./]$", name)
            good = bool(_BRANCH.fullmatch(name)) and not odd
            kind = key.removeprefix("delete_")
            require(good, f"{where}.{key}", f"{shown(name)} is not a plain name of a {kind}")
    require(bool(step.tag) or not step.annotated, f"{where}.annotated", "needs a tag")


def _check_deleted(scenario: Scenario, step: Step, where: str) -> None:
    if not step.delete_branch:
        return
    key = f"{where}.delete_branch"
    require(step.delete_branch != step.branch, key, "must not be the branch of this commit")
    before = scenario.steps[: scenario.steps.index(step)]
    known = {s.branch for s in before if s.action is Action.COMMIT and s.server == step.server}
    require_known(step.delete_branch, known, key, "branch")


def texts(step: Step, where: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of *step* whose texts may have placeholders, with these texts."""
    yield f"{where}.context", step.context
    for path, content in step.tree.items():
        yield below(f"{where}.tree", path), content


def check_order(scenario: Scenario, used: dict[int, list[tuple[str, str]]]) -> None:
    """Raise `BadInput` if a text names what a step makes that has not ended before it, in a cell.

    *used* are the texts of each step, with the keys that they are at, by the step's index.
    """
    numbers = {step.id: index for index, step in enumerate(scenario.steps)}
    needs = [
        (index, where, f"{kind}.{name}")
        for index, texts in used.items()
        for where, text in texts
        for kind, name in names_in(text)
        if kind in ("commit", "sha256")
    ]
    for axes in scenario.cells() if needs else []:
        made: set[str] = set()
        for group in scenario.groups(axes):
            members = [numbers[step.id] for step in group if step.id in numbers]
            for index, where, name in needs:
                ended = index not in members or name in made
                require(ended, where, f"${{{name}}}: that step does not end before this one")
            made |= {name for n in members for name in makes(scenario.steps[n])}


def makes(step: Step) -> list[str]:
    """Return the placeholders that *step* gives a value to."""
    if step.action is Action.COMMIT:
        return [f"commit.{step.id}"]
    file = step.action in (Action.WRITE, Action.SERVE) and not step.symlink
    return [f"sha256.{step.id}"] if file else []
