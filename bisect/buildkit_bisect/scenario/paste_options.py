"""The options of ``docker build``, ``docker buildx build`` and ``buildctl build`` in issues. Pure.

What a step can say becomes its keys. What it cannot is listed with the reason.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.scenario.paste_words import Untaken

#: Options without a value.
_SWITCHES = frozenset({
    *("--no-cache", "--push", "--load", "--pull", "--quiet", "-q", "--rm", "--force-rm", "--squash"),
    *("--debug", "-D", "--compress", "--check", "--no-push"),
})  # fmt: skip

#: Options that change what is shown, or where a build runs, and nothing that a trial observes.
_SHOWN = frozenset({
    *("--progress", "--quiet", "-q", "--rm", "--force-rm", "--pull", "--metadata-file", "--iidfile"),
    *("--debug", "-D", "--addr", "--trace", "--metadata", "--tlscacert", "--tlscert", "--tlskey"),
    *("--trace-file", "--ref-file", "--registry-auth-tlscontext", "--tlsservername", "--timeout"),
})  # fmt: skip

#: Options of containers that older builders had.
_OLD = frozenset({"--memory", "-m", "--cpu-shares", "--cpuset-cpus", "--isolation", "--squash",
                  "--compress", "--cgroup-parent", "--ulimit", "--shm-size", "--add-host",
                  "--network", "--check", "--call", "--policy", "--source-policy-file",
                  "--annotation"})  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Build:
    """A build, as its command line says."""

    context: str = ""  # as written; "-" for standard input
    file: str = ""  # the Dockerfile, as written; "" for the context's
    dockerfile_dir: str | None = None  # of buildctl, instead of the context
    target: str = ""
    args: dict[str, str] = field(default_factory=dict)
    exports: list[dict[str, str]] = field(default_factory=list)
    imports: list[dict[str, str]] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    push: bool = False
    load: bool = False
    builder: str = ""
    contexts: dict[str, str] = field(default_factory=dict)  # as written
    layouts: dict[str, str] = field(default_factory=dict)  # of buildctl: id -> folder
    locals: dict[str, str] = field(default_factory=dict)  # of buildctl: name -> folder
    no_cache: bool = False
    no_cache_filter: list[str] = field(default_factory=list)
    platform: str = ""
    attests: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    ssh: list[str] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    epoch: int | None = None
    frontend: str = ""  # an image
    left: list[tuple[str, str]] = field(default_factory=list)  # option, reason


def docker(words: Sequence[str], variables: Mapping[str, str]) -> Build:
    """Return the build of the words after ``docker build``. Raises `Untaken`."""
    build = Build()
    places = []
    for name, value in _options(words, short={"-t": "--tag", "-f": "--file", "-o": "--output"}):
        if not name:
            places.append(value)
            continue
        _docker_option(build, name, value, variables)
    if len(places) != 1:
        found = f"{len(places)}: {', '.join(places)[:80]}" if places else "none"
        raise Untaken(f"a build takes one build context, and this line has {found}")
    build.context = places[0]
    return build


def _docker_option(build: Build, name: str, value: str, variables: Mapping[str, str]) -> None:
    match name:
        case "--tag":
            build.tags.append(value)
        case "--file":
            build.file = value
        case "--target":
            build.target = value
        case "--builder":
            build.builder = value
        case "--build-arg":
            _argument(build, value, variables)
        case "--cache-to":
            build.exports += [_backend(build, value, "--cache-to")]
        case "--cache-from":
            build.imports += [_backend(build, value, "--cache-from")]
        case "--output":
            build.outputs.append(_output(value))
        case "--push":
            build.push = True
        case "--load":
            build.load = True
        case "--build-context":
            key, _, place = value.partition("=")
            build.contexts[key] = place
        case "--label":
            key, _, text = value.partition("=")
            build.labels[key] = text
        case "--secret":
            _secret(build, value)
        case "--attest":
            entry = _csv(value)
            kind = entry.pop("type", "")
            _attest(build, kind, ",".join(f"{k}={v}" for k, v in entry.items()))
        case "--provenance" | "--sbom":
            _attest(build, name[2:], value)
        case _:
            _common(build, name, value)


def _common(build: Build, name: str, value: str) -> None:
    """Take an option that docker and buildctl share."""
    match name:
        case "--no-cache":
            build.no_cache = value != "false"
        case "--no-cache-filter":
            build.no_cache_filter += value.split(",")
        case "--platform":
            build.platform = ",".join(filter(None, [build.platform, value]))
        case "--ssh":
            build.ssh.append(value.partition("=")[0])
        case "--allow":
            build.allow.append(value)
        case "--progress" if value == "rawjson":
            pass
        case _ if name in _SHOWN:
            pass
        case _ if name in _OLD:
            build.left.append((f"{name} {value}".strip(), "a step has no such option"))
        case _:
            build.left.append((f"{name} {value}".strip(), "this option is not known"))


def buildctl(words: Sequence[str], variables: Mapping[str, str]) -> Build:
    """Return the build of the words after ``buildctl build``. Raises `Untaken`."""
    build = Build()
    frontend = ""
    for name, value in _options(words, short={"-o": "--output"}):
        match name:
            case "--frontend":
                frontend = value
            case "--local":
                key, _, place = value.partition("=")
                build.locals[key] = place
            case "--opt" | "--frontend-opt":
                key, _, text = value.partition("=")
                _opt(build, key, text, variables)
            case "--output":
                build.outputs.append(_output(value))
            case "--export-cache":
                build.exports.append(_backend(build, value, name))
            case "--import-cache":
                build.imports.append(_backend(build, value, name))
            case "--oci-layout":
                key, _, place = value.partition("=")
                build.layouts[key] = place
            case "--secret":
                _secret(build, value)
            case "--exporter" | "--exporter-opt" | "--export-cache-opt":
                raise Untaken(f"{name}: an option of releases before v0.4; write --output")
            case "":
                raise Untaken(f"buildctl build takes no word {value[:60]!r}")
            case _:
                _common(build, name, value)
    if frontend == "gateway.v0" and build.frontend:
        frontend = "dockerfile.v0"
    if frontend != "dockerfile.v0":
        what = f"the frontend {frontend!r}" if frontend else "a build definition from a program"
        raise Untaken(f"{what}: a step builds a Dockerfile")
    build.context = build.locals.pop("context", "")
    build.dockerfile_dir = build.locals.pop("dockerfile", build.context)
    return build


def _opt(build: Build, key: str, value: str, variables: Mapping[str, str]) -> None:
    kind, colon, name = key.partition(":")
    match kind:
        case "build-arg" if colon:
            _argument(build, f"{name}={value}", variables)
        case "context" if colon:
            build.contexts[name] = value
        case "attest" if colon:
            _attest(build, name, value)
        case "label" if colon:
            build.labels[name] = value
        case "target":
            build.target = value
        case "filename":
            build.file = value
        case "platform":
            build.platform = value
        case "source":
            build.frontend = value
        case "no-cache":
            build.no_cache = not value
            build.no_cache_filter = value.split(",") if value else []
        case "context" | "dockerfilekey":
            raise Untaken(f"--opt {key}={value}: a remote build context")
        case _:
            build.left.append((f"--opt {key}={value}", "a step has no such option"))


def _argument(build: Build, text: str, variables: Mapping[str, str]) -> None:
    name, equals, value = text.partition("=")
    if not equals:
        if name not in variables:
            build.left.append((f"--build-arg {name}", "the paste does not say its value"))
            return
        value = variables[name]
    if name == "SOURCE_DATE_EPOCH" and value.isdigit():
        build.epoch = int(value)
    elif name == "BUILDKIT_INLINE_CACHE" and value == "1":
        build.exports.append({"type": "inline"})
    elif re.fullmatch(r"[A-Za-z_][\w.-]{0,100}", name):
        build.args[name] = value
    else:
        build.left.append((f"--build-arg {text}", "not the name of an argument"))


def _attest(build: Build, kind: str, value: str) -> None:
    if kind not in ("provenance", "sbom"):
        build.left.append((f"attestation {kind}", "only provenance and sbom are known"))
    elif value.lower() not in ("false", "disabled=true"):
        build.attests[kind] = "" if value.lower() == "true" else value


def _secret(build: Build, value: str) -> None:
    entry = _csv(value)
    name = entry.get("id", "")
    if not name:
        raise Untaken(f"--secret {value}: has no id")
    build.secrets[name] = f"text of the secret {name}"


def _backend(build: Build, value: str, option: str) -> dict[str, str]:
    """Return the attributes of a cache."""
    entry = _csv(value) if "=" in value else {"type": "registry", "ref": value}
    entry.pop("ignore-error", None)
    kind = entry.setdefault("type", "registry")
    if kind not in ("local", "registry", "inline"):
        reason = f"a trial has no {kind} cache; a registry replaces it"
        build.left.append((f"{option} {value}", reason))
        name = entry.get("scope", entry.get("name", "cache"))
        keep = {k: v for k, v in entry.items() if k in ("mode", "compression")}
        entry = {"type": "registry", "ref": f"{kind}/{name}", **keep}
    return entry


def _output(value: str) -> dict[str, str]:
    if value == "-":
        return {"type": "tar", "dest": "output.tar"}
    if "=" not in value:
        return {"type": "local", "dest": value}
    entry = _csv(value)
    if "type" not in entry:  # docker build -o dest=out
        entry = {"type": "local", **entry}
    if entry["type"] == "registry":
        entry = {**entry, "type": "image", "push": "true"}
    return entry


def _csv(value: str) -> dict[str, str]:
    """Return attributes such as ``type=local,dest=out``. Raises `Untaken`."""
    try:
        (fields,) = csv.reader([value])
    except (ValueError, csv.Error):
        raise Untaken(f"{value[:60]!r} is not a list of attributes") from None
    entry: dict[str, str] = {}
    for part in fields:
        key, equals, text = part.partition("=")
        entry[key.strip().lower()] = text if equals else "true"
    return entry


def _options(words: Sequence[str], *, short: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each option with its value, and other words as options without a name."""
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "-" or not word.startswith("-"):
            yield "", word
            continue
        name, equals, value = word.partition("=")
        if not name.startswith("--") and len(name) > 2 and name[:2] in short:  # noqa: PLR2004
            name, equals, value = name[:2], "=", word[2:].removeprefix("=")
        name = short.get(name, name)
        if equals:
            yield name, value
        elif name in _SWITCHES or not left:
            yield name, ""
        else:
            yield name, left.pop(0)


