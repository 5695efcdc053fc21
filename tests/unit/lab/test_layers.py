"""Layers made without BuildKit: what others read of them, and digests that never change."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
import zlib
from typing import Any

import pytest

from buildkit_bisect.lab.layers import MTIME, Entry, Layer, layer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENTRIES = (
    Entry(path="bin/box", mode=0o755, data=b"program" * 100),
    Entry(path="bin/sh", mode=0o777, link="/bin/box"),
    Entry(path="empty", mode=0o644, data=b""),
    Entry(path="tmp", mode=0o1777),
)
READ = [
    ("bin", tarfile.DIRTYPE, 0o755, "", b""),
    ("bin/box", tarfile.REGTYPE, 0o755, "", b"program" * 100),
    ("bin/sh", tarfile.SYMTYPE, 0o777, "/bin/box", b""),
    ("empty", tarfile.REGTYPE, 0o644, "", b""),
    ("tmp", tarfile.DIRTYPE, 0o1777, "", b""),
]
COMPRESSIONS = ("gzip", "zstd", "estargz", "uncompressed")
LARGE = b"".join(n.to_bytes(4, "big") for n in range(9 * 2**18))  # 9 MiB, no two blocks alike


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def archive(made: Layer) -> bytes:
    """Return what the layer is unpacked, by programs of others."""
    if made.media_type.endswith("+zstd"):
        return zstd.decompress(made.data)
    return gzip.decompress(made.data) if made.media_type.endswith("+gzip") else made.data


def contents(made: Layer) -> dict[str, Any]:
    """Return the table of contents of an eStargz layer, found as a snapshotter finds it."""
    footer = made.data[-51:]
    assert gzip.decompress(footer) == b""
    assert footer[12:16] == b"SG\x16\x00"
    assert footer[32:38] == b"STARGZ"
    table = gzip.decompress(made.data[int(footer[16:32], 16) : -51])
    with tarfile.open(fileobj=io.BytesIO(table)) as tar:
        (only,) = tar.getmembers()
        assert only.name == "stargz.index.json"
        file = tar.extractfile(only)
        assert file
        data = file.read()
    assert made.annotations["containerd.io/snapshot/stargz/toc.digest"] == sha256(data)
    found: dict[str, Any] = json.loads(data)
    return found


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_is_in_a_layer(compression: str) -> None:
    made = layer(ENTRIES, compression)
    data = archive(made)
    assert made.diff_id == sha256(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = [
            (m.name, m.type, m.mode, m.linkname, (f.read() if (f := file_of(tar, m)) else b""))
            for m in tar
            if m.name != "stargz.index.json"
        ]
        assert {(m.mtime, m.uid, m.gid) for m in tar if "index" not in m.name} == {(MTIME, 0, 0)}
    assert found == READ
    assert made.descriptor["digest"] == sha256(made.data)
    assert made.descriptor["size"] == len(made.data)


def file_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    return tar.extractfile(member) if member.isreg() else None


def test_the_order_of_entries_does_not_matter() -> None:
    for compression in COMPRESSIONS:
        assert layer(reversed(ENTRIES), compression) == layer(ENTRIES, compression)


@pytest.mark.parametrize(
    ("compression", "blob", "diff_id"),
    [
        (
            "gzip",
            "dca020085839e57e26f763e818a593cd76fa23b12c99a62b0e29b57b73b5db43",
            "f6099960d9421a7d5dea5949a058ca03d72f96c987e991ff8c474cd8f22792af",
        ),
        (
            "zstd",
            "a398d9a11072b96ea6a7297c30ec023e3880d4030c200dba6cef3e85dc39ba7f",
            "f6099960d9421a7d5dea5949a058ca03d72f96c987e991ff8c474cd8f22792af",
        ),
        (
            "estargz",
            "14e3d64718bfb55df839815ac67e4e1bda6c82d279a20b88fb5da36c3491d1e2",
            "d55216c3dc6c7a5406174397d4e644650653466a6657f83eeabe2e5e3eb709c3",
        ),
    ],
)
def test_digests_never_change(compression: str, blob: str, diff_id: str) -> None:
    """No library and no version of it has a say; if this fails, raise `PLAIN_FORMAT`."""
    made = layer(ENTRIES, compression)
    assert (sha256(made.data)[7:], made.diff_id[7:]) == (blob, diff_id)


def test_one_archive_for_all_but_estargz() -> None:
    """Scenarios have one layer as two blobs."""
    found = {compression: layer(ENTRIES, compression).diff_id for compression in COMPRESSIONS}
    assert len({found[name] for name in ("gzip", "zstd", "uncompressed")}) == 1
    assert found["estargz"] != found["gzip"]
    with pytest.raises(ValueError, match="no compression"):
        layer(ENTRIES, "xz")


@pytest.mark.parametrize("size", [0, 1, 0xFFFF, 0x10000, 1 << 17, (1 << 17) + 1, len(LARGE)])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_files_of_many_blocks(compression: str, size: int) -> None:
    made = layer([Entry(path="a", mode=0o644, data=LARGE[:size])], compression)
    with tarfile.open(fileobj=io.BytesIO(archive(made))) as tar:
        file = tar.extractfile("a")
        assert file
        assert file.read() == LARGE[:size]


def test_each_file_of_an_estargz_layer_can_be_read_alone() -> None:
    files = [
        Entry(path="a/large", mode=0o644, data=LARGE),
        Entry(path="b", mode=0o600, data=b"small"),
        Entry(path="c", mode=0o644, data=LARGE[: 8 << 20]),
    ]
    made = layer([*files, *ENTRIES], "estargz")
    found: dict[str, bytes] = {}
    items = contents(made)["entries"]
    for item in items:
        if "offset" not in item:
            continue
        whole = found.get(item["name"], b"")
        assert item.get("chunkOffset", 0) == len(whole)
        size = item.get("chunkSize")
        if size is None:  # to the end of the file
            total = next(i["size"] for i in items if i["name"] == item["name"] and "size" in i)
            size = total - len(whole)
        chunk = zlib.decompressobj(31).decompress(made.data[item["offset"] :], size)
        assert len(chunk) == size
        assert item["chunkDigest"] == sha256(chunk)
        found[item["name"]] = whole + chunk
    assert found == {
        "bin/box": ENTRIES[0].data,
        **{entry.path: entry.data for entry in files},
    }
    assert [i["name"] for i in items if i["type"] == "chunk"] == ["a/large", "a/large", "c"]


def test_the_table_of_contents_names_everything() -> None:
    made = layer(ENTRIES, "estargz")
    time = {"modtime": "2025-01-01T00:00:00Z"}
    found = {item["name"]: item for item in contents(made)["entries"]}
    assert found["bin/"] == {"name": "bin/", "type": "dir", "mode": 0o755, **time}
    assert found["tmp/"] == {"name": "tmp/", "type": "dir", "mode": 0o1777, **time}
    assert found["bin/sh"]["linkName"] == "/bin/box"
    assert found["bin/box"]["digest"] == sha256(b"program" * 100)
    assert found["bin/box"]["size"] == 700
    assert "size" not in found["empty"]
    size = made.annotations["io.containers.estargz.uncompressed-size"]
    assert int(size) == len(archive(made))
