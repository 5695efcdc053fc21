"""Every word that a document can contain has a symbol or a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import pytest

from buildkit_bisect.model import ToolOutcome, Verdict
from buildkit_bisect.render import symbols
from buildkit_bisect.result import CellEffect, CheckEffect, CheckInfo, FitState
from buildkit_bisect.system.checkout import TEMPLATES


@pytest.mark.parametrize(
    ("table", "choice"),
    [
        (symbols.CELL_EFFECTS, CellEffect),
        (symbols.FITS, FitState),
    ],
)
def test_a_table_has_every_word(table: Mapping[StrEnum, object], choice: type[StrEnum]) -> None:
    assert set(table) == set(choice)


def test_a_check_of_upstreams_has_a_tick_only_if_nothing_in_it_failed() -> None:
    def shown(
        change: CheckEffect, known: tuple[str, ...] = (), flaky: tuple[str, ...] = ()
    ) -> symbols.Symbol:
        check = CheckInfo(kind="test", subject="x", change=change, before="", after="")
        return symbols.of_check(replace(check, known=known, flaky=flaky))

    assert [shown(change).css for change in CheckEffect] == [
        symbols.GOOD.css, symbols.BAD.css, symbols.GOOD.css, symbols.PRE_EXISTING.css,
        symbols.SKIP.css,
    ]  # fmt: skip
    assert shown(CheckEffect.PRE_EXISTING) is symbols.PRE_EXISTING
    assert shown(CheckEffect.SAME, known=("TestOld",)) is symbols.PRE_EXISTING
    assert shown(CheckEffect.BETTER, flaky=("TestOld",)) is symbols.MIXED
    assert shown(CheckEffect.WORSE, flaky=("TestOld",)) is symbols.BAD


def test_each_verdict_has_its_own_symbol() -> None:
    assert [symbols.of("layers-dropped", v).css for v in Verdict] == [str(v) for v in Verdict]
    assert symbols.of(ToolOutcome.FLAKY, Verdict.BAD) is symbols.MIXED


def test_the_page_draws_the_same_symbols() -> None:
    script = (TEMPLATES / "report.js").read_text()
    found = re.search(r"const GLYPH = \{(.*?)\};", script)
    assert found
    drawn = dict(re.findall(r'(\w+): "(.)"', found[1]))
    assert drawn == {s.css: s.glyph for s in symbols.ALL}


def test_pictures_have_colours_for_every_symbol() -> None:
    macro = (TEMPLATES / "_mark.svg.j2").read_text()
    for name in ("light", "dark"):
        colours = next(line for line in macro.splitlines() if f"set {name} =" in line)
        assert {*re.findall(r'"(\w+)": \(', colours)} == {"open", *(s.css for s in symbols.ALL)}
