"""Runs ``go test``, ``go vet`` and cross builds, without and with patches."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildkit_bisect.builds import Builder, Recipe, complaint
from buildkit_bisect.builds.compile import go_env
from buildkit_bisect.errors import BisectError, InfraFailed
from buildkit_bisect.gochecks import output
from buildkit_bisect.gochecks.output import PackageRun
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import Toolchain, host_arch, network_settings, wanted
from buildkit_bisect.model import Build, Revision, Variant
from buildkit_bisect.patch.patches import Patch, apply
from buildkit_bisect.result import CheckEffect, CheckInfo, CheckKind
from buildkit_bisect.source import Source
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.machine_lock import machine_lock

#: How often a test that fails twice with the patches is run without them before they are blamed.
TRIES = 5

#: Seconds for the tests of one package, within the deadline of the whole go command.
TEST_TIMEOUT = 600

_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    """A tree, and how to call the go command in it."""

    tree: Path
    toolchain: Toolchain
    module: str
    tmp: Path
    race: bool
    env: dict[str, str]
    vendored: bool
    timeout: float  # seconds of one go command

    def go(self, *arguments: str) -> process.Completed:
        """Run the go command; its process group is ended at the deadline."""
        return process.run(
            [self.toolchain.go, *arguments],
            timeout=self.timeout,
            cwd=self.tree,
            env=self.env,
            inherit=False,
            check=False,
        ).whole()

    @property
    def flags(self) -> list[str]:
        """Flags of every command. Without ``-trimpath`` each tree is compiled from scratch."""
        return ["-trimpath", "-mod=vendor" if self.vendored else "-mod=readonly"]

    def here(self, names: Collection[str]) -> list[str]:
        """Those of *names* that are packages of the tree in its current state."""
        return [name for name in names if any((self.tree / name).glob("*.go"))]

    def test(self, names: Collection[str], only: Collection[str] = ()) -> dict[str, PackageRun]:
        """Run ``go test`` on packages; if *only* is given, only those tests and their subtests."""
        found = {name: PackageRun() for name in names}
        chosen = self.here(names)
        if not chosen:
            return found
        pattern = "|".join(sorted({re.escape(name.split("/")[0]) for name in only}))
        limit = min(TEST_TIMEOUT, self.timeout)
        done = self.go(
            *("test", "-json", "-count=1", "-short", "-vet=off", f"-timeout={limit:g}s"),
            *(["-race"] if self.race else []),
            *(["-run", f"^({pattern})$"] if only else []),
            *self.flags,
            *chosen,
        )
        parsed = output.parse(done.stdout, self.module)
        for name in chosen:
            tested = parsed.get(name, PackageRun())
            if done.timed_out and not tested.ended:
                tested.ended = "fail"
                tested.output.append(f"still running after {self.timeout:g} s")
            elif not done.ok and not tested.ended:
                tested.ended = "fail"
            if tested.broken:
                _explain(tested, parsed, done.stderr)
            found[name] = tested
        if not done.timed_out and any(tested.broken for tested in found.values()):
            _refuse_spoiled(done, found)
        return found

    def vet(self, names: Collection[str]) -> tuple[str, ...]:
        """The complaints of ``go vet``, including a compile error."""
        chosen = self.here(names)
        if not chosen:
            return ()
        done = self.go("vet", *self.flags, *chosen)
        found = output.complaints(done.stderr)
        if done.ok or found:
            return found
        if done.timed_out:
            return ("timed out",)
        error = complaint.of_source(done.stderr)
        if not error:
            raise _spoiled("vet", done, done.stderr)
        return (error,)


def _refuse_spoiled(done: process.Completed, found: dict[str, PackageRun]) -> None:
    """Raise `InfraFailed` if packages without a test that ran may be so because of the machine."""
    printed = output.build_output(done.stdout, done.stderr)
    killed = any("signal: killed" in t.output for t in found.values() if t.broken)
    if done.exit < 0 or killed or complaint.of_trouble(printed):
        raise _spoiled("test", done, printed or "signal: killed")


def _spoiled(command: str, done: process.Completed, printed: str) -> InfraFailed:
    """The error for a go command that failed, and not certainly because of the source."""
    how = complaint.of_trouble(printed) or f"it exited with {done.exit}"
    return InfraFailed(
        f"go {command} failed, and this need not be the source's fault: {how}",
        hint="the same command again",
    )


def _explain(tested: PackageRun, parsed: dict[str, PackageRun], stderr: str) -> None:
    """Put the compile error first: it may be on stderr, or in the output of an imported package."""
    every = [line for other in parsed.values() for line in other.output]
    error = output.first_error("\n".join([*every, stderr]))
    if output.complaints(error) and tested.broken != error:
        tested.output.insert(0, error)


def check(
    source: Source,
    revision: Revision,
    chosen: Sequence[Patch],
    *,
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> tuple[CheckInfo, ...]:
    """Tests and vet of the packages that *chosen* touch, at *revision*, without and with them.

    Tests run with the commit's own Go and with ``-short``, which skips those that need daemons
    or the network. A failure without the patches, and a new one with them, is run once more in
    the same tree; a test that fails twice with them is run up to `TRIES` times without them.
    Checks that cannot run at all are ``untested``, with the reason.
    """
    names = output.packages(f for patch in chosen for f in patch.files)
    if not names:
        return ()
    try:
        return _check(source, revision, chosen, names, say=say, deadlines=deadlines or Deadlines())
    except BisectError as error:
        return tuple(
            CheckInfo(
                kind=kind.value, subject=" ".join(names), change=CheckEffect.UNTESTED.value,
                before="", after="",
                note=error.message,
            )
            for kind in (CheckKind.TEST, CheckKind.VET)
        )  # fmt: skip


def _check(
    source: Source,
    revision: Revision,
    chosen: Sequence[Patch],
    names: tuple[str, ...],
    *,
    say: Callable[[str], None],
    deadlines: Deadlines,
) -> tuple[CheckInfo, ...]:
    dockerfile, gomod = (source.read(revision, f) for f in ("Dockerfile", "go.mod"))
    toolchain = Toolchains(say=say, deadlines=deadlines).find(wanted(dockerfile, gomod))
    module = _MODULE.search(gomod or "")
    waiting = "waiting for another build or trial to finish"
    with (
        machine_lock(lambda: say(waiting)),
        source.checkout(revision) as tree,
        paths.scratch("gotest") as tmp,
    ):
        with announce("checking whether the race detector works"):
            no_race = _no_race(toolchain, tmp, deadlines.compile)
        note = f"no race detector: {no_race}" if no_race else "with the race detector"
        of_module = source.kind == "module"
        vendored = not of_module and (tree / "vendor/modules.txt").is_file()
        bench = _Bench(
            tree=tree,
            toolchain=toolchain,
            module=module[1] if module else "",
            tmp=tmp,
            race=not no_race,
            env=_env(toolchain, tmp, cgo=not no_race)
            | ({} if vendored else network_settings(toolchain)),
            vendored=vendored,
            timeout=deadlines.check,
        )
        what = f"go test and go vet on {' '.join(names)} at {revision.ref}"
        with announce(f"{what}, {note}"):
            before, complained = bench.test(names), bench.vet(names)
            unsteady = {name: _passes_again(bench, name, before[name].failed) for name in names}
        apply(tree, chosen, of_module=of_module)
        with announce(f"{what} with {' + '.join(p.name for p in chosen)}"):
            after, complains = bench.test(names), bench.vet(names)
            seen = {n: _seen_twice(bench, n, before[n], after[n]) for n in names}
        flaky = {n: unsteady[n] | passing for n, (_, passing) in seen.items()}
        new = {n: run.failed - before[n].failed - flaky[n] for n, (run, _) in seen.items()}
        if any(new.values()):
            failed = f"{', '.join(sorted(set().union(*new.values())))} without the patches"
            with announce(f"testing again: {failed}"), source.checkout(revision) as plain:
                untouched = replace(bench, tree=plain)
                for name, suspects in new.items():
                    flaky[name] |= _fails_here_too(untouched, name, suspects)
        made = [
            output.package_check(name, before[name], run, note=note, flaky=flaky[name])
            for name, (run, _) in seen.items()
        ]
    return (*made, output.vet_check(names, complained, complains))


def _passes_again(bench: _Bench, name: str, failed: Collection[str]) -> set[str]:
    """Those of a package's *failed* tests that pass when run again in the same tree."""
    if not failed:
        return set()
    again = bench.test([name], failed)[name]
    return {t for t in failed if again.tests.get(t) == "pass"}


