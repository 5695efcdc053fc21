"""Runs integration tests of a BuildKit tree, as `patch export` writes it, without the network.

    .venv/bin/python benchmarks/upstream_tests.py TREE 'TestIntegration/TestLazy.*'

Compiles the tree's buildkitd and buildctl with the `go` in PATH, and runs `go test ./client` in
upstream's own harness, with its OCI worker and the one with the stargz snapshotter (`--worker`
chooses by name, such as oci-snapshotter-stargz). It needs root, runc, busybox and docker-registry.

With `--programs BASE` the programs are those of another tree, such as the base of the branch.

The harness copies its images from Docker Hub to a mirror, but not those that the mirror has. So a
mirror is made that has each of them: this machine's busybox. Tests for which the image must be
another one, such as Alpine, are not for this script.

The exit code is that of `go test`; 3 if no test ran, 4 if each was skipped.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from buildkit_bisect.lab import image_files, plain_images
from buildkit_bisect.runtime import registry
from buildkit_bisect.scenario import plain_image

#: What `client.TestIntegration` copies, by the name in the mirror.
IMAGES = (
    "library/busybox",
    "library/alpine",
    "cpuguy83/buildkit-foreign",
    "tonistiigi/test:nolayers",
)

DOCKERFILE = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY rootfs/ /\n"

#: Seconds for the registry to take an image, and for all tests.
PUSH, TESTS = 60.0, 1800

#: Ends what the tests leave: the stargz snapshotter's mounts outlive its daemon.
ALONE = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

#: Programs that the harness finds in PATH under its own names.
LINKS = {"registry": "docker-registry", "buildkit-runc": "runc"}

NO_TEST, ALL_SKIPPED = 3, 4


def mirror(folder: Path) -> None:
    """Make the storage of a registry with every image of the harness in *folder*."""
    image = plain_image.read(DOCKERFILE)
    if image is None:
        sys.exit("the Dockerfile of the mirror's images cannot be read")
    made = plain_images.make(image, "gzip", image_files.busybox())
    with registry.serve(folder / "data") as served:
        for name in IMAGES:
            repository, _, tag = name.partition(":")
            plain_images.push(made, served, repository, tag or "latest", PUSH)


def programs(tree: Path, folder: Path) -> None:
    """Put the tree's programs, and links to those of this machine, in *folder*."""
    go = program("go")
    for package in ("./cmd/buildkitd", "./cmd/buildctl"):
        print(f"compiling {package}", file=sys.stderr, flush=True)
        subprocess.run([go, "build", "-o", f"{folder}/", package], cwd=tree, check=True)
    for name, target in LINKS.items():
        (folder / name).symlink_to(program(target))


def program(name: str) -> str:
    """Return the path of an installed program."""
    return shutil.which(name) or sys.exit(f"{name} is not installed")


def run(tree: Path, pattern: str, worker: str, source: Path, home: Path) -> int:
    """Run the tests of *tree* with the programs of *source*; return the exit code."""
    bins, images = home / "bin", home / "mirror"
    bins.mkdir()
    images.mkdir()
    mirror(images)
    programs(source, bins)
    env = os.environ | {
        "PATH": f"{bins}:{os.environ['PATH']}",
        "TMPDIR": str(home),
        "BUILDKIT_REGISTRY_MIRROR_DIR": str(images),
        "BUILDKIT_INTEGRATION_SNAPSHOTTER": "stargz",
        "TEST_DOCKERD": "0",
    }
    done = subprocess.run(
        [
            *(program("unshare"), *ALONE),
            *(program("go"), "test", "-v", "-count=1", f"-timeout={TESTS}s", "./client"),
            *("-run", f"{pattern}/worker={worker}$"),
        ],
        cwd=tree,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout)
    if done.returncode:
        return done.returncode
    ended = re.findall(r"^ +--- (\w+): \S+/worker=", done.stdout, re.MULTILINE)
    if not ended:
        return NO_TEST
    return 0 if "PASS" in ended else ALL_SKIPPED


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("pattern")
    parser.add_argument("--worker", default="oci(-snapshotter-stargz)?")
    parser.add_argument("--programs", type=Path, help="a tree without the patch: the tests fail")
    given = parser.parse_args()
    # Short: the harness puts sockets in it, whose paths have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bkt-", dir="/tmp") as home:
        source = (given.programs or given.tree).resolve()
        return run(given.tree.resolve(), given.pattern, given.worker, source, Path(home))


if __name__ == "__main__":
    sys.exit(main())
