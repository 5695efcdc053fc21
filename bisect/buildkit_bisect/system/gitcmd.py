"""The git command, isolated from the user's configuration, which can change file contents."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildkit_bisect.system import process
from buildkit_bisect.system.process import Completed, ProcessError

#: Timeout of a quick local git command, in seconds.
QUICK = 120.0

#: Seconds for a git command to exit after its last output.
_ENDS = 10.0

#: Git's words for a file that is not a patch.
_NO_PATCH = re.compile(r"corrupt patch|No valid patches in input|patch fragment without header")

#: Settings that override every configuration file, including the repository's own.
_ALWAYS = {
    "safe.directory": "*",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    # A symlink becomes a small file with its target: no path in a tree leads out of it, neither
    # for the compiler nor for patches nor for this tool.
    "core.symlinks": "false",
    # Names that are .git only on other file systems; the cache may be on one.
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
}


def hermetic_env(**extra: str) -> dict[str, str]:
    """Return an environment without user and system configuration.

    autocrlf, filters, hooks and whitespace fixes would change files. Our mirror is a safe
    directory even if another user owns it, as it may under sudo.
    """
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        # None of these commands needs a network, and a repository's configuration may ask for one.
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        # A file may be named ":(glob)**".
        "GIT_LITERAL_PATHSPECS": "1",
        **_config(_ALWAYS),
        **extra,
    }


def lines(output: str) -> list[str]:
    """Return the non-empty lines of git's *output*.

    Not `str.splitlines`: refs and messages may contain U+2028 and similar characters.
    """
    return [line for line in output.split("\n") if line]


def _config(settings: Mapping[str, str]) -> dict[str, str]:
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def git(
    repo: Path,
    *args: str,
    timeout: float = QUICK,
    check: bool = True,
    stdin: int = subprocess.DEVNULL,
    **extra: str,
) -> Completed:
    """Run git in *repo*, a bare repository or a work tree, with `hermetic_env`."""
    argv = ["git", "-C", str(repo), *args]
    env = hermetic_env(**extra)
    return process.run(argv, timeout=timeout, stdin=stdin, env=env, check=check)


def patch_ids(repo: Path, shas: Sequence[str], *, timeout: float = QUICK) -> str:
    """Return what ``git patch-id`` prints for the commits *shas*: lines of ``PATCH COMMIT``.

    Raises `ProcessError` if git fails or takes longer than *timeout* seconds.
    """
    shown = ("-p", "--no-walk=unsorted", "--no-merges", "--full-index", "--no-ext-diff")
    log = process.start(
        ["git", "-C", str(repo), "log", *shown, *shas, "--"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=hermetic_env(),
    )
    assert log.stdout
    with log.stdout:
        try:
            done = process.run(
                ["git", "-C", str(repo), "patch-id", "--stable"],
                stdin=log.stdout.fileno(),
                timeout=timeout,
                env=hermetic_env(),
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                log.wait(_ENDS)
        finally:
            status = process.stop(log)
    if status:
        raise ProcessError(f"git log in {repo} exited {status}")
    return done.stdout


def why_not(tree: Path, diff: Path, *, bare: bool, reverse: bool = False) -> str:
    """Return git's reason why *diff* does not apply to *tree*; "" if it does. Allows offsets.

    Raises `ProcessError` if git fails for a reason that is not the patch or the tree.
    """
    done = _apply(tree, diff, "--check", bare=bare, reverse=reverse, check=False)
    if done.ok:
        return ""
    lines = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.strip()]
    reason = "; ".join(lines[:2])
    # 1: it does not apply; 128: git could not read the patch.
    if (done.exit == 1 and reason) or _NO_PATCH.search(reason):
        return reason
    raise ProcessError(f"git apply {diff.name} exited {done.exit}: {reason or 'no output'}")


def apply(tree: Path, diff: Path, *, bare: bool) -> None:
    """Apply all of *diff* or nothing; raises `ProcessError` if it does not apply."""
    _apply(tree, diff, bare=bare, reverse=False, check=True)


def _apply(
    tree: Path, diff: Path, *options: str, bare: bool, reverse: bool, check: bool
) -> Completed:
    return git(
        tree,
        *("apply", "-p1", "--whitespace=nowarn", *options),
        *(["--unidiff-zero"] if bare else []),
        *(["--reverse"] if reverse else []),
        *("--", str(diff)),
        check=check,
        # If tree is not a work tree, git must not use one of its parent directories.
        GIT_CEILING_DIRECTORIES=str(tree.parent),
    )
