"""The ``warm`` task: which builds a range has, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.cli import warming
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.events import Planned
from buildkit_bisect.model import Build, NoBuild, Revision, Stage, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.search.history import History

COMMITS = ("a", "b", "c", "d", "e")


def line(same_build: Mapping[str, str]) -> Line:
    source: Any = None
    return Line(
        source=source,
        history=History({c: list(COMMITS[n - 1 : n]) if n else [] for n, c in enumerate(COMMITS)}),
        good="a",
        bad="e",
        labels={},
        candidates=COMMITS[1:],
        before=frozenset("a"),
        overlay=None,
        overlay_names=(),
        same_build=same_build,
        known={c: Revision(ref=c, sha=c) for c in COMMITS},
    )


def labels(variants: list[Variant]) -> list[str]:
    return [variant.label for variant in variants]


def test_equal_inputs_are_one_build() -> None:
    assert labels(warming.different(line({}))) == list(COMMITS)
    same = {"a": "1", "b": "1", "c": "2", "d": "1", "e": "3"}
    assert labels(warming.different(line(same))) == ["a", "c", "e"]


def build(label: str, *, reused: bool) -> Build:
    return Build(key=label, go="1.25", source="git", directory="/x", buildkitd_sha256="1",
                 buildctl_sha256="2", seconds=5, reused=reused)  # fmt: skip


class Builder:
    """Has build a, pulls b, compiles c, cannot build d, and fails at e."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.elsewhere = False
        self.shared = SimpleNamespace(trouble=False, address="oci://x/y")

    def cached(self, variant: Variant) -> Build | None:
        return build("a", reused=True) if variant.label == "a" else None

    def build(self, variant: Variant, _: object) -> Build | NoBuild:
        broken = {
            "d": NoBuild(stage=Stage.BUILD, reason="undefined: x"),
            "e": NoBuild(stage=Stage.TOOLCHAIN, reason="no Go", infra=True),
        }
        made = build(variant.label, reused=variant.label == "b")
        pulled = replace(made, pulled_from="oci://x/y" if made.reused else "")
        return broken.get(variant.label) or pulled

    def share(self, variant: Variant, made: Build) -> None:
        assert variant.label in made.key
        self.sent.append(made.key)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    events: Any = SimpleNamespace(emit=lambda _: None)
    workshop = SimpleNamespace(source=None, builder=made, events=events, say=lambda _: None)
    plan = Planned(kind="warm", rows=COMMITS, columns=(), trials=0, basis="typical times",
                   build_seconds={c: 0 if c == "a" else 30 for c in COMMITS})  # fmt: skip
    for name, value in {
        "Display": lambda: nullcontext(events),
        "doctor": SimpleNamespace(ensure=lambda *_, **__: None),
        "patch_loader": lambda *_: SimpleNamespace(load=lambda _: ()),
        "open_workshop": lambda *_: workshop,
        "candidates": SimpleNamespace(
            load=lambda *_, **__: line({}), whole_line=lambda _: (list(COMMITS), ())
        ),
        "matrix": SimpleNamespace(built=lambda *_: plan),
        "trim": lambda *_, grew: None,
    }.items():
        monkeypatch.setattr(warming, name, value)
    return made


def test_each_build_is_made_and_counted(
    builder: Builder, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InfraFailed, match="1 of 5 builds failed, and not because of the source"):
        warming.warm(requests.Warm(start="a", end="e"))
    assert capsys.readouterr().out == (
        "5 builds: 1 already built, 1 pulled, 1 compiled, 1 not buildable, 1 failed\n"
    )
    assert builder.sent == ["a", "b"]  # what is compiled is pushed by the builder itself
    with pytest.raises(InfraFailed):
        warming.warm(requests.Warm(start="a", end="e", json=True))
    assert json.loads(capsys.readouterr().out) == {
        "builds": 5, "already built": 1, "pulled": 1, "compiled": 1, "not buildable": 1,
        "failed": 1,
    }  # fmt: skip


