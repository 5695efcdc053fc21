"""What a build wrote: files of directories, archives and layers, and the documents of images."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import cattrs
import pytest

from buildkit_bisect.lab import image_source, output_files, outputs
from buildkit_bisect.model import FileFacts, Observation, OutputFacts, StepResult
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import Condition
from buildkit_bisect.scenario.conditions import holds

#: A member of an archive: its content, or a `tarfile.TarInfo` without its name.
Member = bytes | tarfile.TarInfo


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo()
    made.type, made.linkname = kind, target
    return made


DIRECTORY = special(tarfile.DIRTYPE)


def tar(members: Mapping[str, Member] | list[tuple[str, Member]]) -> bytes:
    """An archive; each member was modified at 7 and has the mode 0755."""
    made = io.BytesIO()
    pairs = list(members.items()) if isinstance(members, Mapping) else members
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, member in pairs:
            info = tarfile.TarInfo(name)
            if isinstance(member, tarfile.TarInfo):
                info.type, info.linkname = member.type, member.linkname
            content = member if isinstance(member, bytes) else b""
            info.size, info.mode, info.mtime = len(content), 0o755, 7
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


class Written:
    """Blobs of an image, by digest."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def add(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def json(self, document: Any) -> str:
        return self.add(json.dumps(document).encode())

    def blob(self, digest: str) -> IO[bytes]:
        return io.BytesIO(self.blobs[digest])


def image(written: Written, *layers: bytes, labels: Mapping[str, str] | None = None) -> str:
    """Write an image; return its manifest's digest."""
    config = {
        "config": {"Labels": dict(labels or {})},
        "history": [{"created_by": "one"}, {"created_by": "EXPOSE 1 2"}],
        "rootfs": {"diff_ids": [f"id{n}" for n in range(len(layers))]},
    }
    return written.json({
        "config": {"digest": written.json(config)},
        "layers": [{"digest": written.add(layer)} for layer in layers],
        "annotations": {"a.b": "c"},
    })  # fmt: skip


