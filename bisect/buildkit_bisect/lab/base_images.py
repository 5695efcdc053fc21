"""Base images: made once per machine, the same for every cell.

The build under test never builds its own base images, so two variants differ only in their
binaries. Images of copied files are made here (`plain_images`), in a second; one fixed BuildKit
builds all others. ``--images public`` uses the scenario's published images instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect import buildctl, solve_status
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.lab import image_files
from buildkit_bisect.lab.image_files import Busybox
from buildkit_bisect.model import Build
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime.host import host_runtime
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import build_files, plain_image
from buildkit_bisect.scenario.definition import Image, Scenario
from buildkit_bisect.scenario.plain_image import PlainImage
from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.locks import locked

#: The release that builds base images which do more than copy. It is fixed, so that images do not
#: vary with the build under test, and its estargz writer works with the Go version that its
#: Dockerfile pins.
REFERENCE = "v0.25.0"

#: The Go version in its Dockerfile.
REFERENCE_GO = "1.25"

#: What compiling it is called while it runs.
COMPILING = f"compiling BuildKit {REFERENCE} for the base images"

#: Part of an image's tag; raise one when the way in which such images are made changes: by
#: BuildKit, and without it.
FORMAT, PLAIN_FORMAT = "2", "plain 2"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """An image as Dockerfiles name it, and its digest in the registry."""

    ref: str
    digest: str  # "" for a public image, which the daemon under test resolves


def public(scenario: Scenario) -> dict[str, ImageRef]:
    """Return the scenario's published images. Raises `BadInput` if it names none."""
    for name, image in scenario.images.items():
        if not image.public:
            raise BadInput(
                f"scenario {scenario.name} names no public image for {name!r}",
                hint=f"leave out {words(Campaign, images='public')}",
            )
    return {n: ImageRef(ref=i.public, digest="") for n, i in scenario.images.items()}


def ensure(
    scenario: Scenario,
    registry: Registry,
    reference: Callable[[], Build],
    deadlines: Deadlines | None = None,
) -> dict[str, ImageRef]:
    """Return the scenario's images in *registry*; make all of them if one is missing.

    *reference* returns the BuildKit that builds them, if they need one. All are made in one way:
    images of one scenario may share layers, and a layer that BuildKit built twice is not the same
    layer. Raises `InfraFailed` if a build or a push fails.
    """
    if not scenario.images:
        return {}
    deadlines = deadlines or Deadlines()
    with locked("images.lock", "builds base images"):
        box = image_files.busybox()
        tag = _tag(scenario, box)
        found = _tagged(scenario, tag, registry.address, registry.digest)
        if found is None:
            plain = plain_image.all_of(scenario)
            if plain is not None:
                with announce(making(scenario)):
                    _make_all(scenario, registry, plain, tag, box=box, deadlines=deadlines)
            else:
                build = reference()
                with announce(making(scenario)):
                    _build_all(scenario, registry, build, tag, box=box, deadlines=deadlines)
            found = _tagged(scenario, tag, registry.address, registry.digest)
    if found is None:
        raise InfraFailed(
            f"the registry at {registry.address} does not have the images just pushed to it",
            hint=f"{inv('clean', cache=True)}, then {inv('resume')}",
        )
    return found


def _repository(scenario: Scenario, name: str) -> str:
    return f"bkbisect/{scenario.name}-{name}"


def making(scenario: Scenario) -> str:
    """Return what building or making the images of *scenario* is called while it runs."""
    word = "building" if needs_buildkit(scenario) else "making"
    return f"{word} the base images of {scenario.name}"


def present(
    scenario: Scenario, address: str, digest_of: Callable[[str, str], str | None]
) -> dict[str, ImageRef] | None:
    """Return the scenario's images, named below *address*; None if one is missing.

    *digest_of* returns the digest of a repository and a tag in the registry. Raises `Missing`
    without busybox.
    """
    return _tagged(scenario, _tag(scenario, image_files.busybox()), address, digest_of)


def _tagged(
    scenario: Scenario, tag: str, address: str, digest_of: Callable[[str, str], str | None]
) -> dict[str, ImageRef] | None:
    found: dict[str, ImageRef] = {}
    for name in scenario.images:
        repository = _repository(scenario, name)
        digest = digest_of(repository, tag)
        if digest is None:
            return None
        found[name] = ImageRef(ref=f"{address}/{repository}:{tag}", digest=digest)
    return found


def _tag(scenario: Scenario, box: Busybox) -> str:
    way = f"{FORMAT} {REFERENCE}" if needs_buildkit(scenario) else PLAIN_FORMAT
    sha = hashlib.sha256(f"{way}\n".encode())
    sha.update(box.data)
    for name, image in sorted(scenario.images.items()):
        files = build_files.of(scenario, image.dockerfile)
        texts = [path.read_bytes().decode() for path in files]
        sha.update(json.dumps([name, image.compression, *texts]).encode())
    return sha.hexdigest()[:16]


def needs_buildkit(scenario: Scenario) -> bool:
    """Whether a BuildKit builds the images of *scenario*: one of them does more than copy."""
    return plain_image.all_of(scenario) is None


def _make_all(
    scenario: Scenario,
    registry: Registry,
    plain: Mapping[str, PlainImage],
    tag: str,
    *,
    box: Busybox,
    deadlines: Deadlines,
) -> None:
    # Imported late: what pushes takes long to import, and images are made once per machine.
    from buildkit_bisect.lab import plain_images  # noqa: PLC0415

    for name, image in plain.items():
        made = plain_images.make(image, scenario.images[name].compression, box)
        plain_images.push(made, registry, _repository(scenario, name), tag, deadlines.image)


def _build_all(
    scenario: Scenario,
    registry: Registry,
    reference: Build,
    tag: str,
    *,
    box: Busybox,
    deadlines: Deadlines,
) -> None:
    with paths.scratch("images") as home:
        context = home / "context"
        context.mkdir()
        image_files.write(context, box)
        with host_runtime(
            binaries=Path(reference.directory),
            home=home,
            snapshotter="native",
            config=registry.config,
            deadlines=deadlines,
        ) as daemon:
            for name, image in scenario.images.items():
                ref = f"{registry.address}/{_repository(scenario, name)}:{tag}"
                dockerfile = build_files.alone(
                    scenario, image.dockerfile, home / "dockerfiles" / name
                )
                request = _request(dockerfile, image, context, ref, deadlines.image)
                built = daemon.build(request)
                done = built.done
                if not done.ok:
                    messages = solve_status.read(done.stderr, built.trace).messages
                    late = f"timed out after {deadlines.image:g} s; " if done.timed_out else ""
                    raise InfraFailed(
                        f"cannot build base image {name} of {scenario.name}: {late}"
                        f"{messages[-800:]}",
                        hint=f"{inv('doctor')}, or {words(Campaign, images='public')};"
                        f" {inv('resume')}",
                    )


def _request(
    dockerfile: Path, image: Image, context: Path, ref: str, timeout: float
) -> buildctl.BuildRequest:
    output: Mapping[str, str] = {
        "type": "image",
        "name": ref,
        "push": "true",
        "compression": image.compression,
        "force-compression": "true",
        "oci-mediatypes": "true",
    }
    return buildctl.BuildRequest(
        context=context, dockerfile=dockerfile, args={}, outputs=(output,), timeout=timeout
    )
