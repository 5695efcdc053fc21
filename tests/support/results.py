"""Result documents as campaigns write them, and as an attacker would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildkit_bisect.result import (
    BisectInfo,
    BisectStep,
    BuildInfo,
    CandidateInfo,
    CellInfo,
    CellTried,
    ChangeInfo,
    HunkInfo,
    HunksTried,
    MinimizeInfo,
    PatchInfo,
    ReproductionInfo,
    Result,
    RevisionInfo,
    ScenarioInfo,
    StepInfo,
    TrialInfo,
)

MISSING = (
    "error: failed to solve: missing descriptor handlers for lazy blobs "
    "[sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef]"
)
DAEMON_LOG = (
    'time="2026-11-24T04:30:01Z" level=warning msg="failed to load result for '
    'sha256:0badc0de0badc0de0badc0de: missing descriptor handlers"\n'
    'time="2026-11-24T04:30:02Z" level=error msg="/moby.buildkit.v1.Control/Solve returned error"'
)
RULES = (
    ("cached", "good", "the stable RUN came from the imported cache"),
    ("export-failed", "bad", "the cache export fails with the missing-handlers error"),
    ("layers-dropped", "bad", "no build-stage record has layers in the exported cache"),
    ("ran-despite-layers", "bad", "every layer is there, and the stable RUN ran again"),
)
VERDICTS = {name: verdict for name, verdict, _ in RULES} | {
    "skip (build)": "skip",
    "unclassified": "weak",
    "infra": "infra",
}


def sha(n: int) -> str:
    return f"{n:040x}"


def far(n: int) -> str:
    """Return an ID with *n* in its first digits, so that short IDs differ."""
    return sha(n << 144)


def scenario(name: str = "cross-stage-lazy", **changes: Any) -> ScenarioInfo:
    lazy = {
        "snapshotter": {
            "values": ("overlayfs", "native", "stargz"),
            "controls": ("overlayfs", "native"),
        },
        "bases": {"values": ("different", "same"), "controls": ()},
    }
    dedup = {"warm": {"values": ("yes", "no"), "controls": ("no",)}}
    made = ScenarioInfo(
        name=name,
        title="mode=max export of a multi-stage build on a lazy snapshotter",
        issue="https://github.com/moby/buildkit/issues/6893",
        digest="5ce0" * 16,
        summary="The issue's reproducer.",
        axes=dedup if name == "cross-stage-dedup" else lazy,
        # Without labels of their own, they would have those of the shipped scenario.
        outcomes=tuple(
            {"name": n, "verdict": v, "means": m, "label": n.replace("-", " ")} for n, v, m in RULES
        ),
        images={"build": {"ref": "127.0.0.1:5000/build:1", "digest": "sha256:" + "ab" * 32}},
    )
    return replace(made, **changes)


def trial(outcome: str, *, seconds: float = 1.25, number: int = 1) -> TrialInfo:
    run = {"cached": "cached", "export-failed": "failed"}.get(outcome, "ran")
    failed = outcome == "export-failed"
    kept = {"cached": (2, 2), "layers-dropped": (0, 2), "ran-despite-layers": (2, 2)}.get(outcome)
    a, b, c = ("sha256:" + d * 64 for d in "abc")
    records = (
        {"digest": a, "layers": 1, "inputs": []},
        {"digest": b, "layers": 0 if outcome == "layers-dropped" else 2, "inputs": [a]},
        {"digest": c, "layers": 1, "inputs": [b]},
    )
    export = StepInfo(
        id="export",
        exit=1 if failed else 0,
        seconds=0.8,
        error=MISSING if failed else "",
        vertices=(
            {"name": "[build 2/3] RUN echo stable > /stable", "state": "ran"},
            {"name": "[stage-1 2/2] COPY --from=build /stable /", "state": "ran"},
            *(({"name": "exporting cache", "state": "failed", "error": MISSING},) * failed),
        ),
        records=() if failed else records,
        kept=kept,
    )
    imported = StepInfo(
        id="import",
        exit=0,
        seconds=0.45,
        vertices=({"name": "[build 2/3] RUN echo stable > /stable", "state": run},),
    )
    return TrialInfo(
        outcome=outcome,
        verdict=VERDICTS[outcome],
        reason={n: m for n, _, m in RULES}.get(outcome, "no rule matched"),
        seconds=seconds,
        reused=False,
        evidence=f"evidence/{outcome}/{number}",
        steps=(export,)
        if failed
        else (export, StepInfo(id="prune", exit=0, seconds=0.1), imported),
        daemon_log="" if outcome == "cached" else DAEMON_LOG,
    )


def cell(
    ref: str,
    n: int,
    outcomes: str | tuple[str, ...],
    *,
    patches: tuple[str, ...] = (),
    scenario: str = "cross-stage-lazy",
    control: bool = False,
    reason: str = "",
    **axes: str,
) -> CellInfo:
    names = (outcomes,) * 3 if isinstance(outcomes, str) else outcomes
    if names[0].startswith("skip"):
        return CellInfo(
            scenario=scenario, ref=ref, revision=sha(n), patches=patches, axes=axes,
            control=control, outcome=names[0], verdict="skip", log="logs/build.log",
            reason=reason or "cache/manager.go:7:2: undefined: errgroup",
        )  # fmt: skip
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    first = max(counts, key=lambda name: counts[name])
    flaky = len(counts) > 1
    trials = tuple(trial(name, number=i) for i, name in enumerate(names, 1))
    return CellInfo(
        scenario=scenario,
        ref=ref,
        revision=sha(n),
        patches=patches,
        axes=axes,
        control=control,
        outcome="flaky" if flaky else first,
        verdict="weak" if flaky else VERDICTS[first],
        reason=reason or ("trials disagree" if flaky else trials[0].reason),
        counts=counts,
        rate=(counts[first], len(names)),
        trials=trials,
        build=BuildInfo(
            key="k" * 16, go="1.25.5", source="git", binary_sha256=f"{n:063x}{len(patches):x}",
            seconds=71.5, reused=n % 2 == 0,
        ),
    )  # fmt: skip


def row(
    ref: str, n: int, different: str | tuple[str, ...], same: str | tuple[str, ...], **more: Any
) -> list[CellInfo]:
    cells = []
    for bases, lazy in (("different", different), ("same", same)):
        skipped = lazy if lazy == "skip (build)" else "cached"
        cells += [
            cell(ref, n, skipped, control=True, bases=bases, snapshotter=snapshotter, **more)
            for snapshotter in ("overlayfs", "native")
        ]
        cells.append(cell(ref, n, lazy, bases=bases, snapshotter="stargz", **more))
    return cells


def matrix(**changes: Any) -> Result:
    """A matrix similar to that of moby/buildkit#6893."""
    cells = [
        *row("v0.24.0", 240, "layers-dropped", ("cached", "cached", "layers-dropped")),
        *row("v0.25.0", 250, "export-failed", "export-failed"),
        *row("v0.31.0", 310, "layers-dropped", "layers-dropped"),
        *row("v0.32.0", 320, "skip (build)", "skip (build)"),
        *row("master", 999, "layers-dropped", "layers-dropped"),
        *row("master", 999, "ran-despite-layers", "cached", patches=("record-ctx-opts",)),
    ]
    refs = (("v0.24.0", 240), ("v0.25.0", 250), ("v0.31.0", 310), ("v0.32.0", 320), ("master", 999))
    made = Result(
        kind="matrix",
        id="20261124-043000-matrix",
        created="2026-11-24T04:30:00Z",
        command="./inv matrix --repo /home/someone/src/buildkit --trials 3",
        tool="buildkit-bisect 0.1.0",
        host={"system": "Debian GNU/Linux 12", "cpus": "2", "runc": "runc version 1.1.5"},
        source={"kind": "git", "repo": "https://github.com/moby/buildkit.git", "note": ""},
        scenarios=(scenario(),),
        revisions=tuple(
            RevisionInfo(ref=r, sha=sha(n), describe=r, date="2026-08-21", subject=f"subject {n}")
            for r, n in refs
        ),
        patches=(PatchInfo(name="record-ctx-opts", digest="d" * 64, title="Re-root the getter"),),
        cells=tuple(cells),
        seconds={"total": 754.0, "builds": 431.2, "trials": 98.7},
    )
    return replace(made, **changes)


