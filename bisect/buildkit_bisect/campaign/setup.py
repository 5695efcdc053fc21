"""Checks a request before the first build; opens the registry, runtimes and lab for its trials."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.builds import Builder, Recipe
from buildkit_bisect.campaign import elsewhere, privilege, record
from buildkit_bisect.campaign.axes import SNAPSHOTTER_AXIS, extend
from buildkit_bisect.errors import BadInput
from buildkit_bisect.events import Events, sayer
from buildkit_bisect.golang.toolchain import host_arch
from buildkit_bisect.lab import base_images, served_images
from buildkit_bisect.lab.journal import Journal
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.lab.served_images import Refs
from buildkit_bisect.model import Axes, RuntimeKind
from buildkit_bisect.nearest import did_you_mean, first
from buildkit_bisect.options.choices import Images
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building, Campaign
from buildkit_bisect.patch.given import Loader
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.phrases import listed
from buildkit_bisect.runtime import all_runtimes, registry, snapshotters
from buildkit_bisect.runtime.containers import Preparation
from buildkit_bisect.scenario import Scenario, trust, uses_loopback
from buildkit_bisect.sharing import open_store
from buildkit_bisect.source import Source, open_source
from buildkit_bisect.system import cache_limit, deadlines, marks, paths
from buildkit_bisect.system.announce import announce


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """A source, and the builder of its variants."""

    source: Source
    builder: Builder
    events: Events

    def say(self, text: str) -> None:
        """Print *text* beside the progress."""
        sayer(self.events)(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup(Workshop):
    """A checked request, with the source, scenarios and patches that it names."""

    request: Campaign
    scenarios: tuple[Scenario, ...]
    patches: tuple[Patch, ...] = ()  # without reverts, which campaigns add to the builder
    resumed: tuple[str, ...] = ()  # ids of the campaigns that this one resumes

    def cells(self, scenario: Scenario) -> list[Axes]:
        """Return the scenario's cells that ``--axis`` selects."""
        return scenario.cells(self.request.axis)

    def all_tested(self) -> list[Axes]:
        """Return every cell that is not a control, also those that ``--axis`` leaves out."""
        return [
            axes
            for scenario in self.scenarios
            for axes in scenario.cells()
            if not scenario.is_control(axes)
        ]

    def tested_cells(self) -> list[tuple[Scenario, Axes]]:
        """Return every cell that is not a control. Raises `BadInput` if there are only controls."""
        found = [
            (scenario, axes)
            for scenario in self.scenarios
            for axes in self.cells(scenario)
            if not scenario.is_control(axes)
        ]
        if not found:
            raise BadInput(
                "the selected cells are only controls; there is nothing to test",
                hint=f"another {words(Campaign, axis='KEY=VALUE')}",
            )
        return found


def open_workshop(request: Building, events: Events, chosen: Sequence[Patch]) -> Workshop:
    """Return the source that *request* names, and a builder with the *chosen* patches.

    Raises `BadInput` if the repository does not exist, or the options of a store are wrong.
    """
    say = sayer(events)
    cache_limit.used(paths.cache_root())  # nothing used from now on is evicted while we run
    within = deadlines.of(request.deadline)
    shared = open_store(request, within.store, say)
    source = open_source(request.source, request.repo, say=say, deadlines=within)
    return Workshop(
        source=source,
        builder=Builder(
            source=source,
            patches=tuple(chosen),
            recipe=Recipe(goarch=host_arch(), debug_info=request.debug_info),
            say=say,
            deadlines=within,
            shared=shared,
        ),
        events=events,
    )


def prepare(
    request: Campaign,
    events: Events,
    *,
    chosen: Sequence[Patch] = (),
    default: Sequence[str] = (),
    script: Scenario | None = None,
) -> Setup:
    """Look up what *request* names; *script* or the *default* scenarios if it names none.

    Raises `BadInput` if a name does not exist or options conflict, `Missing` without root; nothing
    is cloned or built before.
    """
    if script and request.scenario:
        own = words(Campaign, script=True) if request.script else words(Campaign, dockerfile=True)
        raise BadInput(
            f"{own} and {words(Campaign, scenario=True)} cannot be combined",
            hint="leave out one of them",
        )
    named = scenarios.expanded(request.scenario or default)
    loaded = (script,) if script else tuple(map(scenarios.load, named))
    _check_names(loaded)
    # Not by *script*: the scenario tasks give a scenario of a folder too.
    if not request.script and not request.trust_scenario:
        _check_trust(loaded)
    loaded = tuple(extend(s, request).within(request.deadline.get("step")) for s in loaded)
    _check_axes(request.axis, loaded)
    if request.images is Images.PUBLIC:
        for scenario in loaded:
            base_images.public(scenario)
    privilege.check(request)
    if request.executor:
        elsewhere.check(request, loaded)
    workshop = open_workshop(request, events, chosen)
    return Setup(
        request=request,
        source=workshop.source,
        scenarios=loaded,
        builder=replace(workshop.builder, elsewhere=bool(request.executor)),
        events=events,
        patches=tuple(chosen),
        resumed=record.resumed(os.environ),
    )