def _fails_here_too(bench: _Bench, name: str, suspects: Collection[str]) -> set[str]:
    """Those of *suspects* that also fail in a tree without the patches, even if only sometimes.

    A race that the first run did not hit there is not the patches' fault: upstream's
    `TestMergedEdges` is off by one in every second run, and easily twice in a row.
    """
    found: set[str] = set()
    for _ in range(TRIES if suspects else 0):
        left = set(suspects) - found
        if left:
            found |= bench.test([name], left)[name].failed & left
    return found


def _seen_twice(
    bench: _Bench, name: str, before: PackageRun, after: PackageRun
) -> tuple[PackageRun, set[str]]:
    """*after*, run again if it is newly broken; and the new failures that pass when run again."""
    if after.broken and not before.broken:
        after = bench.test([name])[name]
    return after, _passes_again(bench, name, after.failed - before.failed)


def _env(toolchain: Toolchain, tmp: Path, *, cgo: bool) -> dict[str, str]:
    return {
        **go_env(toolchain, Recipe(goarch=host_arch()), tmp=tmp),
        "CGO_ENABLED": "1" if cgo else "0",
        **({"CC": os.environ["CC"]} if cgo and os.environ.get("CC") else {}),
        "TMPDIR": str(tmp),  # removed with the files that tests leave
    }


