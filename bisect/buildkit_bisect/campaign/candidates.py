"""The candidates of a search: their DAG, labels and build inputs, read from a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypedDict

from packaging.version import Version

from buildkit_bisect.builds import Builder
from buildkit_bisect.builds import history as build_history
from buildkit_bisect.campaign.estimate import LATER, TRIAL, minor
from buildkit_bisect.campaign.overlay import Overlay
from buildkit_bisect.campaign.search_costs import SearchCosts
from buildkit_bisect.errors import BadInput
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.model import Build, PatchRef, Revision, Variant
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Bisect, Campaign
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.search import AsBefore, CostModel, NearestBuilt
from buildkit_bisect.search.cost import COLD, Pace
from buildkit_bisect.search.history import History
from buildkit_bisect.source import GitSource, Source
from buildkit_bisect.source.names import is_release
from buildkit_bisect.system.announce import announce

NOTHING_KNOWN = SearchCosts(built=(), known_go=(), pace=0.0, recorded=0, trial=TRIAL)

#: Builds that a prediction looks back on.
_RECORDED = 40


@dataclass(kw_only=True)
class Line:
    """The history between two ends. Commits are named by full id; for modules, by version."""

    source: Source
    history: History
    good: str
    bad: str
    labels: dict[str, str]
    candidates: tuple[str, ...]
    before: frozenset[str]  # the older end, and its merge base with the newer one
    overlay: Overlay | None
    overlay_names: tuple[PatchRef, ...]
    same_build: Mapping[str, str] = field(default_factory=dict)
    go: Mapping[str, str] = field(default_factory=dict)  # commit -> "1.25", where it is known
    packages: Mapping[str, bytes] = field(default_factory=dict)  # commit -> their codes
    known: dict[str, Revision] = field(default_factory=dict)

    def is_back(self, start: str, end: str) -> bool:
        """Whether *end* comes before *start*: inside it, or an older release on another branch."""
        if self.history.contains(start, end):
            return True
        first, last = self.labels.get(start, ""), self.labels.get(end, "")
        if not (is_release(first) and is_release(last)):
            return False
        return Version(first) > Version(last)

    @property
    def commits(self) -> int:
        """Number of commits that the newer end contains and the older one does not."""
        newer = self.candidates[-1] if self.candidates else self.bad
        older = self.bad if newer == self.good else self.good
        return (self.history.ancestors(newer) & ~self.history.ancestors(older)).bit_count()

    @property
    def distinct(self) -> int:
        """Number of different builds among the candidates, as far as they are known."""
        return len({self.same_build.get(c, c) for c in self.candidates})

    @property
    def distinct_inside(self) -> int:
        """The same with what the candidates merged."""
        older = {self.same_build.get(c, c) for c in self.before}
        return len({*self.same_build.values()} - older) or self.distinct

    def variant(self, commit: str) -> Variant:
        """Return the commit with the patches that apply to it."""
        patches = self.overlay.at(commit) if self.overlay else ()
        return Variant(revision=self.revision(commit), patches=patches)

    def revision(self, commit: str) -> Revision:
        """Return the revision of a commit; git describes each commit once."""
        (found,) = self.revisions([commit])
        return found

    def revisions(self, commits: Iterable[str]) -> list[Revision]:
        """Return the revisions of several commits, in order; git describes all of them at once."""
        asked = list(commits)
        if new := [commit for commit in dict.fromkeys(asked) if commit not in self.known]:
            assert isinstance(self.source, GitSource)
            for found in self.source.described(new):
                self.known[found.sha] = replace(found, ref=self.labels.get(found.sha) or found.ref)
        return [self.known[commit] for commit in asked]

    def position(self, commit: str) -> int | None:
        """Return the place on the searched line, from 1; 0 before it; None if not on it."""
        if commit in self.before:
            return 0
        return self.candidates.index(commit) + 1 if commit in self.candidates else None


@announce("reading the history between the ends")
def load(
    source: Source,
    good: str,
    bad: str,
    patches: Sequence[Patch],
    *,
    releases: bool,
    find_fix: bool = False,
) -> Line:
    """Return the history between two refs; with *find_fix*, *good* is the newer one.

    Raises `BadInput` if a ref or the source is unusable.
    """
    if releases:
        return _of_releases(source, good, bad, patches)
    if not isinstance(source, GitSource):
        raise BadInput(
            "bisecting commits needs a git source",
            hint=f"{words(Bisect, repo='PATH')}, or {words(Bisect, releases=True)} to search among"
            " release tags",
        )
    ends = dict(zip((good, bad), source.resolve_all([good, bad]), strict=True))
    old, new = ends[good].sha, ends[bad].sha
    parents = source.parents([old, new])
    dag = History(parents)
    # Children first, as neighbours in that order have similar inputs.
    between = reversed(dag.shas(dag.ancestors(old) ^ dag.ancestors(new)))
    # The overlay asks for every commit of the range: a git process for each is too slow.
    overlay = overlay_of(source, patches, lambda a, b: a in dag and b in dag and dag.contains(b, a))
    extra = tuple(sorted({i for p in patches for i in p.imports}))
    base = source.merge_base(old, new)
    inputs = source.input_keys([*dict.fromkeys([old, new, *filter(None, [base]), *between])], extra)
    # The name of what was found: `latest` is another release next month.
    labels = {revision.sha: revision.ref for revision in ends.values()}
    if base and base not in labels:
        labels[base] = source.revision(base).describe
    # A release is not an ancestor of a later one if it is on a release branch.
    swapped = dag.contains(old, new) or (find_fix and not dag.contains(new, old))
    older, newer = (new, old) if swapped else (old, new)
    return Line(
        source=source,
        history=dag,
        good=old,
        bad=new,
        labels=labels,
        candidates=tuple(source.first_parent_line(older, newer)),
        before=frozenset({older, base or older}),
        overlay=overlay,
        overlay_names=tuple(p.ref for p in patches),
        same_build=_same_build(source, inputs, overlay, patches),
        go=source.go_versions(list(inputs)),
        packages=source.packages(list(inputs), extra),
        known={revision.sha: revision for revision in ends.values()},
    )


def _same_build(
    source: GitSource, inputs: Mapping[str, str], overlay: Overlay | None, chosen: Sequence[Patch]
) -> dict[str, str]:
    """Return what tells the builds of commits apart, with the patches that each one gets."""
    if overlay is None:
        return dict(inputs)
    files = {f for p in chosen for f in p.files}
    # As in the keys of builds: whether a patch applies does not depend on the inputs alone.
    found = source.contents(list(inputs), None if any(p.reveals for p in chosen) else files)
    return {
        sha: " ".join([key, *([*(p.digest for p in used), found[sha]] if used else ())])
        for sha, key in inputs.items()
        for used in [overlay.at(sha)]
    }


def overlay_of(
    source: Source,
    patches: Sequence[Patch],
    is_ancestor: Callable[[str, str], bool] | None = None,
) -> Overlay | None:
    """Return an overlay of *patches*; None if there are none.

    Raises `BadInput` if a module would have to know which commits it contains.
    """
    if not patches:
        return None
    if isinstance(source, GitSource):
        is_ancestor = is_ancestor or source.is_ancestor
    elif limited := [p.name for p in patches if p.meta.introduced_by or p.meta.fixed_by]:
        raise BadInput(
            f"the patch {limited[0]} is limited to some commits (introduced-by, fixed-by), which"
            " needs a git source",
            hint=words(Campaign, source="git", repo="PATH"),
        )
    return Overlay(
        patches,
        resolve=lambda ref: source.resolve(ref).sha,
        is_ancestor=is_ancestor or _unasked,
    )


def _unasked(_start: str, _commit: str) -> NoReturn:
    raise AssertionError("no patch is limited to some commits")


def _of_releases(source: Source, good: str, bad: str, patches: Sequence[Patch]) -> Line:
    """Return release tags in order of version, each as the parent of the next."""
    ends = source.resolve_all([good, bad])
    good, bad = (r.ref for r in ends)  # v0.26.0 for 0.26.0
    finals = {r.ref: r for r in source.releases()}
    for ref in (good, bad):
        if ref not in finals:
            raise BadInput(
                f"{words(Bisect, releases=True)} needs release tags, and {ref!r} is not one",
                hint=f"{words(Bisect, good='v0.25.0', bad='v0.26.0')}, or leave out"
                f" {words(Bisect, releases=True)}",
            )
    low, high = sorted(Version(ref) for ref in (good, bad))
    chain = sorted(
        (r for r in finals.values() if low <= Version(r.ref) <= high),
        key=lambda r: Version(r.ref),
    )
    # A module's list has no commit ids, and what is known of one version may have: one name each.
    known = {identity(r): r for r in chain} | {identity(finals[r.ref]): r for r in ends}
    ids = [identity(r) for r in chain]
    return Line(
        source=source,
        history=History({c: ids[n - 1 : n] if n else [] for n, c in enumerate(ids)}),
        good=identity(finals[good]),
        bad=identity(finals[bad]),
        labels={identity(r): r.ref for r in chain},
        candidates=tuple(ids[1:]),
        before=frozenset(ids[:1]),
        overlay=overlay_of(source, patches),
        overlay_names=tuple(p.ref for p in patches),
        known=known,
    )


def identity(revision: Revision) -> str:
    """Return the name of a revision in a search: its commit id, or a module's version."""
    return revision.sha or revision.describe or revision.ref


