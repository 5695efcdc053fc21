"""Invoke tasks: they parse, call the package, and exit with its code. No logic here."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from invoke import Context, task

COMMON = {
    "repo": "git repository of BuildKit, URL or path (default: upstream on GitHub)",
    "source": "auto, git, or module (the Go module proxy, unpatched only)",
    "scenario": "a scenario's name or folder; several by commas",
    "axis": "KEY=VALUE narrows an axis; repeatable, values by commas",
    "patches": "patches to apply, in order: NAME,NAME",
    "runtime": "auto, host, docker, buildx; several by commas are put side by side",
    "snapshotter_socket": "NAME=SOCKET[:ROOT]: your own snapshotter, for --axis snapshotter=NAME",
    "base_image": "image that binaries are layered on (default: published, or made here)",
    "images": "local (built here) or public (the issue's own)",
    "registry": "address of a registry on loopback to use instead of starting one",
    "jobs": "trials at once (default 1: a trial runs alone)",
    "trials": "trials of each cell (default 3; a bisection measures how many it needs)",
    "deadline": "NAME=SECONDS, repeatable: compile=3600,step=600 (docs/deadlines.md)",
    "cache_size": "what the cache may hold after this, as 20GB, the default",
    "fresh": "do not use trials that earlier campaigns paid for",
    "templates": "a folder whose files stand in for those of templates/",
    "out": "where results go (default: results/)",
    "dry_run": "print the plan, do nothing",
    "json": "print the result document, and nothing else, on stdout",
}

SCRIPT = {
    "script": "your own test instead of a scenario: exit 0 good, 125 skip, 1-127 bad",
    "script_timeout": "seconds it may take (default 600)",
}


def call(module: str, name: str, options: Mapping[str, Any]) -> None:
    """Run one command; imports are late so that --list and --help are quick."""
    guarded = import_module("buildkit_bisect.cli").guarded
    command = getattr(import_module(f"buildkit_bisect.cli.{module}"), name)
    # Invoke fills positional options only where their default is None.
    raw = {k.rstrip("_"): "" if v is None else v for k, v in options.items() if k != "c"}
    sys.exit(guarded(command, raw))


@task(auto_shortflags=False)
def plan(c: Context):
    """Before another task: print its plan, do nothing: ./inv plan matrix --revs master"""
    os.environ["BKBISECT_DRY_RUN"] = "1"


@task(auto_shortflags=False, help={"no_install": "only look"})
def doctor(c: Context, no_install=False):
    """Say what is here and what is missing; install what is missing on Debian as root."""
    call("maintenance", "doctor", locals())


@task(
    auto_shortflags=False,
    iterable=["deadline"],
    help={"rev": "tag, branch, commit, date: v0.26.0, master~3, 2025-09-11"}
    | {
        k: COMMON[k]
        for k in ("repo", "source", "patches", "json", "base_image", "deadline", "cache_size")
    }
    | {
        "image": "also as an image on the Docker Engine",
        "builder": "binaries (compiled here, on a fixed base) or dockerfile (upstream's own)",
        "push": "REGISTRY to push the image to",
        "save": "FILE for `docker load`",
    },
)
def build(
    c: Context, rev="", repo="", source="", patches="", image=False, builder="", base_image="",
    push="", save="", deadline=None, cache_size="", json=False,
):  # fmt: skip
    """Build one variant: ./inv build --rev v0.26.0 --patches record-ctx-opts"""
    call("building", "build", locals())


@task(
    auto_shortflags=False,
    iterable=["axis", "deadline"],
    help={"rev": "the revision to run"} | SCRIPT | COMMON,
)
def run(
    c: Context, rev="", script="", script_timeout="",
    repo="", source="", scenario="", axis=None, patches="", runtime="",
    base_image="", snapshotter_socket="", images="", registry="", jobs="", trials="",
    deadline=None, cache_size="", fresh=False, templates="", out="",
    dry_run=False, json=False,
):  # fmt: skip
    """Run one revision's cells: ./inv run --rev v0.26.0 --axis snapshotter=stargz"""
    call("campaigns", "run", locals())


