"""The ``patch export`` task: patches as a branch of commits, and as mails."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.errors import BadInput, NoAnswer, printable
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import PatchExport
from buildkit_bisect.patch import backports, exporting, identity
from buildkit_bisect.patch.branches import BASE
from buildkit_bisect.patch.exporting import Exported
from buildkit_bisect.patch.given import Loader
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import FitState
from buildkit_bisect.source import GitSource, Source, open_source
from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines


def export(request: PatchExport) -> int:
    """Write patches as a branch of a new repository, and as mails for ``git am`` beside it."""
    if not request.name.strip(", ") or request.to is None:
        raise BadInput(
            "patch export takes a patch or series and a directory",
            hint=inv("patch-export", "NAME", to="DIR"),
        )
    branch = request.branch or _branch_of(request.name)
    exporting.check(request.to, branch)
    local = paths.expanded(request.repo)
    author = identity.of_git(local if local.is_dir() else None)
    source: list[Source] = []  # opened once

    def opened() -> Source:
        source[:] = source or [open_source(request.source, request.repo, say=_log)]
        return source[0]

    loader = Loader(open_source=opened, say=_log, seconds=Deadlines().connect, root=request.into)
    chosen = loader.load(request.name)
    onto = opened().resolve(request.onto or backports.newest(opened()))
    _check_fit(opened(), onto, chosen)
    with announce(f"exporting {request.name} to {request.to}"):
        made = exporting.export(
            opened(),
            onto,
            chosen,
            folder=request.to,
            branch=branch,
            author=author,
            signoff=request.signoff,
        )
    if request.json:
        print(json.dumps(_document(made, onto), indent=1, ensure_ascii=False))
    else:
        for line in _lines(made, onto, of_module=not isinstance(opened(), GitSource)):
            print(printable(line))
    for line in _remarks(made, signoff=request.signoff):
        _log(line)
    return DONE


def _branch_of(name: str) -> str:
    """Return the branch for what was asked for; a list, a file or an address needs ``--branch``."""
    folder = Path(name).name
    if re.search(r"[,:#]|^(pr|pull)/\d", name) or not folder:
        raise BadInput(
            f"{name} is not the name of a branch", hint=words(PatchExport, branch="BRANCH")
        )
    return folder.removesuffix(".patch").removesuffix(".diff")


def _check_fit(source: Source, onto: Revision, chosen: Sequence[Patch]) -> None:
    """Raise `BadInput` if *chosen* do not apply to *onto*, `NoAnswer` if it contains them."""
    fit = backports.fit(source, onto, chosen)
    match fit.state:
        case FitState.APPLIES:
            return
        case FitState.LACKING:
            _log(f"warning: {fit.ref} {fit.detail}")
        case FitState.THERE:
            raise NoAnswer(
                f"{' + '.join(p.name for p in chosen)} is already in {fit.ref}",
                hint=words(PatchExport, onto="OLDER_REV"),
            )
        case _:
            raise BadInput(f"on {fit.ref}, {fit.detail}", hint=words(PatchExport, onto="REV"))


def _document(made: Exported, onto: Revision) -> dict[str, object]:
    return {
        "folder": str(made.folder),
        "branch": made.branch,
        "onto": {"ref": onto.ref, "sha": onto.sha, "describe": onto.describe},
        "base": made.base,
        "commits": [asdict(commit) for commit in made.commits],
        "mails": [str(path) for path in made.mails],
    }


def _lines(made: Exported, onto: Revision, *, of_module: bool) -> Iterator[str]:
    count = f"{len(made.commits)} commit{'s' if len(made.commits) > 1 else ''}"
    yield f"{made.folder}: {count} on {onto.ref}, branch {made.branch}"
    for commit in made.commits:
        tests = f"  (with {commit.tests})" if commit.tests else ""
        yield f"  {commit.sha[:12]}  {commit.subject}{tests}"
    mails = shlex.quote(str(exporting.mails_of(made.folder)))
    yield f"Mails: git am {mails}/*.patch"
    if of_module:
        yield (
            f"{onto.ref} is a Go module here: the branch's first commit has its files, which is no"
            " commit of upstream's, so the branch cannot be rebased on upstream or pushed there."
            " In a clone of upstream, use the mails."
        )


def _remarks(made: Exported, *, signoff: bool) -> Iterator[str]:
    for commit in made.commits:
        if commit.left_out:
            yield f"warning: the tests of {commit.subject!r} are left out: {commit.left_out}"
    if not signoff:
        tree, own = shlex.quote(str(made.folder)), words(PatchExport, signoff=True)
        base = shlex.quote(f"{BASE}/{made.branch}")
        yield (
            "No commit has a Signed-off-by, and upstream takes none without its author's"
            f" (developercertificate.org). To add yours: {own}, or"
            f" git -C {tree} rebase {own} {base}"
        )


def _log(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
