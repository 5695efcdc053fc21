"""``--builder dockerfile``: published images are pulled, others built by the commit's Dockerfile.

The repository is like upstream's: its Dockerfile gets the version from git, as upstream's does, but
uses images that need no network. Engine, buildx and registry are real.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import engine as engines
from buildkit_bisect.engine import rootfs
from buildkit_bisect.system import paths, process
from engine import TestEngine
from golang_repo import GolangRepo
from tool import TaskOutput, inv

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.alone]

#: In the Engine's own network, so the port is free.
REGISTRY = "127.0.0.1:5000"

DOCKERFILE = """ARG GO_VERSION=1.25
ARG SAYS=nothing
FROM box:1 AS version
WORKDIR /src
RUN --mount=target=. mkdir /out && git config --global --add safe.directory /src && \\
    git describe --match 'v[0-9]*' --dirty='.m' --always --tags > /out/version && \\
    echo $(git rev-parse HEAD)$(git diff --no-ext-diff --quiet --exit-code || echo .m) \\
    > /out/revision
FROM version AS program
ARG SAYS
RUN --mount=target=. echo "says $SAYS" && cp util/words/words.go /out/words && \\
    echo $SAYS > /out/argument
FROM scratch AS STAGE
COPY --from=program /out /etc/buildkit/
"""

BAKE = """variable "SECRET_TOKEN" { default = "" }
target "_common" {
  args = { SAYS = "baked${SECRET_TOKEN}" }
}
target "image" {
  inherits = ["_common"]
  target = "buildkit"
  tags = ["moby/buildkit:local"]
  output = ["type=image"]
}
"""

FAILING = "RUN echo about to fail && ls /nowhere"


def dockerfile(stage: str) -> str:
    return DOCKERFILE.replace("STAGE", stage)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """v0.1.0 has no bake file, v0.2.0 is published, v0.3.0 is not, broken fails in a step."""
    made = GolangRepo.create(tmp_path_factory.mktemp("upstream") / "repo")
    made.commit("old", {"Dockerfile": dockerfile("buildkit-buildkitd")})
    made.tag("v0.1.0")
    made.commit("bake", {"Dockerfile": dockerfile("buildkit"), "docker-bake.hcl": BAKE})
    made.tag("v0.2.0")
    made.commit("new", {"README.md": "two\n"})
    made.tag("v0.3.0")
    made.commit("tip", {"README.md": "three\n"})
    broken = dockerfile("buildkit").replace("FROM version AS program", FAILING, 1)
    made.commit(
        "broken", {"Dockerfile": broken.replace(FAILING, f"{FAILING}\nFROM version AS program")}
    )
    absent = dockerfile("buildkit").replace("FROM box:1", f"FROM {REGISTRY}/not/there:1")
    made.commit("absent", {"Dockerfile": absent})
    return made


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    flags = ("--registry-mirror", f"http://{REGISTRY}")
    with engines.running(elsewhere=True, flags=flags) as made:
        with closing(made.client()) as client:
            box = made.folder / "box.tar"
            box.write_bytes(git_in_a_box())
            client.api.import_image_from_file(str(box), repository="box", tag="1")
        yield made


def git_in_a_box() -> bytes:
    """Return the files of an image: busybox, and git with its libraries."""
    output = process.run(["ldd", "/usr/bin/git"], timeout=30).stdout
    files = ["/usr/bin/git", *rootfs.libraries(output)]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path in files:
            entry = tar.gettarinfo(str(Path(path).resolve()), path.lstrip("/"))
            with Path(path).open("rb") as file:
                tar.addfile(entry, file)
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "mkdir", "cp", "ls"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return made.getvalue()


@contextmanager
def registry(engine: TestEngine, storage: Path) -> Iterator[None]:
    """Run a registry on the Engine's own loopback for the duration of a block."""
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": REGISTRY},
    }
    path, log = storage / "config.yml", storage / "log"
    path.write_text(json.dumps(config))
    network = ["nsenter", f"--net=/proc/{engine.child.pid}/ns/net", "--"]
    with process.running([*network, "docker-registry", "serve", str(path)], log=log) as child:
        deadline = time.monotonic() + 20
        while f"listening on {REGISTRY}" not in log.read_text():
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield


def publish(engine: TestEngine, tag: str) -> str:
    """Push an image as moby/buildkit:TAG and remove it from the Engine; return its digest."""
    with closing(engine.client()) as client:
        client.images.get("box:1").tag(f"{REGISTRY}/moby/buildkit", tag=tag)
        progress = client.images.push(
            f"{REGISTRY}/moby/buildkit", tag=tag, stream=True, decode=True
        )
        digests = [line["aux"]["Digest"] for line in progress if line.get("aux")]
        client.images.remove(f"{REGISTRY}/moby/buildkit:{tag}")
    assert digests
    return str(digests[-1])


def build(engine: TestEngine, repo: GolangRepo, rev: str, *words: str) -> TaskOutput:
    return inv(
        *("build", "--builder", "dockerfile", "--rev", rev, "--repo", str(repo.path)),
        *("--source", "git", "--json", *words),
        env=engine.environment,
        timeout=1200,
    )


def inside(engine: TestEngine, ref: str) -> dict[str, str]:
    """Return the files that the Dockerfile wrote into the image, by name."""
    with closing(engine.client()) as client:
        container = client.containers.create(ref, command=["-"])
        try:
            chunks, _ = container.get_archive("/etc/buildkit")
        finally:
            container.remove(force=True)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        found = {}
        for entry in tar.getmembers():
            if file := tar.extractfile(entry):
                found[Path(entry.name).name] = file.read().decode().strip()
    return found


def labels(engine: TestEngine, ref: str) -> dict[str, Any]:
    with closing(engine.client()) as client:
        return dict(client.images.get(ref).labels)


def the_log() -> str:
    """Return the log of the newest build; its path is shown only if the build takes long."""
    logs = paths.cache("logs").glob("image-*.log")
    return max(logs, key=lambda log: log.stat().st_mtime_ns).read_text()


