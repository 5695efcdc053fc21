"""How help and lists are set."""

from __future__ import annotations

from buildkit_bisect.cli.columns import columns


def test_words_with_hyphens_stay_whole_and_long_names_stand_alone() -> None:
    rows = [
        ("--jobs=N", "one two three four with --dry-run after it"),
        ("--snapshotter-socket=NAME=SOCKET", "your own"),
        ("--json", ""),
    ]
    assert list(columns(rows, 42)) == [
        "  --jobs=N  one two three four with",
        "            --dry-run after it",
        "  --snapshotter-socket=NAME=SOCKET",
        "            your own",
        "  --json",
    ]
