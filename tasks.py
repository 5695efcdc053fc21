"""Invoke tasks. Their options are declared in `options`, their code is in `cli`; no logic here.

Commands are imported late, so that --list and --help are fast.
"""

import os

from buildkit_bisect.cli.invoking import task
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import twin


@task(requests.Plan, ends=False)
def plan(_: requests.Plan) -> int:
    """Print what the next task would do, and exit: ./inv plan matrix --revs master"""
    os.environ[twin(requests.Campaign, "dry_run")] = "1"
    return 0


@task(requests.Doctor)
def doctor(request: requests.Doctor) -> int:
    """Check what this machine has, and install what is missing on Debian as root."""
    from buildkit_bisect.cli import maintenance

    return maintenance.doctor(request)


@task(requests.Build)
def build(request: requests.Build) -> int:
    """Build one variant: ./inv build --rev v0.26.0 --patches record-ctx-opts"""
    from buildkit_bisect.cli import building

    return building.build(request)


@task(requests.Warm)
def warm(request: requests.Warm) -> int:
    """Make every different build of a range: ./inv warm --from v0.26.0 --to master"""
    from buildkit_bisect.cli import warming

    return warming.warm(request)


@task(requests.Run)
def run(request: requests.Run) -> int:
    """Run one revision's cells: ./inv run --rev v0.26.0 --axis snapshotter=stargz"""
    from buildkit_bisect.cli import campaigns

    return campaigns.run(request)


@task(requests.Matrix)
def matrix(request: requests.Matrix) -> int:
    """Find which variants are broken, and in which cells: ./inv matrix --revs v0.25.0,master"""
    from buildkit_bisect.cli import campaigns

    return campaigns.matrix(request)


@task(requests.Bisect)
def bisect(request: requests.Bisect) -> int:
    """Find the commit that broke or fixed it: ./inv bisect --good v0.24.0 --bad v0.26.0"""
    from buildkit_bisect.cli import bisecting

    return bisecting.bisect(request)


@task(requests.Boundaries)
def boundaries(request: requests.Boundaries) -> int:
    """Find every change of outcome: ./inv boundaries --from v0.24.0 --to master --repo PATH"""
    from buildkit_bisect.cli import boundaries

    return boundaries.boundaries(request)


@task(requests.Validate)
def validate(request: requests.Validate) -> int:
    """Check what patches fix and what else they change: ./inv validate --patches record-ctx-opts"""
    from buildkit_bisect.cli import validating

    return validating.validate(request)


@task(requests.PatchNew)
def patch_new(request: requests.PatchNew) -> int:
    """Create a patch from your work: ./inv patch new my-fix --from-worktree ~/src/buildkit"""
    from buildkit_bisect.cli import patching

    return patching.new(request)


@task(requests.PatchList)
def patch_list(request: requests.PatchList) -> int:
    """List patches and series."""
    from buildkit_bisect.cli import patching

    return patching.list_(request)


@task(requests.PatchCheck)
def patch_check(request: requests.PatchCheck) -> int:
    """Show where patches apply, are already applied, or conflict: ./inv patch check --repo PATH"""
    from buildkit_bisect.cli import patching

    return patching.check(request)


@task(requests.PatchExport)
def patch_export(request: requests.PatchExport) -> int:
    """Write a series as commits for upstream: ./inv patch export lazy-export-series --to DIR"""
    from buildkit_bisect.cli import exporting

    return exporting.export(request)


@task(requests.ScenarioLearn)
def scenario_learn(request: requests.ScenarioLearn) -> int:
    """Find what tells two ends apart: ./inv scenario learn DIR --good R --bad R --pick 1"""
    from buildkit_bisect.cli import learning

    return learning.learn(request)


@task(requests.ScenarioCheck)
def scenario_check(request: requests.ScenarioCheck) -> int:
    """Check a scenario's rules, and what makes it flaky: ./inv scenario check DIR --rev v0.26.0"""
    from buildkit_bisect.cli import learning

    return learning.check(request)


@task(requests.ScenarioNew)
def scenario_new(request: requests.ScenarioNew) -> int:
    """Create a scenario from an issue's text: ./inv scenario new my-issue --from issue.md"""
    from buildkit_bisect.cli import scenarios

    return scenarios.new(request)


@task(requests.Report)
def report(request: requests.Report) -> int:
    """Render a campaign's reports again: ./inv report latest --png"""
    from buildkit_bisect.cli import results

    return results.report(request)


@task(requests.Diff)
def diff(request: requests.Diff) -> int:
    """Show what changed between two campaigns; exit 1 if a cell got worse beyond chance."""
    from buildkit_bisect.cli import results

    return results.diff(request)


@task(requests.Merge)
def merge(request: requests.Merge) -> int:
    """Join results of shards, or of several machines, in one report: ./inv merge shards/*"""
    from buildkit_bisect.cli import merging

    return merging.merge(request)


@task(requests.Post)
def post(request: requests.Post) -> int:
    """Post a report as an issue comment with gh, or update it: ./inv post latest --issue 6893"""
    from buildkit_bisect.cli import results

    return results.post(request)


@task(requests.Resume)
def resume(request: requests.Resume) -> int:
    """Resume an unfinished campaign; completed builds and trials are reused."""
    from buildkit_bisect.cli import results

    return results.resume(request)


@task(requests.Status)
def status(request: requests.Status) -> int:
    """List campaigns and show the latest, or the one named: ./inv status latest --watch"""
    from buildkit_bisect.cli import results

    return results.status(request)


@task(requests.Worker)
def worker(request: requests.Worker) -> int:
    """Work for campaigns of a Dask scheduler, as root: ./inv worker dask://127.0.0.1:8786"""
    from buildkit_bisect.cli import working

    return working.worker(request)


@task(requests.Clean)
def clean(request: requests.Clean) -> int:
    """Remove what killed runs left behind; with --cache, also everything in the cache."""
    from buildkit_bisect.cli import maintenance

    return maintenance.clean(request)


@task(requests.Completion)
def completion(request: requests.Completion) -> int:
    """Print a completion script; in ~/.bashrc: eval "$(/PATH/OF/inv completion bash)"."""
    from buildkit_bisect.cli import completion

    return completion.completion(request)


@task(requests.Test)
def test(request: requests.Test) -> int:
    """Run the tests, all or some: ./inv test --changed --unit"""
    from buildkit_bisect.cli import develop

    return develop.test(request)


@task(requests.Check)
def check(request: requests.Check) -> int:
    """Check lint, format, types and import contracts of this project."""
    from buildkit_bisect.cli import develop

    return develop.check(request)
