"""Images the way upstream makes them: published ones pulled, others built with its Dockerfile.

Both need the network: Docker Hub, or the Go, Alpine and GitHub downloads of the Dockerfile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker.errors

from buildkit_bisect.engine import base, buildx_plugin, image, labels, ssh
from buildkit_bisect.engine.client import engine_errors
from buildkit_bisect.engine.connection import Engine
from buildkit_bisect.engine.contexts import Endpoint
from buildkit_bisect.errors import BadInput, InfraFailed, NoAnswer
from buildkit_bisect.model import Revision, Variant
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Build
from buildkit_bisect.patch.patches import Patch, PatchFailed, apply
from buildkit_bisect.source import Source
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.gitcmd import git

_RELEASE = re.compile(r"v\d+\.\d+\.\d+(-rc\d+)?")
_BAKE_IMAGE = re.compile(r'^target "image" *\{', re.MULTILINE)

#: How an Engine's BuildKit reports that a step's command failed: before v0.9, and since.
_FAILED = re.compile(
    r"^ERROR: .*(?:executor failed running .*: exit code: \d+"
    r"|process \".*\" did not complete successfully: exit code: \d+)",
    re.MULTILINE,
)
_SHOWN = re.compile(r"^-{6}\n > (.*?):?\n(.*?)^-{6}$", re.MULTILINE | re.DOTALL)

#: What buildx needs of the user's environment. A bake file may read any variable, and is not
#: trusted. By whole names: DOCKER_AUTH_CONFIG and BUILDX_BAKE_GIT_AUTH_TOKEN are secrets.
_FOR_BUILDX = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_[A-Z]+|SSL_CERT_(?:FILE|DIR)"
    r"|DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS|TLS_VERIFY|API_VERSION)"
    r"|BUILDX_(?:BUILDER|CONFIG)"
    r"|(?:HTTP|HTTPS|FTP|ALL|NO)_PROXY|(?:http|https|ftp|all|no)_proxy"
)

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
    """Pull the published image of *variant*; return it, or why there is none."""
    started = time.monotonic()
    ref = published(variant)
    if not ref:
        return "upstream publishes unpatched releases only"
    # An image with that name but no digest was not pulled; it was built locally.
    found = base.local(engine, ref) if _digest(engine, ref) else None
    got = found or base.pulled(engine, ref, say)
    if isinstance(got, str):
        return got
    return image.VariantImage(
        id=got.id,
        ref=ref,
        key=got.id,
        reused=found is not None,
        seconds=time.monotonic() - started,
        digest=_digest(engine, ref),
    )


def _digest(engine: Engine, ref: str) -> str:
    """The ``REPOSITORY@sha256:...`` of *ref*; "" if the Engine did not pull it."""
    with engine_errors(f"looking for the image {ref}"):
        try:
            known = engine.client.images.get(ref).attrs.get("RepoDigests") or []
        except docker.errors.ImageNotFound:
            return ""
    repository = ref.rpartition(":")[0]
    return next((str(d) for d in known if d.startswith(f"{repository}@")), "")


def build(
    engine: Engine,
    program: buildx_plugin.Buildx,
    source: Source,
    variant: Variant,
    patches: Sequence[Patch],
    *,
    timeout: float,
    on_line: Callable[[str], None] = lambda _: None,
) -> image.VariantImage:
    """Build *variant* with its own commit's Dockerfile within *timeout* seconds; keep the log.

    Raises `BadInput` for a source without git; `NoAnswer` with the reason if a step of the
    Dockerfile fails or a patch does not apply; otherwise `InfraFailed` with the log's path.
    """
    if source.kind != "git":
        raise BadInput(
            "upstream's Dockerfile needs a git source", hint=words(Build, source="git", repo="PATH")
        )
    started = time.monotonic()
    ref = f"{image.REPOSITORY}:{image.tag(variant)}-dockerfile"
    log = paths.cache("logs") / f"image-{image.tag(variant)}.log"
    log.unlink(missing_ok=True)
    what = f"building {ref} with upstream's Dockerfile; log: {log}"
    with announce(what), paths.scratch("upstream") as folder:
        tree = folder / "tree"
        with source.checkout(variant.revision) as worktree:
            repository(worktree, tree, variant.revision)
        try:
            apply(tree, patches)
        except PatchFailed as error:
            raise NoAnswer(
                f"cannot build the image of {variant.label}: patch: {error.message}",
                hint=error.hint or inv("patch-check"),
            ) from error
        marks = {
            labels.OURS: "image",
            "org.opencontainers.image.revision": variant.revision.sha,
            "org.opencontainers.image.version": variant.revision.describe,
            "bkbisect.patches": ",".join(p.name for p in variant.patches),
            "bkbisect.source": "dockerfile",
        }
        done = process.run(
            [program.path, *command(tree, ref, marks)],
            timeout=timeout,
            cwd=tree,
            env=environment(engine.where, process.child_env()),
            inherit=False,
            check=False,
            log=log,
            on_line=on_line,
        )
    if why := failed_step(done.stderr):
        raise NoAnswer(f"cannot build the image of {variant.label}: {why}", hint=f"less {log}")
    if not done.ok:
        how = f"still running after {timeout:g} s" if done.timed_out else done.tail(1)
        raise InfraFailed(f"cannot build upstream's Dockerfile: {how[-400:]}", hint=f"less {log}")
    with engine_errors(f"looking for {ref}"):
        try:
            made = engine.client.images.get(ref)
        except docker.errors.ImageNotFound:
            raise InfraFailed(
                f"buildx built {ref}, but the Engine does not have it",
                hint="docker buildx use default",
            ) from None
    return image.VariantImage(
        id=str(made.id),
        ref=ref,
        key=str(made.id),
        reused=False,
        seconds=time.monotonic() - started,
    )


def environment(where: Endpoint, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of buildx, kept small because the repository may not be the user's own."""
    kept = {name: value for name, value in env.items() if _FOR_BUILDX.fullmatch(name)}
    if where.url.startswith(f"{ssh.SCHEME}://") and "SSH_AUTH_SOCK" in env:
        kept["SSH_AUTH_SOCK"] = env["SSH_AUTH_SOCK"]
    return {
        **kept,
        **where.environment(),
        "BUILDX_GIT_INFO": "false",
        # Overrides the user's setting: a bake file reads and writes in its own folder only.
        "BUILDX_BAKE_ENTITLEMENTS_FS": "1",
    }


