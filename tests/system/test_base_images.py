"""Base images that are made without BuildKit: real BuildKit takes them, and makes the same."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import buildctl, scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.runtime.host import host_runtime
from buildkit_bisect.runtime.registry import Registry, serve
from buildkit_bisect.scenario import Scenario, plain_image
from buildkit_bisect.source import ModuleSource

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

COMPRESSIONS = ("gzip", "estargz", "uncompressed", "zstd")

SCENARIO = """
schema = 1
name = "images"
title = "each compression"
issue = "https://example.com/1"

[[steps]]
id = "build"
action = "build"
dockerfile = "Dockerfile"

[[outcomes]]
name = "fine"
verdict = "good"
means = "fine"
all = [{ step = "build", exit = "ok" }]
"""

IMAGE = """\
# No layer is one of another image.
FROM scratch
COPY busybox <<note <<which /bin/
NAME
note
not a program: a link of the next layer takes its place
which
COPY rootfs/ <<note <<odd /
NAME
note
# no comment
	a tab, "quotes" and 'more'

odd
COPY rootfs /deep/er
COPY <<EOF /deep/er/etc/more
EOF
CMD ["/bin/sh"]
ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo $NOTHING"]
"""


@pytest.fixture(scope="module")
def build() -> Build:
    source = ModuleSource()
    made = Builder(source=source).build(Variant(revision=source.resolve(base_images.REFERENCE)))
    assert isinstance(made, Build)
    return made


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """A scenario with an image of each compression."""
    folder = tmp_path_factory.mktemp("scenario")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    tables = []
    for name in COMPRESSIONS:
        (folder / f"{name}.Dockerfile").write_text(IMAGE.replace("NAME", name))
        pairs = f'dockerfile = "{name}.Dockerfile"\ncompression = "{name}"\n'
        tables.append(f"[images.{name}]\n{pairs}")
    (folder / "scenario.toml").write_text("\n".join([SCENARIO, *tables]))
    return scenario.load(str(folder))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serve(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def made(loaded: Scenario, store: Registry) -> dict[str, ImageRef]:
    def reference() -> Build:
        raise AssertionError("a BuildKit is asked for")

    return base_images.ensure(loaded, store, reference)


def document(store: Registry, ref: ImageRef) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest and the configuration of an image."""
    name, _, tag = ref.ref.partition("/")[2].rpartition(":")
    with store.open_manifest(name, tag) as file:
        manifest = json.load(file)
    with store.open_blob(name, manifest["config"]["digest"]) as file:
        return manifest, json.load(file)


def files(store: Registry, ref: ImageRef, layer: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return what is in a gzip or an eStargz layer, without the table of contents."""
    name = ref.ref.partition("/")[2].rpartition(":")[0]
    with store.open_blob(name, layer["digest"]) as file:
        data = gzip.decompress(file.read())
    found: dict[str, tuple[Any, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for one in tar:
            content = tar.extractfile(one) if one.isreg() else None
            found[one.name] = (
                *(one.type, one.mode, one.linkname, one.uid, one.gid),
                content.read() if content else b"",
            )
    found.pop("stargz.index.json", None)
    return found


def test_buildkit_makes_the_same_of_the_same_dockerfile(
    loaded: Scenario,
    store: Registry,
    made: dict[str, ImageRef],
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plain_image, "all_of", lambda _: None)
    built = base_images.ensure(loaded, store, lambda: build)
    for name in COMPRESSIONS:
        assert built[name].digest != made[name].digest
        theirs, their_config = document(store, built[name])
        ours, our_config = document(store, made[name])
        assert [one["mediaType"] for one in ours["layers"]] == [
            one["mediaType"] for one in theirs["layers"]
        ]
        assert [sorted(one.get("annotations", {})) for one in ours["layers"]] == [
            sorted(one.get("annotations", {})) for one in theirs["layers"]
        ]
        their_config["config"].pop("ArgsEscaped", None)  # of Windows
        assert our_config["config"] == their_config["config"]
        assert [our_config[key] for key in ("os", "architecture")] == [
            their_config[key] for key in ("os", "architecture")
        ]
        assert [one.get("empty_layer") for one in our_config["history"]] == [
            one.get("empty_layer") for one in their_config["history"]
        ]
        if name not in ("gzip", "estargz"):
            continue
        for our_layer, their_layer in zip(ours["layers"], theirs["layers"], strict=True):
            found = files(store, made[name], our_layer)
            wanted = files(store, built[name], their_layer)
            assert found == wanted


@pytest.mark.parametrize("snapshotter", ["overlayfs", "native", "stargz"])
def test_buildkit_builds_on_them(
    snapshotter: str, store: Registry, made: dict[str, ImageRef], build: Build, tmp_path: Path
) -> None:
    """With stargz, eStargz layers stay in the registry; all others are pulled."""
    (tmp_path / "context").mkdir()
    with host_runtime(
        binaries=Path(build.directory), home=tmp_path, snapshotter=snapshotter, config=store.config
    ) as daemon:
        for name, ref in made.items():
            dockerfile = tmp_path / f"{name}.Dockerfile"
            dockerfile.write_text(
                f"FROM {ref.ref}\n"
                f'RUN test "$(cat /note /bin/note)" = "$(echo {name}; echo {name})"\n'
                'RUN test -k /tmp && test "$(readlink /bin/which)" = /bin/busybox\n'
                "RUN ls -R / > /list\n"
            )
            request = buildctl.BuildRequest(
                context=tmp_path / "context", dockerfile=dockerfile, args={}, timeout=120
            )
            done = daemon.build(request).done
            assert done.ok, (name, done.stderr[-2000:])
            for layer in document(store, ref)[0]["layers"]:
                blobs = (tmp_path / "state").glob(f"*/content/blobs/sha256/{layer['digest'][7:]}")
                lazy = (snapshotter, name) == ("stargz", "estargz")
                assert len(list(blobs)) == (0 if lazy else 1), name


def test_another_registry_gets_the_same_images(
    loaded: Scenario, made: dict[str, ImageRef], tmp_path: Path
) -> None:
    unused: Callable[[], Build] = lambda: pytest.fail("a BuildKit is asked for")  # noqa: E731
    with serve(tmp_path) as other:
        again = base_images.ensure(loaded, other, unused)
    assert {n: ref.digest for n, ref in again.items()} == {n: r.digest for n, r in made.items()}
