"""The git command, kept away from the user's configuration where bytes depend on it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.system import process
from buildkit_bisect.system.process import Completed

#: Seconds for a local git command that should be quick.
QUICK = 120.0

#: Seconds for one to be gone that has written all it will.
_ENDS = 10.0

#: Above every file of settings, so also above those of a repository that is not ours.
_ALWAYS = {
    "safe.directory": "*",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    # A link becomes a small file that holds its target: nothing in a tree leads out of it, for
    # the compiler, for patches and for us.
    "core.symlinks": "false",
    # Spellings of .git that only other file systems take for it; a cache may be on one.
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
}


def hermetic_env(**extra: str) -> dict[str, str]:
    """No user or system configuration: autocrlf, filters, hooks and whitespace fixes change files.

    Our own mirror counts as safe whoever owns it: under sudo, that may be another user.
    """
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        # Nothing here is on a network, and a repository's own configuration cannot ask for it.
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        # A file may be called ":(glob)**".
        "GIT_LITERAL_PATHSPECS": "1",
        **_config(_ALWAYS),
        **extra,
    }


def lines(output: str) -> list[str]:
    """The lines of what git printed, without empty ones.

    Not `str.splitlines`: names of refs and messages may hold U+2028 and its like.
    """
    return [line for line in output.split("\n") if line]


def _config(settings: Mapping[str, str]) -> dict[str, str]:
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def git(
    repo: Path, *args: str, timeout: float = QUICK, check: bool = True, **extra: str
) -> Completed:
    """Run git in *repo*, a bare repository or a work tree, hermetically."""
    return process.run(
        ["git", "-C", str(repo), *args], timeout=timeout, env=hermetic_env(**extra), check=check
    )


def patch_ids(repo: Path, shas: Sequence[str], *, timeout: float = QUICK) -> str:
    """What ``git patch-id`` prints of the commits *shas*, a line ``PATCH COMMIT`` each.

    Raises `InfraFailed`, also past *timeout* seconds.
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
        raise InfraFailed(
            f"git log in {repo} exited {status}", hint="./inv clean --cache makes the mirror anew"
        )
    return done.stdout


def why_not(tree: Path, diff: Path, *, bare: bool, reverse: bool = False) -> str:
    """Git's reason for not applying *diff* to *tree*; empty: it would. Offsets are fine."""
    done = _apply(tree, diff, "--check", bare=bare, reverse=reverse, check=False)
    if done.ok:
        return ""
    lines = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.strip()]
    return "; ".join(lines[:2]) or f"git apply exited {done.exit}"


def apply(tree: Path, diff: Path, *, bare: bool) -> None:
    """Apply *diff*, all of it or nothing; raises `ProcessError` where it does not fit."""
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
        # A tree that is no work tree must not be taken for a part of one further up.
        GIT_CEILING_DIRECTORIES=str(tree.parent),
    )
