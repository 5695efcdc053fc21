"""Another user on root's checkout: what is wrong, and what to do, in one or two lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.system.checkout import PROJECT
from tool import TaskOutput, environment

pytestmark = [pytest.mark.system, pytest.mark.alone]

NOBODY, NOGROUP = 65534, 65534

#: Python that any user may run comes first; the rest may be in a home directory.
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Root's checkout, and a folder of the other user."""

    checkout: Path
    own: Path

    def inv(self, *words: str, **env: str) -> TaskOutput:
        """Run a task as the other user, with HOME of root, as after setpriv or su."""
        clean = {k: v for k, v in environment().items() if not k.startswith("BKBISECT_")}
        done = subprocess.run(
            [str(self.checkout / "inv"), *words],
            user=NOBODY,
            group=NOGROUP,
            extra_groups=[],
            cwd="/",
            env={**clean, "PATH": PATH, "HOME": "/root", **env},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert "Permission denied" not in done.stderr
        return TaskOutput(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def with_environment(self, *words: str, cache: Path | None = None) -> TaskOutput:
        """Run a task in an environment of the other user's own, as the launcher advises."""
        venv = str(self.own / "venv")
        if cache is None:
            return self.inv(*words, BKBISECT_VENV=venv)
        return self.inv(*words, BKBISECT_VENV=venv, BKBISECT_CACHE_DIR=str(cache))


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    # Not below pytest's folder, which only root may enter.
    root = Path(tempfile.mkdtemp(prefix="another-user-"))
    try:
        root.chmod(0o755)
        ignore = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache")
        shutil.copytree(PROJECT, root / "checkout", ignore=ignore)
        venv = root / "checkout" / ".venv"
        venv.mkdir()
        shutil.copy(PROJECT / "pyproject.toml", venv / "installed-pyproject.toml")
        own = root / "own"
        own.mkdir()
        os.chown(own, NOBODY, NOGROUP)
        yield Desk(checkout=root / "checkout", own=own)
    finally:
        shutil.rmtree(root)


ADVICE = "inv: use an environment of your own: export BKBISECT_VENV=$(mktemp -d)\n"


def test_an_environment_that_the_user_cannot_use(desk: Desk) -> None:
    venv = desk.checkout / ".venv"
    done = desk.inv("list")
    assert (done.code, done.stdout) == (3, "")
    told = f"inv: nobody cannot {{}} the environment {venv}, which root owns\n{ADVICE}"
    assert done.stderr == told.format("use")
    assert desk.inv("--complete", "words", "").code == 0
    stamp = venv / "installed-pyproject.toml"
    try:
        stamp.write_text("older")
        assert desk.inv("list").stderr == told.format("update")
        shutil.move(venv, venv.with_name("away"))
        assert desk.inv("list").stderr == told.format("create")
    finally:
        shutil.move(venv.with_name("away"), venv)
        shutil.copy(PROJECT / "pyproject.toml", stamp)


def test_what_needs_no_root_works_with_an_own_environment(desk: Desk) -> None:
    assert "matrix" in desk.with_environment("list").stdout
    for words in (("help",), ("help", "run"), ("--version",), ("patch", "list"), ("status",)):
        done = desk.with_environment(*words)
        assert (done.code, done.stderr) == (0, ""), words
    assert "./inv matrix --revs" in desk.with_environment().stdout
    assert "matrix\t" in desk.with_environment("--complete", "words", "mat").stdout
    published = next((desk.checkout / "results").glob("issue-*/matrix"))
    copy = desk.own / "copy"
    done = desk.with_environment("report", str(published), "--copy", str(copy))
    assert done.code == 0, done.stderr
    assert (copy / "report.md").is_file()
    assert desk.with_environment("clean", cache=desk.own / "cache").code == 0


def test_what_does_not_belong_to_the_user_is_named_with_a_way_out(desk: Desk) -> None:
    published = next((desk.checkout / "results").glob("issue-*/matrix"))
    cache = desk.own.parent / "roots-cache"
    for words, place, message in (
        (("report", str(published)), None, (r"nobody cannot use \S+/report.md, which belongs to"
         r" root \(try: ./inv report ID --copy DIR\)")),
        (("clean",), cache, (r"nobody cannot use \S+, which belongs to"
         r" root \(try: BKBISECT_CACHE_DIR=DIR of your own\)")),
        (("run", "--rev", "v0.26.0"), None, (r"not running as root, which trials need for buildkitd"
         r" \(try: sudo ./inv run --rev v0.26.0, or ./inv plan run --rev v0.26.0\)")),
    ):  # fmt: skip
        done = desk.with_environment(*words, cache=place)
        assert done.code in (3, 5)
        assert re.fullmatch(f"error: {message}\n", done.stderr), done.stderr
