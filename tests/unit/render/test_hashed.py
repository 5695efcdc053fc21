"""Reports name the files that a test script's trials are known by."""

from __future__ import annotations

from dataclasses import replace

import results
from buildkit_bisect import render, result
from buildkit_bisect.render import redact
from buildkit_bisect.result import Result

FILES = tuple(
    {"name": name, "mode": "0644", "sha256": digit * 64}
    for name, digit in (("my-test.sh", "a"), ("helper.sh", "b"), ("data/<b>.json", "c"))
)


def scripted() -> Result:
    made = results.matrix()
    return replace(made, scenarios=tuple(replace(s, files=FILES) for s in made.scenarios))


def test_both_reports_name_them() -> None:
    markdown, page = render.markdown(scripted()), render.html(scripted())
    said = "hashed: the script my-test.sh and 2 files: helper.sh and data/"
    assert f"- {said}&#60;b&#62;.json; `result.json` has each digest\n" in markdown
    assert f"{said}&lt;b&gt;.json<br>" in page
    assert f"<small>helper.sh 0644 sha256 {'b' * 64}</small>" in page
    assert "hashed:" not in render.markdown(results.matrix())
    assert "hashed:" not in render.html(results.matrix())


def test_what_is_published_and_read_again_has_their_digests() -> None:
    kept = redact.cleaned(scripted()).scenarios[0].files
    assert kept == FILES
    again = result.structure(result.unstructure(scripted()))
    assert again.scenarios[0].files == FILES