@task(
    auto_shortflags=False,
    iterable=["axis", "deadline"],
    help={
        "revs": "R or R+PATCH, by commas (default: landmarks and the last three minors)",
        "format": "github-matrix: print a workflow's strategy, a job a variant, and do nothing",
    }
    | SCRIPT
    | COMMON,
)
def matrix(
    c: Context, revs="", script="", script_timeout="",
    repo="", source="", scenario="", axis=None, patches="", runtime="",
    base_image="", snapshotter_socket="", images="", registry="", jobs="", trials="",
    deadline=None, cache_size="", fresh=False, templates="", format="", out="",
    dry_run=False, json=False,
):  # fmt: skip
    """Show which variants are broken, in which cells: ./inv matrix --revs v0.25.0,master"""
    call("campaigns", "matrix", locals())


@task(
    auto_shortflags=False,
    iterable=["axis", "deadline"],
    help={
        "good": "a revision without the failure",
        "bad": "a revision with it",
        "find_good": "look for a good end among the releases before the bad one",
        "find_fix": "search for the commit that mended it: bad is the older end",
        "no_first_parent": "search the whole DAG at once",
        "releases": "search among release tags only; works without a git source",
        "confidence": "when to stop, 0.5 to 1 (default 0.95)",
        "bad_when": "outcomes that count as bad (default: what the bad end shows)",
        "good_when": "outcomes that count as good (default: those whose verdict is good)",
        "no_verify": "do not revert the commit found on the bad end to see it mended",
    }
    | SCRIPT
    | COMMON,
)
def bisect(
    c: Context, good="", bad="", find_good=False, find_fix=False, no_first_parent=False,
    releases=False, confidence="", bad_when="", good_when="", script="", script_timeout="",
    no_verify=False,
    repo="", source="", scenario="", axis=None, patches="", runtime="", base_image="",
    snapshotter_socket="", images="", registry="", jobs="", trials="", deadline=None,
    cache_size="", fresh=False, templates="", out="", dry_run=False, json=False,
):  # fmt: skip
    """Find the commit that did it: ./inv bisect --good v0.24.0 --bad v0.26.0 --repo PATH"""
    call("campaigns", "bisect", locals())


@task(
    auto_shortflags=False,
    iterable=["axis", "deadline"],
    help={
        "from_": "the older end",
        "to": "the newer end",
        "resolution": "longest stretch of different builds left untested (default 64)",
        "releases": "only release tags; works without a git source",
    }
    | SCRIPT
    | COMMON,
)
def boundaries(
    c: Context, from_="", to="", resolution="", releases=False, script="", script_timeout="",
    repo="", source="", scenario="", axis=None, patches="", runtime="", base_image="",
    snapshotter_socket="", images="", registry="", jobs="", trials="", deadline=None,
    cache_size="", fresh=False, templates="", out="", dry_run=False, json=False,
):  # fmt: skip
    """Find every change of outcome: ./inv boundaries --from v0.24.0 --to master --repo PATH"""
    call("campaigns", "boundaries", locals())


@task(
    auto_shortflags=False,
    iterable=["axis", "deadline"],
    help={
        "base": "the revision to patch (default: the main line)",
        "culprit": "commit to revert instead, for comparison (default: the patch's introduced-by)",
        "checks": "all; cells: no go test, vet, cross builds; none: just before and after",
    }
    | SCRIPT
    | COMMON,
)
def validate(
    c: Context, base="", culprit="", checks="", script="", script_timeout="",
    repo="", source="", scenario="", axis=None, patches="", runtime="", base_image="",
    images="", registry="", snapshotter_socket="", jobs="", trials="", deadline=None,
    cache_size="", fresh=False, templates="", out="", dry_run=False, json=False,
):  # fmt: skip
    """Does a patch fix it, what else changes: ./inv validate --patches record-ctx-opts"""
    call("validating", "validate", locals())


@task(
    auto_shortflags=False,
    positional=["name"],
    help={
        "name": "of the new folder below patches/",
        "from_worktree": "DIR: a work tree, committed or not",
        "from_branch": "REF of --repo: a branch or commit",
        "from_pr": "N: a pull request of --repo",
        "base": "what it was made on (default: where it left the nearest line of a remote)",
        "title": "default: the commit's subject",
        "into": "folder of patches (default: patches/)",
    }
    | {k: COMMON[k] for k in ("repo", "json")},
)
def patch_new(
    c: Context, name=None, from_worktree="", from_branch="", from_pr="", base="", title="",
    into="", repo="", json=False,
):  # fmt: skip
    """Make a patch of your work: ./inv patch-new my-fix --from-worktree ~/src/buildkit"""
    call("patching", "new", locals())


