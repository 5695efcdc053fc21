"""The options of ``docker build``, ``docker buildx build`` and ``buildctl build`` in issues. Pure.

What a step can say becomes its keys. What it cannot is listed with the reason.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from buildkit_bisect.scenario.paste_words import Untaken, named, require_known, written

#: Options without a value.
_SWITCHES = frozenset({
    *("--no-cache", "--push", "--load", "--pull", "--quiet", "-q", "--rm", "--force-rm"),
    *("--squash", "--debug", "-D", "--compress", "--check"),
})  # fmt: skip

#: Options that change what is shown, or where a build runs, and nothing that a trial observes.
_SHOWN = frozenset({
    *("--progress", "--quiet", "-q", "--rm", "--force-rm", "--pull", "--metadata-file"),
    *("--iidfile", "--debug", "-D", "--addr", "--trace", "--tlscacert", "--tlscert", "--tlskey"),
    *("--ref-file", "--registry-auth-tlscontext", "--tlsservername", "--timeout"),
})  # fmt: skip


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


def fill_in(build: Build) -> None:
    """Give images and caches names where the paste does not say all of them. Raises `Untaken`."""
    build.tags = [named(tag) for tag in build.tags]
    for entry in (*build.exports, *build.imports, *build.outputs):
        entry |= {key: named(entry[key]) for key in ("ref", "name") if key in entry}
    build.left = [(written(option), reason) for option, reason in build.left]
    require_known(json.dumps(asdict(build), ensure_ascii=False))


def docker(words: Sequence[str], variables: Mapping[str, str]) -> Build:
    """Return the build of the words after ``docker build``. Raises `Untaken`."""
    build = Build()
    places = []
    for name, value in _options(words, short={"-t": "--tag", "-f": "--file", "-o": "--output"}):
        if not name:
            places.append(value)
        elif name in _DOCKER:
            _DOCKER[name](build, value)
        elif name == "--build-arg":
            _argument(build, value, variables)
        else:
            _common(build, name, value)
    if len(places) != 1:
        found = f"{len(places)}: {', '.join(places)[:80]}" if places else "none"
        raise Untaken(f"a build takes one build context, and this line has {found}")
    build.context = places[0]
    return build


def buildctl(words: Sequence[str], variables: Mapping[str, str]) -> Build:
    """Return the build of the words after ``buildctl build``. Raises `Untaken`."""
    build = Build()
    frontend = ""
    for name, value in _options(words, short={"-o": "--output"}):
        if name == "--frontend":
            frontend = value
        elif name in ("--opt", "--frontend-opt"):
            key, _, text = value.partition("=")
            _opt(build, key, text, variables)
        elif name in _BUILDCTL:
            _BUILDCTL[name](build, value)
        elif not name:
            raise Untaken(f"buildctl build takes no word {value[:60]!r}")
        else:
            _common(build, name, value)
    if frontend == "gateway.v0" and build.frontend:
        frontend = "dockerfile.v0"
    if frontend != "dockerfile.v0":
        what = f"the frontend {frontend!r}" if frontend else "a build definition from a program"
        raise Untaken(f"{what}: a step builds a Dockerfile")
    build.context = build.locals.pop("context", "")
    build.dockerfile_dir = build.locals.pop("dockerfile", build.context)
    return build


def _into(table: dict[str, str], value: str) -> None:
    """Put ``NAME=VALUE`` into *table*."""
    key, _, text = value.partition("=")
    table[key] = text


def _attested(build: Build, value: str) -> None:
    entry = _csv(value)
    kind = entry.pop("type", "")
    _attest(build, kind, ",".join(f"{k}={v}" for k, v in entry.items()))


def _secret(build: Build, value: str) -> None:
    entry = _csv(value)
    name = entry.get("id", "")
    if not name:
        raise Untaken(f"--secret {value}: has no id")
    build.secrets[name] = f"text of the secret {name}"


def _set(name: str) -> Callable[[Build, str], None]:
    """Return what sets a field of a build to the option's value."""
    return lambda build, value: setattr(build, name, value)


def _on(name: str) -> Callable[[Build, str], None]:
    """Return what sets a switch, unless its value is false."""
    return lambda build, value: setattr(build, name, value.lower() != "false")


#: Options of both programs.
_COMMON: Mapping[str, Callable[[Build, str], None]] = {
    "--allow": lambda build, value: build.allow.append(value),
    "--no-cache": _on("no_cache"),
    "--no-cache-filter": lambda build, value: build.no_cache_filter.extend(value.split(",")),
    "--output": lambda build, value: build.outputs.append(_output(value)),
    "--platform": _set("platform"),
    "--secret": _secret,
    "--ssh": lambda build, value: build.ssh.append(value.partition("=")[0]),
}

_DOCKER: Mapping[str, Callable[[Build, str], None]] = {
    "--attest": _attested,
    "--build-context": lambda build, value: _into(build.contexts, value),
    "--builder": _set("builder"),
    "--cache-from": lambda b, v: b.imports.append(_backend(b, v, "--cache-from")),
    "--cache-to": lambda b, v: b.exports.append(_backend(b, v, "--cache-to")),
    "--file": _set("file"),
    "--label": lambda build, value: _into(build.labels, value),
    "--load": _on("load"),
    "--provenance": lambda build, value: _attest(build, "provenance", value),
    "--push": _on("push"),
    "--sbom": lambda build, value: _attest(build, "sbom", value),
    "--tag": lambda build, value: build.tags.append(value),
    "--target": _set("target"),
}

_BUILDCTL: Mapping[str, Callable[[Build, str], None]] = {
    "--export-cache": lambda b, v: b.exports.append(_backend(b, v, "--export-cache")),
    "--import-cache": lambda b, v: b.imports.append(_backend(b, v, "--import-cache")),
    "--local": lambda build, value: _into(build.locals, value),
    "--oci-layout": lambda build, value: _into(build.layouts, value),
}


def _common(build: Build, name: str, value: str) -> None:
    """Take an option that both programs have. Raises `Untaken` for one of old releases."""
    if name in _COMMON:
        _COMMON[name](build, value)
    elif name in ("--exporter", "--exporter-opt", "--export-cache-opt"):
        raise Untaken(f"{name}: an option of releases before v0.4; write --output")
    elif name not in _SHOWN:
        build.left.append((f"{name} {value}".strip(), "a step has no such option"))


def _opt(build: Build, key: str, value: str, variables: Mapping[str, str]) -> None:
    kind, colon, name = key.partition(":")
    tables = {"context": build.contexts, "label": build.labels}
    fields = {"target": "target", "filename": "file", "platform": "platform", "source": "frontend"}
    if kind == "build-arg" and colon:
        _argument(build, f"{name}={value}", variables)
    elif kind == "attest" and colon:
        _attest(build, name, value)
    elif kind in tables and colon:
        tables[kind][name] = value
    elif kind in fields:
        setattr(build, fields[kind], value)
    elif kind == "no-cache":
        build.no_cache = not value
        build.no_cache_filter = value.split(",") if value else []
    elif kind in ("context", "dockerfilekey"):
        raise Untaken(f"--opt {key}={value}: a remote build context")
    else:
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
