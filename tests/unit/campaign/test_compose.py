"""How a step and a patch are described in a result document."""

from __future__ import annotations

from dataclasses import replace

from buildkit_bisect.campaign.compose import patch_info, step_info
from buildkit_bisect.model import StepResult, Vertex
from buildkit_bisect.patch.patches import Metadata, Patch

FAILED = Vertex(name="RUN b", digest="2", started=True, error="exit 1", log="mkdir: failed\n")
STEP = StepResult(
    id="go",
    exit=1,
    seconds=1.0,
    vertices=(Vertex(name="RUN a", digest="1", started=True, log="chatter\n"), FAILED),
)


def test_a_failed_vertex_has_the_end_of_what_it_printed() -> None:
    assert step_info(STEP, None).vertices == (
        {"name": "RUN a", "state": "ran"},
        {"name": "RUN b", "state": "failed", "error": "exit 1", "log": "mkdir: failed"},
    )
    many = replace(FAILED, log="".join(f"{n}\n" for n in range(100)))
    (shown,) = step_info(replace(STEP, vertices=(many,)), None).vertices
    assert shown["log"].splitlines() == [str(n) for n in range(90, 100)]


def test_a_long_line_is_cut_at_its_beginning() -> None:
    long = replace(FAILED, log=f"{'x' * 100_000} end\n")
    (shown,) = step_info(replace(STEP, vertices=(long,)), None).vertices
    assert len(shown["log"]) == 2000
    assert shown["log"].endswith(" end")


def test_a_patch_credits_those_whose_work_it_is_based_on() -> None:
    meta = Metadata(title="t", source="https://example.org/1", credit="A. Nother, in #1")
    patch = Patch(name="p", folder="", meta=meta, diffs=())
    info = patch_info(patch.ref, [patch])
    assert (info.source, info.credit) == (meta.source, meta.credit)
    assert patch_info(patch.ref, []).credit == ""
