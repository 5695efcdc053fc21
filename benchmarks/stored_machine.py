"""A machine on which everything is stored: a repository, its builds, and trials of every cell.

Nothing is compiled and nothing runs: a build is an entry in the cache with two small files, and a
trial is a copy of a real one, with its evidence.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

from buildkit_bisect.builds import job as builds_job
from buildkit_bisect.builds import key as keys
from buildkit_bisect.builds import store
from buildkit_bisect.builds.compile import Compiled
from buildkit_bisect.campaign import groundwork
from buildkit_bisect.campaign.setup import Setup, prepare
from buildkit_bisect.cli.program import Inv
from buildkit_bisect.events import Silent
from buildkit_bisect.golang.toolchain import host_arch
from buildkit_bisect.lab import runner
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Axes, Build, Observation, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import SourceKind
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from buildkit_bisect.system.checkout import PROJECT

#: Trials of a cell: (scenario, axis values, number of the revision) -> what is stored.
Observed = Callable[[Scenario, Axes, int], Sequence[Observation]]

_MODULE = "github.com/moby/buildkit"
_START, _HOUR = 1_700_000_000, 3600
_PROGRAM = 'package main\n\nimport "{module}/solver"\n\nfunc main() {{ println(solver.N) }}\n'


@contextmanager
def own_cache(root: Path, shared: Sequence[str] = ()) -> Iterator[Path]:
    """Use the cache below *root* in the block; its folders *shared* are links to the user's."""
    here = {name: paths.cache(name).resolve() for name in shared}
    before = os.environ.get("BKBISECT_CACHE_DIR")
    cache = root / "cache"
    cache.mkdir(parents=True)
    for name, target in here.items():
        (cache / name).symlink_to(target)
    os.environ["BKBISECT_CACHE_DIR"] = str(cache)
    try:
        yield cache
    finally:
        if before is None:
            del os.environ["BKBISECT_CACHE_DIR"]
        else:
            os.environ["BKBISECT_CACHE_DIR"] = before


