from __future__ import annotations

from collections.abc import Mapping

import pytest

from buildkit_bisect.source.closure import Directory, Tree
from buildkit_bisect.source.goimports import GoFile
from buildkit_bisect.source.packages import WIDTH, Packages

MODULE = "example.com/m"

#: Directory -> the directories that it imports.
IMPORTS = {"cmd": ("a", "b"), "a": ("c",), "b": (), "c": ()}


def directory(blob: str, imports: tuple[str, ...]) -> Directory:
    made = Directory({"x.go": ("100644", blob)})
    made.learn({blob: GoFile(tuple(f"{MODULE}/{d}" for d in imports), False, False)})
    return made


def tree(imports: Mapping[str, tuple[str, ...]] = IMPORTS) -> Tree:
    return {d: directory(f"{d}1", wanted) for d, wanted in imports.items()}


def packages(of: Tree, *, go: str = "1.25") -> Packages:
    return Packages(
        tree=of, module=MODULE, go=go, directories=frozenset(["cmd", "a", "b", "c", "missing"])
    )


def codes(of: Packages) -> dict[str, bytes]:
    """Return directory -> code; they are in the order of directories."""
    text = of.codes()
    names = sorted(of.directories)
    assert len(text) == WIDTH * len(names)
    return {d: text[WIDTH * n : WIDTH * (n + 1)] for n, d in enumerate(names)}


@pytest.mark.parametrize(
    ("changed", "compiled"), [("c", {"a", "c", "cmd"}), ("b", {"b", "cmd"}), ("cmd", {"cmd"})]
)
def test_what_imports_a_changed_package_is_compiled_again(changed: str, compiled: set[str]) -> None:
    before = tree()
    now = {**before, changed: directory("other", IMPORTS[changed])}
    first = packages(before)
    old = codes(first)
    for new in (codes(packages(now)), codes(packages(now).after(first))):
        assert {d for d in new if new[d] != old[d]} == compiled


def test_another_go_version_compiles_everything() -> None:
    first = packages(tree())
    assert not {*codes(first).values()} & {
        *codes(packages(tree(), go="1.26").after(first)).values()
    }


def test_other_imports_are_not_taken_over() -> None:
    before = tree()
    first = packages(before)
    first.codes()
    now = {**before, "b": directory("other", ("c",))}
    second = packages(now).after(first)
    assert codes(second) == codes(packages(now))
    third = {**now, "c": directory("newest", ())}
    assert codes(packages(third).after(second)) == codes(packages(third))


def test_imports_may_be_a_circle() -> None:
    """The files of all systems count together."""
    round_ = tree({"cmd": ("a",), "a": ("c",), "b": (), "c": ("a",)})
    assert len(codes(packages(round_))) == len(IMPORTS)
