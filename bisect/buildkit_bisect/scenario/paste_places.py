"""Where a trial keeps what an issue's commands name: folders, images of a registry. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

REGISTRY = "${registry}"


class Places:
    """Names in the trial's own directory, by the paths of the paste."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, path: str) -> str:
        """Return the name for *path*, the same one until it is deleted."""
        key = posixpath.normpath(path)
        if key not in self._names:
            plain = re.sub(r"[^A-Za-z0-9._-]+", "-", key.rpartition("/")[2]).strip("-.") or "out"
            names = (plain, *(f"{plain}-{n}" for n in range(2, 1000)))
            self._names[key] = next(name for name in names if name not in self._taken)
            self._taken.add(self._names[key])
        return self._names[key]

    def known(self, path: str) -> bool:
        """Whether a build has left something at *path*."""
        return posixpath.normpath(path) in self._names

    def delete(self, path: str) -> bool:
        """Forget *path*: what is there next has another name, as if it were deleted."""
        return self._names.pop(posixpath.normpath(path), None) is not None

    def rename(self, path: str, to: str) -> bool:
        """Give what is at *path* the path *to* also. Returns whether there is something."""
        name = self._names.pop(posixpath.normpath(path), None)
        if name is not None:
            self._names[posixpath.normpath(to)] = name
        return name is not None


def in_registry(ref: str) -> str:
    """Return the image *ref* as one in the trial's own registry."""
    path = ref.removeprefix("docker.io/").partition("@")[0]
    host, slash, rest = path.partition("/")
    if slash and (re.search(r"[.:]", host) or host == "localhost"):
        path = rest
    path, colon, tag = path.rpartition(":") if ":" in path.rpartition("/")[2] else (path, "", "")
    del colon
    plain = re.sub(r"[^a-z0-9._/-]+", "-", path.lower()).strip("-./_")
    plain = re.sub(r"\.{2,}|/{2,}", "-", plain)
    return f"{REGISTRY}/{plain or 'image'}:{re.sub(r'[^A-Za-z0-9_.-]', '-', tag) or 'latest'}"


def normal(ref: str) -> str:
    """Return *ref* with its tag and without Docker Hub's name, to compare two."""
    ref = ref.removeprefix("docker.io/").removeprefix("library/")
    return ref if ":" in ref.rpartition("/")[2] or "@" in ref else f"{ref}:latest"


def entry(
    kind: str, given: Mapping[str, str], places: Places, cwd: str
) -> tuple[dict[str, str], str]:
    """Return attributes of a cache or an output as a step has them, and why not if not.

    *kind* is ``exports``, ``imports`` or ``outputs``; *cwd* is where relative paths begin.
    """
    out = {k: v for k, v in given.items() if re.fullmatch(r"[a-z][a-z0-9._-]*", k)}
    if kind == "outputs" and out.get("type") == "cacheonly":
        return {}, ""
    known = ("local", "tar", "oci", "docker", "image") if kind == "outputs" else (
        ("local", "registry", "inline") if kind == "exports" else ("local", "registry"))  # fmt: skip
    if out.get("type") not in known:
        return {}, f"a step has no {kind[:-1]} of type {out.get('type', '')!r}"
    for key in ("ref", "name"):
        if key in out and out["type"] in ("registry", "image"):
            out[key] = ",".join(in_registry(one) for one in out[key].split(","))
            if "," in out[key]:
                return {}, "several names of one image: write an output for each"
        elif key in out:
            del out[key]
    for key in ("dest", "src"):
        if key in out:
            out[key] = places.of(posixpath.join(cwd, out[key]))
    folder = out["type"] == "local" and kind != "outputs"
    missing = {"exports": "dest", "imports": "src"}.get(kind, "dest")
    needs = folder or (kind == "outputs" and out["type"] in ("local", "tar", "oci", "docker"))
    if needs and missing not in out:
        name = "output" if out["type"] == "local" else f"image.{out['type']}.tar"
        out[missing] = places.of(posixpath.join(cwd, name))
    if out["type"] == "registry" and "ref" not in out:
        return {}, "a registry cache without a ref"
    return out, ""