def attested(written: Written, own: str) -> str:
    """Write an index with the image *own* and its attestations, as BuildKit does."""
    statement = {"predicate": {"x": 1}}
    layer = {
        "digest": written.json(statement),
        "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
    }
    manifest = written.json({"layers": [layer]})
    annotations = {
        "vnd.docker.reference.digest": own,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return written.json({
        "manifests": [{"digest": own}, {"digest": manifest, "annotations": annotations}]
    })  # fmt: skip


def layout(written: Written, top: str) -> dict[str, bytes]:
    files = {f"blobs/{digest.replace(':', '/')}": b for digest, b in written.blobs.items()}
    return {**files, "index.json": json.dumps({"manifests": [{"digest": top}]}).encode()}


def read(path: Path, kind: str) -> OutputFacts:
    entry = {"type": kind, "dest": "the dest"}
    found = outputs.read(entry, {**entry, "dest": str(path)}, None)
    assert found is not None
    assert (found.name, found.kind) == ("the dest", kind)
    # As the journal stores it.
    again = cattrs.Converter().structure(json.loads(json.dumps(asdict(found))), OutputFacts)
    assert again == found
    return found


def shown(found: OutputFacts) -> dict[str, str | None]:
    return {file.path: file.text for file in found.files}


def test_a_directory(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "d").mkdir(parents=True)
    (out / "d" / "f").write_text("hello\n")
    os.utime(out / "d" / "f", (5, 1700000000.7))
    (out / "d" / "f").chmod(0o4751)
    (out / "binary").write_bytes(b"a\0b")
    (out / "latin").write_bytes(b"caf\xe9")
    (out / "l").symlink_to("/etc/passwd")
    (out / "to-d").symlink_to("d")
    os.mkfifo(out / "pipe")
    found = read(out, "local")
    assert found.left_out == ""
    assert shown(found) == {
        "binary": None, "d": None, "d/f": "hello\n", "l": "/etc/passwd", "latin": None,
        "pipe": None, "to-d": "d",
    }  # fmt: skip
    kinds = {file.path: file.kind for file in found.files}
    assert (kinds["d"], kinds["l"], kinds["pipe"]) == ("directory", "link", "other")
    file = next(f for f in found.files if f.path == "d/f")
    assert file == FileFacts(
        path="d/f", kind="file", mode=0o4751, mtime=1700000000, size=6, text="hello\n",
        sha256=hashlib.sha256(b"hello\n").hexdigest(),
    )  # fmt: skip


def test_a_tar_archive(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    members: dict[str, Member] = {
        "./d/": DIRECTORY, "d/f": b"x", "/g": special(tarfile.LNKTYPE, "d/f"),
        "l": special(tarfile.SYMTYPE, "../../etc"), "dev": special(tarfile.CHRTYPE),
        "odd": special(tarfile.LNKTYPE, "nothing"),
    }  # fmt: skip
    path.write_bytes(tar(members))
    found = read(path, "tar")
    assert shown(found) == {
        "d": None, "d/f": "x", "dev": None, "g": "x", "l": "../../etc", "odd": None
    }  # fmt: skip
    assert {file.mtime for file in found.files} == {7}
    assert {file.mode for file in found.files} == {0o755}


def test_an_output_that_is_not_there_or_damaged_is_left_out(tmp_path: Path) -> None:
    for kind in ("local", "tar", "oci"):
        found = read(tmp_path / "nothing", kind)
        assert (found.files, found.documents) == ((), {})
        assert found.left_out.startswith("cannot be read: ")
    path = tmp_path / "x"
    for content in (b"", b"not a tar", tar({"a": b"b"})[:600], b"\x1f\x8bxx", b"[" * 10_000):
        path.write_bytes(content)
        assert read(path, "oci").left_out
    assert read(path, "tar").left_out


@pytest.mark.parametrize("form", ["oci", "docker", "folder"])
@pytest.mark.parametrize("index", [True, False])
def test_an_image(tmp_path: Path, form: str, index: bool) -> None:
    written = Written()
    own = image(written, gzip.compress(tar({"f": b"x"})), tar({"g": b"y"}), labels={"a.b": "c"})
    files = layout(written, attested(written, own) if index else own)
    path = tmp_path / "o"
    if form == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    else:
        path.write_bytes(tar(files))
    found = read(path, "docker" if form == "docker" else "oci")
    assert (found.left_out, found.too_large) == ("", ())
    assert shown(found) == {"f": "x", "g": "y"}
    documents = found.documents
    assert documents["config"]["config"]["Labels"] == {"a.b": "c"}
    assert [layer["diff_id"] for layer in documents["layers"]] == ["id0", "id1"]
    assert documents["manifest"]["annotations"] == {"a.b": "c"}
    assert len(documents["index"]["manifests"]) == (2 if index else 1)
    provenance = {
        "predicate_type": "https://slsa.dev/provenance/v0.2",
        "statement": {"predicate": {"x": 1}},
    }
    assert documents["attestations"] == ([provenance] if index else [])


def test_a_pushed_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written()
    top = attested(written, image(written, tar({"f": b"x"})))
    asked = []

    def manifest(_self: Registry, name: str, tag: str) -> IO[bytes]:
        asked.append((name, tag))
        return written.blob(top if tag == "1" else tag)

    monkeypatch.setattr(Registry, "open_manifest", manifest)
    monkeypatch.setattr(Registry, "open_blob", lambda _self, _name, digest: written.blob(digest))
    entry = {"type": "image", "name": "${registry}/a/b:1", "push": "true"}
    filled = {**entry, "name": "127.0.0.1:5/a/b:1"}
    found = outputs.read(entry, filled, Registry(address="127.0.0.1:5"))
    assert found
    assert (found.name, shown(found)) == ("${registry}/a/b:1", {"f": "x"})
    assert len(found.documents["attestations"]) == 1
    assert asked[0] == ("a/b", "1")
    assert {name for name, _ in asked} == {"a/b"}
    assert outputs.read({**entry, "push": "false"}, filled, None) is None


def layers(*layers: bytes) -> dict[str, str | None]:
    written = Written()
    found = output_files.Found()
    output_files.of_layers(written, [{"digest": written.add(layer)} for layer in layers], found)
    return {file.path: file.text for file in found.kept()}


def test_upper_layers_replace_and_delete() -> None:
    lower = tar({
        "d/": DIRECTORY, "d/a": b"1", "d/b": b"1", "e/": DIRECTORY, "e/a": b"1", "f": b"1",
        "g/": DIRECTORY, "g/a": b"1", "h": b"1", "i/": DIRECTORY, "i/a/": DIRECTORY, "i/a/b": b"1",
    })  # fmt: skip
    upper = tar({
        "d/.wh.a": b"", "d/b": b"2", "e/new": b"2", "e/.wh..wh..opq": b"", ".wh.f": b"",
        "g": b"2", "i/.wh.a": b"", "stargz.index.json": b"{}", ".no.prefetch.landmark": b"\xf0",
    })  # fmt: skip
    assert layers(lower, upper) == {
        "d": None, "d/b": "2", "e": None, "e/new": "2", "g": "2", "h": "1", "i": None,
    }  # fmt: skip
    again = tar({"f": b"3", "i/a/": DIRECTORY, "i/a/c": b"3"})
    both = layers(lower, upper, again)
    assert both["f"] == "3"
    assert "i/a/c" in both
    assert "i/a/b" not in both
    assert layers(lower, tar({".wh..wh..opq": b"", "z": b"3"})) == {"z": "3"}


def test_what_a_layer_between_replaced_is_gone() -> None:
    """The file ``d`` of the middle layer replaced the directory, which the upper one made anew."""
    low = tar({"d/": DIRECTORY, "d/old": b"1"})
    top = tar({"d/": DIRECTORY, "d/new": b"3"})
    assert layers(low, tar({"d": b"2"}), top) == {"d": None, "d/new": "3"}
    assert layers(low, tar({".wh.d": b""}), tar({"d/new": b"3"})) == {"d/new": "3"}
    assert layers(low, tar({".wh.d": b"", "d/new": b"3"})) == {"d/new": "3"}
    assert layers(tar([("f", b"1"), ("f", b"2")])) == {"f": "2"}, "the last entry of a layer"


def test_files_below_what_is_no_directory_in_a_lower_layer_are_left_out(tmp_path: Path) -> None:
    """``bin/x`` over ``bin -> usr/bin``: containerd unpacks it in ``usr/bin``."""
    written = Written()
    low = tar({"bin": special(tarfile.SYMTYPE, "usr/bin"), "usr/bin/": DIRECTORY})
    path = tmp_path / "o.tar"
    path.write_bytes(tar(layout(written, image(written, low, tar({"bin/x": b"2"})))))
    assert read(path, "oci").left_out == (
        "a layer has files below bin, which is no directory in a lower one"
    )
    written = Written()
    path.write_bytes(tar(layout(written, image(written, low, tar({"bin/": DIRECTORY})))))
    assert read(path, "oci").left_out == ""


def test_a_hard_link_into_a_lower_layer_is_a_file_of_unknown_content() -> None:
    written = Written()
    found = output_files.Found()
    both = (tar({"a": b"x"}), tar({"b": special(tarfile.LNKTYPE, "a")}))
    output_files.of_layers(written, [{"digest": written.add(one)} for one in both], found)
    link = found.files["b"]
    assert (link.kind, link.text, link.sha256) == ("file", None, "")
    output = OutputFacts(name="o", kind="oci", files=found.kept())
    step = StepResult(id="go", exit=0, seconds=1, outputs=(output,))
    for facts, known in (({"content": "x"}, None), ({"same_as": "go"}, None), ({"exists": True},
                         True)):  # fmt: skip
        seen = Observation(steps=(step,), seconds=1)
        assert holds(Condition(step="go", file="b", **facts), step, None, seen) is known


def test_an_archive_that_does_not_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    # Two headers with a block of content each, then blocks of zeros.
    whole = tar({"a": b"1", "b": b"2"})
    for content in (whole[:1024], whole[:2048], whole[:1124], whole[:1536] + b"x" * 512):
        path.write_bytes(content)
        found = read(path, "tar")
        assert found.left_out.startswith("cannot be read: ReadError"), len(content)
        assert "a" in shown(found)
        path.write_bytes(gzip.compress(content))
        assert read(path, "tar").left_out
    path.write_bytes(whole[:1024] + b"x" * 512 + whole[1536:])
    assert read(path, "tar").left_out, "a damaged header is no end"
    for content in (whole, whole[:2048] + bytes(1024), tar({})):
        path.write_bytes(content)
        assert read(path, "tar").left_out == ""


def test_a_hard_link_has_the_content_of_its_target() -> None:
    assert layers(tar({"a": b"x", "b": special(tarfile.LNKTYPE, "./a")})) == {"a": "x", "b": "x"}


def test_what_is_left_out_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_files, "MOST_FILES", 3)
    written = Written()
    # The files of the lower layer are left out: what is in the upper one is right all the same.
    top = image(written, tar({f"low{n}": b"" for n in range(3)}), tar({"a": b"1", "b": b"2"}))
    path = tmp_path / "o.tar"
    path.write_bytes(tar(layout(written, top)))
    found = read(path, "oci")
    assert found.left_out == "it has more than 3 files"
    assert {"a": "1", "b": "2"}.items() <= shown(found).items()
    assert found.documents["config"], "documents are known"
    monkeypatch.setattr(output_files, "MOST_FILES", 9)
    monkeypatch.setattr(output_files, "MOST_BYTES", 100)
    assert read(path, "oci").left_out == "it has more than 0 MiB"


def test_a_zstd_layer_is_left_out(tmp_path: Path) -> None:
    written = Written()
    path = tmp_path / "o.tar"
    zstd = b"\x28\xb5\x2f\xfd\x00"
    path.write_bytes(tar(layout(written, image(written, tar({"low": b""}), zstd))))
    found = read(path, "oci")
    assert (found.files, found.left_out) == ((), "a layer is zstd, which is not read")
    assert found.documents["manifest"]


def test_a_long_text_is_cut_between_characters() -> None:
    limit = output_files.TEXT_LIMIT
    text = ("é" * limit).encode()
    assert layers(tar({"f": b"a" + text}))["f"] == "a" + "é" * (limit // 2 - 1)
    assert layers(tar({"f": b"\xff" + text}))["f"] is None


def test_texts_of_upper_layers_and_small_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_files, "MOST_TEXT", 10)
    kept = layers(tar({"low": b"x" * 5}), tar({"big": b"x" * 8, "new": b"y" * 6}))
    assert kept == {"new": "y" * 6, "big": None, "low": None}


def test_a_document_that_is_too_large_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_source, "DOCUMENT_LIMIT", 400)
    written = Written()
    path = tmp_path / "o.tar"
    top = image(written, tar({}), labels={"x": "y" * 400})
    path.write_bytes(tar(layout(written, top)))
    found = read(path, "oci")
    assert found.too_large == ("config",)
    assert "config" not in found.documents
    assert "manifest" in found.documents


