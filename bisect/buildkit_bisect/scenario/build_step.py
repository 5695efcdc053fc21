"""The options of a build step: what they must be, and what a build is given for them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.buildctl import EPOCH, NamedContext, Options
from buildkit_bisect.model import Axes
from buildkit_bisect.scenario.definition import Action, Scenario, Step
from buildkit_bisect.scenario.placeholders import fill
from buildkit_bisect.scenario.require import (
    require,
    require_known,
    require_path,
    require_word,
)
from buildkit_bisect.system.addresses import is_image
from buildkit_bisect.system.typed import below

#: What a named context may be, before its colon.
_STEP, _CONTEXT, _IMAGE, _LAYOUT = KINDS = ("step", "context", "image", "oci-layout")

#: What a Dockerfile may call a named context: an image's or a stage's name, maybe with a platform.
_NAME = re.compile(r"[a-z0-9][a-z0-9._/:-]{0,127}", re.ASCII)

_STAGE = re.compile(r"[A-Za-z0-9][\w.-]{0,100}", re.ASCII)

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?", re.ASCII)

#: What BuildKit attaches to an image.
_ATTESTATIONS = ("provenance", "sbom")

#: Its attributes; BuildKit reads them as CSV, so they have no quotes.
_ATTRIBUTES = re.compile(r"([a-z][a-z0-9-]*=[^\s,\"]*(,[a-z][a-z0-9-]*=[^\s,\"]*)*)?", re.ASCII)

_LABEL = re.compile(r"[A-Za-z0-9][\w./-]{0,200}", re.ASCII)

#: A secret or an agent, as a Dockerfile names it.
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,60}", re.ASCII)

#: Fewest and most characters of a secret.
SECRET_LENGTHS = (8, 4096)

#: What a build may be allowed. The second gives a build step the whole machine.
NETWORK, INSECURE = ENTITLEMENTS = ("network.host", "security.insecure")

#: Before the path of a Dockerfile in the build context, which steps write.
_FROM_CONTEXT = "context:"

#: The last second of year 9999, the latest time that a tar archive's reader takes for one.
_LATEST = 253402300799

#: A step in which no option is set.
_PLAIN = Step(id="", action=Action.BUILD)

#: Keys that only a build has; the older ones are not checked on other steps.
_OWN = (
    *("contexts", "no_cache", "no_cache_filter", "platform", "attests", "labels", "epoch"),
    *("secrets", "ssh", "allow", "frontend"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where a build finds what its options name."""

    output: Callable[[str], Path]  # of a step, by its `dest`
    context: Path
    digest: Callable[[Path], str]  # of the image in an OCI layout
    secret: Callable[[str, str], Path]  # a file for the text of the secret with this id
    key: Callable[[str], Path]  # a private key for the agent with this id


def texts(step: Step, where: str) -> Iterator[tuple[str, str]]:
    """Yield each text of the options that may have placeholders, after the path of its key."""
    yield f"{where}.platform", step.platform
    yield f"{where}.frontend", step.frontend
    for key in ("contexts", "attests", "labels", "secrets"):
        for name, text in getattr(step, key).items():
            yield below(f"{where}.{key}", name), text


def in_context(step: Step) -> str:
    """Return the path of the step's Dockerfile in the build context; "" if it is not there."""
    path = step.dockerfile.removeprefix(_FROM_CONTEXT)
    return "" if path == step.dockerfile else path


def of_scenario(step: Step) -> bool:
    """Return whether the step builds a Dockerfile of the scenario's folder."""
    own = not in_context(step) and not step.context
    return step.action is Action.BUILD and own and bool(step.dockerfile)


