"""requirements/ci.txt pins all that CI installs, with hashes, within pyproject.toml's ranges."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from buildkit_bisect.system import checkout

LOCK = (checkout.PROJECT / "requirements" / "ci.txt").read_text()
PROJECT = tomllib.loads((checkout.PROJECT / "pyproject.toml").read_text())
PINNED = dict(re.findall(r"^([\w.-]+)==([\w.+!-]+)", LOCK, re.MULTILINE))
RANGES = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["test"],
    *PROJECT["build-system"]["requires"],
]


@pytest.mark.parametrize("text", RANGES)
def test_every_dependency_is_pinned_within_its_range(text: str) -> None:
    wanted = Requirement(text)
    assert PINNED[canonicalize_name(wanted.name)] in wanted.specifier, "run: .ci/lock"


def test_every_line_is_a_pin_or_one_of_its_hashes() -> None:
    """So it contains no index, no host and no path of the machine that wrote it."""
    pin = re.compile(
        r"[\w.-]+==[\w.+!-]+(?: ; [\w .'=!<>]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
    )
    for line in LOCK.splitlines():
        assert line.startswith("#") or pin.fullmatch(line), line
    entries = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINNED)
    assert all("--hash=sha256:" in entry for entry in entries)
