"""The one-line form of a reproducer: ``--dockerfile F --expect 'cached: RUN make'``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import Scenario, load
from buildkit_bisect.scenario.one_line import Asked, Draft, draft
from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce


def scenario(request: Campaign) -> Scenario | None:
    """Return the Dockerfile of *request* and its expectation as a scenario; None without one.

    It is a folder in the cache, named after its content: what changes while a campaign runs does
    not change the campaign. Raises `BadInput` for options that do not fit, and as `one_line.draft`.
    """
    _check(request)
    if not request.dockerfile:
        return None
    asked = Asked(
        dockerfile=request.dockerfile,
        expect=request.expect,
        context=request.context,
        target=request.target,
        args=request.build_arg,
        again=request.rebuild_arg,
        snapshotters=request.axis.get("snapshotter", ()),
        public=request.images is Images.PUBLIC,
    )
    with announce(f"reading {request.dockerfile} and the files that it copies"):
        return replace(load(str(_kept(draft(asked)) / "scenario.toml")), issue="")


def _check(request: Campaign) -> None:
    """Raise `BadInput` for an option of the one-line form without what it needs."""
    dockerfile, expect = words(Campaign, dockerfile=True), words(Campaign, expect=True)
    if request.dockerfile and not request.expect:
        raise BadInput(
            f"{dockerfile} needs {expect}", hint=words(Campaign, expect="cached: RUN echo stable")
        )
    if request.dockerfile and request.script:
        raise BadInput(
            f"{dockerfile} and {words(Campaign, script=True)} cannot be combined",
            hint="leave out one of them",
        )
    if request.dockerfile:
        return
    for given, option in (
        (request.expect, expect),
        (request.context, words(Campaign, context=True)),
        (request.target, words(Campaign, target=True)),
        (request.build_arg, words(Campaign, build_arg=True)),
        (request.rebuild_arg, words(Campaign, rebuild_arg=True)),
    ):
        if given:
            raise BadInput(f"{option} needs {dockerfile}", hint=words(Campaign, dockerfile="F"))


def _kept(made: Draft) -> Path:
    """Return the folder with *made* in it: complete, or new."""
    folder = paths.cache("one-line") / made.digest[:32]
    if folder.is_dir():
        return folder
    with paths.scratch("one-line") as tmp:
        (tmp / "made").mkdir()
        made.write(tmp / "made")
        try:
            (tmp / "made").rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was faster
                raise
    return folder
