"""Builds as the difference from a base: what may be one, and what a store without it is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect.builds import exchange, store
from buildkit_bisect.model import Build
from buildkit_bisect.system import paths
from shared_builds import (
    FakeRemote,
    asked,
    binary,
    built,
    empty_cache,
    pull,
    shared,
    with_,
)
from shared_builds import key as key_of


def test_a_neighbour_is_a_delta_and_its_base_is_pulled_too(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in (1, 2):
        built(number)
        assert exchange.push(shared([], pushes=True), asked(number))
    base, delta = (json.loads(remote.manifests[key_of(n)]) for n in (1, 2))
    sizes = [sum(one["size"] for one in value["layers"]) for value in (base, delta)]
    assert sizes[1] < sizes[0] / 2
    assert delta["annotations"]["buildkit-bisect.base"] == key_of(1)
    empty_cache(monkeypatch, tmp_path / "second")
    made = pull([], 2)
    assert isinstance(made, Build)
    assert (Path(made.directory) / "buildkitd").read_bytes() == binary(2)
    assert store.load(key_of(1))  # the base is a build too
    remote.asked.clear()
    built(3)
    assert exchange.push(shared([], pushes=True), asked(3))
    empty_cache(monkeypatch, tmp_path / "third")
    assert isinstance(pull([], 2), Build)
    remote.asked.clear()
    assert isinstance(pull([], 3), Build)
    assert remote.asked == ["manifest"] + ["blob"] * 4  # without the base


def test_a_base_whose_programs_were_removed_is_pulled(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cache limit removes a program that only one build links to, and not the build."""
    for number in (1, 2):
        built(number)
        assert exchange.push(shared([], pushes=True), asked(number))
    empty_cache(monkeypatch, tmp_path / "second")
    base = built(1)
    (base / "buildkitd").unlink()
    (base / "buildkitd").symlink_to(f"../../programs/{key_of(9)}/buildkitd")
    made = pull([], 2)
    assert isinstance(made, Build)
    assert (Path(made.directory) / "buildkitd").read_bytes() == binary(2)
    (paths.cache("builds") / key_of(1) / "buildkitd").unlink()
    (paths.cache("builds") / key_of(1) / "buildkitd").symlink_to("nowhere")
    built(3)
    assert exchange.push(shared([], pushes=True), asked(3)), "without that base"


def test_the_base_of_another_go_or_of_other_flags_is_not_used(remote: FakeRemote) -> None:
    built(1)
    assert exchange.push(shared([], pushes=True), asked(1))
    built(2, go="1.26.0")
    other = replace(asked(2), go="1.26.0")
    assert exchange.push(shared([], pushes=True), other)
    assert "base" not in remote.manifests[key_of(2)].decode()
    assert len(remote.manifests) == 4


def test_a_build_that_is_far_from_the_base_is_a_base(remote: FakeRemote) -> None:
    built(1)
    assert exchange.push(shared([], pushes=True), asked(1))
    folder = built(2)
    for name in ("buildkitd", "buildctl"):
        (folder / name).write_bytes(bytes(reversed(binary(2))))
    assert exchange.push(shared([], pushes=True), asked(2))
    bases = [data for tag, data in remote.manifests.items() if tag.startswith("base-")]
    assert bases == [remote.manifests[key_of(2)]]


