"""Patches on a module proxy's releases: compiled, validated, checked. No repository anywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted
from buildkit_bisect.system import paths
from golang_repo import GO, MODULE, base_files, file_proxy, words
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.alone]

WORDS, TESTED = "util/words/words.go", "util/words/words_test.go"
DIFF = (
    f"--- a/{WORDS}\n+++ b/{WORDS}\n@@ -3 +3 @@\n-const Cached = {{!r}}\n+const Cached = {{!r}}\n"
)
TESTS = """package words

import "testing"

func TestSomething(t *testing.T) {
	if Cached == "" {
		t.Fatal("Cached is empty")
	}
}
"""

#: Bad if the program prints "ran".
SCRIPT = """#!/bin/sh
"$BKBISECT_BUILDKITD" | grep -q cached
"""


class Proxy:
    """A machine with a module proxy and nothing else, and tasks on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.cache.mkdir()
        for name in ("toolchains", "gocache"):
            (self.cache / name).symlink_to(paths.cache(name))
        # A module's zip has neither vendored packages nor nested modules.
        files = base_files() | {TESTED: TESTS, "vendor/modules.txt": "# example.org/x v1.0.0\n"}
        versions = {
            "v0.19.0": base_files(),
            "v0.20.0": base_files(),
            "v0.21.0": files | {WORDS: words("ran")},
        }
        self.env = {
            "BKBISECT_CACHE_DIR": str(self.cache),
            "BKBISECT_SOURCE": "module",
            "GOPROXY": file_proxy(folder / "proxy", versions),
            "GONOSUMDB": "*",
        }

    def task(self, *options: str) -> TaskOutput:
        return inv(*options, env=self.env)

    def patch(self, name: str, diff: str, metadata: str = "") -> str:
        path = self.folder / "patches" / name
        path.mkdir(parents=True)
        (path / "patch.toml").write_text(f'title = "{name}"\n{metadata}')
        (path / f"{name}.patch").write_text(diff.replace("'", '"'))
        return str(path)

    def script(self) -> str:
        path = self.folder / "script"
        path.write_text(SCRIPT)
        path.chmod(0o755)
        return str(path)


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    Toolchains().find(GoWanted(minor=(1, int(GO.split(".")[1]))))
    return Proxy(tmp_path)


