"""Seconds of a build whose neighbour is built: the old way, now, and `go build` alone.

    benchmarks/neighbour_builds.py --repo ~/src/buildkit --write docs/performance.md

A commit is built again and again, each time with a Go cache that has seen only what its row says:
the commit before it, the one ten before it, one with another minor version of Go, itself. In one of
the rows the commit before it has the same buildctl. Three ways take turns:

- before: a fresh work tree, and both programs with debug information;
- now: the tree that stays, without debug information, and buildctl only if its inputs changed;
- bare: `go build` of buildkitd alone, with the same flags as now, in a tree that is there and that
  Go has read.

CPU seconds are those of go and git. Exits with 1 if a goal is missed. Needs an idle machine, the Go
versions of the commits, about 5 GB, and 25 minutes on 2 cores: five builds are from nothing, and so
the row with another version of Go has one round.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import section
import stopping

from buildkit_bisect.builds import Builder, Recipe
from buildkit_bisect.builds.compile import go_env
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import host_arch, wanted
from buildkit_bisect.model import Build, Revision, Variant
from buildkit_bisect.source import GitSource
from buildkit_bisect.source.inputs import PROGRAMS
from buildkit_bisect.system import paths, process

#: Goals for the neighbour: now divided by before, and by bare.
OF_BEFORE, OF_BARE = 0.5, 1.3

WAYS = ("before", "now", "bare")
SHARED = ("gomod", "inputs", "mirrors", "toolchains")

#: The row in which nothing is compiled before.
COLD = "another Go minor"

#: Go remembers a package only if its files are older than two seconds.
_SETTLES = 3.0


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What one build took."""

    wall: float
    cpu: float


class FreshTrees(GitSource):
    """A source that makes a work tree for each build, as it was."""

    @contextmanager
    def build_tree(self, revision: Revision) -> Iterator[Path]:
        """Provide a work tree that is removed after the block."""
        with self.checkout(revision) as tree:
            yield tree


@dataclass(frozen=True, kw_only=True)
class Row:
    """A commit to build, what is built before it, and which row's Go cache that begins with."""

    target: Revision
    before: Revision
    after: str = ""


@dataclass(kw_only=True)
class Bench:
    """A commit to build, a tree of it that is there, and the folder of all rows' Go caches."""

    source: GitSource
    target: Revision
    there: Path
    states: Path

    def build(self, revision: Revision, way: str) -> int:
        """Build a revision the old way, or as it is now; return how many packages it compiled."""
        source = self.source
        if way == "before":
            source = FreshTrees(mirror=source.mirror, say=source.say)
        recipe = Recipe(goarch=host_arch(), debug_info=way == "before")
        made = Builder(source=source, recipe=recipe, say=say).build(Variant(revision=revision))
        if not isinstance(made, Build):
            raise SystemExit(f"{revision.ref} does not build: {made.reason}")
        assert not made.reused
        return made.packages

    def go(self, *words: str) -> None:
        """Run the target's Go in the tree that is there, with the flags of a build."""
        texts = (self.source.read(self.target, name) for name in ("Dockerfile", "go.mod"))
        toolchain = Toolchains().find(wanted(*texts))
        recipe = Recipe(goarch=host_arch(), programs=("buildkitd",))
        flags = [word for word in recipe.arguments()[1:] if word != "-v"]
        with paths.scratch("gotmp") as tmp:
            process.run(
                [toolchain.go, words[0], *flags, "-mod=vendor", *words[1:], *recipe.packages()],
                timeout=3600,
                cwd=self.there,
                env=go_env(toolchain, recipe, tmp=tmp),
                inherit=False,
            )

    def bare(self) -> None:
        """Compile and link buildkitd in the tree that is there."""
        with tempfile.TemporaryDirectory() as out:
            self.go("build", "-o", f"{out}/")

    def prepare(self, name: str, earlier: str, revision: Revision) -> None:
        """Make the state *name*: *earlier*, or an empty Go cache, and a build of *revision*."""
        self._restore(earlier)
        with self.source.build_tree(revision):
            pass
        time.sleep(_SETTLES)  # a bisection's first tree has settled at its next build
        packages = self.build(revision, "now")
        say(f"{name}: built {revision.ref}, {packages} packages")
        self.go("list", "-deps")
        state = self.states / name
        state.mkdir()
        for part in ("gocache", "builds", "programs"):
            _link(paths.cache_root() / part, state / part)

    def measure(self, name: str, at: Revision, way: str) -> Seconds:
        """Build the target from the state *name*, in which the tree that stays is at *at*."""
        self._restore(name)
        with self.source.build_tree(at):
            pass
        if at == self.target:
            for part in ("builds", "programs"):
                shutil.rmtree(paths.cache(part))
        time.sleep(_SETTLES)
        todo: Callable[[], object] = self.bare
        if way != "bare":
            todo = lambda: self.build(self.target, way)  # noqa: E731
        cpu, start = _cpu(), time.monotonic()
        todo()
        return Seconds(wall=time.monotonic() - start, cpu=_cpu() - cpu)

    def _restore(self, name: str) -> None:
        for part in ("gocache", "builds", "programs", "failures"):
            shutil.rmtree(paths.cache(part))
            if (self.states / name / part).is_dir():
                _link(self.states / name / part, paths.cache_root() / part)


