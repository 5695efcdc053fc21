"""The user's names, containers and volumes on an Engine are not touched."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

import engine as engines
from buildkit_bisect.engine import base, buildx_plugin, image, labels
from buildkit_bisect.engine.connection import Engine
from buildkit_bisect.engine.contexts import endpoint
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.model import Build, Revision, Variant
from buildkit_bisect.runtime import registry
from buildkit_bisect.system import owner
from engine import TestEngine
from tool import inv

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.alone]

DEAD = {labels.OURS: "trial", labels.OWNER: f"{owner.machine()}:{2**22}:1"}
VARIANT = Variant(revision=Revision(ref="v0.25.0", sha="", describe="v0.25.0"))
REF = "bkbisect/buildkit:v0.25.0"


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with engines.running() as made:
        yield made


@pytest.fixture
def client(engine: TestEngine) -> Iterator[docker.DockerClient]:
    """A client of the Engine, which is empty after each test."""
    with closing(engine.client()) as made:
        yield made
        for container in made.containers.list(all=True):
            container.remove(force=True)
        for volume in made.volumes.list():
            volume.remove(force=True)
        while listed := made.images.list(all=True):
            for left in listed:
                with suppress(APIError):  # another image is based on it
                    made.images.remove(str(left.id), force=True)


@pytest.fixture
def opened(
    engine: TestEngine,
    client: docker.DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Engine:
    """The Engine as the tool sees it; what it remembers is in the test's own cache."""
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    return Engine(client=client, where=endpoint(engine.environment), id="x", arch="amd64")


@pytest.fixture
def ground(client: docker.DockerClient, tmp_path: Path) -> base.Base:
    """A base with our labels and one small file."""
    (tmp_path / "file").write_text("base")
    archive = tmp_path / "base.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "file", "file")
    changes = [f"LABEL {labels.OURS}=base"]
    client.api.import_image_from_file(
        str(archive), repository=base.REPOSITORY, tag="1", changes=changes
    )
    ref = f"{base.REPOSITORY}:1"
    return base.Base(id=str(client.images.get(ref).id), ref=ref, key="k")


@pytest.fixture
def build(tmp_path: Path) -> Build:
    folder = tmp_path / "build"
    folder.mkdir()
    for program in ("buildkitd", "buildctl"):
        (folder / program).write_text(program)
    return Build(
        key="b" * 64,
        go="1.25.5",
        source="module",
        directory=str(folder),
        buildkitd_sha256=hashlib.sha256(b"buildkitd").hexdigest(),
        buildctl_sha256=hashlib.sha256(b"buildctl").hexdigest(),
        seconds=1.0,
    )


@pytest.fixture
def made(opened: Engine, build: Build, ground: base.Base) -> image.VariantImage:
    return image.ensure(opened, build, VARIANT, ground)


def clean(engine: TestEngine, *words: str) -> str:
    done = inv("clean", *words, env=engine.environment)
    assert done.code == 0, done.stderr
    return done.stdout


def tags(client: docker.DockerClient) -> list[str]:
    return sorted(tag for one in client.images.list() for tag in one.tags)


def holds(client: docker.DockerClient, which: str, volume: str, name: str) -> None:
    """Create a container *name* from the image *which* with *volume*; it is never started."""
    client.containers.create(which, ["x"], name=name, volumes=[f"{volume}:/data"])


# --- containers and volumes -----------------------------------------------------------------


def test_a_builders_container_is_removed_with_its_volume(
    engine: TestEngine, client: docker.DockerClient, ground: base.Base
) -> None:
    volume = buildx_plugin.volume("bkbisect-1")
    client.volumes.create(volume, labels=DEAD)
    holds(client, ground.id, volume, buildx_plugin.container("bkbisect-1"))
    output = clean(engine)
    assert f"removed container {buildx_plugin.container('bkbisect-1')}" in output
    assert engine.left(patience=5) == []


@pytest.mark.parametrize("volume", ["bkbisect-1", buildx_plugin.volume("bkbisect-1")])
def test_a_users_container_on_our_volume_is_kept(
    engine: TestEngine, client: docker.DockerClient, ground: base.Base, volume: str
) -> None:
    client.volumes.create(volume, labels=DEAD)
    client.volumes.create("bkbisect-2", labels=DEAD)
    holds(client, ground.id, volume, "precious")
    kept = f"kept volume {volume}: container precious mounts it"
    assert kept in clean(engine, "--dry-run")
    output = clean(engine)
    assert kept in output
    assert "removed volume bkbisect-2" in output
    assert engine.left() == ["container precious", f"volume {volume}"]


