"""Runs a program of a scenario's folder as a step of a trial."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildkit_bisect import solve_status
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import StepResult
from buildkit_bisect.options.command import inv
from buildkit_bisect.scenario import ScriptFile, Step, script_files, script_step
from buildkit_bisect.system import process


def run(
    step: Step,
    programs: Sequence[ScriptFile],
    *,
    work: Path,
    evidence: Path,
    env: Mapping[str, str],
) -> StepResult:
    """Run the program of *step* in *work*; what it prints is kept in *evidence*.

    It runs from a copy, which has its files and nothing else, as they were when the campaign
    began. Raises `InfraFailed` if one of them is not that any more.
    """
    known = {file.name: file for file in programs}
    with tempfile.TemporaryDirectory(prefix="script-", dir=work.parent) as folder:
        for name in script_step.names(step):
            _copy(known[name], Path(folder) / name)
        argv = [str(Path(folder) / step.path)]
        done = process.run(argv, timeout=step.timeout, cwd=work, env=env, check=False)
    (evidence / f"{step.id}.stdout").write_text(done.stdout)
    (evidence / f"{step.id}.stderr").write_text(done.stderr)
    return StepResult(
        id=step.id,
        exit=done.exit,
        seconds=done.seconds,
        stderr=f"{done.stdout}{done.stderr}"[-solve_status.MESSAGES_LIMIT :],
        timed_out=done.timed_out,
    )


def _copy(known: ScriptFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(known.path, target)
        target.chmod(known.mode)
        same = script_files.digested(target, known.name).sha256 == known.sha256
    except OSError:
        same = False
    if not same:
        raise InfraFailed(
            f"{known.name} changed since the campaign began: the same command again takes it as"
            " it is",
            hint=inv("status"),
        )
