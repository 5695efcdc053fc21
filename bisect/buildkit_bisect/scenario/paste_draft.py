"""Makes the steps of a scenario of an issue's text. Pure.

What the text's commands do becomes steps; images become local twins; each line that is not taken
is listed with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from buildkit_bisect.phrases import cut
from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario import (
    paste_builds,
    paste_daemon,
    paste_rules,
    paste_text,
)
from buildkit_bisect.scenario.paste_files import Event
from buildkit_bisect.scenario.paste_shell import Left
from buildkit_bisect.scenario.paste_steps import Maker, Step, add, change, leave
from buildkit_bisect.scenario.paste_text import Told
from buildkit_bisect.scenario.twins import Twin, twins_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A scenario to be written."""

    steps: tuple[Step, ...]
    outcomes: tuple[paste_rules.Table, ...]
    said: paste_rules.Stated
    twins: tuple[Twin, ...]
    files: dict[str, str]  # Dockerfiles, by name
    daemon: paste_daemon.Daemon
    left: tuple[Left, ...]  # what is not taken
    notes: tuple[str, ...]  # what is taken in another way than written
    versions: tuple[str, ...]  # of BuildKit, as named in the text
    releases: tuple[str, ...] = ()  # tags among them
    title: str = ""
    issue: str = ""


#: Events that are taken: builds, changes of files.
MOST = 200


def _many(event: Event) -> Left:
    reason = f"at most {MOST} builds and changes of files are taken"
    return Left(number=event.number, source=event.source, reason=reason)


def draft(text: str) -> Draft:
    """Return the scenario in *text*: Markdown, a script, or a Dockerfile.

    `Draft.steps` is empty if the text has no build.
    """
    told = paste_text.told(text)
    left = [*told.left, *(_many(event) for event in told.events[MOST:])]
    told = replace(told, events=told.events[:MOST])
    maker = Maker(told=told, left=left)
    for event in told.events:
        _take(maker, event)
    daemon = paste_daemon.of(told, maker.left, maker.notes)
    twins = twins_of(maker.images, lazy=daemon.snapshotter == "stargz")
    _name_images(maker, twins)
    builds = [step for step in maker.steps if step.values["action"] == "build"]
    ids = [str(step.values["id"]) for step in builds]
    said = _said(maker, told, builds)
    named = {(one.number, one.source, one.reason): one for one in maker.left}
    return Draft(
        steps=tuple(_trimmed(maker.steps)) if builds else (),
        outcomes=tuple(paste_rules.rules(ids, said)) if builds else (),
        said=said,
        twins=tuple(twins.values()),
        files=maker.files,
        daemon=daemon,
        left=tuple(sorted(named.values(), key=lambda one: one.number)),
        notes=tuple(dict.fromkeys(maker.notes)),
        versions=tuple(dict.fromkeys(told.versions)),
        releases=told.releases,
        title=told.title,
        issue=told.issue,
    )


def _trimmed(steps: Sequence[Step]) -> list[Step]:
    """Return *steps* without a daemon or a prune before anything is built, or after the end."""
    first = next(n for n, one in enumerate(steps) if one.values["action"] == "build")
    last = max(n for n, one in enumerate(steps) if one.values["action"] == "build")
    return [
        one
        for n, one in enumerate(steps)
        if n <= last and not (n < first and one.values["action"] in ("prune", "daemon"))
    ]


def _said(maker: Maker, told: Told, builds: Sequence[Step]) -> paste_rules.Stated:
    if not builds:
        return paste_rules.Stated()
    ids = [str(step.values["id"]) for step in builds]
    last = ids[-1]
    file = dockerfiles.parse(maker.texts[last])
    same = [one for one in ids[:-1] if maker.texts[one] == maker.texts[last]]
    again = bool(same) or "repeat" in builds[-1].values
    stable: list[str] = []
    same_runs: list[str] = []
    differ: set[str] = set()
    if again:
        args = maker.made[last].args
        before = maker.made[same[0]].args if same else args
        differ = {name for name in {*args, *before} if args.get(name) != before.get(name)}
        stable = dockerfiles.stable_runs(file, differ, maker.changed)
        same_runs = dockerfiles.stable_runs(file, differ, maker.changed, any_form=True)
    said = paste_rules.stated(
        told.printed, told.prose, dockerfiles.runs(file) if again else (), stable
    )
    if not again:
        return replace(said, cached="", cached_line=0, open_line=0)
    what = _differing(differ, maker.changed)
    if said.cached and said.run not in same_runs:
        maker.notes.append(
            f"line {said.cached_line}: RUN {cut(said.run, 60)} follows {what}, which differs"
            " between the builds: it always runs, so no build is good"
        )
    if said.open_line and what:
        maker.notes.append(
            f"line {said.open_line}: says that a step should be cached, but {what}, which differs"
            " between the builds, affects every RUN: no rule is made of it"
        )
    return said


def _differing(args: Collection[str], files: Collection[str]) -> str:
    names = [f"the argument {name}" for name in sorted(args)]
    return " and ".join([*names, *(f"the file {name}" for name in sorted(files))][:3])


def _take(maker: Maker, event: Event) -> None:
    match event.does:
        case "build":
            try:
                paste_builds.take(maker, event)
            except ValueError as error:
                leave(maker, event, str(error))
        case "prune" | "daemon":
            values: dict[str, object] = {"action": event.does}
            name = "prune" if event.does == "prune" else event.start
            if event.start:
                values["start"] = event.start
            if maker.steps and maker.steps[-1].values.items() >= values.items():
                return
            add(maker, event, name, values)
        case _:
            change(maker, event)


def _name_images(maker: Maker, twins: Mapping[str, Twin]) -> None:
    """Give each build the images that its Dockerfile has arguments for."""
    own = paste_builds.images_made(maker)
    for index, args in maker.named:
        values = maker.steps[index].values
        images = {
            name: own[image] if image in own and image not in twins
            else f"${{image.{twins[image].name}}}"
            for name, image in args.items()
        }  # fmt: skip
        if images:
            given = values["args"]
            assert isinstance(given, dict)
            values["args"] = {**given, **images}
        if not values["args"]:
            del values["args"]
