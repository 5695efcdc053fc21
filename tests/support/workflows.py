"""Runs the jobs of a workflow of ours on this machine, from the text of the workflow.

Each job has a copy of the checkout, a home and an environment of its own, as on a runner. Only what
our workflows use is known; the rest fails, so that a workflow cannot drift apart from its test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from buildkit_bisect.system import checkout

WORKFLOWS = checkout.PROJECT / ".github" / "workflows"

#: What a checkout has that the tool needs.
_TRACKED = (
    *(".github", "bisect", "inv", "patches", "pyproject.toml", "requirements", "tasks.py"),
    "templates",
)

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_NAME = re.compile(r"[a-z_]+(?:\.[\w-]+)+")


def load(path: Path) -> dict[Any, Any]:
    """Return the workflow or action at *path*."""
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text())
    return loaded


def inputs(workflow: Mapping[Any, Any], **given: Any) -> dict[str, Any]:
    """Return the inputs of a reusable workflow: those *given*, and the defaults of the others."""
    # YAML 1.1 reads the key `on` as true.
    declared = workflow[True]["workflow_call"]["inputs"]
    assert given.keys() <= declared.keys()
    return {name: given.get(name, one["default"]) for name, one in declared.items()}


@dataclass(kw_only=True)
class Job:
    """One run of a job; *artifacts* is the folder that the jobs of a run share."""

    root: Path
    artifacts: Path
    contexts: dict[str, Any]  # inputs, matrix, needs, ...
    env: Mapping[str, str] = field(default_factory=dict)  # of the runner
    codes: list[int] = field(default_factory=list)  # of the steps that ran a script
    shown: str = ""  # what they printed

    def __post_init__(self) -> None:
        self.workspace = self.root / "workspace"
        self.workspace.mkdir(parents=True)
        (self.root / "home").mkdir()
        self.contexts = {
            "runner": {"os": "Linux", "arch": "X64"},
            "github": {"run_id": "1"},
            "steps": {},
            **self.contexts,
        }

    def run(self, job: Mapping[str, Any]) -> dict[str, str]:
        """Run all steps; return the job's outputs. A step that failed ends those without `if`."""
        for step in job["steps"]:
            if not any(self.codes) or step.get("if") == "${{ !cancelled() }}":
                self._step(step, self.contexts)
        return {name: self._filled(text) for name, text in job.get("outputs", {}).items()}

    @property
    def summary(self) -> str:
        """The job's summary."""
        path = self.root / "GITHUB_STEP_SUMMARY"
        return path.read_text() if path.exists() else ""

    def _step(self, step: Mapping[str, Any], contexts: Mapping[str, Any]) -> None:
        if "run" in step:
            self._script(step, contexts)
            return
        action, given = step["uses"].partition("@")[0], step.get("with", {})
        values = {k: self._filled(str(v), contexts) for k, v in given.items()}
        if not action.startswith("./"):
            self._use(action, values)
            return
        composite = load(checkout.PROJECT / action / "action.yml")
        defaults = {k: v.get("default", "") for k, v in composite["inputs"].items()}
        inner = {**contexts, "inputs": {**defaults, **values}}
        for each in composite["runs"]["steps"]:
            self._step(each, inner)

    def _use(self, action: str, values: Mapping[str, str]) -> None:
        """Do what an action of GitHub's does, as far as our workflows need it."""
        match action:
            case "actions/checkout":
                for name in _TRACKED:
                    source, target = checkout.PROJECT / name, self.workspace / name
                    copy = shutil.copytree if source.is_dir() else shutil.copy2
                    copy(source, target)
            case "actions/cache":
                assert values["key"].startswith(values["restore-keys"].splitlines()[0])
            case "actions/upload-artifact":
                place = self.workspace / values["path"]
                if place.is_dir():  # as there, an empty one is only a warning
                    shutil.copytree(place, self.artifacts / values["name"])
            case "actions/download-artifact":
                for found in sorted(self.artifacts.iterdir()):
                    if fnmatch(found.name, values["pattern"]):
                        shutil.copytree(found, self.workspace / values["path"] / found.name)
            case _:
                raise AssertionError(f"no {action} here")

    def _script(self, step: Mapping[str, Any], contexts: Mapping[str, Any]) -> None:
        assert "${{" not in step["run"], "text of others in a script"
        files = {n: self.root / n for n in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        made = files["GITHUB_ENV"].read_text() if files["GITHUB_ENV"].exists() else ""
        env = {
            **self.env,
            "HOME": str(self.root / "home"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            # The environment is ours, the code is that of the workspace.
            "BKBISECT_VENV": sys.prefix,
            "PYTHONPATH": str(self.workspace / "bisect"),
            **{name: str(path) for name, path in files.items()},
            **dict(line.split("=", 1) for line in made.splitlines()),
            **{k: self._filled(str(v), contexts) for k, v in step.get("env", {}).items()},
        }
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", step["run"]], cwd=self.workspace, env=env,
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        self.codes.append(done.returncode)
        self.shown += done.stdout + done.stderr
        if "id" in step:
            lines = files["GITHUB_OUTPUT"].read_text().splitlines()
            outputs = dict(line.split("=", 1) for line in lines)
            self.contexts["steps"][step["id"]] = {"outputs": outputs}

    def _filled(self, text: str, contexts: Mapping[str, Any] | None = None) -> str:
        known = contexts or self.contexts
        return _EXPRESSION.sub(lambda found: str(value(found[1], known)), text)


def value(expression: str, contexts: Mapping[str, Any]) -> Any:
    """Return what an expression of ours means: a name, or ``fromJSON(name)``."""
    if expression.startswith("fromJSON("):
        return json.loads(value(expression.removeprefix("fromJSON(").removesuffix(")"), contexts))
    assert _NAME.fullmatch(expression), expression
    found: Any = contexts
    for part in expression.split("."):
        found = found[part]
    return found


def environment() -> dict[str, str]:
    """Return our environment without what the tool or GitHub would read."""
    ours = ("BKBISECT_", "GITHUB_", "PYTEST_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}
