"""A small repository shaped like moby/buildkit: two programs, releases, merges, a broken commit.

Its programs import only the standard library, so that each compiles in about a second. The output
of ``buildkitd`` depends on ``solver/solver.go``, as BuildKit's caching depends on its solver.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODULE = "github.com/moby/buildkit"

#: Every repository wants this Go, which the default matrix needs too.
GO = "1.25"

_START = 1_700_000_000
_HOUR = 3600

_MAIN = """package main

import (
	"fmt"

	"{module}/solver"
	"{module}/version"
)

func main() {{
	fmt.Println("{name}", solver.Answer(), version.Version, version.Revision)
}}
"""

SOLVER = """package solver

import "{module}/util/words"

// Answer is what the programs print.
func Answer() string {{
	if words.Cached == "" {{
		return "nothing"
	}}
	return words.Cached
}}
"""


def words(text: str) -> str:
    """Return the source of the package that decides what the programs print."""
    return f'package words\n\nconst Cached = "{text}"\n'


def base_files(go: str = GO) -> dict[str, str]:
    """Return path -> text for a tree that compiles and prints ``cached``."""
    version = 'package version\n\nvar (\n\tVersion  = "dev"\n\tRevision = ""\n)\n'
    return {
        "Dockerfile": f"# syntax=docker/dockerfile\nARG GO_VERSION={go}\nFROM scratch\n",
        "go.mod": f"module {MODULE}\n\ngo {go}.0\n",
        "README.md": "one\n",
        "version/version.go": version,
        "util/words/words.go": words("cached"),
        "util/unused/unused.go": "package unused\n",
        "solver/solver.go": SOLVER.format(module=MODULE),
        "cmd/buildkitd/main.go": _MAIN.format(module=MODULE, name="buildkitd"),
        "cmd/buildctl/main.go": _MAIN.format(module=MODULE, name="buildctl"),
    }


@dataclass(kw_only=True)
class GolangRepo:
    """A work tree and git commands on it; each commit is an hour later than the previous one."""

    path: Path
    commits: dict[str, str] = field(default_factory=dict)  # name -> commit id
    _clock: int = _START

    @classmethod
    def create(cls, path: Path, *, go: str = GO) -> GolangRepo:
        """Create a repository with one commit, called ``base``, on ``master``."""
        path.mkdir(parents=True)
        repo = cls(path=path)
        repo.git("init", "--quiet", "--initial-branch=master", "--template=")
        repo.commit("base", base_files(go))
        return repo

    def copy(self, path: Path) -> GolangRepo:
        """Copy the repository to *path*, which is faster than creating it again."""
        shutil.copytree(self.path, path, symlinks=True)
        return GolangRepo(path=path, commits=dict(self.commits), _clock=self._clock)

    def git(self, *args: str, stdin: str = "") -> str:
        """Return the output of a git command that must succeed."""
        now = f"{self._clock} +0000"
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": now,
            "GIT_COMMITTER_DATE": now,
            **{f"GIT_{who}_NAME": "A. Nother" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        return subprocess.run(
            ["/usr/bin/env", "git", "-C", str(self.path), *args],
            env=env,
            input=stdin,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, name: str, files: Mapping[str, str | None]) -> str:
        """Commit *files* (None removes one) on the current branch; store the ID as *name*."""
        for path, text in files.items():
            target = self.path / path
            if text is None:
                target.unlink()
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
        self._clock += _HOUR
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", name)
        return self._note(name)

    def branch(self, name: str, at: str = "HEAD") -> None:
        """Create the branch *name* and switch to it."""
        self.git("switch", "--quiet", "--create", name, at)

    def switch(self, name: str) -> None:
        """Switch to a branch."""
        self.git("switch", "--quiet", name)

    def merge(self, name: str, *branches: str, files: Mapping[str, str] | None = None) -> str:
        """Merge *branches* with one merge commit, which adds *files*; store the ID as *name*."""
        self._clock += _HOUR
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge {' '.join(branches)}", *branches)
        for path, text in (files or {}).items():
            (self.path / path).write_text(text)
        if files:
            self.git("add", "--all")
            self.git("commit", "--quiet", "--amend", "--no-edit")
        return self._note(name)

    def cherry_pick(self, name: str, commit: str) -> str:
        """Cherry-pick *commit* to the current branch; store the ID as *name*."""
        self._clock += _HOUR
        self.git("cherry-pick", commit)
        return self._note(name)

    def tag(self, name: str, *, annotated: bool = True) -> None:
        """Tag the current commit."""
        self.git("tag", *(["-a", "-m", name] if annotated else []), name)

    def _note(self, name: str) -> str:
        self.commits[name] = self.git("rev-parse", "HEAD")
        return self.commits[name]


def buildkit_like(path: Path, *, go: str = GO, broken: bool = True) -> GolangRepo:
    """Create a history with the features that matter for bisections of BuildKit.

    On ``master``: ``base`` (tag v0.1.0) .. ``docs`` .. ``merge-fine`` .. ``merge-culprit`` (tag
    v0.2.0) .. ``tip``. The merged branch ``culprit`` contains ``refactor`` (still good),
    ``broken`` (does not compile; only with *broken*), ``culprit`` (prints "ran", like all later
    commits) and ``polish``.
    The branch ``v0.1`` forks from ``base`` and contains ``picked``, a cherry-pick of ``fine`` (tag
    v0.1.1, lightweight). v0.1.0 and v0.2.0 are annotated; v0.2.0-rc1 is at ``merge-fine``.
    """
    repo = GolangRepo.create(path, go=go)
    repo.tag("v0.1.0")
    repo.commit("docs", {"README.md": "two\n"})
    repo.branch("fine")
    repo.commit("fine", {"util/words/doc.go": "// Package words says things.\npackage words\n"})
    repo.commit("fine-test", {"util/words/words_test.go": "package words\n"})
    repo.switch("master")
    repo.merge("merge-fine", "fine")
    repo.tag("v0.2.0-rc1")
    repo.branch("culprit")
    solver = (path / "solver/solver.go").read_text()
    repo.commit("refactor", {"solver/solver.go": solver.replace("what the", "all that the")})
    extra: dict[str, str | None] = {}
    if broken:
        repo.commit("broken", {"solver/extra.go": "package solver\n\nvar _ = missing\n"})
        extra = {"solver/extra.go": None}
    repo.commit("culprit", {**extra, "util/words/words.go": words("ran")})
    repo.commit("polish", {"README.md": "three\n"})
    repo.switch("master")
    repo.merge("merge-culprit", "culprit")
    repo.tag("v0.2.0")
    repo.commit("tip", {"util/unused/unused.go": "package unused\n\nconst X = 1\n"})
    repo.branch("v0.1", repo.commits["base"])
    repo.cherry_pick("picked", repo.commits["fine"])
    repo.tag("v0.1.1", annotated=False)
    repo.switch("master")
    return repo


def merges_that_do_not_compile(path: Path, *, culprit: str) -> GolangRepo:
    """Create a history with three merges in a row that do not compile, while their branches do.

    On ``master``: ``base`` .. ``fork`` .. ``merge-one``, ``merge-two`` (an octopus merge of ``two``
    and ``three``) and ``merge-four``, which do not compile .. ``repair`` .. ``tip``. Each branch
    forks from ``fork`` and has two commits, like ``four-1`` and ``four-2``. The tag v0.1.1 is on a
    release branch from ``fork``. *culprit* and what contains it print "ran".
    """
    repo = GolangRepo.create(path)
    repo.commit("fork", {"util/words/fork.go": "package words\n"})
    names = ("one", "two", "three", "four")
    for branch in names:
        repo.branch(branch, repo.commits["fork"])
        for number in (1, 2):
            name = f"{branch}-{number}"
            word = {"util/words/words.go": words("ran")} if name == culprit else {}
            repo.commit(name, {f"util/words/{branch}{number}.go": "package words\n", **word})
    repo.branch("v0.1", repo.commits["fork"])
    repo.commit("released", {"util/words/released.go": "package words\n"})
    repo.tag("v0.1.1")
    repo.switch("master")
    for number, merged in enumerate((("one",), ("two", "three"), ("four",))):
        broken = f"package solver\n\nvar _ = missing{number}\n"
        repo.merge(f"merge-{merged[0]}", *merged, files={"solver/extra.go": broken})
    word = {"util/words/words.go": words("ran")} if culprit == "repair" else {}
    repo.commit("repair", {"solver/extra.go": None, **word})
    repo.commit("tip", {"util/words/tip.go": "package words\n"})
    return repo


def file_proxy(path: Path, versions: Mapping[str, Mapping[str, str]]) -> str:
    """Make *path* a module proxy that serves the module; return its GOPROXY value.

    *versions* maps a version to its files. Only v0.2.0 has an ``Origin``, and the commit ID
    ``abcdef123456`` resolves to v0.2.0 too.
    """
    folder = path / MODULE / "@v"
    folder.mkdir(parents=True)
    (folder / "list").write_text("".join(f"{v}\n" for v in versions))
    for version, files in versions.items():
        info: dict[str, object] = {"Version": version, "Time": "2025-09-30T15:55:59Z"}
        if version == "v0.2.0":
            info["Origin"] = {"VCS": "git", "Hash": "ab" * 20, "Ref": f"refs/tags/{version}"}
            (folder / "abcdef123456.info").write_text(json.dumps(info))
        (folder / f"{version}.info").write_text(json.dumps(info))
        (folder / f"{version}.mod").write_text(files["go.mod"])
        with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{MODULE}@{version}/{name}", text)
    return path.as_uri()
