"""Measures a store: what builds take in it, and the CPU time of this tool for a push and a pull.

    sudo .venv/bin/python benchmarks/shared_store.py [--write docs/performance.md] [KEY ...]

Pushes builds of the cache, the latest eight of one Go without a key, to a docker-registry on
loopback, and pulls them into an empty cache. Compiles nothing and changes nothing in the cache.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import section
import stopping

from buildkit_bisect.builds import exchange, history
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.golang.toolchain import host_arch
from buildkit_bisect.model import Build
from buildkit_bisect.runtime import registry
from buildkit_bisect.sharing.store import SharedStore
from buildkit_bisect.system import paths

_LATEST = 8


def chosen(keys: list[str]) -> list[Build]:
    """Return the builds with *keys*, or the latest of one Go, oldest first."""
    known = history()
    if keys:
        return [build for build in known if build.key.startswith(tuple(keys))]
    return [build for build in known if build.go == known[-1].go][-_LATEST:]


@contextmanager
def cache(folder: str) -> Iterator[None]:
    """Use another cache in the block."""
    before = str(paths.cache_root())
    os.environ["BKBISECT_CACHE_DIR"] = folder
    try:
        yield
    finally:
        os.environ["BKBISECT_CACHE_DIR"] = before


def size(folder: Path) -> int:
    """Return the bytes of all files below *folder*."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    """Print or write a table of the builds, and the sums."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("keys", nargs="*", metavar="KEY", help="the first characters of a build's")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args()
    stopping.removes_on_sigterm()
    builds = chosen(options.keys)
    recipe = Recipe(goarch=host_arch())
    asked = [exchange.asked(build.key, build.go, recipe) for build in builds]
    sums = [0.0] * 4
    lines = [
        "| build | Go | MB | MB in the store | push, CPU s | pull, CPU s |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    with (
        tempfile.TemporaryDirectory() as storage,
        tempfile.TemporaryDirectory() as empty,
        registry.serve(Path(storage)) as at,
    ):
        store = SharedStore(place=f"{at.address}/builds", seconds=600, pushes=True, say=print)
        for build, one in zip(builds, asked, strict=True):
            before, began = size(Path(storage)), time.process_time()
            assert exchange.push(store, one)
            pushed, packed = time.process_time() - began, size(Path(storage)) - before
            began = time.process_time()
            with cache(empty):
                assert exchange.pull(store, one, build.key[:12], lambda _: None)
            pulled = time.process_time() - began
            row = (size(Path(build.directory)) / 1e6, packed / 1e6, pushed, pulled)
            sums = [total + part for total, part in zip(sums, row, strict=True)]
            shown = " | ".join(f"{part:.1f}" for part in row)
            lines.append(f"| {build.key[:12]} | {build.go} | {shown} |")
    lines.append(f"| all | | {' | '.join(f'{part:.1f}' for part in sums)} |")
    section.put(options.write, "shared-store", "\n".join(lines))


if __name__ == "__main__":
    main()
