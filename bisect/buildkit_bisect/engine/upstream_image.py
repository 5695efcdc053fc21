"""Images the way upstream makes them: published ones pulled, others by its own Dockerfile.

Both need the network: Docker Hub, or the Go, Alpine and GitHub downloads of the Dockerfile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker.errors

from buildkit_bisect.engine import base, buildx_plugin, image, labels, ssh
from buildkit_bisect.engine.client import told
from buildkit_bisect.engine.contexts import Endpoint
from buildkit_bisect.engine.session import Engine
from buildkit_bisect.errors import BadInput, InfraFailed, NoAnswer
from buildkit_bisect.model import Revision, Variant
from buildkit_bisect.patch.patches import Patch, PatchFailed, apply
from buildkit_bisect.source import Source
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.gitcmd import git

_RELEASE = re.compile(r"v\d+\.\d+\.\d+(-rc\d+)?")
_BAKE_IMAGE = re.compile(r'^target "image" *\{', re.MULTILINE)

#: How an Engine's BuildKit says that a step's command failed: before v0.9, and from it on.
_FAILED = re.compile(
    r"^ERROR: .*(?:executor failed running .*: exit code: \d+"
    r"|process \".*\" did not complete successfully: exit code: \d+)",
    re.MULTILINE,
)
_SHOWN = re.compile(r"^-{6}\n > (.*?):?\n(.*?)^-{6}$", re.MULTILINE | re.DOTALL)

#: What buildx needs of the user's environment. A bake file reads any variable that it names, and
#: may be anybody's. By whole names: DOCKER_AUTH_CONFIG and BUILDX_BAKE_GIT_AUTH_TOKEN are secrets.
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
    """The published image of *variant*, or why there is none."""
    started = time.monotonic()
    ref = published(variant)
    if not ref:
        return "only an unpatched release is published"
    # What has that name and no digest was not pulled: somebody made it.
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
    """``REPOSITORY@sha256:...`` by which the Engine pulled *ref*; "" where it did not."""
    with told(f"looking for the image {ref}"):
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
    say: Callable[[str], None] = lambda _: None,
    on_line: Callable[[str], None] = lambda _: None,
) -> image.VariantImage:
    """Build *variant* with the Dockerfile of its own commit, in *timeout* s; the log is kept.

    Raises `BadInput` for a source without git; `NoAnswer` where a step of the Dockerfile fails
    or a patch does not apply, with the reason; `InfraFailed` for all else, with the log's path.
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
        try:
            apply(tree, patches)
        except PatchFailed as error:
            raise NoAnswer(
                f"{variant.label} has no image: patch: {error.message}",
                hint=error.hint or "./inv patch-check",
            ) from error
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
            env=environment(engine.where, process.child_env()),
            inherit=False,
            check=False,
            log=log,
            on_line=on_line,
        )
    if why := failed_step(done.stderr):
        raise NoAnswer(f"{variant.label} has no image: {why}", hint=f"less {log}")
    if not done.ok:
        how = f"was still running after {timeout:g} s" if done.timed_out else done.tail(1)
        raise InfraFailed(f"upstream's Dockerfile did not build: {how[-400:]}", hint=f"less {log}")
    with told(f"looking for {ref}"):
        try:
            made = engine.client.images.get(ref)
        except docker.errors.ImageNotFound:
            raise InfraFailed(
                f"buildx built {ref}, and the Engine does not have it",
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
    """All that buildx gets of *env* for a repository that need not be the user's own."""
    kept = {name: value for name, value in env.items() if _FOR_BUILDX.fullmatch(name)}
    if where.url.startswith(f"{ssh.SCHEME}://") and "SSH_AUTH_SOCK" in env:
        kept["SSH_AUTH_SOCK"] = env["SSH_AUTH_SOCK"]
    return {
        **kept,
        **where.environment(),
        "BUILDX_GIT_INFO": "false",
        # Whatever the user's shell says: a bake file reads and writes in its own folder.
        "BUILDX_BAKE_ENTITLEMENTS_FS": "1",
    }


def failed_step(said: str) -> str:
    """The step of a Dockerfile that failed by itself, with the end of what it printed, or "".

    *said* is buildx's plain progress. An image that cannot be pulled is no step's failure.
    """
    if not _FAILED.search(said):
        return ""
    shown = _SHOWN.findall(said)
    if not shown:
        return "a step of upstream's Dockerfile failed"
    step, printed = shown[-1]
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return ": ".join([step[:200], *lines[-2:]])[:600]


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
    # Links stay links here: they are only followed inside the build.
    linked = ("-c", "core.symlinks=true", "-c", "advice.detachedHead=false")
    git(target, *linked, "checkout", "--quiet", "FETCH_HEAD", timeout=600)
    if re.match(r"v\d", revision.describe):
        git(target, "tag", revision.describe)


def command(tree: Path, ref: str, said: Mapping[str, str]) -> list[str]:
    """What buildx is given for *tree*: ``bake image`` from v0.26, its Dockerfile's stage before."""
    if _BAKE_IMAGE.search(_text(tree / "docker-bake.hcl")):
        settings = [f"image.tags={ref}", "image.output=type=docker"]
        settings += [f"image.labels.{key}={value}" for key, value in said.items()]
        argv = ["bake", "--progress=plain", "--file", "docker-bake.hcl"]
        return [*argv, *(word for s in settings for word in ("--set", s)), "image"]
    argv = ["build", "--progress=plain", "--target", stage(tree), "--tag", ref]
    argv += ["--output", "type=docker", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]
    return [*argv, *(word for k, v in said.items() for word in ("--label", f"{k}={v}")), "."]


def _text(path: Path) -> str:
    """A file of a tree; "" where there is none, or a link, which may lead out of it."""
    if path.is_symlink() or not path.is_file():
        return ""
    return path.read_text(errors="replace")


def stage(tree: Path) -> str:
    """The Dockerfile's final stage: ``buildkit``, or ``buildkit-buildkitd`` up to v0.10."""
    found = {name.lower() for name in _STAGE.findall(_text(tree / "Dockerfile"))}
    if not found:
        raise BadInput(
            "the Dockerfile of this commit has no stage that is BuildKit's image",
            hint="leave out --builder dockerfile",
        )
    return "buildkit" if "buildkit" in found else "buildkit-buildkitd"