def cost(line: Line, now: SearchCosts, first: SearchCosts | None) -> CostModel:
    """Return the cost model: recorded build times, and what changed since the nearest build.

    The search chooses by what the *first* one of its name knew, if there was one.
    """
    current = model(line, now)
    return AsBefore(first=model(line, first), now=current) if first else current


@announce("looking up which candidates are built")
def known_costs(builder: Builder, line: Line) -> SearchCosts:
    """Return what this machine has recorded that tells what builds and trials will take.

    Builds that the shared store has count as built, unless patches are applied.
    """
    commits = _in_order(line)
    cached = {c: b for c in commits if isinstance(b := builder.cached(_bare(line, c)), Build)}
    inside = {b.key: c for c, b in reversed(cached.items())}
    pace = Pace()
    replayed = NearestBuilt(commits, **_shape(line), pace=pace)
    recorded = [b for b in build_history() if b.seconds > 0]
    met = {minor(b.go) for b in recorded[:-_RECORDED]}
    for build in recorded[-_RECORDED:]:
        if build.key in inside:
            replayed.learn(inside[build.key], build_seconds=build.seconds, trial_seconds=None)
        else:
            pace.add(build.seconds, LATER if minor(build.go) in met else COLD)
        met.add(minor(build.go))
    with closing(Journal()) as journal:
        trial = journal.mean_seconds()
    # What a store has takes a second or two, as little as a build that is here.
    bare = [c for c in commits if c not in cached and not _bare(line, c).patches]
    pulled = builder.in_store(bare)
    return SearchCosts(
        built=(*cached, *(c for c in commits if c in pulled)),
        known_go=tuple(sorted({minor(b.go) for b in recorded} - {""})),
        pace=pace.mean,
        recorded=pace.count,
        trial=trial or TRIAL,
    )


