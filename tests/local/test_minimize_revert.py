"""Where the hunks of a found commit are reverted, in a real repository. Nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from buildkit_bisect.campaign import validate, verify
from buildkit_bisect.campaign.cell_search import CellSearch
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.minimize_revert import nothing_of_search, of_commit
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.events import Silent
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import (
    Axes,
    Build,
    NoBuild,
    Observation,
    Outcome,
    Stage,
    Variant,
    Verdict,
)
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import MinimizeInfo
from buildkit_bisect.scenario import Action, Scenario, Step, outcome
from buildkit_bisect.search import SearchOptions
from buildkit_bisect.source import GitSource
from golang_repo import GolangRepo

pytestmark = pytest.mark.local

FILE = "solver/a.go"
SCENARIO = Scenario(
    name="s", title="t", issue="", steps=(Step(id="go", action=Action.PRUNE),), outcomes=()
)
FINE = Outcome(name="fine", verdict=Verdict.GOOD)
BROKEN = Outcome(name="broken", verdict=Verdict.BAD)


def text(*words: str) -> str:
    """Return a file with a function for each word, far from each other."""
    return "package solver\n" + "".join(
        f"\nfunc F{n}() {{\n" + f"\t// {n}\n" * 3 + f"\t{word}()\n" + f"\t// {n}\n" * 3 + "}\n"
        for n, word in enumerate(words)
    )


@dataclass
class ReadingLab:
    """Judges a variant by what its files are with its patches; "no()" does not compile."""

    source: GitSource
    folder: Path
    judge: Callable[[str], Outcome]
    patches: dict[str, Patch] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)  # by label

    def add_patch(self, patch: Patch) -> None:
        self.patches[patch.digest] = patch

    def _text(self, variant: Variant) -> str:
        if variant.label not in self.read:
            tree = self.folder / f"tree{len(self.read)}"
            tree.mkdir(parents=True)
            self.source.write(variant.revision, [FILE], tree)
            patches.apply(tree, [self.patches[ref.digest] for ref in variant.patches])
            self.read[variant.label] = (tree / FILE).read_text()
        return self.read[variant.label]

    def build(self, variant: Variant) -> Build | NoBuild:
        if "no()" in self._text(variant):
            return NoBuild(stage=Stage.BUILD, reason="undefined: no")
        return Build(
            key=variant.label, go="1.25.5", source="git", directory="/b", seconds=1.0,
            buildkitd_sha256=variant.label, buildctl_sha256="c",
        )  # fmt: skip

    def cell(
        self, variant: Variant, scenario: Scenario, axes: Axes, trials: int, *, after: int = 0
    ) -> Cell:
        assert after >= 0
        seen = (self.judge(self._text(variant)),) * trials
        combined, counts = outcome.combine(seen)
        trial = Trial(observation=Observation(steps=(), seconds=1.0), origin=Origin.NOW)
        return Cell(
            variant=variant, scenario=scenario, axes=axes, build=self.build(variant),
            outcome=combined, counts=counts, judged=seen, trials=(trial,) * trials,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def repo(tmp_path: Path) -> GolangRepo:
    repo = GolangRepo.create(tmp_path / "upstream")
    repo.commit("old", {FILE: text("a", "a", "a", "a")})
    repo.commit("culprit", {FILE: text("b", "b", "b", "a")})
    return repo


def revert(
    repo: GolangRepo,
    folder: Path,
    broken: Callable[[str], bool],
    *,
    overlay: Mapping[str, Patch] | None = None,
    find_fix: bool = False,
) -> MinimizeInfo:
    """Minimize the revert of ``culprit`` on master, or on itself; the text says what is broken."""
    source = GitSource.open(str(repo.path))
    used = tuple((overlay or {}).values())
    lab = ReadingLab(source, folder, lambda read: BROKEN if broken(read) else FINE)
    for patch in used:
        lab.add_patch(patch)
    work = Work(lab=cast(Lab, lab), events=Silent(), folder=folder)
    commit = repo.commits["culprit"]
    tip, itself = (
        Variant(revision=source.resolve(ref), patches=tuple(p.ref for p in used))
        for ref in ("master", commit)
    )
    whole = verify.revert(source, commit, tip.revision, folder)
    if isinstance(whole, Patch):
        lab.add_patch(whole)
    older = Verdict.BAD if find_fix else Verdict.GOOD
    search = SimpleNamespace(
        options=SearchOptions(find_fix=find_fix),
        is_old=lambda o: o.verdict is older,
        is_new=lambda o: o.verdict is not older,
        scenario=SCENARIO,
        axes=(),
    )
    return of_commit(
        work,
        source,
        commit,
        on=(tip, itself),
        overlay=used,
        revert=whole if isinstance(whole, Patch) else None,
        search=cast(CellSearch, search),
    )


def roles(info: MinimizeInfo) -> list[tuple[str, str]]:
    return [(hunk.heading, hunk.role) for hunk in info.hunks]


def second(read: str) -> bool:
    """Whether the second function is the new one."""
    return "b()" in read.split("func ")[2]


def test_the_whole_revert_applies_on_the_newer_end(repo: GolangRepo, tmp_path: Path) -> None:
    repo.commit("later", {FILE: text("b", "b", "b", "c")})
    info = revert(repo, tmp_path / "work", second)
    assert (info.status, info.on, info.notes) == ("minimal", "master", ())
    assert roles(info) == [
        ("func F0()", "not-needed"), ("func F1()", "outcome"), ("func F2()", "not-needed"),
    ]  # fmt: skip
    assert info.hunks[1].without == "broken 5 of 5"


def test_where_it_conflicts_the_hunks_that_apply_are_tried(
    repo: GolangRepo, tmp_path: Path
) -> None:
    repo.commit("later", {FILE: text("c", "b", "b", "a")})
    info = revert(repo, tmp_path / "work", second)
    assert (info.status, info.on) == ("minimal", "master")
    assert roles(info) == [
        ("func F1()", "outcome"), ("func F2()", "not-needed"), ("func F0()", "refused"),
    ]  # fmt: skip


def test_where_these_change_nothing_the_commit_itself_is_tried(
    repo: GolangRepo, tmp_path: Path
) -> None:
    repo.commit("later", {FILE: text("b", "c", "b", "a")})
    info = revert(repo, tmp_path / "work", lambda read: second(read) or "c()" in read)
    assert (info.status, info.on) == ("minimal", repo.commits["culprit"])
    assert [note.replace(repo.commits["culprit"][:12], "it") for note in info.notes] == [
        "on master: the revert of it does not change the outcome: broken 3 of 3"
    ]
    assert [role for _, role in roles(info)] == ["not-needed", "outcome", "not-needed"]


def test_a_machine_that_fails_does_not_lose_the_commit(
    repo: GolangRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Build:
        raise InfraFailed("disk full", hint="df")

    monkeypatch.setattr(ReadingLab, "build", full)
    info = revert(repo, tmp_path / "work", second)
    assert (info.status, info.on) == ("nothing", "master")
    assert info.reason == (
        "not finished, as this machine failed: disk full; the same command goes on from there"
    )


def test_where_nothing_changes_both_reasons_are_given(repo: GolangRepo, tmp_path: Path) -> None:
    repo.commit("later", {FILE: text("b", "c", "b", "a")})
    info = revert(repo, tmp_path / "work", lambda _: True)
    assert info.status == "nothing"
    assert info.reason.endswith("does not change the outcome: broken 3 of 3")
    assert len(info.notes) == 1


def test_the_revert_of_a_fix_is_bad_again(repo: GolangRepo, tmp_path: Path) -> None:
    info = revert(
        repo, tmp_path / "work", lambda read: not second(read) or "a()" in read, find_fix=True
    )
    assert info.status == "nothing"  # F3 is old everywhere: it is bad already
    found = revert(repo, tmp_path / "again", lambda read: not second(read), find_fix=True)
    assert (found.status, found.needed) == ("minimal", "broken 5 of 5")
    assert ("func F1()", "outcome") in roles(found)


def test_an_overlay_stays(repo: GolangRepo, tmp_path: Path) -> None:
    def broken(read: str) -> bool:
        return second(read) or "good()" not in read

    other = {"other": a_patch(tmp_path / "other", repo, text("b", "b", "b", "good"))}
    info = revert(repo, tmp_path / "work", broken, overlay=other)
    assert (info.status, info.on) == ("minimal", "master + other")
    assert ("func F1()", "outcome") in roles(info)
    assert revert(repo, tmp_path / "alone", broken).status == "nothing"


def a_patch(folder: Path, repo: GolangRepo, new: str, *, ref: str = "culprit") -> Patch:
    """Return a patch that makes the file of a commit *new*."""
    folder.mkdir()
    repo.branch(folder.name, repo.commits[ref])
    repo.switch(folder.name)
    made = repo.commit(f"for-{folder.name}", {FILE: new})
    (folder / "it.patch").write_text(repo.git("diff", repo.commits[ref], made) + "\n")
    (folder / "patch.toml").write_text('title = "t"\n')
    repo.switch("master")
    return patches.load(str(folder))


def test_without_a_commit_there_is_nothing() -> None:
    info = nothing_of_search("no commit was found")
    assert info.reason == "nothing to minimize: no commit was found"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ("one",)}, "--keep needs --minimize"),
        ({"minimize": True, "keep": ("on",)}, "--keep on is not among the patches; did you mean"),
        ({"minimize": True, "keep": ("one", "two")}, "--keep one,two leaves no patch to minimize"),
        ({"minimize": True, "keep": ("one",)},
         "two has one hunk outside of tests: it is minimal already"),
    ],
)  # fmt: skip
def test_what_cannot_be_minimized_is_refused_in_one_line(
    repo: GolangRepo, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    one = a_patch(tmp_path / "one", repo, text("c", "b", "c", "a"))
    two = a_patch(tmp_path / "two", repo, text("b", "b", "b", "c"))
    source = GitSource.open(str(repo.path))
    request = Validate(**options)  # type: ignore[arg-type]
    base = source.resolve(repo.commits["culprit"])
    with pytest.raises(BadInput) as refused:
        validate._change(source, base, [one, two], request)
    assert refused.value.message.startswith(message)
    assert refused.value.hint


def test_hunks_of_several_patches(repo: GolangRepo, tmp_path: Path) -> None:
    one = a_patch(tmp_path / "one", repo, text("c", "b", "c", "a"))
    two = a_patch(tmp_path / "two", repo, text("b", "b", "b", "c"))
    source = GitSource.open(str(repo.path))
    base = source.resolve(repo.commits["culprit"])
    change = validate._change(source, base, [one, two], Validate(minimize=True))
    assert change
    assert [h.heading for h in change.hunks] == ["func F0()", "func F2()", "func F3()"]
    assert validate._change(source, base, [one, two], Validate()) is None
