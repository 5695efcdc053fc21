"""The fixed base image that binaries are layered on.

In order: the user's ``--base-image``; a published BuildKit release that the Engine has or can
pull; one assembled from this machine's packages, which also works offline. The choice is
remembered for each Engine: a base that varies would be one more variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import docker.errors

from buildkit_bisect.engine import labels, rootfs
from buildkit_bisect.engine.client import engine_errors, transferred, within
from buildkit_bisect.engine.connection import Engine
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.golang.toolchain import host_arch
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.system import paths
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.locks import locked
from buildkit_bisect.system.retry import passing, retried

#: The published release that is the base, if the Engine has it or can pull it.
PUBLISHED = "moby/buildkit:v0.25.0"

REPOSITORY = f"{labels.NAMESPACE}/base"

#: Seconds for a pull, including retries.
PULL = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """An image on the Engine. Equal keys mean equal contents, on any Engine."""

    id: str  # sha256:...
    ref: str
    key: str


def find(engine: Engine, wanted: str = "", say: Callable[[str], None] = lambda _: None) -> Base:
    """The base to use on *engine*; *wanted* is ``--base-image``.

    Raises `BadInput` if *wanted* is not found and cannot be pulled, `Missing` if no base can be
    assembled on this machine, `InfraFailed` if the Engine fails.
    """
    with locked("base-image.lock", "pulls or assembles the base image"):
        if wanted:
            found = local(engine, wanted) or pulled(engine, wanted, say)
            if isinstance(found, Base):
                return found
            raise BadInput(
                f"{words(Building, base_image=wanted)}: {found}",
                hint=f"docker pull, or leave out {words(Building, base_image=True)}",
            )
        if engine.recall("base") != REPOSITORY:
            found = local(engine, PUBLISHED) or pulled(engine, PUBLISHED, say)
            if isinstance(found, Base):
                engine.remember("base", PUBLISHED)
                return found
            say(f"cannot pull {PUBLISHED} ({found}); assembling a base from local packages")
        base = _assembled(engine)
        engine.remember("base", REPOSITORY)
        return base


def local(engine: Engine, ref: str) -> Base | None:
    """The image *ref*; None if the Engine does not have it."""
    with engine_errors(f"looking for the image {ref}"):
        try:
            image = engine.client.images.get(ref)
        except docker.errors.ImageNotFound:
            return None
    return Base(id=str(image.id), ref=ref, key=str(image.id))


def pulled(engine: Engine, ref: str, say: Callable[[str], None]) -> Base | str:
    """Pull *ref*; return the image, or why it cannot be pulled."""
    repository, tag = _split(ref)

    def pull(left: float) -> str:
        api = engine.client.api
        try:
            with engine_errors(f"pulling {ref}"), within(engine.client, left):
                transferred(api.pull(repository, tag=tag, stream=True, decode=True), left)
        except InfraFailed as error:
            return error.message.removeprefix(f"pulling {ref}: ")[:200]
        return ""

    with announce(f"pulling {ref}"):
        failed = retried(pull, within=PULL, trouble=passing, say=say)
    if failed:
        return failed
    return local(engine, ref) or f"{ref} is not on the Engine after the pull"


def _split(ref: str) -> tuple[str, str | None]:
    """Repository and tag or digest; without either docker-py pulls every tag."""
    if "@" in ref:
        repository, _, digest = ref.partition("@")
        return repository, digest
    last = ref.rsplit("/", 1)[-1]
    return (ref.rpartition(":")[0], ref.rpartition(":")[2]) if ":" in last else (ref, "latest")


def _assembled(engine: Engine) -> Base:
    if engine.arch != host_arch():
        raise Missing(
            f"cannot assemble a base image: the Engine at {engine.where.shown} is {engine.arch},"
            f" this machine is {host_arch()}",
            hint=words(Building, base_image="IMAGE"),
        )
    made = rootfs.assemble()
    ref = f"{REPOSITORY}:{made.key[:16]}"
    found = local(engine, ref)
    if found is None:
        what = f"assembling {ref} from this machine's runc, fuse3 and busybox"
        with announce(what), paths.scratch("base") as folder:
            path = folder / "rootfs.tar"
            with path.open("wb") as file:
                made.write(file)
            with engine_errors(f"importing {ref}"):
                engine.client.api.import_image_from_file(
                    str(path),
                    repository=REPOSITORY,
                    tag=made.key[:16],
                    changes=[f"LABEL {labels.OURS}=base {labels.KEY}={made.key}"],
                )
        found = local(engine, ref)
    if found is None:
        raise InfraFailed(
            f"{ref} is not on the Engine after the import",
            hint="df -h on the Engine's machine, then run the command again",
        )
    # The image's id depends on the time of the import; the key is the same on every Engine.
    return Base(id=found.id, ref=ref, key=made.key)