def entitlements(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return what a daemon must let builds of *steps* ask for."""
    return tuple(sorted({word for step in steps for word in step.allow}))


def check(scenario: Scenario, step: Step, where: str) -> None:
    """Raise `BadInput` for the first invalid option; the placeholders in *step* are valid."""
    if step.action is not Action.BUILD:
        for key in _OWN:
            unset = getattr(step, key) == getattr(_PLAIN, key)
            require(unset, f"{where}.{key}", f"is for a build, not for {step.action}")
        return
    _check_cache(step, where)
    for name in step.contexts:
        _check_context(scenario, step, name, below(f"{where}.contexts", name))
    _check_image(scenario, step, where)
    _check_private(step, where)
    for number, word in enumerate(step.allow):
        require_word(word, ENTITLEMENTS, f"{where}.allow[{number}]")
    for ref in _filled(scenario, step, step.frontend):
        right = is_image(ref) or not step.frontend
        require(right, f"{where}.frontend", f"{ref!r} is not an image reference")


def _check_image(scenario: Scenario, step: Step, where: str) -> None:
    """Check what describes the image that is built."""
    for text in _filled(scenario, step, step.platform):
        right = all(_PLATFORM.fullmatch(one) for one in text.split(","))
        require(
            right or not text,
            f"{where}.platform",
            f"{text!r} must be like linux/arm64; several are separated by commas",
        )
    for kind, attributes in step.attests.items():
        at = below(f"{where}.attests", kind)
        require_word(kind, _ATTESTATIONS, f"{where}.attests")
        for text in _filled(scenario, step, attributes):
            right = bool(_ATTRIBUTES.fullmatch(text))
            require(right, at, f"{text!r} is not a list like mode=max,inline-only=true")
    for name, value in step.labels.items():
        at = below(f"{where}.labels", name)
        require(bool(_LABEL.fullmatch(name)), f"{where}.labels", f"{name!r} is no label's name")
        require(value.isprintable(), at, "must be one line")
    if step.epoch is not None:
        require(0 <= step.epoch <= _LATEST, f"{where}.epoch", "must be seconds since 1970")
        require(EPOCH not in step.args, f"{where}.epoch", f"args has {EPOCH} too")


def _check_private(step: Step, where: str) -> None:
    for name, secret in step.secrets.items():
        at = below(f"{where}.secrets", name)
        require(bool(_ID.fullmatch(name)), f"{where}.secrets", f"{name!r} is not a secret's id")
        # Evidence leaves its text out: a short one would be found in other words.
        least, most = SECRET_LENGTHS
        fits = least <= len(secret) <= most
        require(fits, at, f"must have {least} to {most} characters")
    for number, name in enumerate(step.ssh):
        at = f"{where}.ssh[{number}]"
        require(bool(_ID.fullmatch(name)), at, f"{name!r} is not an agent's id, such as default")
        require(name not in step.ssh[:number], at, f"{name!r} is named twice")


def _check_cache(step: Step, where: str) -> None:
    both = step.no_cache and step.no_cache_filter
    require(not both, f"{where}.no_cache_filter", "no_cache already builds every stage anew")
    for number, stage in enumerate(step.no_cache_filter):
        at = f"{where}.no_cache_filter[{number}]"
        require(bool(_STAGE.fullmatch(stage)), at, f"{stage!r} is not the name of a stage")


def _check_context(scenario: Scenario, step: Step, name: str, where: str) -> None:
    right = bool(_NAME.fullmatch(name)) and ".." not in name
    require(right, where, f"{name!r} is not a name that a Dockerfile can use (a-z, 0-9, . _ / : -)")
    kind, colon, text = step.contexts[name].partition(":")
    known = ", ".join(f"{word}:" for word in KINDS)
    require(bool(colon) and kind in KINDS, where, f"must begin with one of {known}")
    match kind:
        case "step":
            _check_earlier(scenario, step, text, where)
        case "image":
            for ref in _filled(scenario, step, text):
                require(is_image(ref), where, f"{ref!r} is not an image reference")
        case _:
            require_path(text, where)


def _check_earlier(scenario: Scenario, step: Step, name: str, where: str) -> None:
    """Check that the step *name* has ended before *step*, wherever that runs, with one output."""
    index = next(n for n, one in enumerate(scenario.steps) if one.id == step.id)
    earlier = {one.id: one for one in scenario.steps[:index]}
    require_known(name, earlier, where, "earlier step")
    other = earlier[name]
    together = other.parallel and other.parallel == step.parallel
    require(not together, where, f"{name} runs at the same time as {step.id}")
    always = all(_runs(other, axes) for axes in scenario.cells() if _runs(step, axes))
    require(always, where, f"{name} does not run in every cell in which {step.id} does")
    found = len(_outputs(other))
    require(
        found == 1,
        where,
        f'{name} needs one output that is a folder, {{ type = "local" }} or'
        f' {{ type = "oci", tar = "false" }}; it has {found}',
    )


def _outputs(step: Step) -> list[tuple[str, str]]:
    """Return the outputs of *step* that are folders: the kind of each and its ``dest``."""
    kinds = {("local", None): _CONTEXT, ("oci", "false"): _LAYOUT}
    return [
        (kinds[found], entry["dest"])
        for entry in step.outputs
        if (found := (entry.get("type"), entry.get("tar"))) in kinds and "dest" in entry
    ]


def read_folders(scenario: Scenario, step: Step) -> Iterator[tuple[str, str, bool]]:
    """Yield the named contexts of *step* that are in a trial's own directory.

    Each has its name, its path, and whether it is given as the output of a step. They are valid.
    """
    for name, value in step.contexts.items():
        kind, _, rest = value.partition(":")
        if kind == _LAYOUT:
            yield name, rest, False
        elif kind == _STEP:
            yield name, next(_outputs(s)[0][1] for s in scenario.steps if s.id == rest), True


def _runs(step: Step, axes: Axes) -> bool:
    return all(dict(axes)[axis] in values for axis, values in step.when.items())


def _filled(scenario: Scenario, step: Step, text: str) -> set[str]:
    """Return what *text* can be where *step* runs, with stand-ins for images and registries."""
    return {
        fill(
            text,
            scenario=scenario,
            axes=axes,
            images=dict.fromkeys(scenario.images, "image"),
            registry="127.0.0.1:1",
        )
        for axes in (scenario.cells() if "${" in text else scenario.cells()[:1])
        if _runs(step, axes) or "${" not in text
    }


def options(scenario: Scenario, step: Step, text: Callable[[str], str], places: Places) -> Options:
    """Return the options of *step*; *text* replaces placeholders.

    Raises ValueError, with a message, if an earlier step has not left what one names.
    """

    def filled(table: Mapping[str, str]) -> dict[str, str]:
        return {name: text(value) for name, value in table.items()}

    return Options(
        contexts={
            name: _named(scenario, value, text, places) for name, value in step.contexts.items()
        },
        no_cache=step.no_cache,
        no_cache_filter=step.no_cache_filter,
        platform=text(step.platform),
        attests=filled(step.attests),
        labels=filled(step.labels),
        epoch=step.epoch,
        secrets={name: places.secret(name, text(value)) for name, value in step.secrets.items()},
        ssh={name: places.key(name) for name in step.ssh},
        allow=step.allow,
        frontend=text(step.frontend),
    )


def _named(
    scenario: Scenario, value: str, text: Callable[[str], str], places: Places
) -> NamedContext:
    kind, _, rest = value.partition(":")
    folder = places.context / rest
    if kind == _IMAGE:
        return NamedContext(image=text(rest))
    if kind == _STEP:
        kind, dest = next(_outputs(step)[0] for step in scenario.steps if step.id == rest)
        folder = places.output(dest)
    elif kind == _LAYOUT:
        folder = places.output(rest)
    if kind == _LAYOUT:
        return NamedContext(layout=folder, digest=places.digest(folder))
    return NamedContext(folder=folder)


def uses_layouts(scenario: Scenario, steps: Iterable[Step]) -> bool:
    """Return whether a build of *steps* has an OCI layout as a named context."""
    by_id = {step.id: step for step in scenario.steps}

    def is_layout(value: str) -> bool:
        kind, _, rest = value.partition(":")
        return kind == _LAYOUT or (kind == _STEP and _outputs(by_id[rest])[0][0] == _LAYOUT)

    return any(is_layout(value) for step in steps for value in step.contexts.values())
