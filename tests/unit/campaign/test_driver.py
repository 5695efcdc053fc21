"""What a campaign leaves in its folder, however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from announced import announced
from buildkit_bisect import result
from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign import driver, record
from buildkit_bisect.campaign.compose import Findings
from buildkit_bisect.campaign.driver import Work, drive
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.errors import BadInput, InfraFailed, NoAnswer
from buildkit_bisect.events import Event, Events, Finished, Planned, Said, Worked, Working
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.live import recorder
from buildkit_bisect.model import Revision
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.patch import given, patches
from buildkit_bisect.result import BisectInfo, CampaignKind, Result
from buildkit_bisect.scenario import Action, Scenario, Step
from buildkit_bisect.source import Source
from buildkit_bisect.system.announce import announce

PLAN = Planned(kind="matrix", rows=("v0.26.0",), columns=(), trials=3)
REVISION = Revision(ref="v0.26.0", sha="a" * 40)
SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org/1",
    steps=(Step(id="go", action=Action.PRUNE),),
    outcomes=(),
)


class Shown(list[Event]):
    """Keeps every event that a display would get."""

    def emit(self, event: Event, /) -> None:
        self.append(event)


class FakeLab:
    """Took no time; knows whether it is open."""

    def __init__(self) -> None:
        self.campaigns: list[str] = []  # one per opening
        self.open = False

    @contextmanager
    def opened(
        self, setup: Setup, campaign: str
    ) -> Iterator[tuple[FakeLab, dict[str, dict[str, ImageRef]]]]:
        self.campaigns.append(campaign)
        self.open = True
        image = ImageRef(ref="127.0.0.1:41234/base:1", digest="sha256:b")
        try:
            yield self, {"s": {"base": image}}
        finally:
            self.open = False

    def seconds(self, started: float) -> dict[str, float]:
        return {"total": 2.04, "builds": 1.0, "trials": 0.5}

    def host_facts(self) -> dict[str, str]:
        return {"arch": "x86_64", "engine": "28.0"}


class FakeCampaign:
    """Says one thing; then returns findings, or raises *error*."""

    kind = CampaignKind.MATRIX

    def __init__(
        self,
        error: BaseException | None = None,
        settled: Findings | None = None,
        findings: Findings | None = None,
    ) -> None:
        self._error = error
        self._settled = settled
        self._findings = findings or Findings(revisions=(REVISION,), patches=(), cells=())
        self.work: Work | None = None

    def settled(self) -> Findings | None:
        return self._settled

    def plan(self) -> Planned:
        return PLAN

    def run(self, work: Work) -> Findings:
        self.work = work
        assert cast(FakeLab, work.lab).open
        assert record.read(work.folder).status == "running"
        work.events.emit(Said(text="working"))
        if self._error:
            raise self._error
        return self._findings


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    made = FakeLab()
    monkeypatch.setattr(driver, "open_lab", made.opened)
    monkeypatch.setattr("buildkit_bisect.system.machine.facts", lambda: {"arch": "x86_64"})
    return made


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock by which campaigns are named."""
    stopped = SimpleNamespace(
        strftime=time.strftime, gmtime=lambda: time.gmtime(43200), monotonic=time.monotonic
    )
    monkeypatch.setattr("buildkit_bisect.campaign.driver.time", stopped)


def setup(out: Path, events: Events | None = None, resumed: tuple[str, ...] = ()) -> Setup:
    return Setup(
        source=cast(Source, SimpleNamespace(kind="git", note="a clone")),
        builder=cast(Builder, SimpleNamespace()),
        events=Shown() if events is None else events,
        request=Matrix(out=out, command="./inv matrix", repo="https://example.org/r.git"),
        scenarios=(SCENARIO,),
        resumed=resumed,
    )


def publish(document: Result, folder: Path, events: Events) -> str:
    return "all is well"