def test_a_digest_cannot_lead_out_of_a_layout(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "index.json").write_text(
        '{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}'
    )
    assert "ValueError" in read(tmp_path / "o", "oci").left_out


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_documents_of_the_machine_are_not_read_through_a_layout(tmp_path: Path) -> None:
    """The config of the image is a link to a file that root can read; so is the folder of blobs."""
    written = Written()
    top = image(written, tar({"f": b"x"}), labels={"secret": "s3cret"})
    put(tmp_path / "machine", layout(written, top))
    lay, blobs = tmp_path / "lay", tmp_path / "machine" / "blobs" / "sha256"
    put(lay, layout(written, top))
    config = json.loads(written.blobs[top])["config"]["digest"].partition(":")[2]
    (lay / "blobs" / "sha256" / config).unlink()
    (lay / "blobs" / "sha256" / config).symlink_to(blobs / config)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "index.json").write_bytes((lay / "index.json").read_bytes())
    (tmp_path / "far" / "blobs").symlink_to(blobs.parent)
    (tmp_path / "whole").symlink_to(tmp_path / "machine")
    for name in ("lay", "far", "whole"):
        found = read(tmp_path / name, "oci")
        assert found.left_out.startswith("cannot be read")
        assert "s3cret" not in json.dumps(asdict(found))