def test_a_build_with_a_patch(proxy: Proxy) -> None:
    fix = proxy.patch("fix", DIFF.format("ran", "fixed"))
    done = proxy.task("build", "v0.21.0", "--patches", fix, "--json")
    assert done.code == 0, done.stderr
    printed = subprocess.run(
        [f"{done.document['directory']}/buildkitd"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == "buildkitd fixed v0.0.0+bkbisect bkbisect\n"
    original = proxy.cache / "gomod" / f"{MODULE}@v0.21.0"
    assert (original / WORDS).read_text() == words("ran")
    again = proxy.task("build", "v0.21.0", "--patches", fix, "--json")
    assert again.document["reused"]
    plain = proxy.task("build", "v0.21.0", "--json")
    assert plain.document["buildkitd_sha256"] != done.document["buildkitd_sha256"]


def test_a_patch_of_a_vendored_package_is_skipped_and_says_why(proxy: Proxy) -> None:
    vendored = proxy.patch("vendored", DIFF.format("a", "b").replace(WORDS, "vendor/x/y/z.go"))
    done = proxy.task("build", "v0.21.0", "--patches", vendored)
    assert done.code == 4
    assert (
        "vendored changes vendor/x/y/z.go, and vendored packages are not in the Go module"
        in done.stderr
    )
    assert "it needs a git source (try: --source git --repo PATH)" in done.stderr


def test_a_validation(proxy: Proxy) -> None:
    culprit = "051818cf383e0ec93c6df2015b554aaf542f52d8"
    fix = proxy.patch("fix", DIFF.format("ran", "cached again"), f'introduced-by = "{culprit}"\n')
    done = proxy.task(
        *("validate", fix, "--script", proxy.script(), "--trials", "3"),
        *("--out", str(proxy.folder / "out"), "--json"),
    )
    assert done.code == 0, done.stderr
    found = done.document["validation"]
    assert (found["status"], found["base"]) == ("fixes", "v0.21.0"), "the newest release"
    assert found["verdict"].startswith("fix fixes the one broken cell on v0.21.0")
    assert [(b["ref"], b["state"]) for b in found["backports"]] == [
        ("v0.20.0", "conflicts"),
        ("v0.21.0", "applies"),
    ]
    assert all("needs a git source" in b["detail"] for b in found["backports"])
    assert (found["culprit"], found["reverted"]) == ("", "")
    assert any(n.startswith("051818cf383e, which the patches fix, is not") for n in found["notes"])
    tests, vet, *builds = found["checks"]
    assert (tests["subject"], tests["change"]) == ("./util/words", "same")
    assert (vet["before"], vet["after"]) == ("clean", "clean")
    assert [b["change"] for b in builds] == ["same", "same"]
    report = Path(proxy.folder, "out", done.document["id"], "report.md").read_text()
    assert report.startswith("**fix fixes the one broken cell on v0.21.0")
    assert left_behind() == []


def test_a_patch_that_breaks_upstreams_tests(proxy: Proxy) -> None:
    silent = proxy.patch("silent", DIFF.format("ran", ""))
    done = proxy.task(
        *("validate", silent, "--script", proxy.script(), "--trials", "3"),
        *("--out", str(proxy.folder / "out"), "--json"),
    )
    assert done.code == 0, done.stderr
    found = done.document["validation"]
    assert found["status"] == "regresses"
    assert found["checks"][0]["worse"] == ["TestSomething"]


def test_what_validate_refuses(proxy: Proxy) -> None:
    fix = proxy.patch("fix", DIFF.format("ran", "fixed"))
    vendored = proxy.patch("vendored", DIFF.format("a", "b").replace(WORDS, "vendor/x/y.go"))
    for options, names in (
        ((fix, "--culprit", "051818cf3"), "needs a git source: a module has no commits to revert"),
        ((fix, "--base", "v0.20.0"), "--base v0.21.0, where it applies"),
        ((vendored,), "on v0.21.0, vendored changes vendor/x/y.go, and vendored packages are not"),
        (("pr/7107",), "pr/7107 as a patch needs a git source"),
    ):
        done = proxy.task("validate", *options, "--script", proxy.script())
        assert done.code == 2, done.stderr
        assert names in done.stderr
        assert "Traceback" not in done.stderr


def test_where_patches_apply(proxy: Proxy) -> None:
    fix = proxy.patch("fix", DIFF.format("ran", "fixed"))
    vendored = proxy.patch("vendored", DIFF.format("a", "b").replace(WORDS, "vendor/x/y.go"))
    done = proxy.task("patch-check", f"{fix},{vendored}", "--json")
    assert done.code == 0, done.stderr
    assert [[(f["ref"], f["state"]) for f in one["applies"]] for one in done.documents] == [
        [("v0.20.0", "conflicts"), ("v0.21.0", "applies")],
        [("v0.20.0", "unknown"), ("v0.21.0", "unknown")],
    ]
    shown = proxy.task("patch-check", fix)
    assert shown.stdout.splitlines()[-2] == (
        "Whether a release contains what a patch fixes or requires, or the patch itself, needs a"
        " git source."
    )


def test_a_branch_that_was_exported_is_validated_as_the_patches_are(proxy: Proxy) -> None:
    home = proxy.folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Ada L\nemail = ada@example.org\n")
    proxy.env["HOME"] = str(home)
    more = "util/words/more.go"
    patches = [
        proxy.patch("fix", DIFF.format("ran", "cached again")),
        proxy.patch("more", f"--- /dev/null\n+++ b/{more}\n@@ -0,0 +1 @@\n+package words\n"),
    ]
    tree = proxy.folder / "out-of-it"
    done = proxy.task(
        *("patch-export", ",".join(patches), "--to", str(tree), "--branch", "both", "--signoff"),
    )
    assert done.code == 0, done.stderr
    toolchain = Toolchains().find(GoWanted(minor=(1, int(GO.split(".")[1]))))
    commands = f"{toolchain.go} build -o {tree}/../ ./cmd/... && {toolchain.go} test ./util/..."
    git = ["/usr/bin/env", "git", "-C", str(tree)]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    built = subprocess.run(
        [*git, "rebase", "--exec", commands, "base/both"],
        env=env | {"GOCACHE": str(paths.cache("gocache"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert built.stdout.count("ok  ") == len(patches), "the tests ran at each commit"

    def validated(*what: str) -> dict[str, Any]:
        asked = proxy.task(
            *("validate", *what, "--base", "v0.21.0", "--script", proxy.script()),
            *("--trials", "3", "--out", str(proxy.folder / "out"), "--json"),
        )
        assert asked.code == 0, asked.stderr
        found: dict[str, Any] = asked.document["validation"]
        return found

    of_patches, of_branch = validated(",".join(patches)), validated("--from-branch", str(tree))
    assert of_branch["status"] == "fixes"
    assert (
        of_branch["verdict"].replace("both-1", "fix").replace("both-2", "more")
        == (of_patches["verdict"])
    )
    assert of_branch["checks"] == of_patches["checks"]
    assert left_behind() == []
