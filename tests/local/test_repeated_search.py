"""The same search again: builds that it made are there, and it asks for the same commits.

The repository is real and nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import worlds
from buildkit_bisect.builds import Builder, store
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.campaign import candidates
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.search_costs import SearchCosts
from buildkit_bisect.model import Build
from buildkit_bisect.search import Ask, BisectSession, Found, Tested
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, words

pytestmark = pytest.mark.local

SIZE = 60
CULPRIT = 41


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """Return a line of commits, each another build, the last ones with a newer Go."""
    repo = GolangRepo.create(tmp_path_factory.mktemp("repo") / "upstream")
    for number in range(1, SIZE + 1):
        files: dict[str, str | None] = {"util/words/words.go": words(f"word {number}")}
        if number == SIZE - 10:
            files["Dockerfile"] = "ARG GO_VERSION=1.26\nFROM scratch\n"
        repo.commit(f"c{number}", files)
    return repo


@dataclass(kw_only=True)
class Machine:
    """Builds take minutes or seconds by chance; trials err, and each is stored as it was."""

    line: Line
    builder: Builder
    seed: int
    built: Counter[str] = field(default_factory=Counter)

    def build(self, commit: str) -> Build:
        variant = self.line.variant(commit)
        known = self.builder.cached(variant)
        if isinstance(known, Build):
            return known
        seconds = worlds.dice((self.seed, commit)).lognormvariate(3.5, 0.7)
        with paths.scratch("build") as made:
            entry = made / "entry"
            entry.mkdir()
            sums = {f"{p}_sha256": commit for p in ("buildkitd", "buildctl")}
            meta = {"key": commit, "go": "1.25.5", "source": "git", "seconds": seconds, **sums}
            build = store.save(entry, meta)
        # The request is what the builder looks builds up by.
        store.remember(self.builder._request(variant), commit)
        self.built[commit] += 1
        return build

    def trial(self, commit: str, number: int) -> str:
        at = self.line.history.number(commit)
        rate = 0.85 if at >= CULPRIT else 0.1
        dice = worlds.dice((self.seed, commit, number))
        return "dropped" if dice.random() < rate else "cached"

    def search(self, first: SearchCosts | None) -> tuple[Found, list[tuple[str, int, object]]]:
        line = self.line
        now = candidates.known_costs(self.builder, line)
        session = BisectSession(
            line.history,
            good=line.good,
            bad=line.bad,
            cost=candidates.cost(line, now, first),
            same_build=line.same_build,
        )
        used: Counter[str] = Counter()
        walk: list[tuple[str, int, object]] = []
        while isinstance(ask := session.next(), Ask):
            build = self.build(ask.commit)
            shown = Counter(self.trial(ask.commit, used[ask.commit] + n) for n in range(ask.trials))
            used[ask.commit] += ask.trials
            walk.append((ask.commit, ask.trials, dict(shown)))
            session.tell(
                ask.commit,
                Tested(
                    counts=shown,
                    verdicts={name: worlds.VERDICTS[name] for name in shown},
                    binary=ask.commit,
                    build_seconds=build.seconds,
                    trial_seconds=2.0 + len(walk) % 3,
                ),
            )
        assert isinstance(ask, Found), ask
        return ask, walk


def machine(repo: GolangRepo, seed: int) -> Machine:
    source = GitSource.open(str(repo.path))
    line = candidates.load(source, repo.commits["base"], "master", (), releases=False)
    builder = Builder(source=source, recipe=Recipe(goarch="amd64"))
    return Machine(line=line, builder=builder, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_search_again_has_the_same_steps_and_confidence(
    repo: GolangRepo, seed: int
) -> None:
    here = machine(repo, seed)
    costs = candidates.known_costs(here.builder, here.line)
    found, walk = here.search(costs)
    builds = here.built.copy()
    assert len(builds) > 5
    again, walk_again = here.search(costs)
    assert walk_again == walk
    assert (again.first_bad, again.confidence) == (found.first_bad, found.confidence)
    assert here.built == builds, "nothing is built twice, and nothing else is built"


def test_without_what_the_first_search_knew_the_walk_changes(repo: GolangRepo) -> None:
    """What is built costs nothing, so it is asked for first."""
    changed = 0
    for seed in range(4):
        here = machine(repo, seed)
        _, walk = here.search(None)
        _, walk_again = here.search(None)
        changed += walk_again != walk
    assert changed


def test_the_go_version_of_each_commit_is_known(repo: GolangRepo) -> None:
    go = machine(repo, 0).line.go
    assert go[repo.commits["c1"]] == "1.25"
    assert go[repo.commits[f"c{SIZE - 11}"]] == "1.25"
    assert go[repo.commits[f"c{SIZE - 10}"]] == "1.26"