@pytest.mark.parametrize("kind", ["local", "tar", "oci"])
def test_a_fifo_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    if kind == "local":
        assert [file.kind for file in read(tmp_path, kind).files] == ["other"]
    else:
        assert "fifo is not a regular file" in read(tmp_path / "fifo", kind).left_out


def test_a_fifo_in_a_layout_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.json")
    assert "index.json is not a regular file" in read(tmp_path, "oci").left_out


def test_an_attestation_that_is_named_many_times_is_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written()
    own = image(written, tar({"f": b"x"}))
    statement = written.json({"a": "x" * 2**20})
    manifest = written.json({"layers": [{"digest": statement}] * 2000})
    annotations = {"vnd.docker.reference.type": "attestation-manifest"}
    top = written.json({
        "manifests": [{"digest": own}, {"digest": manifest, "annotations": annotations}]
    })  # fmt: skip
    put(tmp_path, layout(written, top))
    asked = []
    blob = image_source.Folder.blob

    def counted(self: image_source.Folder, digest: str) -> IO[bytes]:
        asked.append(digest)
        return blob(self, digest)

    monkeypatch.setattr(image_source.Folder, "blob", counted)
    found = read(tmp_path, "oci")
    assert found.too_large == ("attestations",)
    assert found.documents["config"]
    assert shown(found) == {"f": "x"}
    assert asked.count(statement) <= image_source.MOST_DOCUMENTS // 2**20


def test_a_document_that_is_nested_too_deep_is_not_kept(tmp_path: Path) -> None:
    written = Written()
    own = written.add(b'{"config": ' + b"[" * 300 + b"]" * 300 + b"}")
    put(tmp_path, layout(written, own))
    assert "nested too deep" in read(tmp_path, "oci").left_out