def _check_names(loaded: Sequence[Scenario]) -> None:
    """Raise `BadInput` for two scenarios with the same name: their cells would be the same."""
    for one, other in combinations(loaded, 2):
        if one.name == other.name:
            where = listed(dict.fromkeys(str(s.folders[0]) for s in (one, other)))
            raise BadInput(
                f"two scenarios are called {one.name!r}: {where}",
                hint="another name in one scenario.toml, or leave one out",
            )


def _check_trust(loaded: Sequence[Scenario]) -> None:
    for scenario in loaded:
        if why := trust.needed(scenario):
            raise BadInput(
                f"scenario {scenario.name}: {why}",
                hint=f"read it, then {words(Campaign, trust_scenario=True)}; docs/trust.md",
            )


def _check_axes(axes: Mapping[str, tuple[str, ...]], loaded: Sequence[Scenario]) -> None:
    for name, values in axes.items():
        having = [s for s in loaded if name in s.axes]
        if not having:
            known = sorted({a for s in loaded for a in s.axes})
            raise BadInput(
                f"no axis {name!r}; {did_you_mean(name, known, what='known axes')}",
                hint=words(Campaign, axis=f"{first(name, known) or 'KEY'}={','.join(values)}"),
            )
        known = list(dict.fromkeys(v for s in having for v in s.axes[name].values))
        for value in values:
            if value not in known:
                raise BadInput(
                    f"axis {name} has no value {value!r};"
                    f" {did_you_mean(value, known, what='known values')}",
                    hint=words(Campaign, axis=f"{name}={first(value, known)}"),
                )
        for scenario in having:
            if not set(values) & set(scenario.axes[name].values):
                raise BadInput(
                    f"{scenario.name} has no cell with {name}={','.join(values)}",
                    hint=words(Campaign, axis=f"{name}={scenario.axes[name].values[0]}"),
                )


def patch_loader(request: Building, events: Events) -> Loader:
    """Return what loads the patches that *request* names; it opens the source if it has to."""
    say = sayer(events)
    within = deadlines.of(request.deadline)
    kept = os.environ.get(record.KEPT, "")
    return Loader(
        open_source=lambda: open_source(request.source, request.repo, say=say, deadlines=within),
        say=say,
        seconds=within.connect,
        kept=Path(kept) if kept else None,
    )


@contextmanager
def open_lab(setup: Setup, campaign: str) -> Iterator[tuple[Lab, Refs]]:
    """Provide a lab and the images of each scenario; close what they use after the block."""
    request = setup.request
    say = sayer(setup.events)
    local_images = request.images is not Images.PUBLIC and any(s.images for s in setup.scenarios)
    # Processes left by a killed run would compete with our trials.
    for left in marks.orphans():
        say(f"ending {left}, which a killed run left")
        marks.end(left)
    with _closed_aloud() as stack:
        shared = Preparation(
            base_image=request.base_image,
            loopback=local_images or any(uses_loopback(s) for s in setup.scenarios),
            say=say,
            deadlines=setup.builder.deadlines,
        )
        asked = request.axis.get(SNAPSHOTTER_AXIS, ())
        if RuntimeKind.HOST in request.runtime:
            snapshotters.check_installed(asked)
        backends = all_runtimes.prepare(request.runtime, shared)
        proxies = snapshotters.find(
            asked,
            request.snapshotter_socket,
            say,
            setup.builder.deadlines,
        )
        store: registry.Registry | None = None
        refs: Refs = {}
        if request.images is Images.PUBLIC:
            refs = {s.name: base_images.public(s) for s in setup.scenarios}
        elif local_images:
            if request.registry:
                store = registry.external(request.registry)
                refs = served_images.ensured(setup.builder, setup.scenarios, store)
            else:
                storage = paths.cache("registry")
                cache_limit.used(storage)
                store, refs = served_images.served(setup.builder, setup.scenarios, storage, stack)
        hands = elsewhere.hands(setup.builder, request, setup.scenarios, say, stack)
        lab = Lab(
            builder=hands.builder,
            images={s.name: refs.get(s.name, {}) for s in setup.scenarios},
            registry=store.address if store else "",
            journal=stack.enter_context(closing(Journal())),
            executor=hands.executor,
            crew=hands.crew,
            machine=hands.machine,
            events=setup.events,
            campaign=campaign,
            backends=backends,
            proxies=proxies,
            limits=request.deadline,
            fresh=request.fresh,
            resumed=setup.resumed,
        )
        yield lab, refs


@contextmanager
def _closed_aloud() -> Iterator[ExitStack]:
    """Provide a stack; announce its end, which may have to wait for processes."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        with announce("cleaning up"):
            stack.close()