def test_a_users_container_is_kept_when_the_builders_is_removed(
    engine: TestEngine, client: docker.DockerClient, ground: base.Base
) -> None:
    volume = buildx_plugin.volume("bkbisect-1")
    client.volumes.create(volume, labels=DEAD)
    holds(client, ground.id, volume, buildx_plugin.container("bkbisect-1"))
    holds(client, ground.id, volume, "precious")
    clean(engine)
    assert engine.left() == ["container precious", f"volume {volume}"]


# --- images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [None, "ENV A=b", 'CMD ["sh"]'])
def test_an_image_built_on_a_variant_is_not_used_as_the_variant(
    opened: Engine,
    build: Build,
    ground: base.Base,
    made: image.VariantImage,
    changes: str | None,
) -> None:
    """It is newer than ours, has all its labels and no layer of its own."""
    client = opened.client
    container = client.containers.create(made.id, ["x"])
    theirs = container.commit("mycorp/tools", "1", changes=changes)
    container.remove()
    again = image.ensure(opened, build, VARIANT, ground)
    assert again.reused
    assert again.id == made.id != theirs.id
    client.images.remove(REF)
    assert image.ensure(opened, build, VARIANT, ground).id != theirs.id
    assert client.images.get("mycorp/tools:1").id == theirs.id
    assert client.images.get(REF).id != theirs.id


def test_clean_removes_our_names_and_keeps_the_users(
    engine: TestEngine, client: docker.DockerClient, made: image.VariantImage
) -> None:
    container = client.containers.create(made.id, ["x"])
    container.commit("mycorp/tools", "1")
    container.commit()
    container.remove()
    client.images.get(made.id).tag(f"{labels.NOWHERE}/bkbisect/buildkit", tag="0123")
    client.images.get(made.id).tag("mycorp/kept", tag="1")
    before = len(client.images.list())
    clean(engine, "--images")
    assert tags(client) == ["mycorp/kept:1", "mycorp/tools:1"]
    assert len(client.images.list()) == before - 1  # the base


def test_an_image_in_use_does_not_stop_the_removal_of_others(
    engine: TestEngine, client: docker.DockerClient, made: image.VariantImage
) -> None:
    client.images.get(made.id).tag(f"{labels.NOWHERE}/bkbisect/buildkit", tag="0123")
    volume = {**DEAD, labels.OWNER: "elsewhere:1:1", labels.CREATED: "²"}
    client.volumes.create("odd", labels=volume)
    client.containers.create("bkbisect/base:1", ["x"], name="precious")
    done = clean(engine, "--images")
    assert "kept image bkbisect/base:1: " in done
    assert "container" in done.partition("kept image")[2]
    assert f"{REF}" in done.partition("kept image")[0]
    assert tags(client) == ["bkbisect/base:1"]
    client.containers.get("precious").remove()
    clean(engine, "--images")
    assert tags(client) == []


# --- pushing --------------------------------------------------------------------------------


def test_a_push_restores_the_users_name(
    opened: Engine, client: docker.DockerClient, made: image.VariantImage, tmp_path: Path
) -> None:
    with registry.serve(tmp_path / "registry") as where:
        target = image.repository(where.address)
        client.images.get("bkbisect/base:1").tag(target, tag="v0.25.0")
        theirs = client.images.get("bkbisect/base:1").id
        image.push(opened, made, where.address)
        assert where.digest("bkbisect/buildkit", "v0.25.0")
        assert client.images.get(f"{target}:v0.25.0").id == theirs
        # The image keeps its own name.
        client.images.get(made.id).tag(target, tag="v0.25.0")
        image.push(opened, made, where.address)
        assert client.images.get(f"{target}:v0.25.0").id == made.id
        # A name that did not exist before is removed.
        client.images.remove(f"{target}:v0.25.0")
        image.push(opened, made, where.address)
    assert tags(client) == ["bkbisect/base:1", REF]


def test_a_failed_push_restores_the_users_name(
    opened: Engine, client: docker.DockerClient, made: image.VariantImage
) -> None:
    target = image.repository("127.0.0.1:1")
    client.images.get("bkbisect/base:1").tag(target, tag="v0.25.0")
    with pytest.raises(InfraFailed, match=f"pushing {target}"):
        image.push(opened, made, "127.0.0.1:1")
    assert client.images.get(f"{target}:v0.25.0").id == client.images.get("bkbisect/base:1").id
