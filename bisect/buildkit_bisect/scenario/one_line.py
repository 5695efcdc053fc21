"""A Dockerfile and an expectation as a scenario: ``--dockerfile F --expect 'cached: RUN make'``.

The scenario is a folder like any other: a copy of the Dockerfile, of the files that it copies, and
a ``scenario.toml``. So it is loaded, checked, digested and reproduced as one, and a user may go on
with it. Pure: reads and writes files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.nearest import did_you_mean
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.phrases import listed
from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario import expectation, rule_text, twins
from buildkit_bisect.scenario.build_files import ignore_file
from buildkit_bisect.scenario.context_files import used
from buildkit_bisect.scenario.dockerfile import Dockerfile, Stage
from buildkit_bisect.scenario.expectation import Expectation
from buildkit_bisect.scenario.placeholders import names_in
from buildkit_bisect.scenario.twins import Twin
from buildkit_bisect.system import tomltext
from buildkit_bisect.system.addresses import is_image

#: The scenario's name, in results too.
NAME = "dockerfile"

#: The folder in the cache with the folders of such scenarios.
FOLDER = "one-line"

#: Where issues are, for a scenario that is about none yet.
ISSUE = "https://github.com/moby/buildkit/issues"

#: Bytes of a Dockerfile.
_LARGEST = 1 << 20

#: Snapshotters that buildkitd contains, those that need every layer, and one as their control.
_BUILT_IN = ("overlayfs", "native", "stargz")
_EAGER = ("overlayfs", "native", "fuse-overlayfs")
_CONTROL = "overlayfs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the options of the one-line form say."""

    dockerfile: str
    expect: str
    context: str = ""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    again: Mapping[str, str] = field(default_factory=dict)  # in the second build
    snapshotters: Collection[str] = ()  # of --axis
    public: bool = False  # whether images are pulled


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """The folder of a scenario, not written yet."""

    texts: Mapping[str, str]  # by name: scenario.toml and the Dockerfiles
    context: Mapping[str, Path]  # the files of the build context, by their paths in it

    @property
    def digest(self) -> str:
        """The SHA-256 of everything that `write` writes, in hex. Raises OSError."""
        sha = hashlib.sha256()
        for name, text in sorted(self.texts.items()):
            sha.update(f"{name}\0{len(text)}\0{text}".encode(errors="surrogateescape"))
        for name, path in sorted(self.context.items()):
            link = path.is_symlink()
            data = str(path.readlink()).encode() if link else path.read_bytes()
            mode = 0 if link else path.stat().st_mode & 0o7777
            sha.update(f"{name}\0{link}\0{mode}\0{len(data)}\0".encode() + data)
        return sha.hexdigest()

    def write(self, folder: Path) -> None:
        """Write the scenario into *folder*, which exists. Raises OSError."""
        for name, text in self.texts.items():
            (folder / name).write_text(text, errors="surrogateescape", newline="")
        for name, path in self.context.items():
            to = folder / "context" / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to, follow_symlinks=False)


def draft(asked: Asked) -> Draft:
    """Return the scenario that *asked* describes.

    Raises `BadInput` for an expectation that is none, and for a Dockerfile that cannot be read or
    that needs what a trial has not: an image without a local one, a file outside of the context.
    """
    expected = expectation.read(asked.expect)
    path, text = _read(asked.dockerfile)
    file = dockerfiles.parse(text)
    if not any(one.word == "FROM" for one in file.instructions):
        raise BadInput(
            f"{path} has no FROM: not a Dockerfile", hint=words(Campaign, dockerfile="F")
        )
    _check_values(asked)
    _check_names(asked, file, expected)
    context = Path(asked.context) if asked.context else path.parent
    if not context.is_dir():
        raise BadInput(
            f"{words(Campaign, context=True)} {asked.context!r} is not a folder",
            hint=words(Campaign, context=str(path.parent)),
        )
    found = dockerfiles.stages(file, asked.args)
    outer = {base.image: None for base in found if base.outer}
    names = {image: f"base-{n}" for n, image in enumerate(outer, 1)}
    _check_images(path, file, found, public=asked.public)
    compression = "estargz" if _lazy(asked.snapshotters) else "gzip"
    local = [Twin(name=n, public=image, compression=compression) for image, n in names.items()]
    texts = {twin.file: twin.dockerfile for twin in local}
    files = used(path, file, context)
    own = _written(file, found, names, public=asked.public)
    notes = [f"{image} is a local image of busybox" for image in names if not asked.public]
    if unset := [name for name in dockerfiles.undeclared(file) if name not in asked.args]:
        notes.append(f"no value for {listed(unset)}: {words(Campaign, build_arg='NAME=VALUE')}")
    made = _toml(asked, expected, path, local, notes, with_context=bool(files))
    texts |= {"Dockerfile": own, "scenario.toml": made}
    return Draft(texts=texts | _ignored(path), context=files)