def two_scenarios() -> Result:
    first = matrix()
    more = [
        cell(ref, n, outcome if warm == "yes" else "cached", scenario="cross-stage-dedup",
             control=warm == "no", warm=warm)
        for ref, n, outcome in (
            ("v0.24.0", 240, "layers-dropped"), ("v0.25.0", 250, "export-failed"),
            ("v0.31.0", 310, "layers-dropped"), ("master", 999, "layers-dropped"),
        )
        for warm in ("yes", "no")
    ]  # fmt: skip
    scenarios = (scenario(), scenario("cross-stage-dedup", title="a lazy base on plain overlayfs"))
    return replace(first, scenarios=scenarios, cells=(*first.cells, *more))


def many(rows: int, columns: int = 6, *, lines: int = 20) -> Result:
    """Return *rows* x *columns* cells with noisy logs, each with its own evidence."""
    names = ("layers-dropped", "export-failed", "cached", "unclassified")
    values = tuple(f"snap{n}" for n in range(columns // 2))
    axes = {
        "snapshotter": {"values": values, "controls": ()},
        "bases": {"values": ("different", "same"), "controls": ()},
    }
    cells = []
    for n in range(rows):
        for m, value in enumerate(values):
            for bases in ("different", "same"):
                made = cell(f"v0.{n}.0", n, names[(n * 7 + m) % 4], bases=bases, snapshotter=value)
                trials = tuple(
                    replace(t, daemon_log="\n".join(
                        f'level=error msg="failure {chr(97 + i)} of {n} {m} {bases}"'
                        for i in range(lines)))
                    for t in made.trials
                )  # fmt: skip
                cells.append(replace(made, trials=trials))
    revisions = tuple(RevisionInfo(ref=f"v0.{n}.0", sha=sha(n)) for n in range(rows))
    return matrix(
        cells=tuple(cells), revisions=revisions, scenarios=(scenario(axes=axes),), patches=()
    )


def bisect(**changes: Any) -> Result:
    """Return a search that found its commit."""
    shown = {
        100: ("gate", "good", "cached 3 of 3"),
        200: ("gate", "bad", "export-failed 3 of 3"),
        150: ("first-parent", "bad", "export-failed 3 of 3"),
        125: ("first-parent", "skip", "build: cmd/buildkitd/main.go:7:2: undefined: errgroup"),
        126: ("first-parent", "good", "cached 3 of 3"),
        138: ("first-parent", "bad", "export-failed 3 of 3"),
        132: ("descend", "good", "cached 3 of 3"),
        137: ("proof", "good", "cached 5 of 5"),
    }
    steps = tuple(
        BisectStep(
            number=i, phase=phase, sha=sha(n), verdict=verdict, shown=outcome,
            why=f"{phase} midpoint: at most {200 - n} of 100 candidates would remain",
            counts={} if verdict == "skip" else {outcome.split()[0]: 3},
            left=max(1, 100 >> i), seconds=14.0 * i, position=n - 100,
        )
        for i, (n, (phase, verdict, outcome)) in enumerate(shown.items())
    )  # fmt: skip
    info = BisectInfo(
        status="found",
        good="v0.24.0",
        bad="v0.25.0",
        scenario="cross-stage-lazy",
        axes={"snapshotter": "stargz", "bases": "different"},
        first_bad=sha(138),
        merge=sha(140),
        parents=(sha(137),),
        candidates=(CandidateInfo(sha=sha(138), reason="proven", probability=0.997),),
        confidence=0.997,
        reverted="confirmed: master without this commit is cached 3 of 3",
        picks={"v0.24": sha(141)},
        contained=("v0.25.0", "v0.25.1", "v0.26.0"),
        gate=steps[:2],
        steps=steps[2:],
        total=100,
        tested=7,
        skipped=1,
        reproduce=f"./inv run --rev {sha(138)[:12]} --axis snapshotter=stargz",
        notes=("v0.24.0 is not an ancestor of v0.25.0: the merge base was tested",),
    )
    revisions = tuple(
        RevisionInfo(ref=sha(n)[:12], sha=sha(n), date="2025-09-11", subject=f"cache: change {n}")
        for n in (*shown, 140)
    )
    cells = tuple(
        cell(sha(n)[:12], n, outcome.split()[0], bases="different", snapshotter="stargz")
        for n, (_, verdict, outcome) in shown.items()
        if verdict != "skip"
    )
    made = matrix(
        kind="bisect", id="20261124-050000-bisect", bisect=info, revisions=revisions, cells=cells,
        patches=(), command="./inv bisect --good v0.24.0 --bad v0.25.0",
    )  # fmt: skip
    return replace(made, **changes)


def refused() -> Result:
    info = BisectInfo(
        status="refused", good="6c0aa8c8f", bad="v0.26.0", scenario="cross-stage-lazy",
        axes={"snapshotter": "stargz", "bases": "different"},
        reason="6c0aa8c8f is already bad: layers-dropped 3 of 3",
        hint="./inv bisect --bad 6c0aa8c8f --find-good",
    )  # fmt: skip
    return bisect(bisect=info)


def chosen(*, searched: bool = True, differ: float | None = 0.93) -> Result:
    """A bisection for which two cells were open: one is bad at both ends."""
    lazy = {"snapshotter": "stargz"}
    shown = "layers-dropped (1 of 1)"
    tried = (
        CellTried(
            axes={**lazy, "bases": "different"}, good=shown, bad=shown, good_verdict="bad",
            bad_verdict="bad", reason="v0.24.0 is already bad",
        ),
        CellTried(
            axes={**lazy, "bases": "same"}, good="cached (1 of 1)", bad=shown,
            good_verdict="good", bad_verdict="bad", differ=differ, searched=searched,
        ),
    )  # fmt: skip
    made = bisect()
    assert made.bisect
    axes = {**lazy, "bases": "same"}
    ends = [made.bisect.gate[0].sha, made.bisect.gate[-1].sha]
    here = tuple(replace(one, axes=axes) for one in made.cells)
    elsewhere = tuple(
        replace(one, outcome="layers-dropped", verdict="bad")
        for one in made.cells
        if one.revision in ends
    )
    info = replace(
        made.bisect, axes=axes, tried=tried, choice="searching with bases=same, the only one"
    )
    return replace(made, bisect=info, cells=(*here, *elsewhere))


def boundaries() -> Result:
    """Two cells along a history: one changes twice, the other's change has two candidates."""
    seen = {
        0: ("layers-dropped", "cached"), 100: ("layers-dropped", "cached"),
        180: ("cached", "cached"), 181: "skip (build)", 240: ("cached", "export-failed"),
        410: ("export-failed", "export-failed"),
    }  # fmt: skip
    lazy = {"snapshotter": "stargz"}
    cells = [
        cell(
            f"r{n}",
            n + 1,
            names if isinstance(names, str) else names[m],
            bases=bases,
            snapshotter="stargz",
        )
        for n, names in seen.items()
        for m, bases in enumerate(("different", "same"))
    ]
    steps = tuple(
        BisectStep(
            number=i, phase="search", sha=sha(n + 1), position=n, left=9,
            verdict="skip" if isinstance(names, str) else "bad" if "-" in names[0] else "good",
            shown=names if isinstance(names, str) else f"different stargz: {names[0]} 3 of 3",
        )
        for i, (n, names) in enumerate(seen.items(), 1)
    )  # fmt: skip
    changes = (
        ChangeInfo(sha=sha(181), before="layers-dropped", after="cached", last_before=sha(101),
                   scenario="cross-stage-lazy", axes={"bases": "different", **lazy}),
        ChangeInfo(sha="", before="cached", after="export-failed", last_before=sha(181),
                   scenario="cross-stage-lazy", axes={"bases": "same", **lazy},
                   reason="181 does not build",
                   candidates=(CandidateInfo(sha=sha(182)), CandidateInfo(sha=sha(241)))),
        ChangeInfo(sha=sha(411), before="cached", after="export-failed", last_before=sha(241),
                   scenario="cross-stage-lazy", axes={"bases": "different", **lazy}),
    )  # fmt: skip
    info = BisectInfo(
        status="range", good="v0.24.0", bad="v0.32.0", scenario="cross-stage-lazy", axes={},
        reason="1 of 3 changes could not be narrowed to one commit", steps=steps,
        changes=changes, total=410, tested=5, skipped=1,
    )  # fmt: skip
    refs = {0: "v0.24.0", 410: "v0.32.0"}
    revisions = tuple(
        RevisionInfo(ref=refs.get(n, sha(n + 1)[:12]), sha=sha(n + 1), subject=f"change {n}")
        for n in seen
    )
    return matrix(
        kind="boundaries", id="20261124-060000-boundaries", bisect=info, revisions=revisions,
        cells=tuple(cells), patches=(), command="./inv boundaries --from v0.24.0 --to v0.32.0",
    )  # fmt: skip


def merged() -> Result:
    """One cell that changes three times inside a merge, and once with two candidates."""
    lazy = {"bases": "different", "snapshotter": "stargz"}
    cached, failed, dropped = "cached", "export-failed", "layers-dropped"
    seen: dict[int, tuple[int | None, str]] = {  # commit -> (position, outcome)
        1: (0, cached), 2: (9, cached), 11: (None, failed), 12: (None, failed),
        13: (None, dropped), 14: (None, failed), 3: (10, failed), 4: (99, cached),
    }  # fmt: skip
    steps = tuple(
        BisectStep(number=i, phase="narrow", sha=far(n), position=position,
                   verdict="good" if shown == cached else "bad", shown=f"{shown} 3 of 3")
        for i, (n, (position, shown)) in enumerate(seen.items(), 1)
    )  # fmt: skip

    def change(n: int, before: int) -> ChangeInfo:
        return ChangeInfo(sha=far(n), before=seen[before][1], after=seen[n][1], merge=far(3),
                          last_before=far(before), scenario="cross-stage-lazy",
                          axes=lazy)  # fmt: skip

    hidden = tuple(CandidateInfo(sha=far(n)) for n in (15, 4))
    changes = (
        change(11, 1), change(13, 12), change(14, 13),
        replace(change(4, 3), sha="", merge=far(4), candidates=hidden),
    )  # fmt: skip
    info = BisectInfo(
        status="range", good="v0.24.0", bad="v0.32.0", scenario="cross-stage-lazy", axes={},
        reason="1 of 4 changes could not be narrowed to one commit", steps=steps,
        changes=changes, total=99, tested=8,
    )  # fmt: skip
    return matrix(
        kind="boundaries", id="20261124-070000-boundaries", bisect=info, patches=(),
        revisions=tuple(RevisionInfo(ref=far(n)[:12], sha=far(n), subject=f"change {n}")
                        for n in seen),
        cells=tuple(cell(far(n)[:12], n << 144, shown, bases="different", snapshotter="stargz")
                    for n, (_, shown) in seen.items()),
        command="./inv boundaries --from v0.24.0 --to v0.32.0",
    )  # fmt: skip


def bare(result: Result, *, texts: bool = False) -> Result:
    """Return *result* as of a scenario without axes, issue, summary, labels and images.

    Nothing optional is known of it: subjects, dates, releases, hints, notes, the machine, times.
    Without *texts*, titles, meanings and reasons are empty too.
    """

    def kept(text: str) -> str:
        return text if texts else ""

    cells = {
        (c.scenario, c.ref, c.revision, c.patches): replace(
            c, axes={}, reason=kept(c.reason),
            trials=tuple(replace(t, reason=kept(t.reason)) for t in c.trials),
        )
        for c in result.cells
        if not c.control
    }  # fmt: skip
    made = replace(
        result, cells=tuple(cells.values()), host={}, seconds={}, notes=(), reproduction=None,
        scenarios=tuple(
            replace(s, axes={}, issue="", title=kept(s.title), summary="", labels={}, images={},
                    outcomes=tuple({**o, "means": kept(str(o["means"]))} for o in s.outcomes))
            for s in result.scenarios
        ),
        revisions=tuple(replace(r, subject="", date="", describe="") for r in result.revisions),
        patches=tuple(replace(p, title=kept(p.title)) for p in result.patches),
    )  # fmt: skip
    if info := result.bisect:
        made = replace(made, bisect=replace(
            info, axes={}, reason=kept(info.reason), choice="", hint="", notes=(), reverted="",
            reproduce="", confidence=info.confidence if texts else 0.0, contained=(), picks={},
            tried=(),
            changes=tuple(replace(c, axes={}, reason=kept(c.reason)) for c in info.changes),
            candidates=tuple(replace(c, reason=kept(c.reason)) for c in info.candidates),
            gate=tuple(replace(s, why=kept(s.why)) for s in info.gate),
            steps=tuple(replace(s, why=kept(s.why)) for s in info.steps),
        ))  # fmt: skip
    if known := result.validation:
        own = {c.scenario: c for c in known.cells if not c.control}
        made = replace(made, validation=replace(
            known, reason=kept(known.reason), reverted="", notes=(), hint="",
            cells=tuple(replace(c, axes={}, reason="", snapshotter="") for c in own.values()),
            checks=tuple(replace(c, note="") for c in known.checks),
        ))  # fmt: skip
    return made


HOSTILE = (
    "<script>alert(1)</script> `tick` | pipe </details></pre> \x1b[31mred\x1b[0m "
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07 [x](javascript:alert(1)) "
    "![i](http://evil.example/p) "
    "@moby/everyone fixes #6893 http://evil.example www.evil.example <img src=x onerror=alert(1)> "
    "**bold** _em_ ~~s~~ $x$ &lt; {{ 7*7 }} {% raw %} ]]> --> \u202eevil \x00\x07 "
    "password=hunter22 Bearer abcdefgh12345678 https://user:pw@host.example/x /home/someone/secret "
)


def reproduction(text: str = "text") -> ReproductionInfo:
    """Return one in which each free text is *text*."""
    return ReproductionInfo(
        scenario=text, ref=text, revision=text, patches=(text,), axes={text: text}, outcome=text,
        verdict="bad", script=f"# {text}\n{text}\n",
    )  # fmt: skip


def hostile() -> Result:
    """Return a document in which every free text is an attack."""
    bad = HOSTILE
    first = cell("master", 999, "layers-dropped", bases="different", snapshotter="stargz")
    step = StepInfo(
        id=bad, exit=1, seconds=1, error=f"error: {bad}\n\n{bad * 50}",
        vertices=({"name": f"RUN {bad}", "state": "failed", "error": bad, "log": bad},),
        records=({"digest": bad, "layers": 0, "inputs": [bad]},),
    )  # fmt: skip
    trial = replace(
        first.trials[0], reason=bad, outcome=bad, daemon_log=f"level=error {bad}", steps=(step,)
    )
    cells = (
        replace(first, reason=bad, outcome=bad, counts={bad: 1}, trials=(trial,), ref=bad,
                patches=(bad,)),
        replace(first, reason=bad, outcome="flaky", counts={bad: 1, "b": 2}, trials=(trial,)),
    )  # fmt: skip
    evil = bisect().bisect
    assert evil
    steps = tuple(replace(s, shown=bad, why=bad) for s in evil.steps)
    info = replace(
        evil, steps=steps, gate=steps, reason=bad, hint=bad, notes=(bad,), reproduce=bad,
        good=bad, bad=bad, scenario=bad, axes={bad: bad}, choice=bad,
        tried=(CellTried(axes={bad: bad}, good=bad, bad=bad, good_verdict="good",
                         bad_verdict="bad", reason=bad),),
        candidates=(CandidateInfo(sha=bad, reason=bad), CandidateInfo(sha=sha(3), reason=bad)),
    )  # fmt: skip
    return matrix(
        id=bad, created=bad, command=bad, tool=bad, host={"system": bad}, notes=(bad,),
        source={"kind": bad, "repo": bad},
        revisions=(RevisionInfo(ref=bad, sha=sha(999), subject=bad),),
        patches=(PatchInfo(name=bad, digest="e" * 64, title=bad, credit=bad, diffs={bad: bad}),),
        cells=cells,
        scenarios=(scenario(title=bad, summary=bad, outcomes=(
            {"name": bad, "verdict": "bad", "means": bad},)),),
        bisect=info, kind="bisect",
        reproduction=reproduction(bad),
        minimized=MinimizeInfo(
            status="minimal", of=bad, on=bad, cells=(bad,), before=bad, after=bad, needed=bad,
            reason=bad, notes=(bad,), tried=(HunksTried(hunks=(1,), seen="changed", shown=bad),),
            hunks=tuple(
                HunkInfo(file=bad, lines=bad, role=role, heading=bad, without=bad)
                for role in ("outcome", "build", "other", "kept", "not-needed", "test", "refused")
            ),
        ),
    )  # fmt: skip


def hostile_many(rows: int) -> Result:
    """Many cells, each with its own long and hostile name, outcome and reason."""
    plain = many(rows, lines=2)
    cells = tuple(
        replace(c, ref=f"{c.ref} {HOSTILE}", outcome=f"{c.outcome} {n} {HOSTILE}",
                reason=f"{n} {HOSTILE * 5}")
        for n, c in enumerate(plain.cells)
    )  # fmt: skip
    revisions = tuple(
        replace(r, ref=f"{r.ref} {HOSTILE}", subject=HOSTILE * 5) for r in plain.revisions
    )
    return replace(plain, cells=cells, revisions=revisions, notes=(HOSTILE * 30,) * 50)


def only(*cells: object) -> Result:
    """The matrix with these cells alone."""
    return matrix(cells=cells)


def hunk(role: str, **more: str) -> HunkInfo:
    """Return a hunk of ``solver/exporter.go``."""
    return HunkInfo(file="solver/exporter.go", lines="12 (1 removed)", role=role, **more)


def minimized() -> MinimizeInfo:
    """Return hunks with every reason."""
    return MinimizeInfo(
        status="minimal",
        of="my-fix",
        on="master + lazy-variants",
        cells=("cross-stage-lazy snapshotter stargz",),
        before="layers-dropped 5 of 5",
        after="cached 3 of 3",
        needed="cached 5 of 5",
        hunks=(
            hunk(
                "outcome", heading="func (e *exporter) ExportTo()", without="layers-dropped 3 of 3"
            ),
            hunk("build", without="build: a-b.go:3:1: undefined: x"),
            hunk("other", without="export-failed 3 of 3"),
            hunk("not-needed"),
            HunkInfo(file="solver/a_test.go", lines="new file (3 added)", role="test"),
            HunkInfo(file="b.go", lines="3 (1 added)", role="refused", heading="func A()"),
            HunkInfo(file="b.go", lines="9 (1 added)", role="refused", heading="func A()"),
        ),
        tried=(
            HunksTried(hunks=(1, 2, 3, 4), seen="changed", shown="cached 3 of 3"),
            HunksTried(hunks=(1,), seen="untestable", shown="build: a-b.go:3:1: undefined: x"),
        ),
    )
