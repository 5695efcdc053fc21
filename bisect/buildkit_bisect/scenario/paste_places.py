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
            self._names[key] = self.fresh(plain)
        return self._names[key]

    def fresh(self, name: str) -> str:
        """Return *name*, or a name like it that nothing has yet."""
        stem, dot, kind = name.partition(".")
        names = (name, *(f"{stem}-{n}{dot}{kind}" for n in range(2, 1000)))
        found = next(one for one in names if one not in self._taken)
        self._taken.add(found)
        return found

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


#: Caches and outputs that stay within a trial.
_KINDS = {
    "exports": ("local", "registry", "inline"),
    "imports": ("local", "registry"),
    "outputs": ("local", "tar", "oci", "docker", "image"),
}


def entry(
    key: str, given: Mapping[str, str], places: Places, folder: str
) -> tuple[dict[str, str], str]:
    """Return attributes of a cache or an output as a step has them, and why not if not.

    *key* is ``exports``, ``imports`` or ``outputs``; relative paths begin in *folder*.
    """
    out = {k: v for k, v in given.items() if re.fullmatch(r"[a-z][a-z0-9._-]*", k)}
    kind = out.get("type", "")
    if key == "outputs" and kind == "cacheonly":
        return {}, ""
    if kind not in _KINDS[key]:
        return {}, f"a step has no {key[:-1]} of type {kind!r}"
    if "," in out.get("name", ""):
        return {}, "several names of one image: write an output for each"
    for name in ("ref", "name"):
        if name in out and kind in ("registry", "image"):
            out[name] = in_registry(out[name])
        else:
            out.pop(name, None)
    for name in ("dest", "src"):
        if name in out:
            out[name] = places.of(posixpath.join(folder, out[name]))
    if kind == "registry" and "ref" not in out:
        return {}, "a registry cache without a ref"
    _complete(key, kind, out, places, folder)
    return out, ""


def _complete(key: str, kind: str, out: dict[str, str], places: Places, folder: str) -> None:
    """Give a cache or an output that is a file or a folder its place, if it has none."""
    name = "src" if key == "imports" else "dest"
    if kind in ("inline", "registry", "image") or name in out:
        return
    usual = "output" if kind == "local" else f"image.{kind}.tar"
    # A cache is read where it was written; what a build outputs is its own.
    own = key == "outputs"
    out[name] = places.fresh(usual) if own else places.of(posixpath.join(folder, usual))
