"""Finds which file uses which, from imports and from what is started, read and walked.

Files are paths in the checkout, as git prints them.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import grimp

PACKAGE = "buildkit_bisect"
SOURCE = f"bisect/{PACKAGE}/"
SUPPORT = "tests/support/"

#: Modules that read a folder.
_READERS = {
    "templates/": f"{SOURCE}render/templates.py",
    "patches/": f"{SOURCE}patch/patches.py",
    "bisect/completions/": f"{SOURCE}cli/completion.py",
    "bisect/scenarios/": f"{SOURCE}scenario/load.py",
}
#: Folders that some tests walk, by where they are.
_WALKED = {"bisect": PACKAGE, "results": "results"}

#: In tests this is a file of a generated repository, unless all documents are read.
_OTHERS = "README.md"

#: ``inv`` starts the program, which loads tasks.py, which imports modules of cli/ late.
_LAUNCHER, _PROGRAM, _TASKS = "inv", f"{SOURCE}__main__.py", "tasks.py"

#: In strings that a test passes to another interpreter. A part of an f-string may not parse.
_IMPORT = re.compile(r"\bfrom +([\w.]+) +import +([\w, ]+)")
_DOTTED = re.compile(rf"\b{PACKAGE}(?:\.\w+)+")

#: In a file that lists the package from the place of a module; a test has its own place too.
_LISTS = re.compile(r"\bglob\(|\brglob\(|\biterdir\(")
_PLACE_OF_MODULE = re.compile(r"\w\.__file__\)\.parent")
_OWN_PLACE = re.compile(r"\(__file__\)\.parent")

#: In a file that reads all documents, and in a test that copies the checkout.
_DOCUMENTS = re.compile(r"""["']docs["'].*["']\*\.md["']""", re.DOTALL)
_COPIES = re.compile(r"\bcopytree\((?:checkout\.)?PROJECT,")


def build(project: Path, changed: Iterable[str]) -> dict[str, set[str]]:
    """Return the files that each file of the package and of the tests of *project* uses.

    Of files other than Python only the *changed* ones are considered.
    """
    changed = tuple(changed)
    used = _package(project)
    for path in list(used):
        text = (project / path).read_text()
        used[path] |= {name for name in changed if _joins(text, name)}
        used[path] |= set(_walked(text, changed, _OWN_PLACE))
    for folder, reader in _READERS.items():
        used[reader] |= {path for path in changed if path.startswith(folder)}
    used[_LAUNCHER] = {_PROGRAM}
    used[_PROGRAM].add(_TASKS)
    used[_TASKS] = set(_imported(project, (project / _TASKS).read_text()))
    tests = [p.relative_to(project).as_posix() for p in (project / "tests").rglob("*.py")]
    scripts = [p.relative_to(project).as_posix() for p in (project / "benchmarks").glob("*.py")]
    named = {_LAUNCHER, _TASKS, *scripts, *(path for path in changed if not is_test(path))}
    for path in (*tests, *scripts):
        text = (project / path).read_text()
        used[path] = set(_imported(project, text))
        used[path] |= {name for name in named if name != path and _names(text, name)}
        used[path] |= {name for name in changed if _is_snapshot(name, path)}
        used[path] |= set(_conftests(path, tests))
        used[path] |= set(_walked(text, changed, _PLACE_OF_MODULE))
        used[path] |= {name for name in changed if "/" not in name and _COPIES.search(text)}
    return dict(used)


def is_test(path: str) -> bool:
    """Return whether pytest collects *path*."""
    parts = PurePosixPath(path).parts
    return parts[0] == "tests" and re.fullmatch(r"test_.*\.py", parts[-1]) is not None


def short(path: str) -> str:
    """Return *path* for messages: a module without its package, a helper without its folder."""
    if path.startswith(SOURCE):
        stem = path.removeprefix(SOURCE).removesuffix(".py").removesuffix("/__init__")
        return stem.replace("/", ".")
    return path.removeprefix(SUPPORT)


def _package(project: Path) -> defaultdict[str, set[str]]:
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    used: defaultdict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        for path in _files_of(project, module):
            for imported in graph.find_modules_directly_imported_by(module):
                used[path].update(_files_of(project, imported))
            used[path] |= set()
    return used


def _files_of(project: Path, module: str) -> Iterator[str]:
    """Yield the file of *module* if it is in the package or a helper of tests."""
    stem = module.replace(".", "/")
    for path in (f"bisect/{stem}.py", f"bisect/{stem}/__init__.py", f"{SUPPORT}{stem}.py"):
        if (project / path).is_file():
            yield path


def _imported(project: Path, text: str) -> Iterator[str]:
    """Yield the files of the modules that a file imports or patches."""
    for name in _imports(text):
        yield from _files_of(project, name)


def _imports(text: str) -> set[str]:
    """Return the modules that a file imports or patches; ``from a import b``: ``a``, ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(package)):
                found |= {package, *(f"{package}.{alias.name}" for alias in node.names)}
            case ast.Constant(value=str(inner)) if PACKAGE in inner:
                found |= set(_in_string(inner))
            case _:
                pass
    return found


def _in_string(text: str) -> Iterator[str]:
    for package, names in _IMPORT.findall(text):
        yield package
        yield from (f"{package}.{name.strip()}" for name in names.split(","))
    for dotted in _DOTTED.findall(text):
        parts = dotted.split(".")
        yield from (".".join(parts[:n]) for n in range(2, len(parts) + 1))


def _names(text: str, path: str) -> bool:
    """Return whether *text* has the name of *path*, or of its folder in `_WALKED`, in quotes."""
    parts = PurePosixPath(path).parts
    if parts[-1] != _OTHERS and re.search(rf"""["'/]{re.escape(parts[-1])}["'/]""", text):
        return True
    folder = _WALKED.get(parts[0])
    return folder is not None and re.search(rf"""["']{folder}["']""", text) is not None


def _joins(text: str, path: str) -> bool:
    """Return whether a module with *text* builds the path of a file that is not Python.

    A hint that only names a document does not count.
    """
    name = re.escape(PurePosixPath(path).name)
    joined = rf"""/ ["'](?:[^"']+/)?{name}["']|with_name\(["']{name}["']\)"""
    return not path.endswith(".py") and re.search(joined, text) is not None


def _walked(text: str, changed: Iterable[str], place: re.Pattern[str]) -> Iterator[str]:
    """Yield the *changed* files in folders that *text* lists: the package's, the documents'."""
    package = _LISTS.search(text) and place.search(text)
    documents = _DOCUMENTS.search(text)
    for path in changed:
        if (package and path.startswith("bisect/")) or (documents and _is_document(path)):
            yield path


def _is_document(path: str) -> bool:
    return re.fullmatch(r"(docs/)?[^/]+\.md", path) is not None


def _is_snapshot(path: str, test: str) -> bool:
    """Return whether *path* is a snapshot of *test*."""
    own = PurePosixPath(test)
    return path.startswith(f"{own.parent}/__snapshots__/{own.stem}")


def _conftests(path: str, tests: Iterable[str]) -> Iterator[str]:
    for other in tests:
        folder, _, name = other.rpartition("/")
        if name == "conftest.py" and path.startswith(f"{folder}/") and path != other:
            yield other