def _no_race(toolchain: Toolchain, tmp: Path, timeout: float) -> str:
    """Why the race detector cannot be used; "" if a program built with it runs."""
    compiler = os.environ.get("CC") or "gcc"
    if not (shutil.which(compiler) or shutil.which("cc") or shutil.which("clang")):
        return "no C compiler found"
    probe = tmp / "probe"
    probe.mkdir()
    (probe / "main.go").write_text("package main\n\nfunc main() {}\n")
    env = _env(toolchain, tmp, cgo=True) | {"GO111MODULE": "off"}
    made = process.run(
        [toolchain.go, "build", "-race", "-trimpath", "-o", "probe", "main.go"],
        timeout=timeout,
        cwd=probe,
        env=env,
        inherit=False,
        check=False,
    )
    if not made.ok:
        return f"cannot link a program with it ({made.tail(1)})"
    ran = process.run([str(probe / "probe")], timeout=60, check=False)
    return "" if ran.ok else f"cannot run a program with it ({ran.tail(1)})"


def targets() -> list[Recipe]:
    """Upstream's other main platforms: Linux on the other architecture, buildctl on Windows."""
    other = "amd64" if host_arch() == "arm64" else "arm64"
    return [
        Recipe(goarch=other),
        Recipe(goos="windows", goarch="amd64", programs=("buildctl",)),
    ]


def subjects() -> list[str]:
    """The names of `targets` in results, such as ``linux/arm64 buildkitd buildctl``."""
    return [_subject(recipe) for recipe in targets()]


def _subject(recipe: Recipe) -> str:
    return f"{recipe.goos}/{recipe.goarch} {' '.join(recipe.programs)}"


def cross(
    builder: Builder,
    base: Variant,
    patched: Variant,
) -> tuple[CheckInfo, ...]:
    """Cross-build both variants for each of `targets`; nothing is run."""
    found = []
    for recipe in targets():
        subject = _subject(recipe)
        one = CheckInfo(
            kind=CheckKind.BUILD.value,
            subject=subject,
            change=CheckEffect.UNTESTED.value,
            before="",
            after="",
        )
        other = Builder(
            source=builder.source,
            patches=builder.patches,
            recipe=recipe,
            deadlines=builder.deadlines,
            say=builder.say,
            shared=builder.shared,
        )
        try:
            found.append(_crossed(one, *(_built(other, v, subject) for v in (base, patched))))
        except BisectError as error:
            found.append(replace(one, note=error.message))
    return tuple(found)


def _built(builder: Builder, variant: Variant, subject: str) -> str:
    """Why *variant* cannot be built; "" if it can. Raises `InfraFailed` if that is unknown."""
    with announce(f"cross-building {subject} of {variant.label}") as work:
        made = builder.build(variant, work.progress)
    if isinstance(made, Build):
        return ""
    if made.infra:
        raise InfraFailed(f"{made.stage}: {made.reason}", hint=made.hint)
    return f"{made.stage}: {made.reason}"


def _crossed(one: CheckInfo, before: str, after: str) -> CheckInfo:
    worse = (after,) if after and not before else ()
    known = (after,) if after and before else ()
    better = (before,) if before and not after else ()
    return replace(
        one,
        change=output.effect(worse, better, known),
        before=before or "builds",
        after=after or "builds",
        worse=worse,
        known=known,
        better=better,
    )
