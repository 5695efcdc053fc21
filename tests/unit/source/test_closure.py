from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest

from buildkit_bisect.source.closure import (
    Around,
    Closure,
    Directory,
    Tree,
    compute,
    directory_of,
    is_source,
    other_modules,
    replaced_directories,
    update,
)
from buildkit_bisect.source.goimports import GoFile, scan

MODULE = "github.com/moby/buildkit"
AROUND = Around(module=MODULE, go="1.25", lists=("gomod", "modules"))


ROOTS = ("cmd/buildkitd", "cmd/buildctl")


def sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Files:
    """Creates trees from texts; directories with the same files are the same object, as in git."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.pool: dict[str, Directory] = {}

    def tree(self, files: Mapping[str, str]) -> Tree:
        folders: dict[str, dict[str, tuple[str, str]]] = {}
        for path, text in files.items():
            folder, _, name = path.rpartition("/")
            self.texts[sha(text)] = text
            folders.setdefault(folder, {})[name] = ("100644", sha(text))
        return {f: self.pool.setdefault(f"{f} {e}", Directory(e)) for f, e in folders.items()}

    def learn(self, directories: list[Directory]) -> None:
        for directory in directories:
            directory.learn({b: scan(self.texts[b]) for b in directory.go_blobs()})

    def closure(self, files: Mapping[str, str], around: Around = AROUND) -> Closure:
        return compute(self.tree(files), around, self.learn, roots=ROOTS)


BASE = {
    "go.mod": f"module {MODULE}\n",
    "README.md": "hello",
    "cmd/buildkitd/main.go": f'package main\nimport (\n\t"fmt"\n\t"{MODULE}/solver"\n)\n',
    "cmd/buildctl/main.go": 'package main\nimport "github.com/urfave/cli"\n',
    "cmd/other/main.go": f'package main\nimport "{MODULE}/unused"\n',
    "solver/solver.go": "package solver\n",
    "solver/solver_windows.go": f'package solver\nimport "{MODULE}/util/windows"\n',
    "solver/solver_test.go": f'package solver\nimport "{MODULE}/unused"\n',
    "solver/asm_amd64.s": "TEXT x",
    "solver/README.md": "docs",
    "util/windows/w.go": "package windows\n",
    "unused/unused.go": "package unused\n",
    "vendor/github.com/urfave/cli/cli.go": "package cli\n",
    "vendor/github.com/urfave/cli/data/a.txt": "a",
    "vendor/github.com/else/x.go": "package else\n",
    "docs/x.md": "x",
}


def test_the_closure_follows_imports_of_every_platform() -> None:
    found = Files().closure(BASE)
    assert found.directories == {
        *("cmd/buildkitd", "cmd/buildctl", "solver", "util/windows"),
        "vendor/github.com/urfave/cli",
    }


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("solver/solver.go", True),
        ("solver/new.go", True),
        ("solver/asm_amd64.s", True),
        ("cmd/buildkitd/default.pgo", True),
        ("util/windows/w.go", True),
        ("vendor/github.com/urfave/cli/cli.go", True),
        ("solver/solver_test.go", False),
        ("solver/README.md", False),
        ("solver/testdata/x.go", False),
        ("unused/unused.go", False),
        ("cmd/other/main.go", False),
        ("vendor/github.com/else/x.go", False),
        ("vendor/github.com/urfave/cli/data/a.txt", False),
        ("README.md", False),
        ("docs/x.md", False),
    ],
)
def test_which_changes_affect_the_digest(path: str, counts: bool) -> None:
    files = Files()
    changed = BASE | {path: f"{BASE.get(path, 'package x')}\n// changed\n"}
    assert (files.closure(changed).digest != files.closure(BASE).digest) is counts


def test_go_version_and_module_lists_affect_the_digest() -> None:
    files = Files()
    digests = {
        files.closure(BASE, around).digest
        for around in (
            AROUND,
            Around(module=MODULE, go="1.26", lists=AROUND.lists),
            Around(module=MODULE, go="1.25", lists=("gomod2", "modules")),
        )
    }
    assert len(digests) == 3


def test_a_module_inside_takes_its_packages_out() -> None:
    files = Files()
    inside, beside = (files.tree(BASE | {f"{d}/go.mod": "module x\n"}) for d in ("util", "docs"))
    assert (other_modules(inside), other_modules(beside)) == (("util",), ("docs",))
    vendored = files.tree(BASE | {"vendor/github.com/urfave/cli/go.mod": "module x\n"})
    assert other_modules(vendored) == other_modules(files.tree(BASE)) == ()
    digest = files.closure(BASE).digest
    assert files.closure(BASE, replace(AROUND, modules=("util",))).digest != digest
    assert files.closure(BASE, replace(AROUND, modules=("docs", "utility"))).digest == digest


def test_every_file_below_an_embedding_directory_counts() -> None:
    files = Files()
    text = "package cli\n\nvar (\n\t//go:embed data/*\n\tx embed.FS\n)\n"
    embeds = BASE | {"vendor/github.com/urfave/cli/cli.go": text}
    found = files.closure(embeds)
    assert found.whole == ("vendor/github.com/urfave/cli",)
    more = embeds | {"vendor/github.com/urfave/cli/data/deep/b.txt": "b"}
    assert files.closure(more).digest != found.digest
    other = embeds | {"vendor/github.com/urfave/client/b.txt": "b"}
    assert files.closure(other).digest == found.digest


def test_every_file_of_a_replaced_module_counts() -> None:
    gomod = "module x\nreplace (\n a.b/c v1 => ./third/c\n d.e/f => g.h/i v2\n)\n"
    assert replaced_directories(gomod) == ("third/c",)
    files = Files()
    around = Around(module=MODULE, go="1.25", lists=(), replaced=("docs",))
    changed = files.closure(BASE | {"docs/x.md": "y"}, around)
    assert changed.digest != files.closure(BASE, around).digest


def test_an_imported_package_that_is_added_later() -> None:
    files = Files()
    wants = BASE | {"solver/more.go": f'package solver\nimport "{MODULE}/later"\n'}
    before = files.closure(wants)
    assert "later" in before.directories
    assert before.touched(["later", "docs"]) == ["later"]
    assert files.closure(wants | {"later/x.go": "package later\n"}).digest != before.digest


CHANGES: list[dict[str, str]] = [
    {},
    {"README.md": "new"},
    {"solver/solver.go": "package solver\n\n// other\n"},
    {"solver/solver.go": f'package solver\nimport "{MODULE}/unused"\n'},
    {"solver/solver.go": 'package solver\nimport _ "embed"\n//go:embed x\n'},
    {"unused/unused.go": "package unused\n// other\n"},
    {"vendor/github.com/urfave/cli/more.go": "package cli\n"},
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("start", CHANGES)
def test_an_update_equals_a_full_computation(start: dict[str, str], change: dict[str, str]) -> None:
    files = Files()
    before, after = files.tree(BASE | start), files.tree(BASE | start | change)
    last = compute(before, AROUND, files.learn, roots=ROOTS)
    changes = {
        d: (before.get(d), after.get(d))
        for d in before.keys() | after.keys()
        if before.get(d) is not after.get(d)
    }
    quick = update(last, changes, after, AROUND, files.learn)
    fresh = Files()
    slow = fresh.closure(BASE | start | change)
    if quick is not None:
        assert quick == slow


def test_an_update_is_possible_if_imports_do_not_change() -> None:
    files = Files()
    before = files.tree(BASE)
    after = files.tree(BASE | {"solver/solver.go": "package solver\n\n// other\n"})
    last = compute(before, AROUND, files.learn, roots=ROOTS)
    quick = update(
        last, {"solver": (before["solver"], after["solver"])}, after, AROUND, files.learn
    )
    assert quick is not None
    assert quick.digest != last.digest


def test_directory_of() -> None:
    assert directory_of(MODULE, MODULE) == ""
    assert directory_of(f"{MODULE}/solver/pb", MODULE) == "solver/pb"
    assert directory_of(f"{MODULE}x/y", MODULE) == f"vendor/{MODULE}x/y"
    assert directory_of("encoding/json", MODULE) is None
    assert directory_of("C", MODULE) is None


def test_is_source() -> None:
    names = ("a.go", "a_linux.go", "a.s", "a.h", "a.syso", "a.c")
    assert [n for n in names if not is_source(n)] == []
    others = ("a_test.go", "_a.go", ".a.go", "a.md", "a.proto", "go.mod")
    assert [n for n in others if is_source(n)] == []


@pytest.mark.parametrize(
    ("text", "imports"),
    [
        ('package x\nimport "a"\n', {"a"}),
        ('package x; import "a"; import b "c/d"\n', {"a", "c/d"}),
        ('package x\nimport (\n\t"a" // ) "no"\n\t_ "b"\n\t. "c" /* ) */\n\td `e`\n)\n', {*"abce"}),
        ('// import "no"\n/* package y\nimport "no" */\npackage x\n\nimport "a"', {"a"}),
        ('// matches foo/*\npackage x\nimport "a"\n// */\n', {"a"}),
        ('package x\n\nvar y = `\nimport "no"\n`\n', set()),
        ('package x\nimport "a"\nfunc f() { import "no" }\n', {"a"}),
        ('\ufeffpackage x\r\nimport (\r\n\t"a"\r\n\t"b"\r\n)\r\n', {"a", "b"}),
        ("package x\n", set()),
        ("", set()),
        ('package x\nimport ()\nimport "a"\n', {"a"}),
        (
            '//go:build linux && !windows\n\npackage x\n\n/*\n#include "x.h"\n*/\nimport "C"\n',
            {"C"},
        ),
    ],
)
def test_imports(text: str, imports: set[str]) -> None:
    assert set(scan(text).imports) == imports


def test_files_that_our_builds_never_read() -> None:
    ignored = GoFile(never=True)
    assert scan('//go:build ignore\n\npackage main\nimport "a"\n') == ignored
    assert scan("// Copyright\n\n//go:build tools\n// +build tools\n\npackage tools\n") == ignored
    assert not scan("//go:build !ignore\n\npackage main\n").never
    assert not scan("/*\n//go:build ignore\n*/\npackage main\n").never
    assert not scan("package main\n//go:build ignore\n").never
    assert scan("package x\nvar (\n\t//go:embed x\n\ty string\n)\n").embeds