def test_a_delta_without_its_base_is_compiled(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in (1, 2):
        built(number)
        exchange.push(shared([], pushes=True), asked(number))
    empty_cache(monkeypatch, tmp_path / "second")
    del remote.manifests[key_of(1)]
    said: list[str] = []
    assert pull(said, 2) is None
    assert "the build that its deltas are against is missing" in said[0]
    # Nor does a chain of deltas, or one against itself, lead anywhere.
    remote.manifests[key_of(1)] = remote.manifests[key_of(2)]
    assert pull([], 2) is None
    remote.change(2, with_(annotations={"buildkit-bisect.base": key_of(2)}))
    assert pull([], 2) is None


def test_a_delta_against_other_bytes_does_not_verify(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in (1, 2):
        built(number)
        exchange.push(shared([], pushes=True), asked(number))
    empty_cache(monkeypatch, tmp_path / "second")
    changed = bytearray(binary(1))
    changed[50_000] ^= 1
    (built(1) / "buildkitd").write_bytes(changed)
    said: list[str] = []
    assert pull(said, 2) is None
    assert "a file has the digest" in said[0]


def base_of(remote: FakeRemote, number: int) -> str:
    """The key that the deltas of a build are against; "" if it is whole."""
    value = json.loads(remote.manifests[key_of(number)])
    deltas = [layer for layer in value["layers"] if "delta" in layer["mediaType"]]
    base = value["annotations"].get("buildkit-bisect.base", "") if "annotations" in value else ""
    assert bool(base) == bool(deltas)
    return str(base)


def test_a_base_of_which_this_machine_has_other_bytes_is_not_used(remote: FakeRemote) -> None:
    folder = built(1)
    assert exchange.push(shared([], pushes=True), asked(1))
    changed = bytearray(binary(1))
    changed[50_000] ^= 1
    (folder / "buildkitd").write_bytes(changed)
    built(2)
    assert exchange.push(shared([], pushes=True), asked(2))
    assert base_of(remote, 2) == ""


def test_a_base_tag_that_names_the_build_of_another_go(remote: FakeRemote) -> None:
    built(1)
    assert exchange.push(shared([], pushes=True), asked(1))
    (base,) = (tag for tag in remote.manifests if tag.startswith("base-"))
    built(2, go="1.26.0")
    assert exchange.push(shared([], pushes=True), replace(asked(2), go="1.26.0"))
    remote.manifests[base] = remote.manifests[key_of(2)]
    built(3)
    assert exchange.push(shared([], pushes=True), asked(3))
    assert base_of(remote, 3) == ""


def test_a_log_is_never_a_delta(remote: FakeRemote) -> None:
    """Here the base may have had more or less to compile."""
    for number in (1, 2):
        (built(number) / "build.log").write_text(f"package {number}\n" * 20_000)
        assert exchange.push(shared([], pushes=True), asked(number))
    kinds = {
        layer["annotations"]["org.opencontainers.image.title"]: "delta" in layer["mediaType"]
        for layer in json.loads(remote.manifests[key_of(2)])["layers"]
    }
    assert kinds == {"build.log": False, "buildctl": True, "buildkitd": True}


def test_what_is_replaced_is_whole(
    remote: FakeRemote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Build 2 is a delta against build 1, and build 3 is the base of later ones."""
    for number in (1, 2):
        built(number)
        assert exchange.push(shared([], pushes=True), asked(number))
    folder = built(3)
    for name in ("buildkitd", "buildctl"):
        (folder / name).write_bytes(bytes(reversed(binary(3))))
    assert exchange.push(shared([], pushes=True), asked(3))
    assert (base_of(remote, 2), base_of(remote, 3)) == (key_of(1), "")
    for name in ("buildkitd", "buildctl"):  # near the new base
        data = (folder / name).read_bytes()
        (paths.cache("builds") / key_of(1) / name).write_bytes(data + b"!")
    asking = shared([], pushes=True)
    asking.refuse(key_of(1), "it lied")
    assert exchange.push(asking, asked(1))
    assert base_of(remote, 1) == ""
    # So is one that gets another name, and one that is the base itself.
    assert exchange.push(shared([], pushes=True), asked(1), tag="inputs-1")
    assert base_of(remote, 1) == ""
    assert remote.manifests["inputs-1"] == remote.manifests[key_of(1)]
    del remote.manifests[key_of(1)]
    assert exchange.push(shared([], pushes=True), asked(1))
    assert base_of(remote, 1) == ""