def only_folder(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def recorded(folder: Path) -> list[Event]:
    return [event for event, _ in recorder.events(folder / record.EVENTS)]


def test_hints_are_about_the_campaigns_repository_and_patches(tmp_path: Path) -> None:
    """What proposes them, a search, knows revisions only."""
    command = "./inv bisect --good a --bad b --repo /src/bk --patches p"
    page = "https://x.example/{id}/r.html"
    request = Matrix(out=tmp_path, command=command, publish=page)
    asked = replace(setup(tmp_path), request=request)
    info = BisectInfo(
        status="refused", good="a", bad="b", scenario="s", axes={}, hint="./inv run --rev a",
        reason="no", notes=("to list all: ./inv boundaries --from a --to b",),
    )  # fmt: skip
    findings = Findings(revisions=(REVISION,), patches=(), cells=(), bisect=info)
    campaign = FakeCampaign(findings=findings)
    document = drive(campaign, asked, publish)
    assert document.bisect
    assert document.bisect.hint == "./inv run --rev a --repo /src/bk --patches p"
    assert document.bisect.notes == (
        "to list all: ./inv boundaries --from a --to b --repo /src/bk --patches p",
    )
    assert document.page == f"https://x.example/{document.id}/r.html"
    error = NoAnswer("no good end", hint="./inv matrix --revs a")
    with pytest.raises(NoAnswer, match=r"--revs a --repo /src/bk --patches p\)$"):
        drive(FakeCampaign(error), asked, publish)


@pytest.mark.usefixtures("noon")
def test_a_folder_is_named_after_the_time_and_kind(tmp_path: Path, lab: FakeLab) -> None:
    out = tmp_path / "not" / "there" / "yet"
    document = drive(FakeCampaign(), setup(out), publish)
    assert only_folder(out).name == document.id == "19700101-120000-matrix"
    assert lab.campaigns == [document.id]
    assert document.created == "1970-01-01T12:00:00Z"


@pytest.mark.usefixtures("noon")
def test_campaigns_in_the_same_second_have_different_folders(tmp_path: Path) -> None:
    ids = [drive(FakeCampaign(), setup(tmp_path), publish).id for _ in range(3)]
    usual = "19700101-120000-matrix"
    assert ids == [usual, f"{usual}-2", f"{usual}-3"]
    assert [record.read(tmp_path / name).status for name in ids] == ["done"] * 3
    assert [result.read(tmp_path / name).id for name in ids] == ids


@pytest.mark.usefixtures("noon")
def test_the_number_of_campaigns_in_a_second_is_limited(tmp_path: Path) -> None:
    usual = "19700101-120000-matrix"
    for name in (usual, *(f"{usual}-{number}" for number in range(2, 100))):
        (tmp_path / name).mkdir()
    with pytest.raises(BadInput, match="too many campaigns at once"):
        drive(FakeCampaign(), setup(tmp_path), publish)


def test_the_document_is_written_before_reports_are(tmp_path: Path, lab: FakeLab) -> None:
    published: list[Result] = []

    def check(document: Result, folder: Path, events: Events) -> str:
        assert result.read(folder) == document
        assert record.read(folder).status == "running"
        assert not lab.open
        published.append(document)
        return ""

    campaign = FakeCampaign()
    assert drive(campaign, setup(tmp_path), check) == published[0]
    assert len(published) == 1
    assert campaign.work is not None
    assert campaign.work.folder == only_folder(tmp_path)


def test_the_document_has_what_setup_lab_and_campaign_know(tmp_path: Path) -> None:
    document = drive(FakeCampaign(), setup(tmp_path), publish)
    assert (document.kind, document.status) == ("matrix", "done")
    assert document.command == "./inv matrix"
    assert document.host == {"arch": "x86_64", "runtime": "host", "engine": "28.0"}
    assert document.source == {
        "kind": "git",
        "repo": "https://example.org/r.git",
        "note": "a clone",
    }
    assert document.seconds == {"total": 2.0, "builds": 1.0, "trials": 0.5}
    assert [r.sha for r in document.revisions] == [REVISION.sha]
    # Without the port of the registry, which changes from run to run.
    assert document.scenarios[0].images == {"base": {"ref": "base:1", "digest": "sha256:b"}}


def test_what_takes_long_is_announced_to_the_display_and_the_record(tmp_path: Path) -> None:
    class Slow(FakeCampaign):
        def run(self, work: Work) -> Findings:
            with announce("checking where the patches apply"):
                time.sleep(0.2)
            return super().run(work)

    shown = Shown()
    with announced(0.05):
        drive(Slow(), setup(tmp_path, shown), publish)
    for events in (shown, recorded(only_folder(tmp_path))):
        (began,) = [e.what for e in events if isinstance(e, Working)]
        (ended,) = [e.what for e in events if isinstance(e, Worked)]
        assert began == ended == "checking where the patches apply"


def test_the_folder_has_a_copy_of_the_patches(tmp_path: Path) -> None:
    shipped = patches.load("record-ctx-opts")
    asked = replace(setup(tmp_path), patches=(replace(shipped, given="./mine.patch"),))
    drive(FakeCampaign(), asked, publish)
    kept = only_folder(tmp_path) / record.PATCHES
    assert patches.load(str(kept / "record-ctx-opts")).digest == shipped.digest
    assert [p.name for p in given.of_campaign(kept, "./mine.patch")] == ["record-ctx-opts"]


def test_a_completed_campaign_is_recorded_as_done(tmp_path: Path) -> None:
    drive(FakeCampaign(), setup(tmp_path, resumed=("before",)), publish)
    found = record.read(only_folder(tmp_path))
    assert (found.status, found.reason) == ("done", "")
    assert (found.kind, found.command) == ("matrix", "./inv matrix")
    assert found.resumed == ("before",)


def test_events_are_shown_and_recorded(tmp_path: Path) -> None:
    shown = Shown()

    def saying(document: Result, folder: Path, events: Events) -> str:
        events.emit(Said(text="reports"))
        return "all is well"

    drive(FakeCampaign(), setup(tmp_path, shown), saying)
    folder = only_folder(tmp_path)
    finished = Finished(status="done", finding="all is well", folder=str(folder))
    assert shown == [PLAN, Said(text="working"), Said(text="reports"), finished]
    assert recorded(folder) == shown


def test_a_settled_campaign_opens_no_lab(tmp_path: Path, lab: FakeLab) -> None:
    settled = Findings(revisions=(REVISION,), patches=(), cells=())
    document = drive(FakeCampaign(settled=settled), setup(tmp_path), publish)
    assert [r.sha for r in document.revisions] == [REVISION.sha]
    assert lab.campaigns == []
    assert [type(event) for event in recorded(only_folder(tmp_path))] == [Finished]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InfraFailed("the registry is gone", hint="df"), "failed", "the registry is gone (try: df"),
        (OSError(28, "No space left on device"), "failed", "No space left on device"),
        (KeyboardInterrupt(), "interrupted", ""),
        (ZeroDivisionError("a bug"), "failed", ""),
    ],
)
def test_a_campaign_that_ends_early_has_a_record_and_no_document(
    tmp_path: Path, lab: FakeLab, error: BaseException, status: str, reason: str
) -> None:
    published: list[Result] = []

    def never(document: Result, folder: Path, events: Events) -> str:
        published.append(document)
        return ""

    with pytest.raises(type(error)) as raised:
        drive(FakeCampaign(error), setup(tmp_path), never)
    assert raised.value is error
    folder = only_folder(tmp_path)
    found = record.read(folder)
    assert found.status == status
    assert reason in found.reason
    assert bool(found.reason) == bool(reason)
    assert not (folder / "result.json").exists()
    assert not published
    assert not lab.open
    assert recorded(folder) == [PLAN, Said(text="working")]