def failed_step(progress: str) -> str:
    """The Dockerfile step whose command failed, with the end of its output; "" if none did.

    *progress* is buildx's plain progress. A failed pull of an image is not a failed step.
    """
    if not _FAILED.search(progress):
        return ""
    shown = _SHOWN.findall(progress)
    if not shown:
        return "a step of upstream's Dockerfile failed"
    step, printed = shown[-1]
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return ": ".join([step[:200], *lines[-2:]])[:600]


def repository(worktree: Path, target: Path, revision: Revision) -> None:
    """Make a standalone repository at the commit of *worktree*, small enough for a build context.

    The Dockerfile asks git for the version. A worktree's ``.git`` points outside the context, which
    gives "dev"; this one has the objects, and a tag equal to upstream's `git describe`.
    """
    git(target.parent, "init", "--quiet", "--template=", str(target))
    git(
        *(target, "fetch", "--quiet", "--depth=1", f"file://{worktree}", "HEAD"),
        timeout=600,
        GIT_ALLOW_PROTOCOL="file",
    )
    # Keep symlinks as links: they are only followed inside the build.
    linked = ("-c", "core.symlinks=true", "-c", "advice.detachedHead=false")
    git(target, *linked, "checkout", "--quiet", "FETCH_HEAD", timeout=600)
    if re.match(r"v\d", revision.describe):
        git(target, "tag", revision.describe)


def command(tree: Path, ref: str, marks: Mapping[str, str]) -> list[str]:
    """Arguments of buildx for *tree*: ``bake image`` since v0.26, the Dockerfile's stage before."""
    if _BAKE_IMAGE.search(_text(tree / "docker-bake.hcl")):
        settings = [f"image.tags={ref}", "image.output=type=docker"]
        settings += [f"image.labels.{key}={value}" for key, value in marks.items()]
        argv = ["bake", "--progress=plain", "--file", "docker-bake.hcl"]
        return [*argv, *(word for s in settings for word in ("--set", s)), "image"]
    argv = ["build", "--progress=plain", "--target", stage(tree), "--tag", ref]
    argv += ["--output", "type=docker", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]
    return [*argv, *(word for k, v in marks.items() for word in ("--label", f"{k}={v}")), "."]


def _text(path: Path) -> str:
    """The text of a file; "" if it is missing, or a symlink, which may lead outside the tree."""
    if path.is_symlink() or not path.is_file():
        return ""
    return path.read_text(errors="replace")


def stage(tree: Path) -> str:
    """The Dockerfile's final stage: ``buildkit``, or ``buildkit-buildkitd`` up to v0.10."""
    found = {name.lower() for name in _STAGE.findall(_text(tree / "Dockerfile"))}
    if not found:
        raise BadInput(
            "the Dockerfile of this commit has no stage `buildkit` or `buildkit-buildkitd`",
            hint=f"leave out {words(Build, builder='dockerfile')}",
        )
    return "buildkit" if "buildkit" in found else "buildkit-buildkitd"