@task(
    auto_shortflags=False,
    help={"into": "folder of patches (default: patches/)", "json": "as JSON"},
)
def patch_list(c: Context, into="", json=False):
    """List patches and series."""
    call("patching", "list_", locals())


@task(
    auto_shortflags=False,
    help={
        "patches": "patches or series, by commas (default: all)",
        "revs": "revisions, by commas (default: release branches since v0.20, main line)",
        "into": "folder of patches (default: patches/)",
        "json": "as JSON",
        "repo": COMMON["repo"],
    },
)
def patch_check(c: Context, patches="", revs="", into="", repo="", json=False):
    """Say where patches apply, are already there, or conflict: ./inv patch-check --repo PATH"""
    call("patching", "check", locals())


@task(
    auto_shortflags=False,
    positional=["id"],
    help={
        "id": "a campaign, or its folder",
        "publish": "a folder to put it in without host paths and evidence files",
        "format": "files, or github-matrix: a workflow's strategy, on stdout",
        "png": "the pictures as PNG too",
        "templates": COMMON["templates"],
        "out": COMMON["out"],
    },
)
def report(c: Context, id=None, templates="", format="", publish="", png=False, out=""):
    """Render a campaign's reports again: ./inv report 20260821-101500-matrix"""
    call("results", "report", locals())


@task(
    auto_shortflags=False,
    positional=["before", "after"],
    help={"before": "a campaign", "after": "a later one", "out": COMMON["out"]},
)
def diff(c: Context, before=None, after=None, out=""):
    """Say what changed between two campaigns, exit 1 where any cell got worse."""
    call("results", "diff", locals())


@task(
    auto_shortflags=False,
    positional=["id"],
    help={
        "id": "a campaign",
        "issue": "number of the issue",
        "to": "repository (default: moby/buildkit)",
        "yes": "show it, and do not ask",
        "templates": COMMON["templates"],
        "out": COMMON["out"],
    },
)
def post(c: Context, id=None, issue="", to="", yes=False, templates="", out=""):
    """Comment on an issue with gh, updating our earlier comment: ./inv post ID --issue 6893"""
    call("results", "post", locals())


@task(
    auto_shortflags=False,
    help={"id": "a campaign (default: the last)", "out": COMMON["out"]},
)
def resume(c: Context, id="", out=""):
    """Go on with a campaign that was interrupted: what it paid for is not paid for again."""
    call("results", "resume", locals())


@task(
    auto_shortflags=False,
    help={"id": "one campaign", "watch": "follow it until it ends", "out": COMMON["out"]},
)
def status(c: Context, id="", watch=False, out=""):
    """List campaigns, or show one: ./inv status 20260821-101500-matrix --watch"""
    call("results", "status", locals())


@task(
    auto_shortflags=False,
    help={
        "cache": "also builds, trials, images, mirrors and toolchains",
        "images": "also every image that was made on the Docker Engine",
        "cache_size": "down to this, as 5GB: what was not used for longest goes",
        "dry_run": "only list, with what the cache holds",
    },
)
def clean(c: Context, cache=False, images=False, cache_size="", dry_run=False):
    """Remove what killed runs left; with --cache, everything that was kept for later."""
    call("maintenance", "clean", locals())


@task(
    auto_shortflags=False,
    help={
        "unit": "unit tests: no processes, no network",
        "local": "local tests: real processes and git, neither root nor Docker",
        "system": "system tests: real BuildKit, as root",
        "changed": "only test files that changes since the main branch can affect",
        "k": "only tests whose name matches",
        "dry_run": "print what would run, do nothing",
    },
)
def test(
    c: Context, unit=False, local=False, system=False, changed=False, k="", dry_run=False
):  # fmt: skip
    """Run the tests, all or some: ./inv test --changed --unit"""
    call("develop", "test", locals())


@task(auto_shortflags=False)
def check(c: Context):
    """Lint, format, types and import contracts of this project."""
    call("develop", "check", locals())
