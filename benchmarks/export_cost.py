"""What lazy-variants costs a cache export: seconds, and calls of `Info` of the content store.

    sudo .venv/bin/python benchmarks/export_cost.py [--rev v0.34.2] \
        --write results/issue-6893/README.md

Builds the revision without and with the patch, both with `info_counter.patch`, which counts the
calls. Real daemons of both take turns, each with an empty state and an empty repository of a
registry on loopback. Each builds a Dockerfile, exports the cache with mode=max, and exports it
again: then every blob is there, and nothing is left to hide what the patch costs.

- eager: COPY makes each of the layers, so that each has a record, and each record a chain;
- lazy: the layers are a base image's that nothing pulls (`COPY --link` does not need them), and one
  record has them all.

Needs root, and a machine without other work for times that mean something: the counts are exact.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import section
import stopping

from buildkit_bisect import solve_status
from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.runtime.host import HostRuntime, host_runtime
from buildkit_bisect.runtime.registry import Registry, serve
from buildkit_bisect.system import paths
from buildkit_bisect.system.checkout import PROJECT
from buildkit_bisect.system.machine_lock import machine_lock

COUNTER = PROJECT / "benchmarks" / "info_counter.patch"

#: Rows of the table, and the exports that have a column.
KINDS = ("eager", "lazy")
EXPORTS = ("first", "again")

_EXPORTING = "exporting cache to registry"

#: Seconds for one build, on a busy machine.
_TIMEOUT = 900.0


@dataclass(frozen=True, kw_only=True)
class Daemons:
    """Where the programs of a side are, and what its daemons use."""

    binaries: Path
    registry: Registry
    layers: int


@dataclass(frozen=True, kw_only=True)
class Export:
    """One cache export."""

    seconds: float  # by the daemon's clock
    calls: int  # of `Info`
    records: int  # with layers, in the exported cache
    chain: int  # layers of the longest


def binaries(options: argparse.Namespace, patches: Sequence[str]) -> Path:
    """Return the folder with the programs of the revision with *patches*."""
    words = [str(PROJECT / "inv"), "build", "--rev", options.rev, "--source", options.source]
    words += [*(("--repo", options.repo) if options.repo else ()), "--json"]
    words += ["--patches", ",".join((str(COUNTER), *patches))]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return Path(json.loads(done.stdout)["directory"])


def dockerfile(kind: str, layers: int) -> str:
    """Return a Dockerfile whose result has *layers* layers, or one more than its base."""
    if kind == "lazy":
        return "ARG BASE\nFROM ${BASE}\nCOPY --link <<top /\non top\ntop\n"
    return "FROM scratch\n" + "".join(
        f"COPY <<layer{n} /\nlayer {n}\nlayer{n}\n" for n in range(layers)
    )


@contextmanager
def daemon(side: Daemons, debug: str) -> Iterator[tuple[HostRuntime, Path]]:
    """Run a daemon with an empty state, and yield it with a folder for its builds."""
    with (
        paths.scratch("export-cost") as folder,
        host_runtime(
            binaries=side.binaries,
            home=folder,
            snapshotter="overlayfs",
            config=side.registry.config,
            flags=(f"--debugaddr={debug}",),
        ) as runtime,
    ):
        yield runtime, folder


def built(
    runtime: HostRuntime,
    folder: Path,
    text: str,
    *,
    args: Mapping[str, str],
    exports: tuple[Mapping[str, str], ...] = (),
    outputs: tuple[Mapping[str, str], ...] = (),
) -> float:
    """Build the Dockerfile *text*; return the seconds of its cache export, 0 without one."""
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(text)
    request = BuildRequest(
        context=context,
        dockerfile=context / "Dockerfile",
        args=args,
        exports=exports,
        outputs=outputs,
        timeout=_TIMEOUT,
    )
    found = runtime.build(request)
    if not found.done.ok:
        raise SystemExit(f"a build failed: {found.done.tail(20)}")
    vertices = solve_status.read(found.done.stderr, found.trace).vertices
    took = [v.took for v in vertices if v.name == _EXPORTING and v.took is not None]
    if exports and not took:
        raise SystemExit(f"no vertex {_EXPORTING!r}: {[v.name for v in vertices][-5:]}")
    return sum(took)


def calls(debug: str) -> int:
    """Return how often the daemon has called `Info` since it was started."""
    with urllib.request.urlopen(f"http://{debug}/debug/vars", timeout=60) as answer:
        return int(json.load(answer)["content_info_calls"])


def exported(registry: Registry, name: str, tag: str) -> tuple[int, int]:
    """Return the records with layers of an exported cache, and the layers of the longest chain."""
    with registry.open_manifest(name, tag) as opened:
        digest = json.load(opened)["config"]["digest"]
    with registry.open_blob(name, digest) as opened:
        cache = json.load(opened)
    parents = [layer.get("parent", 0) for layer in cache.get("layers") or ()]

    def chain(at: int) -> int:
        return 0 if at < 0 else 1 + chain(parents[at])

    results = [one.get("layer", 0) for each in cache["records"] for one in each.get("layers") or ()]
    records = sum(bool(each.get("layers")) for each in cache["records"])
    return records, max(map(chain, results), default=0)


def measured(side: Daemons, kind: str, name: str, again: int) -> dict[str, list[Export]]:
    """Return the exports of a new daemon: the first, and *again* more of the same."""
    debug = f"127.0.0.1:{free_port()}"
    text = dockerfile(kind, side.layers)
    args = {"BASE": f"{side.registry.address}/base:1"} if kind == "lazy" else {}
    found: dict[str, list[Export]] = defaultdict(list)
    with daemon(side, debug) as (runtime, folder):
        built(runtime, folder, text, args=args)
        for number in range(1 + again):
            ref = f"{side.registry.address}/{name}:{number}"
            before = calls(debug)
            seconds = built(
                runtime, folder, text, args=args,
                exports=({"type": "registry", "mode": "max", "ref": ref},),
            )  # fmt: skip
            made = calls(debug) - before
            records, chain = exported(side.registry, name, str(number))
            found["again" if number else "first"].append(
                Export(seconds=seconds, calls=made, records=records, chain=chain)
            )
    return found


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def base_image(side: Daemons) -> None:
    """Push the base image of `lazy`: what `eager` builds."""
    ref = f"{side.registry.address}/base:1"
    with daemon(side, f"127.0.0.1:{free_port()}") as (runtime, folder):
        built(
            runtime, folder, dockerfile("eager", side.layers), args={},
            outputs=({"type": "image", "name": ref, "push": "true"},),
        )  # fmt: skip


def table(found: Mapping[tuple[str, str], Mapping[str, Sequence[Export]]]) -> str:
    """Return the medians; *found* has the exports of each kind and side."""
    head = ("layers", "export", "without", "with", "with / without", "`Info` calls without", "with")
    lines = [
        f"| {' | '.join((*head, 'records with layers', 'longest chain'))} |",
        f"| --- | --- |{' ---: |' * 7}",
    ]
    for kind in KINDS:
        for export in EXPORTS:
            both = [found[kind, side][export] for side in ("without", "with")]
            seconds = [statistics.median(one.seconds for one in each) for each in both]
            made = [statistics.median(one.calls for one in each) for each in both]
            row = [f"{each:.2f} s" for each in seconds]
            row += [f"{seconds[1] / seconds[0]:.2f} x"]
            row += [f"{each:,.0f}" for each in made]
            row += [_both([each[-1].records for each in both])]
            row += [_both([each[-1].chain for each in both])]
            lines.append(f"| {kind} | {export} | {' | '.join(row)} |")
    return "\n".join(lines)


def _both(values: Sequence[int]) -> str:
    """Return one value, or both sides' if they differ."""
    return " → ".join(map(str, dict.fromkeys(values)))


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rev", default="v0.34.2")
    parser.add_argument("--repo", default="", help="as of ./inv build")
    parser.add_argument("--source", default="auto", help="as of ./inv build")
    parser.add_argument("--patches", default="lazy-variants", help="the patches to measure")
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2, help="daemons of each side")
    parser.add_argument("--again", type=int, default=2, help="more exports of each daemon")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args(words)
    if os.geteuid():
        parser.error("this needs root: it runs buildkitd")
    stopping.removes_on_sigterm()
    built_as = {
        "without": binaries(options, ()),
        "with": binaries(options, options.patches.split(",")),
    }
    found: dict[tuple[str, str], dict[str, list[Export]]] = {}
    with (
        tempfile.TemporaryDirectory() as storage,
        serve(Path(storage)) as registry,
        machine_lock(),  # no trial and no compile beside any of it
    ):
        sides = {
            name: Daemons(binaries=path, registry=registry, layers=options.layers)
            for name, path in built_as.items()
        }
        base_image(sides["without"])
        for number in range(options.rounds):
            order = list(sides) if number % 2 == 0 else list(reversed(sides))
            for kind in KINDS:
                for side in order:
                    of = measured(sides[side], kind, f"{kind}-{side}-{number}", options.again)
                    known = found.setdefault((kind, side), {name: [] for name in EXPORTS})
                    for export, seen in of.items():
                        known[export] += seen
                        for one in seen:
                            print(kind, side, export, one, file=sys.stderr, flush=True)
    section.put(options.write, "export-cost", table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
