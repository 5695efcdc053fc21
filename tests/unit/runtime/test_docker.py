"""Names, labels and command lines of images and builders; axes that options add."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.campaign import axes
from buildkit_bisect.cli import imaging
from buildkit_bisect.engine import buildx_plugin, image, labels, upstream_image
from buildkit_bisect.engine.base import Base
from buildkit_bisect.engine.contexts import Endpoint
from buildkit_bisect.errors import BadInput
from buildkit_bisect.golang import gotool
from buildkit_bisect.model import Build, PatchRef, Revision, RuntimeKind, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import ImageBuilder
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import snapshotters

BASE = Base(id="sha256:1", ref="bkbisect/base:1", key="k")
BUILD = Build(
    key="b" * 64,
    go="1.25.5",
    source="git",
    directory="/builds/b",
    buildkitd_sha256="d",
    buildctl_sha256="c",
    seconds=1.0,
)
PATCH = PatchRef(name="record-ctx-opts", digest="1234", title="t")


def variant(ref: str = "v0.26.3", *patches: PatchRef, describe: str = "v0.26.3") -> Variant:
    revision = Revision(ref=ref, sha="9c2a4e1b3d5f" + "0" * 28, describe=describe)
    return Variant(revision=revision, patches=patches)


def test_tags_name_commit_and_patches() -> None:
    assert image.tag(variant()) == "v0.26.3-9c2a4e1b3d5f"
    patched = variant("master", PATCH, describe="v0.27.0-12-gabc")
    assert image.tag(patched) == "v0.27.0-12-gabc-9c2a4e1b3d5f-record-ctx-opts"
    module = Variant(revision=Revision(ref="v0.25.0", sha="", describe="v0.25.0"))
    assert image.tag(module) == "v0.25.0"


def test_tags_are_always_valid() -> None:
    many = [PatchRef(name=f"patch-number-{n}", digest=str(n), title="") for n in range(20)]
    long = image.tag(variant("master", *many))
    assert len(long) == 128
    assert long != image.tag(variant("master", *many[:-1]))
    odd = Variant(revision=Revision(ref="a/b c", sha=""))
    assert image.tag(odd) == "a_b_c"


def test_the_key_of_an_image_depends_on_build_patches_and_base() -> None:
    first = image.key(BUILD, variant(), BASE)
    assert image.key(BUILD, variant(), BASE) == first
    assert image.key(BUILD, variant("v0.26.3", PATCH), BASE) != first
    assert image.key(BUILD, variant(), Base(id="sha256:1", ref="x", key="other")) != first


def test_labels_name_the_origin_and_not_the_owner() -> None:
    found = image.oci_labels(BUILD, variant("v0.26.3", PATCH), BASE)
    assert found["org.opencontainers.image.revision"] == "9c2a4e1b3d5f" + "0" * 28
    assert found["bkbisect.patches"] == "record-ctx-opts"
    assert found["bkbisect.patch-digests"] == "1234"
    assert found["bkbisect.build"] == BUILD.key
    assert found["bkbisect.go"] == "1.25.5"
    assert found[labels.OWNER] == ""


def test_a_bake_file_does_not_see_the_users_secrets() -> None:
    kept = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "https_proxy": "http://proxy",
        "DOCKER_CONFIG": "/home/me/.docker",
        "SSL_CERT_FILE": "/ca.pem",
    }
    secret = {
        "GITHUB_TOKEN": "x",
        "DOCKER_AUTH_CONFIG": "x",
        "DOCKER_PASSWORD": "x",
        "BUILDX_BAKE_GIT_AUTH_TOKEN": "x",
        "SSH_AUTH_SOCK": "/agent",
        "LC_SECRET_1": "x",
        "BUILDX_BAKE_ENTITLEMENTS_FS": "0",
        "MY_PATH": "x",
    }
    here, there = (Endpoint(url=url) for url in ("unix:///run/d.sock", "ssh://me@host"))
    ours = {"BUILDX_GIT_INFO": "false", "BUILDX_BAKE_ENTITLEMENTS_FS": "1", "DOCKER_CONTEXT": ""}
    assert upstream_image.environment(here, {**kept, **secret}) == {
        **kept,
        **ours,
        "DOCKER_HOST": here.url,
    }
    assert upstream_image.environment(there, secret) == {
        **ours,
        "DOCKER_HOST": there.url,
        "SSH_AUTH_SOCK": "/agent",
    }


def test_a_buildx_too_old_for_bake_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"/old": "v0.19.3", "/new": "v0.20.0", "/compiled": ""}
    monkeypatch.delenv("BKBISECT_BUILDX", raising=False)
    monkeypatch.setattr(buildx_plugin, "_version", versions.get)
    monkeypatch.setattr(buildx_plugin, "_installed", lambda: ["/old", "/new"])
    assert buildx_plugin.find().path == "/old"
    assert buildx_plugin.find(oldest=buildx_plugin.OLDEST_BAKE).path == "/new"
    monkeypatch.setattr(buildx_plugin, "_installed", lambda: ["/old"])
    monkeypatch.setattr(gotool, "ensure", lambda *_: Path("/compiled"))
    assert buildx_plugin.find(oldest=buildx_plugin.OLDEST_BAKE).path == "/compiled"
    monkeypatch.setenv("BKBISECT_BUILDX", "/old")
    assert buildx_plugin.find().path == "/old"
    with pytest.raises(BadInput, match=r"is buildx v0\.19\.3, but this needs v0\.20"):
        buildx_plugin.find(oldest=buildx_plugin.OLDEST_BAKE)


def test_an_image_cannot_be_saved_as_a_directory(tmp_path: Path) -> None:
    for folder in ("/", str(tmp_path), f"{tmp_path}/"):
        with pytest.raises(BadInput, match="is a directory"):
            imaging.wanted(requests.Build(save=folder))
    assert imaging.wanted(requests.Build(save=str(tmp_path / "x.tar")))


def test_the_buildx_create_command() -> None:
    made = buildx_plugin.create(
        "b1",
        image="localhost:1/x:1",
        config=Path("/h/buildkitd.toml"),
        flags=["--oci-worker-snapshotter=stargz"],
        host_network=True,
    )
    assert made == [
        *("create", "--name", "b1", "--driver", "docker-container"),
        *("--driver-opt", "image=localhost:1/x:1", "--driver-opt", "network=host"),
        *("--buildkitd-flags", "--oci-worker-snapshotter=stargz"),
        *("--buildkitd-config", "/h/buildkitd.toml", "--bootstrap"),
    ]
    assert "network=host" not in buildx_plugin.create(
        "b1", image="x", config=Path("/c"), flags=[], host_network=False
    )


def test_buildx_build_takes_the_same_request_as_buildctl() -> None:
    request = BuildRequest(
        context=Path("/ctx"),
        dockerfile=Path("/s/Dockerfile"),
        target="final",
        args={"BUST": "1"},
        exports=({"type": "local", "mode": "max", "dest": "/w/a,b"},),
        imports=({"type": "local", "src": "/w/cache"},),
    )
    assert buildx_plugin.build("b1", request) == [
        *("build", "--builder", "b1", "--progress=rawjson", "--file", "/s/Dockerfile"),
        *("--target", "final", "--build-arg", "BUST=1"),
        *("--cache-to", 'type=local,mode=max,"dest=/w/a,b"'),
        *("--cache-from", "type=local,src=/w/cache", "--output", "type=cacheonly", "/ctx"),
    ]


def test_only_releases_without_patches_are_published() -> None:
    assert upstream_image.published(variant()) == "moby/buildkit:v0.26.3"
    assert upstream_image.published(variant("v0.27.0-rc1")) == "moby/buildkit:v0.27.0-rc1"
    assert upstream_image.published(variant("master")) == ""
    assert upstream_image.published(variant("v0.26.3", PATCH)) == ""


def test_a_bake_target_is_used_if_it_exists(tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text('target "image" {\n  target = IMAGE_TARGET\n}\n')
    argv = upstream_image.command(tmp_path, "bkbisect/buildkit:x", {"a.b": "c"})
    assert argv[:2] == ["bake", "--progress=plain"]
    assert argv[-1] == "image"
    assert "image.tags=bkbisect/buildkit:x" in argv
    assert "image.labels.a.b=c" in argv


@pytest.mark.parametrize(
    ("dockerfile", "stage"),
    [
        ("FROM scratch AS buildkit-linux\nFROM x AS buildkit\n", "buildkit"),
        ("FROM scratch as buildkit-buildkitd\n", "buildkit-buildkitd"),
        ("FROM a AS buildkit-buildkitd\nFROM b AS buildkit\n", "buildkit"),
    ],
)
def test_without_a_bake_target_a_stage_of_the_dockerfile_is_built(
    tmp_path: Path, dockerfile: str, stage: str
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    (tmp_path / "docker-bake.hcl").write_text('target "binaries" {\n}\n')
    argv = upstream_image.command(tmp_path, "x:1", {"a": "b"})
    assert argv[argv.index("--target") + 1] == stage
    assert argv[-3:] == ["--label", "a=b", "."]


@pytest.mark.parametrize(
    "failure",
    [
        "executor failed running [/bin/sh -c ls /x]: exit code: 1",  # Engines before 23
        'process "/bin/sh -c ls /x" did not complete successfully: exit code: 1',
    ],
)
def test_the_step_that_failed_is_found(failure: str) -> None:
    output = (
        "#5 [base 1/2] FROM alpine\n#6 [base 2/2] RUN ls /x\n#6 0.1 ls: /x: not there\n------\n"
        " > [base 2/2] RUN ls /x:\n0.100 begin\n0.120 ls: /x: not there\n------\nDockerfile:2\n"
        f"--------------------\nERROR: failed to build: failed to solve: {failure}\n"
    )
    found = upstream_image.failed_step(output)
    assert found == "[base 2/2] RUN ls /x: 0.100 begin: 0.120 ls: /x: not there"


@pytest.mark.parametrize(
    "failure",
    [
        "alpine:3: failed to resolve source metadata: dial tcp: no such host",
        'process "/bin/sh -c x" did not complete successfully: context canceled',
        "error reading from server: EOF",
    ],
)
def test_a_failure_outside_a_step_has_no_step(failure: str) -> None:
    assert upstream_image.failed_step(f"#1 x\n------\n > [a] b:\n------\nERROR: {failure}\n") == ""


def test_a_commit_without_a_buildkit_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no stage"):
        upstream_image.stage(tmp_path)


def test_our_own_module_requires_a_tool() -> None:
    assert gotool.gomod(buildx_plugin.TOOL) == (
        "module bkbisect.invalid/tool\n\ngo 1.26.3\n\n"
        "require (\n\tgithub.com/docker/buildx v0.36.1\n)\n"
    )
    assert "snapshotservice" in snapshotters.TOOL.main


def test_several_runtimes_are_an_axis() -> None:
    loaded = scenarios.load("cross-stage-lazy")
    both = axes.extend(loaded, Campaign(runtime=(RuntimeKind.HOST, RuntimeKind.DOCKER)))
    cells = both.cells({"snapshotter": ("stargz",), "bases": ("same",)})
    assert [dict(c)["runtime"] for c in cells] == ["host", "docker"]
    control = both.control_of(cells[1])
    assert control is not None
    assert dict(control)["runtime"] == "docker", "a cell is compared with its own runtime"
    assert axes.extend(loaded, Campaign(runtime=(RuntimeKind.DOCKER,))) == loaded


def test_an_image_is_made_only_on_request() -> None:
    assert not imaging.wanted(requests.Build())
    assert imaging.wanted(requests.Build(image=True))
    assert imaging.wanted(requests.Build(push="registry.example"))
    assert imaging.wanted(requests.Build(base_image="x"))
    assert imaging.wanted(requests.Build(builder=ImageBuilder.DOCKERFILE))


@pytest.mark.parametrize(
    "request_",
    [
        requests.Build(builder=ImageBuilder.DOCKERFILE, base_image="x"),
        requests.Build(save="/no/such/folder/x.tar"),
    ],
)
def test_an_impossible_image_request_is_refused(request_: requests.Build) -> None:
    with pytest.raises(BadInput):
        imaging.wanted(request_)


@pytest.mark.parametrize("hub", ["docker.io", "index.docker.io", "docker.io/"])
def test_pushing_to_our_own_name_on_docker_hub_is_refused(hub: str) -> None:
    """The Engine leaves Docker Hub's name out, so that is the image's local name."""
    with pytest.raises(BadInput, match="you do not own"):
        imaging.wanted(requests.Build(push=hub))
    assert image.repository("docker.io/me") == "docker.io/me/bkbisect/buildkit"
    assert image.repository("ghcr.io/me/") == "ghcr.io/me/bkbisect/buildkit"


@pytest.mark.parametrize(
    ("ref", "ours"),
    [
        ("bkbisect/buildkit:v0.26.3", True),
        ("bkbisect/base:0123", True),
        (f"{labels.NOWHERE}/bkbisect/buildkit:0123", True),
        ("mycorp/tools:1", False),
        ("ghcr.io/me/bkbisect/buildkit:1", False),
        ("bkbisect:1", False),
        ("bkbisect-mine/x:1", False),
    ],
)
def test_our_image_names(ref: str, ours: bool) -> None:
    assert labels.is_our_name(ref) is ours


def test_the_container_of_a_buildx_volume() -> None:
    assert buildx_plugin.container_of(
        buildx_plugin.volume("bkbisect-1")
    ) == buildx_plugin.container("bkbisect-1")
    assert buildx_plugin.container_of("bkbisect-1") == ""