def test_the_document_stays_if_reports_cannot_be_written(tmp_path: Path) -> None:
    def fail(document: Result, folder: Path, events: Events) -> str:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        drive(FakeCampaign(), setup(tmp_path), fail)
    folder = only_folder(tmp_path)
    assert result.read(folder).id == folder.name
    found = record.read(folder)
    assert found.status == "failed"
    assert "No space left on device" in found.reason
    assert not any(isinstance(event, Finished) for event in recorded(folder))


def test_an_error_is_not_hidden_if_its_record_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "end", full)
    with pytest.raises(InfraFailed, match="the registry is gone"):
        drive(FakeCampaign(InfraFailed("the registry is gone")), setup(tmp_path), publish)
    assert record.read(only_folder(tmp_path)).status == "running"


@pytest.mark.parametrize(
    ("out", "reason"), [("file/out", "Not a directory"), ("file", "File exists")]
)
def test_a_folder_that_cannot_be_created_is_a_bad_input(
    tmp_path: Path, lab: FakeLab, out: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    campaign = FakeCampaign()
    with pytest.raises(BadInput, match=rf"cannot write to .*/{out}: {reason}") as raised:
        drive(campaign, setup(tmp_path / out), publish)
    assert "--out" in raised.value.hint
    assert campaign.work is None
    assert lab.campaigns == []


def test_the_next_command_is_told_before_the_end(tmp_path: Path) -> None:
    refused = BisectInfo(
        status="refused",
        good="v0.25.0",
        bad="v0.26.0",
        scenario="s",
        axes={},
        reason="v0.25.0 is already bad",
        hint="./inv bisect --bad v0.25.0 --find-good",
    )
    shown = Shown()
    settled = Findings(revisions=(REVISION,), patches=(), cells=(), bisect=refused)
    drive(FakeCampaign(settled=settled), setup(tmp_path, shown), publish)
    assert shown[-2] == Said(text="next: ./inv bisect --bad v0.25.0 --find-good")
    assert isinstance(shown[-1], Finished)