def _ignored(path: Path) -> dict[str, str]:
    """Return the file that the Dockerfile *path* ignores by, if it has its own."""
    beside = ignore_file(path)
    if not os.path.lexists(beside):
        return {}
    if beside.is_symlink():  # BuildKit does not follow it out of the folder
        raise BadInput(f"{beside} is a link", hint="a file")
    _, text = _read(str(beside))
    return {ignore_file(Path("Dockerfile")).name: text}


def _read(name: str) -> tuple[Path, str]:
    path = Path(name)
    given = words(Campaign, dockerfile=name)
    try:
        if path.is_dir():
            raise BadInput(
                f"{given} is a folder", hint=words(Campaign, dockerfile=str(path / "Dockerfile"))
            )
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{given}: larger than {_LARGEST} bytes", hint="docs/scenarios.md")
        return path, path.read_bytes().decode("utf-8-sig")  # BuildKit skips the mark too
    except OSError as error:
        raise BadInput(f"{given}: {error.strerror}", hint=words(Campaign, dockerfile="F")) from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{given}: invalid UTF-8 at byte {error.start}", hint=words(Campaign, dockerfile="F")
        ) from None


def _check_values(asked: Asked) -> None:
    """Raise `BadInput` for what a scenario would read as one of its placeholders."""
    given = {
        **{words(Campaign, build_arg=f"{k}={v}"): v for k, v in asked.args.items()},
        **{words(Campaign, rebuild_arg=f"{k}={v}"): v for k, v in asked.again.items()},
    }
    for option, value in given.items():
        if names_in(value):
            raise BadInput(
                f"{option}: ${{...}} is a placeholder of scenarios",
                hint="its value, or a scenario; docs/scenarios.md",
            )


def _check_names(asked: Asked, file: Dockerfile, expected: Expectation) -> None:
    """Raise `BadInput` for a stage or a RUN that does not exist, and for useless options."""
    if asked.target and asked.target.lower() not in (known := dockerfiles.names(file)):
        raise BadInput(
            f"{asked.dockerfile} has no stage {asked.target!r};"
            f" {did_you_mean(asked.target, sorted(known), what='known stages')}",
            hint=words(Campaign, target="STAGE"),
        )
    if asked.again and not expected.kind.rebuilds:
        raise BadInput(
            f"{words(Campaign, rebuild_arg=True)} is of a second build,"
            f" and {words(Campaign, expect=str(expected))} is about the first one",
            hint=words(Campaign, build_arg="NAME=VALUE"),
        )
    runs = [_joined(f"RUN {one.text}") for one in file.instructions if one.word == "RUN"]
    documents = any(one.documents for one in file.instructions if one.word == "RUN")
    wanted = _joined(expected.text)
    misnamed = expected.kind.rebuilds and wanted.startswith("RUN ") and not documents
    if misnamed and not any(wanted in run for run in runs):
        raise BadInput(
            f"{asked.dockerfile} has no step {wanted!r}; {did_you_mean(wanted, runs)}",
            hint=words(Campaign, expect=f"{expected.kind}: {runs[0] if runs else 'VERTEX'}"),
        )


def _joined(text: str) -> str:
    return " ".join(text.split())


