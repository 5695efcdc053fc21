"""Runs a campaign: creates its folder and lab, measures time, writes its document and record."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from buildkit_bisect import result
from buildkit_bisect.campaign import compose, known, record, scripts
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.setup import Setup, open_lab
from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.events import Events, Finished, Planned, Said, Several
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.live import Recorder
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import again, words
from buildkit_bisect.patch import given
from buildkit_bisect.result import CampaignKind, CampaignStatus, Result
from buildkit_bisect.system import machine
from buildkit_bisect.system.announce import announce, announcing


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a campaign works with while it runs."""

    lab: Lab
    events: Events
    folder: Path  # of the campaign; evidence is linked below it


class Campaign(Protocol):
    """A question that builds and trials answer. Its constructor checks the input."""

    @property
    def kind(self) -> CampaignKind:
        """Its name in result documents."""
        ...

    def settled(self) -> Findings | None:
        """Return the findings if nothing has to be built or run for them: a refusal."""
        ...

    def plan(self) -> Planned:
        """Return what will be built and run, as far as it is known."""
        ...

    def run(self, work: Work) -> Findings:
        """Build, run trials and return the findings. Raises `BisectError`."""
        ...


#: Writes the reports of a document into its folder, and returns its headline.
Publish = Callable[[Result, Path, Events], str]


def drive(campaign: Campaign, setup: Setup, publish: Publish) -> Result:
    """Run *campaign* in a new folder; ``result.json`` there is complete or missing.

    Raises `BadInput` if the folder cannot be created, and any error of the campaign.
    """
    name, folder = _new_folder(setup.request.out, campaign.kind)
    record.begin(
        folder,
        campaign.kind,
        setup.request.command,
        setup.resumed,
        store_key=str(setup.request.store_key or ""),
        executor=setup.request.executor,
    )
    recorder = Recorder(folder / record.EVENTS)
    status, reason = str(CampaignStatus.FAILED), ""
    try:
        events = Several(setup.events, recorder)
        given.keep(setup.patches, folder / record.PATCHES)
        with announcing(events):
            document = _document(campaign, replace(setup, events=events), name, folder)
            result.write(document, folder)
            headline = publish(document, folder, events)
        status = document.status
        if document.bisect and document.bisect.hint:
            events.emit(Said(text=f"next: {document.bisect.hint}"))
        events.emit(Finished(status=status, finding=headline, folder=str(folder)))
    except KeyboardInterrupt:
        status = str(CampaignStatus.INTERRUPTED)
        raise
    except (BisectError, OSError) as error:
        if isinstance(error, BisectError):
            error.hint = again(error.hint, setup.request.command)
        reason = str(error)
        raise
    finally:
        recorder.close()
        # If the disk is full, the record stays "running"; `status` and `resume` see that the
        # process has ended.
        with suppress(OSError):
            record.end(folder, status, reason)
    return document


def _document(campaign: Campaign, setup: Setup, name: str, folder: Path) -> Result:
    started = time.monotonic()
    document = partial(
        compose.result,
        setup,
        kind=campaign.kind,
        campaign=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    if findings := campaign.settled():
        spent = {"total": time.monotonic() - started, "builds": 0.0, "trials": 0.0}
        return document(findings, refs={}, seconds=spent, host=machine.facts())
    for said in scripts.said(setup.scenarios):
        setup.events.emit(said)
    setup.events.emit(campaign.plan())
    with open_lab(setup, name) as (lab, refs):
        findings = campaign.run(Work(lab=lab, events=setup.events, folder=folder))
        with announce("collecting the results"):
            findings = known.add(findings, lab, setup.events)
        return document(
            findings,
            refs=refs,
            seconds=lab.seconds(started),
            host=lab.host_facts(),
        )


def _new_folder(out: Path, kind: str) -> tuple[str, Path]:
    """Return a campaign's id and its new folder below *out*."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    hint = words(requests.Campaign, out="DIR")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100):
            name = f"{stamp}-{kind}" if number == 1 else f"{stamp}-{kind}-{number}"
            with suppress(FileExistsError):
                (out / name).mkdir()
                return name, out / name
    except OSError as error:
        raise BadInput(f"cannot write to {out}: {error.strerror}", hint=hint) from None
    raise BadInput(f"too many campaigns at once in {out}", hint=hint)