def say(text: str) -> None:
    """Print a line; the table is all that is printed elsewhere."""
    print(text, file=sys.stderr, flush=True)


def _link(folder: Path, target: Path) -> None:
    subprocess.run(["/usr/bin/env", "cp", "-al", str(folder), str(target)], check=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shares(source: GitSource, since: str, to: str) -> str:
    """Return a sentence on how many commits change buildkitd, and how many of them buildctl too."""
    start = source.resolve(since).sha
    line = [start, *source.first_parent_line(start, source.resolve(to).sha)]
    source.input_keys(line)
    inputs = [source.inputs(source.revision(sha, ref=sha)) for sha in line]
    changed = [
        old["buildctl"] != new["buildctl"]
        for old, new in pairwise(inputs)
        if old["buildkitd"] != new["buildkitd"]
    ]
    return (
        f"Of the {len(line) - 1} commits on the first-parent line from {since} to {to},"
        f" {len(changed)} have another\nbuildkitd than the one before; {changed.count(False)} of"
        " these have its buildctl."
    )


def chosen(source: GitSource, to: str) -> dict[str, Row]:
    """Return the rows; each Go cache has seen nothing newer than the commit before its target.

    The target is the newest commit up to *to* whose programs are both others than those of the
    commit before; where buildctl is the same, the newest one whose buildkitd is another.
    """
    tip = source.resolve(to)
    line = source.first_parent_line(source.resolve(f"{tip.sha}~400").sha, tip.sha)
    source.input_keys(line)  # as a bisection does before its first build
    go = source.go_versions(line)
    inputs = [source.inputs(source.revision(sha, ref=sha)) for sha in line]

    def newest(*changed: bool) -> int:
        """Return the newest commit that changed buildkitd, and buildctl or not."""
        pairs = ((n, inputs[n - 1], inputs[n]) for n in range(len(line) - 1, 10, -1))
        return next(
            n for n, old, new in pairs if changed == tuple(old[p] != new[p] for p in PROGRAMS)
        )

    def revision(number: int) -> Revision:
        return source.revision(line[number], ref=line[number][:12])

    at, alone = newest(True, True), newest(True, False)
    other = next(n for n in range(at - 1, 0, -1) if go[line[n]] != go[line[at]])
    ten = "ten commits away"
    return {
        ten: Row(target=revision(at), before=revision(at - 10), after="given"),
        "neighbour": Row(target=revision(at), before=revision(at - 1), after=ten),
        "neighbour with the same buildctl": Row(
            target=revision(alone),
            before=revision(alone - 1),
            after=ten if alone > at - 10 else "",  # otherwise that has seen it
        ),
        "the same commit": Row(target=revision(at), before=revision(at), after="neighbour"),
        COLD: Row(target=revision(at), before=revision(other)),
    }


@contextmanager
def own_cache(gocache: Path | None) -> Iterator[Path]:
    """Use a cache of its own, with links to what builds do not change; yield a folder beside it."""
    shared = {name: paths.cache(name).resolve() for name in SHARED}
    place = paths.cache_root()
    with tempfile.TemporaryDirectory(prefix="neighbour-", dir=place.parent) as folder:
        root = Path(folder) / "cache"
        root.mkdir()
        for name, path in shared.items():
            (root / name).symlink_to(path)
        os.environ["BKBISECT_CACHE_DIR"] = str(root)
        states = Path(folder) / "states"
        states.mkdir()
        if gocache:
            (states / "given").mkdir()
            _link(gocache.resolve(), states / "given" / "gocache")
        yield states


def table(found: dict[str, dict[str, list[Seconds]]]) -> str:
    """Return the medians of each row as a table."""
    lines = [
        (
            "| built before | before | now | bare | now / before | now / bare | bare / before"
            " | CPU: now / before |"
        ),
        f"| --- |{' ---: |' * 7}",
    ]
    for name, ways in found.items():
        wall = {way: median(s.wall for s in ways[way]) for way in WAYS}
        cpu = {way: median(s.cpu for s in ways[way]) for way in WAYS}
        seconds = " | ".join(f"{wall[way]:.1f} s" for way in WAYS)
        ratios = [wall["now"] / wall["before"], wall["now"] / wall["bare"]]
        ratios += [wall["bare"] / wall["before"], cpu["now"] / cpu["before"]]
        lines.append(f"| {name} | {seconds} | {' | '.join(f'{r:.2f} x' for r in ratios)} |")
    return "\n".join(lines)


def missed(found: dict[str, dict[str, list[Seconds]]]) -> list[str]:
    """Return the goals that a neighbour's build misses."""
    goals = {"before": OF_BEFORE, "bare": OF_BARE}
    wrong = []
    for name, ways in found.items():
        wall = {way: median(s.wall for s in ways[way]) for way in WAYS}
        wrong += [
            f"{name}: {wall['now'] / wall[way]:.2f} x of {way}, and at most {goal} is the goal"
            for way, goal in goals.items()
            if name.startswith("neighbour") and wall["now"] > goal * wall[way]
        ]
    return wrong


def measure(
    source: GitSource, rows: dict[str, Row], asked: list[str], states: Path, rounds: int
) -> dict[str, dict[str, list[Seconds]]]:
    """Return what each build of the rows *asked* took, by row and way."""
    found: dict[str, dict[str, list[Seconds]]] = {}
    needed = set(asked)
    for name in reversed(rows):  # a row begins with one above it
        needed |= {rows[name].after} if name in needed else set()
    for name, row in rows.items():
        if name not in needed:
            continue
        with source.checkout(row.target) as there:
            bench = Bench(source=source, target=row.target, there=there, states=states)
            bench.prepare(name, row.after, row.before)
            if name not in asked:
                continue
            found[name] = {way: [] for way in WAYS}
            for _ in range(1 if name == COLD else rounds):
                for way in WAYS:
                    took = bench.measure(name, row.before, way)
                    found[name][way].append(took)
                    say(f"{name}: {way} {took.wall:.1f} s, CPU {took.cpu:.1f} s")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repo", required=True, help="a clone of moby/buildkit")
    parser.add_argument("--to", default="v0.32.0", help="the newest commit to look at")
    parser.add_argument("--since", default="v0.26.0", help="count changed programs from here")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", help="names of rows, with commas; default: all")
    parser.add_argument("--gocache", type=Path, help="begin with this Go cache instead of none;"
                        " it must not have compiled the commits")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    stopping.removes_on_sigterm()
    with own_cache(options.gocache) as states:
        source = GitSource.open(options.repo)
        rows = chosen(source, options.to)
        asked = options.rows.split(",") if options.rows else list(rows)
        if unknown := set(asked) - rows.keys():
            parser.error(f"no rows {', '.join(unknown)}; there are {', '.join(rows)}")
        found = measure(source, rows, asked, states, options.rounds)
        text = f"{table(found)}\n\n{shares(source, options.since, options.to)}"
    section.put(options.write, "neighbour-builds", text)
    wrong = missed(found)
    for text in wrong:
        say(text)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