def _check_images(path: Path, file: Dockerfile, found: list[Stage], *, public: bool) -> None:
    """Raise `BadInput` for an image that a trial cannot use."""
    pull = words(Campaign, images="public")
    for base in found:
        if not base.image:
            raise BadInput(
                f"{path}: FROM {base.written} has no value",
                hint=words(Campaign, build_arg="NAME=IMAGE"),
            )
        if base.outer and not is_image(base.image):
            raise BadInput(f"{path}: FROM {base.image} does not name an image", hint=pull)
        if base.outer and not public and not twins.has(base.image):
            raise BadInput(
                f"{path}: FROM {base.image}: there is no local image of this kind,"
                f" only of {listed(twins.PLAIN, limit=len(twins.PLAIN))}",
                hint=f"{pull} pulls it",
            )
    if not public:
        _check_local(path, file, found)


def _check_local(path: Path, file: Dockerfile, found: list[Stage]) -> None:
    """Raise `BadInput` for what a local image has not: files of an image, programs."""
    pull = words(Campaign, images="public")
    stages = dockerfiles.names(file)
    for one in file.instructions:
        for name in one.others:
            if name.lower() not in stages and "$" not in name:
                raise BadInput(
                    f"{path}: {one.word} takes files from {name}, an image and not a stage",
                    hint=f"FROM {name} AS NAME in the Dockerfile, or {pull}",
                )
    for image in dict.fromkeys(base.image for base in found if base.outer):
        if lacking := twins.lacking(found, image):
            one, program = lacking
            raise BadInput(
                f"{path}: {one.word} {one.text[:60]}: the local image has no {program}",
                hint=f"{pull}, or a {one.word} that needs only busybox",
            )


def _written(
    file: Dockerfile, found: list[Stage], names: Mapping[str, str], *, public: bool
) -> str:
    """Return the Dockerfile with an argument in place of each image."""
    lines = list(file.lines)
    for stage in found:
        if stage.outer:
            dockerfiles.start_from(lines, stage, f"${{{_arg(names[stage.image])}}}")
    at = len(file.directives)
    head = lines[:at] if public else file.own_frontend
    own = [f"ARG {_arg(name)}={image}" for image, name in names.items()]
    return "\n".join([*head, *own, *lines[at:]]) + "\n"


def _arg(name: str) -> str:
    return f"BKBISECT_{name.replace('-', '_').upper()}"


def _toml(
    asked: Asked,
    expected: Expectation,
    path: Path,
    local: Collection[Twin],
    notes: Collection[str],
    *,
    with_context: bool,
) -> str:
    head: dict[str, object] = {
        "schema": 1,
        "name": NAME,
        "title": _printable(f"{path.name}: {expected}"),
        "issue": ISSUE,
    }
    if notes:
        head["summary"] = f"{'; '.join(notes)}."
    parts = ["\n".join(f"{k} = {tomltext.value(v)}" for k, v in head.items()) + "\n"]
    parts += _daemon(asked.snapshotters)
    if with_context:
        parts.append(tomltext.table("[context]", {"folder": "context"}))
    for twin in local:
        values = {"dockerfile": twin.file, "compression": twin.compression, "public": twin.public}
        parts.append(tomltext.table(f"[images.{twin.name}]", values))
    given = {_arg(twin.name): f"${{image.{twin.name}}}" for twin in local}
    given |= asked.args
    steps = expectation.steps(expected, target=asked.target, args=given, again=asked.again)
    parts += [tomltext.table("[[steps]]", step) for step in steps]
    parts += [rule_text.rule(rule) for rule in expectation.rules(expected)]
    return "\n".join(parts)


def _lazy(snapshotters: Collection[str]) -> bool:
    return any(name not in _EAGER for name in snapshotters)


def _daemon(snapshotters: Collection[str]) -> Iterator[str]:
    """Yield an axis of the *snapshotters* asked for; an eager one is the control of lazy ones.

    Those that buildkitd does not contain are added by whoever knows how to run them.
    """
    if not snapshotters:
        return
    lazy = _lazy(snapshotters)
    kept = [name for name in _BUILT_IN if name in snapshotters or (lazy and name == _CONTROL)]
    axis = {"values": kept or [_CONTROL], **({"controls": [_CONTROL]} if lazy else {})}
    yield tomltext.table("[axes.snapshotter]", axis)
    yield tomltext.table("[daemon]", {"snapshotter": "${axis.snapshotter}"})


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
