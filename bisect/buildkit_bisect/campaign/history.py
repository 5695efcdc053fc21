"""The candidates of a search as the pure package wants them: a DAG, labels, build inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.version import Version

from buildkit_bisect.build import Builder
from buildkit_bisect.build import history as build_history
from buildkit_bisect.campaign.overlay import Overlay
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Build, PatchRef, Revision, Variant
from buildkit_bisect.patches import Patch
from buildkit_bisect.plan import COLD, TRIAL
from buildkit_bisect.search import History
from buildkit_bisect.source import GitSource, Source


@dataclass(kw_only=True)
class Line:
    """Commits are named by full id; for modules, by version."""

    source: Source
    history: History
    good: str
    bad: str
    labels: dict[str, str]
    candidates: tuple[str, ...]
    overlay: Overlay | None
    overlay_names: tuple[PatchRef, ...]
    same_build: Mapping[str, str] = field(default_factory=dict)
    known: dict[str, Revision] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        """Candidates that differ in their build inputs, as far as that is known."""
        return len({self.same_build.get(c, c) for c in self.candidates})

    def variant(self, commit: str) -> Variant:
        """The commit with the patches that belong there."""
        patches = self.overlay.at(commit) if self.overlay else ()
        return Variant(revision=self.revision(commit), patches=patches)

    def revision(self, commit: str) -> Revision:
        """The revision of a commit, described once."""
        if commit not in self.known:
            assert isinstance(self.source, GitSource)
            label = self.labels.get(commit, "")
            self.known[commit] = self.source.revision(commit, ref=label)
        return self.known[commit]

    def revisions(self, commits: Iterable[str]) -> list[Revision]:
        """Several, in order."""
        return [self.revision(commit) for commit in commits]

    def position(self, commit: str) -> int | None:
        """Place on the searched line, from 1; None where the commit is not on it."""
        return self.candidates.index(commit) + 1 if commit in self.candidates else None


def load(source: Source, good: str, bad: str, patches: Sequence[Patch], *, releases: bool) -> Line:
    """The history between two refs. Raises `BadInput` for refs and for a source without one."""
    if releases:
        return _of_releases(source, good, bad, patches)
    if not isinstance(source, GitSource):
        raise BadInput(
            "bisecting commits needs a git source, and there is none",
            hint="--repo PATH, or --releases to search among release tags",
        )
    ends = {ref: source.resolve(ref) for ref in (good, bad)}
    old, new = ends[good].sha, ends[bad].sha
    parents = source.parents([old, new])
    between = [*source.parents([new], [old]), *source.parents([old], [new])]
    overlay = _overlay(source, patches)
    inputs = source.input_keys([*dict.fromkeys([old, new, *between])])
    base = source.merge_base(old, new)
    labels = {revision.sha: ref for ref, revision in ends.items()}
    if base and base not in labels:
        labels[base] = source.revision(base).describe
    older, newer = (new, old) if source.is_ancestor(new, old) else (old, new)
    return Line(
        source=source,
        history=History(parents),
        good=old,
        bad=new,
        labels=labels,
        candidates=tuple(source.first_parent_line(older, newer)),
        overlay=overlay,
        overlay_names=tuple(p.ref for p in patches),
        same_build={
            sha: " ".join([key, *(p.digest for p in (overlay.at(sha) if overlay else ()))])
            for sha, key in inputs.items()
        },
        known={revision.sha: revision for revision in ends.values()},
    )


def _overlay(source: GitSource, patches: Sequence[Patch]) -> Overlay | None:
    if not patches:
        return None
    return Overlay(
        patches, resolve=lambda ref: source.resolve(ref).sha, is_ancestor=source.is_ancestor
    )


def _of_releases(source: Source, good: str, bad: str, patches: Sequence[Patch]) -> Line:
    """A line of release tags in order of version, as if each were the parent of the next."""
    if patches and not isinstance(source, GitSource):
        raise BadInput("patches need a git source", hint="--repo PATH")
    ends = [source.resolve(ref) for ref in (good, bad)]
    finals = {r.ref: r for r in source.releases()}
    for ref in (good, bad):
        if ref not in finals:
            raise BadInput(f"--releases searches among release tags, and {ref!r} is none")
    low, high = sorted(Version(ref) for ref in (good, bad))
    chain = sorted(
        (r for r in finals.values() if low <= Version(r.ref) <= high),
        key=lambda r: Version(r.ref),
    )
    known = {_id(r): r for r in chain} | {_id(r): r for r in ends}
    ids = [_id(r) for r in chain]
    return Line(
        source=source,
        history=History({c: ids[n - 1 : n] if n else [] for n, c in enumerate(ids)}),
        good=_id(ends[0]),
        bad=_id(ends[1]),
        labels={_id(r): r.ref for r in chain},
        candidates=tuple(ids[1:]),
        overlay=_overlay(source, patches) if isinstance(source, GitSource) else None,
        overlay_names=tuple(p.ref for p in patches),
        known=known,
    )


def _id(revision: Revision) -> str:
    return revision.sha or revision.describe or revision.ref


class Cost:
    """Seconds that a commit will cost: nothing to build where the cache has it."""

    def __init__(self, builder: Builder, line: Line) -> None:
        self._builder = builder
        self._line = line
        seconds = [b.seconds for b in build_history()][-10:]
        self._build = sum(seconds) / len(seconds) if seconds else COLD
        self._trial = TRIAL
        self._cached: dict[str, bool] = {}

    def build_seconds(self, commit: str) -> float:
        """0 where it is built, else the mean of recorded builds."""
        if commit not in self._cached:
            variant = Variant(revision=_bare(self._line, commit), patches=self._patches(commit))
            self._cached[commit] = isinstance(self._builder.cached(variant), Build)
        return 0.0 if self._cached[commit] else self._build

    def _patches(self, commit: str) -> tuple[PatchRef, ...]:
        return self._line.overlay.at(commit) if self._line.overlay else ()

    def trial_seconds(self, commit: str) -> float:  # noqa: ARG002 - the Protocol's
        """The running mean."""
        return self._trial

    def learn(
        self, commit: str, *, build_seconds: float | None, trial_seconds: float | None
    ) -> None:
        """Take in what a commit did cost."""
        self._cached[commit] = True
        if build_seconds:
            self._build = (self._build + build_seconds) / 2
        if trial_seconds:
            self._trial = (self._trial + trial_seconds) / 2


def _bare(line: Line, commit: str) -> Revision:
    # Enough for a look into the cache, without asking git to describe every candidate.
    return line.known.get(commit) or Revision(ref=commit[:12], sha=commit)