def model(line: Line, costs: SearchCosts) -> NearestBuilt:
    """Return the model of *line* from what is known of builds and trials."""
    return NearestBuilt(
        _in_order(line),
        built=costs.built,
        known_go=costs.known_go,
        trial=costs.trial,
        pace=Pace(mean=costs.pace, count=costs.recorded),
        **_shape(line),
    )


def _in_order(line: Line) -> list[str]:
    return sorted(line.same_build or line.candidates, key=line.history.number)


def _shape(line: Line) -> _Shape:
    return {
        "same_build": line.same_build,
        "weights": {c: 0.0 for c in _in_order(line) if not _differs(line, c)},
        "go": line.go,
        "packages": line.packages,
    }


class _Shape(TypedDict):
    same_build: Mapping[str, str]
    weights: Mapping[str, float]
    go: Mapping[str, str]
    packages: Mapping[str, bytes]


def _differs(line: Line, commit: str) -> bool:
    parents = line.history.parents(commit)
    key = line.same_build.get(commit, commit)
    return not parents or line.same_build.get(parents[0], parents[0]) != key


def _bare(line: Line, commit: str) -> Variant:
    # Enough to look into the cache; git describe for every candidate is slow.
    revision = line.known.get(commit) or Revision(ref=commit[:12], sha=commit)
    return Variant(revision=revision, patches=line.overlay.at(commit) if line.overlay else ())


def whole_line(line: Line) -> tuple[list[str], tuple[str, ...]]:
    """Return the first-parent line, with the commit it starts from, and notes about it."""
    first = line.candidates[0] if line.candidates else line.bad
    before = line.history.parents(first)[:1]
    commits = [*before, *line.candidates]
    if line.good in commits:
        return commits, ()
    start, good, bad = (line.labels.get(c, c[:12]) for c in (commits[0], line.good, line.bad))
    note = f"{good} is not on the first-parent line of {bad}; the search starts at {start}"
    return commits, (note,)


def releases_on(source: Source, commits: Sequence[str]) -> list[str]:
    """Return the releases among *commits*, in their order."""
    tagged = {r.sha for r in source.releases()}
    return [c for c in commits if c in tagged]