def test_a_push_that_fails_is_an_error(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = requests.Warm(start="a", end="e", store="oci://x/y", store_push=True)
    monkeypatch.setattr(builder, "build", lambda v, _: build(v.label, reused=False))
    assert warming.warm(whole) == 0
    builder.shared.trouble = True
    with pytest.raises(InfraFailed, match="not all builds were pushed to oci://x/y"):
        warming.warm(whole)


def test_what_another_commit_built_is_no_pull(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builder, "build", lambda v, _: build(v.label, reused=True))
    assert warming.warm(requests.Warm(start="a", end="e")) == 0
    assert capsys.readouterr().out == "5 builds: 5 already built\n"
    assert builder.sent == list(COMMITS)


WHERE = "dask://127.0.0.1:8786"


class Crew:
    """Begins every build before the first one ends; no worker can build e."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.begun: dict[str, Future[Build | NoBuild]] = {}

    def build(self, _: object, variant: Variant) -> Future[Build | NoBuild]:
        future = self.begun[variant.label] = Future[Build | NoBuild]()
        if len(self.begun) == len(COMMITS) - 1:
            for label, begun in self.begun.items():
                made = self._builder.build(Variant(revision=Revision(ref=label, sha=label)), None)
                if label == "e":
                    begun.set_exception(InfraFailed("cannot build e: no worker is left", hint="x"))
                else:
                    begun.set_result(made)
        return future


def test_workers_build_all_at_once(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crew = Crew(builder)
    monkeypatch.setattr(
        warming, "elsewhere", SimpleNamespace(builders=lambda *_: nullcontext(crew))
    )
    monkeypatch.setattr(warming, "dask", SimpleNamespace(needed=lambda: None))
    with pytest.raises(InfraFailed, match="1 of 5 builds failed, and not because of the source"):
        warming.warm(requests.Warm(start="a", end="e", executor=WHERE))
    assert list(crew.begun) == ["b", "c", "d", "e"]
    assert builder.elsewhere
    assert builder.sent == [], "workers push what they build"
    assert capsys.readouterr().out == (
        "5 builds: 1 already built, 1 pulled, 1 compiled, 1 not buildable, 1 failed\n"
    )


def test_workers_push_by_their_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "dask", SimpleNamespace(needed=lambda: None))
    request = requests.Warm(
        start="a", end="e", executor=WHERE, store="oci://x/y", store_push=True, dry_run=True
    )
    with pytest.raises(BadInput) as caught:
        warming.warm(request)
    assert str(caught.value) == (
        f"--store-push is for what this machine builds, and with --executor {WHERE} the workers"
        f" build (try: ./inv worker {WHERE} --store oci://x/y --store-push)"
    )


@pytest.mark.usefixtures("builder")
def test_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert warming.warm(requests.Warm(start="a", end="e", dry_run=True)) == 0
    plan = capsys.readouterr().out
    assert plan.startswith("4 commits, 5 builds: ")
    assert plan.endswith(" to compile 4, based on typical times; about 280.0 MB\n")
    warming.warm(requests.Warm(start="a", end="e", dry_run=True, cache_size=10**8))
    assert "the cache is trimmed to 100.0 MB afterwards" in capsys.readouterr().out
    warming.warm(requests.Warm(start="a", end="e", dry_run=True, json=True))
    facts = json.loads(capsys.readouterr().out)
    assert (facts["builds"], facts["missing"], facts["bytes"]) == (5, 4, 280_000_000)
    assert facts["in_store"] == 0


def test_the_plan_of_what_a_store_has(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Planned(kind="warm", rows=COMMITS, columns=(), trials=0, basis="typical times",
                   build_seconds=dict.fromkeys(COMMITS, 0))  # fmt: skip
    monkeypatch.setattr(warming, "matrix", SimpleNamespace(built=lambda *_: plan))
    monkeypatch.setattr(builder, "cached", lambda _: None)
    assert warming.warm(requests.Warm(start="a", end="e", dry_run=True)) == 0
    assert capsys.readouterr().out == "4 commits, 5 builds: 5 to pull; about 350.0 MB\n"


def test_a_range_is_required() -> None:
    with pytest.raises(BadInput, match=r"no range given \(try: ./inv warm --from v0.26.0"):
        warming.warm(requests.Warm(start="a"))
