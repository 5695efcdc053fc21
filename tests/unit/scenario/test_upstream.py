"""Upstream's answers beside the scenarios of the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario import upstream

COMMIT = "de3e9c4f07a2bcd07a8aed7fd1cb8eb3695153b0"


def loaded(root: Path, text: str) -> upstream.Upstream:
    (root / "library/one").mkdir(parents=True, exist_ok=True)
    (root / "library/one/upstream.toml").write_text(text)
    return upstream.load("library/one", root)


@pytest.mark.parametrize("name", scenario.library())
def test_every_report_of_the_library_has_one(name: str) -> None:
    assert upstream.load(name)


def test_a_commit_a_pull_request_or_a_word(tmp_path: Path) -> None:
    assert loaded(tmp_path, f'commit = "{COMMIT}"').named
    assert loaded(tmp_path, "pull = 6129").named
    assert not loaded(tmp_path, 'says = "open"').named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "says: is missing, and there is neither commit nor pull"),
        ('commit = "de3e9c4"', "commit: 'de3e9c4' is not a full commit id"),
        ("pull = -1", "pull: must not be negative"),
        ('pull = "1"', "pull: must be a whole number, not a text ('1')"),
        ('pull = 1\nsays = "two\\nlines"', "says: must be one line of at most 400 characters"),
        (f'pull = 1\ndiffers = "{"x" * 401}"', "differs: must be one line of at most 400"),
        ('pull = 1\nsaid = "x"', "said: unknown key; known: commit, pull, says, differs"),
    ],
)
def test_the_message_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        loaded(tmp_path, text)
    assert message in caught.value.message
    assert "upstream.toml" in caught.value.message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"upstream\.toml: No such file"):
        upstream.load("library/none", tmp_path)