def repository(path: Path, releases: int, *, apart: bool = False) -> list[str]:
    """Create a repository like BuildKit's with one commit a release; return their tags in order.

    With *apart*, each commit adds a file, ``solver/nNUMBER.go``, so that it can be reverted.
    """
    path.mkdir(parents=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    git = ["/usr/bin/env", "git", "-C", str(path)]
    subprocess.run([*git, "init", "--quiet", "--bare", "--template="], env=env, check=True)
    tags = [f"v0.{n}.0" for n in range(1, releases + 1)]
    stream = "".join(_commit(n, tag, apart=apart) for n, tag in enumerate(tags))
    subprocess.run([*git, "fast-import", "--quiet"], env=env, input=stream, text=True, check=True)
    subprocess.run([*git, "symbolic-ref", "HEAD", "refs/heads/master"], env=env, check=True)
    return tags


def _commit(number: int, tag: str, *, apart: bool) -> str:
    own = apart and number
    name, constant = (f"n{number}", f"N{number}") if own else ("solver", "N")
    files = {f"solver/{name}.go": f"package solver\n\nconst {constant} = {number}\n"}
    if not number:
        files |= {
            "Dockerfile": "ARG GO_VERSION=1.25\nFROM scratch\n",
            "go.mod": f"module {_MODULE}\n\ngo 1.25.0\n",
            "cmd/buildkitd/main.go": _PROGRAM.format(module=_MODULE),
            "cmd/buildctl/main.go": _PROGRAM.format(module=_MODULE),
        }
    when = f"A. Nother <a@example.org> {_START + number * _HOUR} +0000"
    texts = "".join(f"M 100644 inline {p}\n{_data(text)}" for p, text in files.items())
    return (
        f"commit refs/heads/master\ncommitter {when}\n{_data(f'change {number}')}{texts}"
        f"tag {tag}\nfrom refs/heads/master\ntagger {when}\n{_data(tag)}"
    )


def _data(text: str) -> str:
    return f"data {len(text)}\n{text}\n"


def setup_of(repo: Path, rev: str, names: Sequence[str]) -> Setup:
    """Return what the run of one revision looks up; *names* are of scenarios, or their files."""
    request = requests.Run(
        rev=rev, repo=str(repo), source=SourceKind.GIT, scenario=tuple(names), dry_run=True
    )
    return prepare(request, Silent())


def job(
    variant: Variant, build: Build, scenario: Scenario, axes: Axes, images: Mapping[str, ImageRef]
) -> TrialJob:
    """Return a trial of a cell as campaigns run it."""
    return TrialJob(
        build=build,
        scenario=scenario,
        axes=axes,
        images={name: image.ref for name, image in images.items()},
        image_digests={name: image.digest for name, image in images.items()},
        registry="",
        of=variant,
    )


def fill(repo: Path, tags: Sequence[str], names: Sequence[str], observed: Observed) -> int:
    """Store a build of each of *tags*, and trials of its cells; return the number of trials."""
    setup = setup_of(repo, tags[0], names)
    source = setup.source
    assert isinstance(source, GitSource)
    rows: list[tuple[str, int, str, str]] = []
    images = {s.name: groundwork.images(setup, s) or {} for s in setup.scenarios}
    variants = [Variant(revision=found) for found in source.resolve_all(tags)]
    source.input_keys([variant.revision.sha for variant in variants])  # of all at once
    for number, variant in enumerate(variants):
        build = _build(source, variant, number)
        for scenario in setup.scenarios:
            for axes in setup.cells(scenario):
                key = job(variant, build, scenario, axes, images[scenario.name]).key
                trials = map(_with_evidence, observed(scenario, axes, number), [key] * 1000)
                rows += [
                    (key, n, "20260101-000000-matrix", json.dumps(asdict(o)))
                    for n, o in enumerate(trials, 1)
                ]
    Journal().close()
    with closing(sqlite3.connect(paths.cache_root() / paths.JOURNAL)) as db, db:
        db.executemany(
            "INSERT INTO trial (key, number, campaign, observation) VALUES (?, ?, ?, ?)", rows
        )
    return len(rows)


def _build(source: GitSource, variant: Variant, number: int) -> Build:
    recipe = keys.Recipe(goarch=host_arch())
    programs: Mapping[str, str] = {
        p: keys.program_key(p, source.inputs(variant.revision)[p], (), "1.25.5", recipe)
        for p in recipe.programs
    }
    sums = {}
    with paths.scratch("build") as made:
        for name, key in programs.items():
            if not store.program(key, name):
                (made / name).write_text(f"{name} {number}")
                store.save_program(made / name, key)
            sums[f"{name}_sha256"] = store.file_sha256(paths.cache("programs") / key / name)
        entry = made / "entry"
        entry.mkdir()
        (entry / "build.log").write_text("")
        store.link_programs(entry, dict(programs))
        facts = {"key": keys.build_key(programs), "go": "1.25.5", "source": "git", "packages": 28}
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        build = store.save(entry, {**facts, "seconds": 39.5, "created": created, **sums})
    request = keys.request_key(source.kind, variant.revision.sha, (), recipe)
    store.remember(request, build.key)
    return build


def _with_evidence(seen: Observation, key: str) -> Observation:
    """Return *seen* with a copy of its evidence in this cache, if it has some."""
    if not seen.evidence:
        return seen
    folder = paths.cache("evidence") / key[:32]
    folder.mkdir(exist_ok=True)
    target = folder / str(time.time_ns())
    shutil.copytree(seen.evidence, target)
    return replace(seen, evidence=str(target))


def made_once(words: Sequence[str], observed: Callable[[TrialJob, str], Observation]) -> None:
    """Run a command in this process; what it builds and runs is stored, so that it can run again.

    Nothing is compiled: a program is a text with the names of the files of ``solver``. No trial
    runs: *observed* is asked for what a job shows whose buildkitd has that text. Raises
    `SystemExit` if the command fails.
    """

    def compiled(tree: Path, out: Path, *, recipe: keys.Recipe, log: Path, **_: Any) -> Compiled:
        out.mkdir(parents=True, exist_ok=True)
        names = " ".join(sorted(path.name for path in (tree / "solver").iterdir()))
        for program in recipe.programs:
            (out / recipe.binary(program)).write_text(f"{program}: {names}")
        log.write_text("")
        return Compiled(seconds=39.5, packages=28)

    def ran(job: TrialJob) -> Observation:
        return _with_evidence(
            observed(job, Path(job.build.directory, "buildkitd").read_text()), job.key
        )

    said = io.StringIO()
    with (
        mock.patch.object(builds_job, "compile_tree", compiled),
        mock.patch.object(runner, "run_trial", ran),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            Inv().run(["inv", "--search-root", str(PROJECT), *words])
        except SystemExit as ended:
            code = ended.code
    if code:
        raise SystemExit(f"{' '.join(words)[:200]} exited {code}: {said.getvalue()[-1000:]}")


def recorded(
    rev: str, names: Sequence[str], trials: int
) -> dict[tuple[str, Axes], list[Observation]]:
    """Return *trials* real trials of each cell of a release, by scenario and axis values.

    They are those of this machine's cache, where ``./inv run`` has put them. Raises `SystemExit`
    if it has not.
    """
    request = requests.Run(rev=rev, source=SourceKind.MODULE, scenario=tuple(names))
    setup = prepare(request, Silent())
    variant = Variant(revision=setup.source.resolve(rev))
    build = setup.builder.cached(variant)
    found: dict[tuple[str, Axes], list[Observation]] = {}
    with closing(Journal()) as journal:
        for scenario in setup.scenarios:
            for axes in setup.cells(scenario):
                if not isinstance(build, Build):
                    raise SystemExit(f"{rev} is not built")
                images = groundwork.images(setup, scenario) or {}
                key = job(variant, build, scenario, axes, images).key
                stored = [row.observation for row in journal.trials(key)]
                usable = [seen for seen in stored if Path(seen.evidence).is_dir()]
                if not usable:
                    raise SystemExit(f"no trial of {rev}, {scenario.name} {axes} is stored")
                # A control may have fewer trials than its cells.
                found[scenario.name, axes] = list(islice(usable * trials, trials))
    return found
