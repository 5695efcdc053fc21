"""Images of copied files: their manifests, and what a registry does not take."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.errors import InfraFailed, Missing
from buildkit_bisect.lab import image_files, layers, plain_images
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario.plain_image import PlainImage, read
from buildkit_bisect.sharing.manifest import Blob
from buildkit_bisect.sharing.remote import Unavailable

BUSYBOX = "a program"


@pytest.fixture(autouse=True)
def _busybox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "busybox"
    program.write_text(BUSYBOX)
    program.chmod(0o755)
    monkeypatch.setattr(image_files, "busybox", lambda: program)
    monkeypatch.setattr(image_files, "_programs", lambda: ["busybox", "sh", "[", "true", "sh"])
    monkeypatch.setattr(plain_images, "host_arch", lambda: "amd64")


def image(text: str) -> PlainImage:
    found = read(f"FROM scratch\n{text}")
    assert found is not None
    return found


WHOLE = image(
    'COPY busybox <<note /bin/\nfirst\nnote\nCOPY rootfs/ /\nCMD ["/bin/sh"]\n'
    'ENTRYPOINT ["/bin/sh", "-c"]\n'
)


def test_a_manifest_names_its_layers_and_its_configuration() -> None:
    made = plain_images.make(WHOLE, "estargz")
    manifest: dict[str, Any] = json.loads(made.manifest)
    assert manifest["layers"] == [one.descriptor for one in made.layers]
    assert all(one["mediaType"].endswith("tar+gzip") for one in manifest["layers"])
    assert {len(one["annotations"]) for one in manifest["layers"]} == {2}
    config: dict[str, Any] = json.loads(made.config)
    assert config["rootfs"]["diff_ids"] == [one.diff_id for one in made.layers]
    assert config["config"]["Cmd"] == ["/bin/sh"]
    assert config["config"]["Entrypoint"] == ["/bin/sh", "-c"]
    # As many as there are layers: BuildKit pairs them.
    assert [one.get("empty_layer", False) for one in config["history"]] == [
        *(False, False),
        *(True, True),
    ]
    assert config["history"][1]["created_by"] == "COPY rootfs/ /"


@pytest.mark.parametrize(
    ("compression", "digest"),
    [
        ("gzip", "489e85dbf87ae85a9311a114a941993b874e39133ac921d34cead87ebc56614f"),
        ("zstd", "51b941a9da381373187544d1eb155988fd859c42f5920e1e24c3fb3c06ee73ec"),
        ("estargz", "f96324cb331a76e6ddbc44336fe7772f2131df0a6adca0bba2dfb02204238190"),
        ("uncompressed", "46d8ab39f293ebc3e3908ebf5cdc9175a77ffdb959b849e1ffedf69dcb4c8fd4"),
    ],
)
def test_digests_never_change(compression: str, digest: str) -> None:
    """They are equal on machines with the same busybox; else raise `PLAIN_FORMAT`."""
    assert plain_images.make(WHOLE, compression).digest == f"sha256:{digest}"


def test_the_same_layer_in_two_images() -> None:
    one = plain_images.make(image("COPY busybox /bin/busybox\n"), "gzip")
    two = plain_images.make(image("COPY busybox /bin/busybox\nCOPY rootfs /\n"), "zstd")
    assert one.layers[0].diff_id == two.layers[0].diff_id
    assert one.layers[0].data != two.layers[0].data


def test_no_link_takes_the_place_of_busybox() -> None:
    paths = {entry.path: entry.link for entry in image_files.rootfs() if entry.link}
    assert paths == {"bin/[": "/bin/busybox", "bin/sh": "/bin/busybox", "bin/true": "/bin/busybox"}


def test_the_context_on_disk_is_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    image_files.write(folder)
    assert (folder / "busybox").read_text() == BUSYBOX
    assert (folder / "busybox").stat().st_mode & 0o777 == 0o755
    for entry in image_files.rootfs():
        path = folder / "rootfs" / entry.path
        if entry.link:
            assert str(path.readlink()) == entry.link
            continue
        assert path.stat().st_mode & 0o7777 == entry.mode
        assert path.is_dir() if entry.data is None else path.read_bytes() == entry.data


@dataclass
class Pushed:
    """What a registry got; it takes a manifest only if *open_*."""

    place: str
    got: list[str] = field(default_factory=list)
    open_: bool = True

    def put_blob(self, blob: Blob, data: bytes) -> None:
        assert len(data) == blob.size
        self.got.append(blob.digest)

    def put_manifest(self, tag: str, data: bytes) -> None:
        if not self.open_:
            raise Unavailable("HTTP 405")
        self.got.append(f"{tag} {layers.digest(data)}")


def test_what_a_registry_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = Pushed("")
    monkeypatch.setattr(plain_images, "Remote", lambda place: replace(pushed, place=place))
    made = plain_images.make(image("COPY busybox /a\n"), "gzip")
    plain_images.push(made, Registry(address="127.0.0.1:1"), "some/name", "7")
    config, layer = layers.digest(made.config), layers.digest(made.layers[0].data)
    assert pushed.got == [config, layer, f"7 {made.digest}"]

    pushed.open_ = False
    with pytest.raises(InfraFailed, match=r"127.0.0.1:1 does not take some/name: HTTP 405"):
        plain_images.push(made, Registry(address="127.0.0.1:1"), "some/name", "7")


def test_no_busybox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(Missing, match="busybox is not installed"):
        plain_images.make(WHOLE, "gzip")
