"""A validation's result document, for tests of renderers."""

from __future__ import annotations

from dataclasses import replace

import results
from buildkit_bisect.result import BackportInfo, CellChange, CheckInfo, Result, ValidationInfo
from buildkit_bisect.result.sentence import verdict


def change(
    kind: str, scenario: str, on: str, *, control: bool = False, reason: str = "",
    after: str = "cached 3 of 3", **axes: str,
) -> CellChange:  # fmt: skip
    before = "cached 3 of 3" if kind in ("regressed", "still-good") else "layers-dropped 3 of 3"
    return CellChange(
        scenario=scenario, axes=axes, control=control, change=kind, before=before, after=after,
        moved=before != after, snapshotter=on, reason=reason,
    )  # fmt: skip


CELLS = (
    change("still-bad", "cross-stage-lazy", "stargz", after="layers-partly-dropped 3 of 3",
           bases="different", snapshotter="stargz"),
    change("fixed", "cross-stage-lazy", "stargz", bases="same", snapshotter="stargz"),
    change("still-bad", "cross-stage-dedup", "overlayfs", after="layers-dropped 3 of 3",
           warm="yes"),
    change("still-good", "cross-stage-lazy", "overlayfs", control=True, bases="same",
           snapshotter="overlayfs"),
    change("still-good", "warm-reexport", "stargz", snapshotter="stargz"),
)  # fmt: skip
CHECKS = (
    CheckInfo(kind="test", subject="./solver", change="pre-existing", before="40 passed, 1 failed",
              after="41 passed, 1 failed", known=("TestOld",), added=("TestNew",),
              note="with the race detector"),
    CheckInfo(kind="vet", subject="./solver", change="same", before="clean", after="clean"),
    CheckInfo(kind="build", subject="linux/arm64 buildkitd buildctl", change="same",
              before="builds", after="builds"),
)  # fmt: skip


def info(**changes: object) -> ValidationInfo:
    made = ValidationInfo(
        status="partly", verdict="", base="master", sha=results.sha(999),
        patches=("record-ctx-opts",), cells=CELLS, checks=CHECKS,
        culprit=results.sha(138), reverted="fixes 2 of 3 broken cells (cached 3 of 3)",
        backports=(BackportInfo(ref="v0.24", sha=results.sha(240), state="conflicts",
                                detail="patch failed: solver/exporter.go:147"),
                   BackportInfo(ref="master", sha=results.sha(999), state="applies")),
        trials=30,
    )  # fmt: skip
    made = replace(made, **changes)  # type: ignore[arg-type]
    return replace(made, verdict=verdict(made))


def result(**changes: object) -> Result:
    return results.matrix(kind="validate", validation=info(**changes))
