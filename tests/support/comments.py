"""Reads reports in Markdown as GitHub renders them."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

GFM = MarkdownIt("gfm-like", {"html": True})


def rows(page: str) -> list[list[str]]:
    """Return the cells of every table row in rendered HTML."""
    return [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]


def first_screen(made: str) -> str:
    """Return what a comment shows before its first fold."""
    return made.partition("<details>")[0]