def test_a_commit_is_built_with_bake(
    engine: TestEngine, repo: GolangRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    done = build(engine, repo, repo.commits["tip"])
    assert done.code == 0, done.stderr
    made = done.document["image"]
    sha = repo.commits["tip"]
    found = inside(engine, made["ref"])
    assert found["version"].startswith("v0.3.0-1-g")
    assert sha.startswith(found["version"].rpartition("-g")[2])
    assert found["revision"] == sha
    assert found["argument"] == "baked"
    assert done.document["made"].startswith("upstream's Dockerfile, by buildx v")
    assert made["digest"] == ""
    known = labels(engine, made["ref"])
    assert known["org.opencontainers.image.revision"] == sha
    assert known["org.opencontainers.image.version"] == found["version"]
    assert (known["bkbisect"], known["bkbisect.source"]) == ("image", "dockerfile")


def test_steps_are_shown_and_the_log_is_kept(engine: TestEngine, repo: GolangRepo) -> None:
    done = build(engine, repo, repo.commits["tip"])
    assert "[version 3/3] RUN --mount=target=. mkdir /out" in done.stderr
    assert "[program 1/1] RUN --mount=target=." in done.stderr
    assert "exporting to image" in the_log()
    assert "exporting to image" not in done.stderr


def test_a_patched_tree_has_a_modified_version(
    engine: TestEngine, repo: GolangRepo, tmp_path: Path
) -> None:
    patch = tmp_path / "other-words"
    patch.mkdir()
    (patch / "patch.toml").write_text('title = "other words"\n')
    (patch / "other-words.patch").write_text(
        "--- a/util/words/words.go\n+++ b/util/words/words.go\n"
        '@@ -1,3 +1,3 @@\n package words\n \n-const Cached = "cached"\n+const Cached = "patched"\n'
    )
    done = build(engine, repo, "v0.3.0", "--patches", str(patch))
    assert done.code == 0, done.stderr
    found = inside(engine, done.document["image"]["ref"])
    assert found["version"] == "v0.3.0.m"
    assert found["revision"] == f"{repo.commits['new']}.m"
    assert 'Cached = "patched"' in found["words"]
    assert labels(engine, done.document["image"]["ref"])["bkbisect.patches"] == "other-words"
    # Nobody published the patched release.
    assert "pulling" not in done.stderr


def test_a_patch_that_does_not_apply_gives_no_image(
    engine: TestEngine, repo: GolangRepo, tmp_path: Path
) -> None:
    patch = tmp_path / "elsewhere"
    patch.mkdir()
    (patch / "patch.toml").write_text('title = "elsewhere"\n')
    text = "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-ninety\n+hundred\n"
    (patch / "elsewhere.patch").write_text(text)
    done = build(engine, repo, "v0.3.0", "--patches", str(patch))
    assert done.code == 4, done.stderr
    assert ": patch: elsewhere does not apply" in done.stderr


def test_an_older_commit_is_built_by_its_final_stage(engine: TestEngine, repo: GolangRepo) -> None:
    """v0.1.0 cannot be pulled because there is no registry; it is built, and the result says so."""
    done = build(engine, repo, "v0.1.0")
    assert done.code == 0, done.stderr
    made = done.document["made"]
    assert made.startswith("upstream's Dockerfile, by buildx v")
    assert "; cannot pull moby/buildkit:v0.1.0: " in made
    found = inside(engine, done.document["image"]["ref"])
    assert found["version"] == "v0.1.0"
    assert found["argument"] == "nothing"
    assert labels(engine, done.document["image"]["ref"])["bkbisect"] == "image"


def test_a_failed_step_gives_no_image_and_is_named(engine: TestEngine, repo: GolangRepo) -> None:
    done = build(engine, repo, repo.commits["broken"])
    assert done.code == 4, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert ": [version 4/4] RUN echo about to fail" in line
    assert "/nowhere: No such file or directory" in line
    log = Path(line.partition(" (try: less ")[2].removesuffix(")"))
    assert "about to fail" in log.read_text()
    assert "Traceback" not in done.stderr


def test_an_unavailable_base_is_infrastructure(engine: TestEngine, repo: GolangRepo) -> None:
    done = build(engine, repo, repo.commits["absent"])
    assert done.code == 5, done.stderr
    assert "cannot build upstream's Dockerfile" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_published_release_is_pulled(
    engine: TestEngine, repo: GolangRepo, tmp_path: Path
) -> None:
    with registry(engine, tmp_path):
        digest = publish(engine, "v0.2.0")
        done = build(engine, repo, "v0.2.0")
        unpublished = build(engine, repo, "v0.3.0")
    assert done.code == 0, done.stderr
    image = done.document["image"]
    assert image["digest"] == f"moby/buildkit@{digest}"
    assert image["ref"] == "moby/buildkit:v0.2.0"
    assert done.document["made"] == f"published, moby/buildkit@{digest}"
    assert not image["reused"]
    # It needs no registry now, and is still the published image.
    again = build(engine, repo, "v0.2.0")
    assert again.document["image"]["reused"]
    assert again.document["image"]["digest"] == image["digest"]
    # The registry is running, but does not have this image.
    assert unpublished.code == 0, unpublished.stderr
    assert "cannot pull moby/buildkit:v0.3.0" in unpublished.document["made"]
    assert inside(engine, unpublished.document["image"]["ref"])["version"] == "v0.3.0"


def test_a_local_image_of_that_name_is_not_the_published_one(
    engine: TestEngine, repo: GolangRepo
) -> None:
    theirs = engine.folder / "theirs.tar"
    theirs.write_bytes(b"\0" * 1024)
    with closing(engine.client()) as client:
        client.api.import_image_from_file(str(theirs), repository="moby/buildkit", tag="v0.1.0")
    done = build(engine, repo, "v0.1.0")
    assert done.code == 0, done.stderr
    assert done.document["made"].startswith("upstream's Dockerfile")


def test_only_images_are_left(engine: TestEngine, repo: GolangRepo) -> None:
    assert build(engine, repo, repo.commits["tip"]).code == 0
    assert engine.left(patience=5) == []
