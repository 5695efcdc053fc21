"""Images the way upstream makes them: published ones pulled, others by its own Dockerfile.

Both need the network: Docker Hub, or the Go, Alpine and GitHub downloads of the Dockerfile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker.errors

from buildkit_bisect import paths, process
from buildkit_bisect.engine import base, buildx, image, labels
from buildkit_bisect.engine.client import told
from buildkit_bisect.engine.session import Engine
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.gitcmd import git
from buildkit_bisect.model import Revision, Variant
from buildkit_bisect.patches import Patch, apply
from buildkit_bisect.source import Source

_RELEASE = re.compile(r"v\d+\.\d+\.\d+(-rc\d+)?")
_BAKE_IMAGE = re.compile(r'^target "image" *\{', re.MULTILINE)
_STAGE = re.compile(
    r"^FROM .*\bAS (buildkit|buildkit-buildkitd)[ \t]*$", re.MULTILINE | re.IGNORECASE
)


def published(variant: Variant) -> str:
    """``moby/buildkit:TAG`` of an unpatched release; "" for anything else."""
    tag = variant.revision.ref
    return f"moby/buildkit:{tag}" if not variant.patches and _RELEASE.fullmatch(tag) else ""


def pull(
    engine: Engine, variant: Variant, say: Callable[[str], None] = lambda _: None
) -> image.VariantImage | str:
    """The published image of *variant*, or why there is none."""
    started = time.monotonic()
    ref = published(variant)
    if not ref:
        return "only an unpatched release is published"
    found = base.local(engine, ref)
    reused = found is not None
    got = found or base.pulled(engine, ref, say)
    if isinstance(got, str):
        return got
    seconds = time.monotonic() - started
    return image.VariantImage(id=got.id, ref=ref, key=got.id, reused=reused, seconds=seconds)


def build(
    engine: Engine,
    program: buildx.Buildx,
    source: Source,
    variant: Variant,
    patches: Sequence[Patch],
    *,
    timeout: float,
    say: Callable[[str], None] = lambda _: None,
    on_line: Callable[[str], None] = lambda _: None,
) -> image.VariantImage:
    """Build *variant* with the Dockerfile of its own commit, in *timeout* s; the log is kept.

    Raises `BadInput` for a source without git, `InfraFailed` with the log's path.
    """
    if source.kind != "git":
        raise BadInput("upstream's Dockerfile needs a git source", hint="--source git --repo PATH")
    started = time.monotonic()
    ref = f"{image.REPOSITORY}:{image.tag(variant)}-dockerfile"
    log = paths.cache("logs") / f"image-{image.tag(variant)}.log"
    log.unlink(missing_ok=True)
    say(f"building {ref} with upstream's Dockerfile; log: {log}")
    with paths.scratch("upstream") as folder:
        tree = folder / "tree"
        with source.checkout(variant.revision) as worktree:
            repository(worktree, tree, variant.revision)
        apply(tree, patches)
        said = {
            labels.OURS: "image",
            "org.opencontainers.image.revision": variant.revision.sha,
            "org.opencontainers.image.version": variant.revision.describe,
            "bkbisect.patches": ",".join(p.name for p in variant.patches),
            "bkbisect.source": "dockerfile",
        }
        done = process.run(
            [program.path, *command(tree, ref, said)],
            timeout=timeout,
            cwd=tree,
            env={**engine.where.environment(), "BUILDX_GIT_INFO": "false"},
            check=False,
            log=log,
            on_line=on_line,
        )
    if not done.ok:
        how = f"was still running after {timeout:g} s" if done.timed_out else done.tail(1)
        raise InfraFailed(f"upstream's Dockerfile did not build: {how[-400:]}", hint=f"less {log}")
    with told(f"looking for {ref}"):
        try:
            made = engine.client.images.get(ref)
        except docker.errors.ImageNotFound:
            raise InfraFailed(f"buildx built {ref}, and the Engine does not have it") from None
    return image.VariantImage(
        id=str(made.id),
        ref=ref,
        key=str(made.id),
        reused=False,
        seconds=time.monotonic() - started,
    )


def repository(worktree: Path, target: Path, revision: Revision) -> None:
    """A repository of its own at the commit of *worktree*, small enough for a build context.

    The Dockerfile asks git for the version: a worktree's ``.git`` leads out of the context
    ("dev"), so this has real objects and a tag that says what `git describe` says upstream.
    """
    git(target.parent, "init", "--quiet", "--template=", str(target))
    git(
        *(target, "fetch", "--quiet", "--depth=1", f"file://{worktree}", "HEAD"),
        timeout=600,
        GIT_ALLOW_PROTOCOL="file",
    )
    git(target, "-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD", timeout=600)
    if re.match(r"v\d", revision.describe):
        git(target, "tag", revision.describe)


def command(tree: Path, ref: str, said: Mapping[str, str]) -> list[str]:
    """What buildx is given for *tree*: ``bake image`` from v0.26, its Dockerfile's stage before."""
    bake = tree / "docker-bake.hcl"
    if bake.is_file() and _BAKE_IMAGE.search(bake.read_text(errors="replace")):
        settings = [f"image.tags={ref}", "image.output=type=docker"]
        settings += [f"image.labels.{key}={value}" for key, value in said.items()]
        argv = ["bake", "--progress=plain", "--file", "docker-bake.hcl"]
        return [*argv, *(word for s in settings for word in ("--set", s)), "image"]
    argv = ["build", "--progress=plain", "--target", stage(tree), "--tag", ref]
    argv += ["--output", "type=docker", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]
    return [*argv, *(word for k, v in said.items() for word in ("--label", f"{k}={v}")), "."]


def stage(tree: Path) -> str:
    """The Dockerfile's final stage: ``buildkit``, or ``buildkit-buildkitd`` up to v0.10."""
    try:
        text = (tree / "Dockerfile").read_text(errors="replace")
    except OSError:
        text = ""
    found = {name.lower() for name in _STAGE.findall(text)}
    if not found:
        raise BadInput("the Dockerfile of this commit has no stage that is BuildKit's image")
    return "buildkit" if "buildkit" in found else "buildkit-buildkitd"
