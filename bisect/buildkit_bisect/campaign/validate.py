"""Validates patches: input and plan. See `validate_run` for the work."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from buildkit_bisect import gochecks
from buildkit_bisect.campaign import matrix, minimize
from buildkit_bisect.campaign import validate_judge as judge
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.validate_run import Candidate, ValidationRun
from buildkit_bisect.errors import BadInput, BisectError, InfraFailed, Missing, NoAnswer
from buildkit_bisect.events import Planned
from buildkit_bisect.model import Revision, Variant
from buildkit_bisect.nearest import did_you_mean
from buildkit_bisect.options.choices import Checks
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Validate
from buildkit_bisect.patch import backports, hunk_files
from buildkit_bisect.patch.hunk_files import Change
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import CampaignKind, FitState
from buildkit_bisect.source import GitSource, Source


class Validation:
    """One candidate, a patch or a series, on one base."""

    kind = CampaignKind.VALIDATE

    def __init__(self, setup: Setup, request: Validate, chosen: Sequence[Patch]) -> None:
        """Look up the patches, the base and the culprit.

        Raises `BadInput` if the patches do not apply to the base, and `NoAnswer` if the base
        already contains them.
        """
        if not chosen:
            raise BadInput(
                "no patches to validate",
                hint=f"{inv('validate', patches='NAME')}; {inv('patch-list')}",
            )
        source = setup.source
        base = Variant(revision=source.resolve(request.base or backports.newest(source)))
        _check_fit(source, base.revision, chosen)
        names = [p.name for p in chosen]
        change = _change(source, base.revision, chosen, request)
        self._candidate = Candidate(
            setup=setup,
            source=source,
            patches=tuple(chosen),
            base=base,
            tested=tuple(setup.tested_cells()),
            subsets=() if request.checks is Checks.NONE else tuple(judge.subsets(names)),
            trials=request.trials or matrix.TRIALS,
            checks=request.checks,
            culprit=_find_culprit(source, base.revision, chosen, request.culprit),
            change=change,
            kept=request.keep,
        )

    def settled(self) -> None:
        """Return None: the constructor refuses."""

    def plan(self) -> Planned:
        """Return a plan with rows for the base, the patched base, and each subset of a series."""
        candidate = self._candidate
        subsets = [candidate.with_patches(names) for names in candidate.subsets]
        variants = [candidate.base, candidate.patched, *subsets]
        planned = matrix.planned(candidate.setup, variants, candidate.trials, self.kind)
        only_bad_of = {v.label: candidate.base.label for v in subsets}
        return replace(planned, only_bad_of=only_bad_of, also=_also(candidate))

    def run(self, work: Work) -> Findings:
        """Run the cells without and with the patches, then the checks that explain the result."""
        return ValidationRun(self._candidate, work).findings()


def _also(candidate: Candidate) -> tuple[str, ...]:
    """Return what is done besides builds and cells, one line each."""
    lines = []
    if candidate.checks is not Checks.NONE:
        if candidate.culprit:
            lines.append(
                f"revert {candidate.culprit[:12]} on {candidate.base.revision.ref}: one more row"
            )
        where = "release branches since v0.20, main branch"
        if not isinstance(candidate.source, GitSource):
            where = "the newest release of each minor since v0.20"
        lines.append(f"check where the patches apply: {where}")
    if candidate.change:
        count = len(candidate.change.hunks)
        most = min(minimize.MOST, 2**count - 2)  # all but none and the whole
        lines.append(f"find which of {count} hunks are needed: at most {most} more builds")
    if candidate.checks is Checks.ALL:
        packages = gochecks.packages(f for p in candidate.patches for f in p.files)
        lines.append(f"go test and go vet, before and after: {' '.join(packages) or 'none'}")
        lines += [f"cross build, before and after: {name}" for name in gochecks.subjects()]
    return tuple(lines)


def _change(
    source: Source, revision: Revision, chosen: Sequence[Patch], request: Validate
) -> Change | None:
    """Return the hunks that ``--minimize`` chooses from; None without it.

    Raises `BadInput` if there is nothing to choose, or if ``--keep`` names another patch.
    """
    names = [p.name for p in chosen]
    if not request.minimize:
        if request.keep:
            raise BadInput(
                f"{words(Validate, keep=True)} needs {words(Validate, minimize=True)}",
                hint=words(Validate, minimize=True, keep=",".join(request.keep)),
            )
        return None
    if other := [name for name in request.keep if name not in names]:
        raise BadInput(
            f"{words(Validate, keep=','.join(other))} is not among the patches;"
            f" {did_you_mean(other[0], names, what='the patches')}",
            hint=words(Validate, keep=",".join(names[1:]) or True),
        )
    others = [name for name in names if name not in request.keep]
    if not others:
        raise BadInput(
            f"{words(Validate, keep=','.join(request.keep))} leaves no patch to minimize",
            hint="keep fewer patches",
        )
    change = hunk_files.of_patches(source, revision, chosen, request.keep)
    if len(change.hunks) <= 1:
        count = "one hunk" if change.hunks else "no hunk"
        minimal = "it is minimal already" if change.hunks else "nothing to minimize"
        raise BadInput(
            f"{' + '.join(others)} has {count} outside of tests: {minimal}",
            hint=f"leave out {words(Validate, minimize=True)}",
        )
    return change


def _check_fit(source: Source, revision: Revision, chosen: Sequence[Patch]) -> None:
    fit = backports.fit(source, revision, chosen)
    names = " + ".join(p.name for p in chosen)
    if fit.state is FitState.THERE:
        raise NoAnswer(
            f"{names} is already in {revision.ref}; there is nothing to validate",
            hint=f"{words(Validate, base='R')}, with an older revision",
        )
    if fit.state is FitState.PARTLY:
        raise BadInput(
            f"{revision.ref}: {fit.detail}",
            hint=f"{words(Validate, patches=True)} without it",
        )
    if fit.state is FitState.UNKNOWN:
        raise BadInput(
            f"on {revision.ref}, {fit.detail}", hint=words(Validate, source="git", repo="PATH")
        )
    if fit.state is FitState.CONFLICTS:
        found: list[backports.Fit] = []
        with suppress(BadInput, InfraFailed, Missing):  # only for the hint
            found = backports.table(source, backports.lines(source), chosen)
        hint = backports.hint(found, lambda ref: f"{words(Validate, base=ref)}, where it applies")
        raise BadInput(f"on {revision.ref}, {fit.detail}", hint=hint)


def _find_culprit(source: Source, base: Revision, chosen: Sequence[Patch], asked: str) -> str:
    """Return the commit to revert for comparison, "" if none is known.

    It is *asked* if given, else the only commit that ``introduced-by`` of the patches names.
    """
    if not isinstance(source, GitSource):
        if asked:
            raise BadInput(
                f"{words(Validate, culprit=asked)} needs a git source: a module has no commits to"
                " revert",
                hint=words(Validate, source="git", repo="PATH"),
            )
        return ""
    if asked:
        sha = source.resolve(asked).sha
        if not source.is_ancestor(sha, base.sha):
            raise BadInput(
                f"{words(Validate, culprit=asked)} is not an ancestor of {base.ref}",
                hint="a commit that the base contains",
            )
        return sha
    named = {p.meta.introduced_by for p in chosen if p.meta.introduced_by}
    if len(named) == 1:
        with suppress(BisectError):
            sha = source.resolve(named.pop()).sha
            if source.is_ancestor(sha, base.sha):
                return sha
    return ""
