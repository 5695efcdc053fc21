"""Which keys of a step the options of a build become."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from buildkit_bisect.scenario import paste_writer
from buildkit_bisect.scenario.paste_draft import draft


def build(line: str) -> dict[str, Any]:
    """Return the last build of *line*, without what every build has."""
    made = draft(f"```dockerfile\nFROM scratch\n```\n```bash\n{line}\n```\n")
    assert made.steps, made.left
    step = tomllib.loads(paste_writer.toml(made, "name"))["steps"][-1]
    return {k: v for k, v in step.items() if k not in ("id", "action", "dockerfile")}


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("docker buildx build .", {}),
        ("docker buildx build --target x .", {"target": "x"}),
        ("docker buildx build --build-arg A=1 --build-arg=B=2 .", {"args": {"A": "1", "B": "2"}}),
        ("docker buildx build --no-cache .", {"no_cache": True}),
        ("docker buildx build --no-cache-filter a,b .", {"no_cache_filter": ["a", "b"]}),
        ("docker buildx build --platform linux/arm64 .", {"platform": "linux/arm64"}),
        ("docker buildx build --label k=v .", {"labels": {"k": "v"}}),
        ("docker buildx build --secret id=t,src=x .", {"secrets": {"t": "text of the secret t"}}),
        ("docker buildx build --ssh default .", {"ssh": ["default"]}),
        ("docker buildx build --allow network.host .", {"allow": ["network.host"]}),
        ("docker buildx build --sbom=true .", {"attests": {"sbom": ""}}),
        ("docker buildx build --provenance=mode=max .", {"attests": {"provenance": "mode=max"}}),
        ("docker buildx build --provenance=false .", {}),
        (
            "docker buildx build --attest type=provenance,mode=min .",
            {"attests": {"provenance": "mode=min"}},
        ),
        ("docker buildx build --build-arg SOURCE_DATE_EPOCH=5 .", {"epoch": 5}),
        ("SOURCE_DATE_EPOCH=5 docker buildx build .", {"epoch": 5}),
        ("export SOURCE_DATE_EPOCH=5\ndocker buildx build .", {"epoch": 5}),
        (
            "docker buildx build --build-arg BUILDKIT_INLINE_CACHE=1 .",
            {"exports": [{"type": "inline"}]},
        ),
        (
            "docker buildx build --cache-to=type=registry,ref=ghcr.io/me/c:x,mode=max .",
            {"exports": [{"type": "registry", "ref": "${registry}/me/c:x", "mode": "max"}]},
        ),
        (
            "docker buildx build --cache-from user/app .",
            {"imports": [{"type": "registry", "ref": "${registry}/user/app:latest"}]},
        ),
        (
            "docker buildx build --cache-from type=local,src=../cache/x .",
            {"imports": [{"type": "local", "src": "x"}]},
        ),
        ("docker buildx build -o out .", {"outputs": [{"type": "local", "dest": "out"}]}),
        ("docker buildx build -o - .", {"outputs": [{"type": "tar", "dest": "output.tar"}]}),
        ("docker buildx build --output=type=cacheonly .", {}),
        ("docker build --load .", {"outputs": [{"type": "docker", "dest": "image.docker.tar"}]}),
        (
            "docker build -t localhost:5000/a/b:1 --push .",
            {"outputs": [{"type": "image", "name": "${registry}/a/b:1", "push": "true"}]},
        ),
        (
            "docker build -t x .",
            {"outputs": [{"type": "docker", "dest": "image.docker.tar"}]},
        ),
        (
            "docker buildx build -o type=registry,name=h.io/x .",
            {"outputs": [{"type": "image", "name": "${registry}/x:latest", "push": "true"}]},
        ),
        ("sudo DOCKER_BUILDKIT=1 docker build --progress plain --pull .", {}),
        (
            "buildctl build --frontend=dockerfile.v0 --local context=. --no-cache",
            {"no_cache": True},
        ),
        (
            ("buildctl build --frontend dockerfile.v0 --local context=. --opt target=x \\\n"
            " --opt build-arg:A=1 --opt no-cache=a --opt label:k=v --opt attest:sbom="
            " --opt platform=linux/arm64 --export-cache type=local,dest=c"
            " --import-cache type=local,src=d"),
            {
                "target": "x", "args": {"A": "1"}, "no_cache_filter": ["a"], "labels": {"k": "v"},
                "attests": {"sbom": ""}, "platform": "linux/arm64",
                "exports": [{"type": "local", "dest": "c"}],
                "imports": [{"type": "local", "src": "d"}],
            },
        ),
        (
            ("buildctl build --frontend gateway.v0 --opt source=docker/dockerfile:1"
            " --local context=. --local dockerfile=."),
            {},
        ),
    ],
)  # fmt: skip
def test_the_keys_of_a_build(line: str, keys: dict[str, Any]) -> None:
    assert build(line) == keys
