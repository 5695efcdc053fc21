"""``test --changed`` in a checkout with its own history."""

from __future__ import annotations

import copy
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.cli import changed, uses
from buildkit_bisect.system.checkout import PROJECT
from tool import TaskOutput, environment

pytestmark = pytest.mark.local

SESSION = "tests/unit/search/test_session.py"
ADDRESSES = "tests/unit/system/test_addresses.py"
SVG = "tests/unit/render/test_svg.py"
MAP = "tests/unit/cli/test_module_map.py"
WORDS = "tests/unit/result/test_words.py"
HINTS = "tests/unit/cli/test_hints.py"
FOR_PICTURES = ("pyproject.toml", "templates/report.css", "tests/unit/conftest.py")


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A copy of this checkout, on a branch ``work`` from ``main``."""

    path: Path

    def git(self, *argv: str) -> None:
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@example.org"),
        }
        subprocess.run(["/usr/bin/env", "git", *argv], cwd=self.path, env=env, check=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")

    def append(self, file: str, text: str = "# changed\n") -> None:
        with (self.path / file).open("a") as opened:
            opened.write(text)

    def test(self, *words: str) -> TaskOutput:
        """Run ``test --changed`` in the copy; BKBISECT_LOCK keeps it from installing anything."""
        argv = ("-m", "buildkit_bisect", "--search-root", str(self.path), "test", "--changed")
        done = subprocess.run(
            [sys.executable, *argv, *words],
            cwd="/",
            env={
                **environment({"BKBISECT_LOCK": "installed"}),
                "PYTHONPATH": str(self.path / "bisect"),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return TaskOutput(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def chosen(self) -> dict[str, str]:
        """Return test files of all tiers, each with the import chain to a change."""
        done = self.test("--dry-run")
        assert done.code == 0, done.stderr
        return dict(re.findall(r"^  (tests/\S+)(.*)$", done.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    path = tmp_path_factory.mktemp("copied") / "checkout"
    ignored = (".git", ".venv", "results", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    shutil.copytree(PROJECT, path, ignore=shutil.ignore_patterns(*ignored))
    made = Checkout(path=path)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit()
    made.git("tag", "start")
    return made


@pytest.fixture
def checkout(copied: Checkout) -> Checkout:
    for branch in ("main", "work"):
        copied.git("checkout", "--quiet", "--force", "-B", branch, "start")
    copied.git("clean", "--quiet", "--force", "-d")
    return copied


@pytest.fixture(scope="module")
def parsed_once() -> Iterator[None]:
    """Parse each file once, as no file changes meanwhile."""
    package = functools.cache(uses._package)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uses, "_package", lambda project: copy.deepcopy(package(project)))
        patch.setattr(uses, "_imports", functools.cache(uses._imports))
        yield


def test_without_changes_nothing_runs(checkout: Checkout) -> None:
    done = checkout.test()
    assert (done.code, done.stdout) == (0, "")
    assert re.match(r"0 files changed since \w+, the merge base with main\n", done.stderr)
    assert re.search(r"^unit: 0 of \d+ test files can be affected$", done.stderr, re.MULTILINE)


def test_tests_that_import_a_changed_module_are_selected_and_say_why(checkout: Checkout) -> None:
    checkout.append("bisect/buildkit_bisect/render/lanes.py")
    chosen = checkout.chosen()
    assert chosen[SVG] == " <- render.svg <- render.timeline <- render.lanes"
    assert SESSION not in chosen
    assert ADDRESSES not in chosen
    assert chosen["tests/local/test_plans.py"].startswith(" <- tool.py <- inv <- __main__ <- ")


def test_commits_of_the_branch_count_and_those_of_main_do_not(checkout: Checkout) -> None:
    checkout.append(SVG)
    checkout.commit()
    checkout.git("switch", "--quiet", "main")
    checkout.append(SESSION)
    checkout.commit()
    assert checkout.chosen() == {}  # main is committed, and there is no remote
    checkout.git("switch", "--quiet", "work")
    assert checkout.chosen() == {SVG: ""}


def test_new_renamed_and_deleted_files(checkout: Checkout) -> None:
    (checkout.path / "tests/unit/test_new.py").write_text("def test_new() -> None: ...\n")
    checkout.git("mv", SVG, "tests/unit/render/test_pictures.py")
    (checkout.path / ADDRESSES).unlink()
    assert list(checkout.chosen()) == [
        "tests/unit/render/test_pictures.py",
        "tests/unit/test_new.py",
    ]


def test_a_deleted_module_counts_as_a_change_of_its_package(checkout: Checkout) -> None:
    (checkout.path / "bisect/buildkit_bisect/search/explain.py").unlink()
    chosen = checkout.chosen()
    assert SESSION in chosen
    assert ADDRESSES not in chosen


@pytest.mark.parametrize(
    ("file", "test", "why"),
    [
        ("docs/errors.md", "tests/unit/cli/test_error_table.py", " <- docs/errors.md"),
        ("tests/support/worlds.py", SESSION, " <- worlds.py"),
        ("benchmarks/search_simulation.py", "tests/local/test_search_simulation.py", " <- bench"),
        ("tests/unit/conftest.py", ADDRESSES, " <- tests/unit/conftest.py"),
        ("templates/report.css", "tests/unit/render/test_page.py", " <- render <- render.templ"),
        ("tests/unit/live/__snapshots__/test_live.ambr", "tests/unit/live/test_live.py", " <- "),
        ("pyproject.toml", ADDRESSES, " <- pyproject.toml"),
        ("docs/architecture.md", MAP, " <- cli.module_map <- docs/architecture.md"),
        ("docs/style.md", HINTS, " <- docs/style.md"),
        ("docs/reliability.md", HINTS, " <- docs/reliability.md"),
        ("README.md", HINTS, " <- README.md"),
        ("README.md", "tests/local/test_launcher.py", " <- README.md"),
        ("hatch_build.py", "tests/local/test_launcher.py", " <- hatch_build.py"),
    ],
)
def test_changes_that_imports_do_not_show(
    checkout: Checkout, parsed_once: None, file: str, test: str, why: str
) -> None:
    assert (checkout.path / file).is_file()
    chosen = {c.path: str(c).removeprefix(c.path) for c in changed.choose(checkout.path, [file])}
    assert chosen[test].startswith(why)
    assert (SVG in chosen) == (
        file in ("pyproject.toml", "tests/unit/conftest.py", "templates/report.css")
    )


@pytest.mark.parametrize("file", ["render/junit.py", "render/new.py"])
def test_any_module_affects_tests_that_walk_the_package(checkout: Checkout, file: str) -> None:
    checkout.append(f"bisect/buildkit_bisect/{file}")
    chosen = checkout.chosen()
    short = file.removesuffix(".py").replace("/", ".")
    assert chosen[MAP] == f" <- cli.module_map <- {short}"
    assert chosen[WORDS] == f" <- {short}"
    assert HINTS in chosen
    assert SESSION not in chosen


def test_a_document_does_not_affect_tests_that_only_start_the_tool(checkout: Checkout) -> None:
    checkout.append("docs/architecture.md")
    assert "tests/local/test_help.py" not in checkout.chosen()


def test_a_name_pattern_with_nothing_affected_is_no_failure(checkout: Checkout) -> None:
    checkout.append(".gitignore", "/mine\n")
    done = checkout.test("--unit", "-k", "test_new")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.startswith("1 file changed since ")


def test_it_runs_the_selection_and_fails_if_a_test_fails(checkout: Checkout) -> None:
    checkout.append(ADDRESSES, "\n\ndef test_new() -> None:\n    raise AssertionError\n")
    done = checkout.test("--unit", "-k", "test_new")
    assert done.code == 1, done.stdout
    assert "1 failed" in done.stdout
    assert "local:" not in done.stderr
