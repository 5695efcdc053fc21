"""Our search compared with git bisect, on the same 200 histories of a real repository."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import worlds
from buildkit_bisect.search import Ask, Found, NearestBuilt, SearchOptions
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.system import process

pytestmark = pytest.mark.local

HISTORIES = 200
DONE = " is the first bad commit"
JUDGE = "commit=$(git rev-parse BISECT_HEAD); echo $commit >> asked; ! grep -q $commit new"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    parents: Mapping[str, Sequence[str]]  # by name: m0 is good, *tip* is bad
    tip: str
    culprit: str
    sha: Mapping[str, str]

    @property
    def history(self) -> History:
        return History({self.sha[c]: [self.sha[p] for p in ps] for c, ps in self.parents.items()})

    def world(self) -> worlds.World:
        named = {self.sha[c]: [self.sha[p] for p in ps] for c, ps in self.parents.items()}
        return worlds.World(named, self.sha[self.culprit])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    """One repository with all histories, each with its own root."""
    repo = tmp_path_factory.mktemp("histories")
    _git(repo, "init", "--quiet", "-b", "main")
    marks: dict[tuple[int, str], int] = {}
    drawn = []
    stream: list[str] = []
    for number in range(HISTORIES):
        rng = worlds.dice(number)
        size = rng.randint(4, 150)
        if number % 4:
            parents = worlds.random_history(rng, size)
        else:
            parents = {f"m{i}": [f"m{i - 1}"] if i else [] for i in range(size)}
        tip = worlds.tip_of(parents)
        inside = sorted(worlds.World(parents, "m0").ancestors(tip) - {"m0"})
        drawn.append((parents, tip, rng.choice(inside)))
        for name, above in parents.items():
            marks[number, name] = len(marks) + 1
            stream += [
                f"commit refs/heads/h{number}",
                f"mark :{len(marks)}",
                f"committer a <a@example.org> {1_700_000_000 + 60 * len(marks)} +0000",
                f"data {len(name)}",
                name,
            ]
            for at, parent in enumerate(above):
                stream.append(f"{'merge' if at else 'from'} :{marks[number, parent]}")
            stream.append("")
    source = repo / "stream"
    source.write_text("\n".join(stream) + "\n")
    script = f"git fast-import --quiet --force --export-marks=marks < {source.name}"
    process.run(["sh", "-c", script], cwd=repo, timeout=120)
    _git(repo, "update-ref", "refs/heads/main", "refs/heads/h0")
    _git(repo, "pack-refs", "--all")
    shas = dict(line.split() for line in (repo / "marks").read_text().splitlines())
    cases = [
        Case(
            parents=parents,
            tip=tip,
            culprit=culprit,
            sha={name: shas[f":{marks[number, name]}"] for name in parents},
        )
        for number, (parents, tip, culprit) in enumerate(drawn)
    ]
    return repo, cases


def _git(repo: Path, *argv: str) -> str:
    env = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return process.run(["git", *argv], cwd=repo, timeout=60, env=env).stdout


def _git_bisect(repo: Path, case: Case, *, good: str, bad: str, flag: str = "") -> tuple[str, int]:
    """Return the commit that git finds, and how many commits it tested."""
    world = case.world()
    (repo / "new").write_text("".join(f"{c}\n" for c in case.sha.values() if world.is_new(c)))
    (repo / "asked").write_text("")
    flags = [flag] if flag else []
    output = _git(repo, "bisect", "start", "--no-checkout", *flags, bad, good)
    if DONE not in output:
        output = _git(repo, "bisect", "run", "sh", "-c", JUDGE)
    _git(repo, "bisect", "reset")
    found = next(line for line in output.splitlines() if DONE in line)
    return found.split()[0], len((repo / "asked").read_text().splitlines())


def _ours(
    case: Case, *, first_parent: bool, trials: int | None = 1, cost: NearestBuilt | None = None
) -> tuple[str, list[Ask]]:
    world = case.world()
    options = SearchOptions(trials=trials, first_parent=first_parent)
    session = BisectSession(
        case.history, good=case.sha["m0"], bad=case.sha[case.tip], options=options, cost=cost
    )
    found, asks = worlds.drive(session, world.answer)
    assert isinstance(found, Found)
    return found.first_bad, worlds.searched(asks)


def test_the_whole_dag_at_once(repository: tuple[Path, list[Case]]) -> None:
    """One trial each, and automatic mode: as few builds where nothing is flaky.

    Where a build costs more the further it is from the nearest, some more builds take less time.
    """
    repo, cases = repository
    ours = git = automatic = 0
    seconds = git_seconds = 0.0
    for case in cases:
        first_bad, asks = _ours(case, first_parent=False)
        theirs, asked = _git_bisect(repo, case, good=case.sha["m0"], bad=case.sha[case.tip])
        assert first_bad == theirs == case.sha[case.culprit]
        assert len(asks) <= asked + 1, (case.parents, case.culprit)
        ours += len(asks)
        git += asked
        first_bad, asks = _ours(case, first_parent=False, trials=None)
        assert first_bad == theirs
        built = len({a.commit for a in asks} - {case.sha["m0"], case.sha[case.tip]})
        assert built <= asked + 1, (case.parents, case.culprit)
        automatic += built
        git_seconds += _seconds(case, (repo / "asked").read_text().split())
        _, asks = _ours(case, first_parent=False, trials=None, cost=_cost(case))
        seconds += _seconds(case, [a.commit for a in asks])
    assert ours <= 1.02 * git
    assert automatic <= git
    assert seconds <= 0.97 * git_seconds


def _cost(case: Case) -> NearestBuilt:
    order = sorted(case.sha.values(), key=case.history.number)
    return NearestBuilt(order, built=[case.sha["m0"], case.sha[case.tip]], trial=3.0)


def _seconds(case: Case, commits: Sequence[str]) -> float:
    """Return what building *commits* in this order is predicted to take."""
    cost = _cost(case)
    seconds = 0.0
    for commit in commits:
        seconds += cost.build_seconds(commit)
        cost.learn(commit, build_seconds=None, trial_seconds=None)
    return seconds


def test_first_parent_and_then_inside_the_merge(repository: tuple[Path, list[Case]]) -> None:
    """Git needs two bisections for this.

    Only our search tests the tip and the base of a branch first; these tests do not count.
    """
    repo, cases = repository
    ours = git = 0
    for case in cases:
        first_bad, asks = _ours(case, first_parent=True)
        assert first_bad == case.sha[case.culprit]
        ends = {"good": case.sha["m0"], "bad": case.sha[case.tip]}
        merge, asked = _git_bisect(repo, case, **ends, flag="--first-parent")
        inner, more = _git_bisect(repo, case, good=case.history.parents(merge)[0], bad=merge)
        assert inner == first_bad
        looked = [a for a in asks if a.why.startswith(("tip of", "base of"))]
        assert len(asks) - len(looked) <= asked + more + 2, (case.parents, case.culprit)
        ours += len(asks)
        git += asked + more
    assert ours <= git
