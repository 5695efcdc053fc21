"""Which campaign a user means."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect.campaign.find import find, ids
from buildkit_bisect.errors import BadInput

OLD, NEW, OTHER = "20260821-101500-matrix", "20260822-090000-bisect", "20260822-100000-matrix"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in (NEW, OLD, OTHER, "zebra"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "campaign.json").touch()
    published = tmp_path / "issue-1" / "bisect"
    published.mkdir(parents=True)
    (published / "result.json").touch()
    return tmp_path


def test_ids_are_ordered_by_their_time(out: Path) -> None:
    assert ids(out) == ["zebra", OLD, NEW, OTHER], "a name that is not an ID is not the latest"
    assert ids(out / "nowhere") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (OLD, OLD),
        ("20260821", OLD),
        ("zeb", "zebra"),
        ("", OTHER),
        ("latest", OTHER),
        ("{out}/issue-1/bisect", "issue-1/bisect"),
        ("{out}/issue-1/bisect/", "issue-1/bisect"),
        ("{out}/issue-1/bisect/result.json", "issue-1/bisect"),
        (f"{{out}}/{OLD}/campaign.json", OLD),
    ],
)
def test_forms_of_a_name(out: Path, name: str, found: str) -> None:
    assert find(name.format(out=out), out) == out / found


def test_a_folder_is_found_relative_to_the_current_one(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out / "issue-1")
    assert find("bisect", out) == Path("bisect")
    assert find("bisect/result.json", out) == Path("bisect")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("20260822", "2 campaigns begin with 20260822", f"{NEW}, or {OTHER}"),
        ("20260822-091000-bisect", "no campaign 20260822-091000-bisect in", NEW),
        ("{out}/issue-1/bisct", "no campaign", "/issue-1/bisect, or ./inv status"),
        ("{out}/issue-1", "no campaign in", "/issue-1/bisect, or ./inv status"),
        ("{out.name}/issue-1/bisect", "no campaign", "/issue-1/bisect, or ./inv status"),
        ("/etc/passwd", "no campaign in /etc", "./inv status"),
        ("x" * 300, "no campaign xxx", "./inv status"),
        ("a\0b", r"no campaign a\\x00b", "./inv status"),
        ("a\nb", r"no campaign a\\nb", "./inv status"),
    ],
)
def test_what_is_not_a_campaign(out: Path, name: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput, match=message) as raised:
        find(name.format(out=out), out)
    assert hint in raised.value.hint


def test_without_campaigns_there_is_no_latest(tmp_path: Path) -> None:
    for name in ("", "latest"):
        with pytest.raises(BadInput, match="no campaign in "):
            find(name, tmp_path)
