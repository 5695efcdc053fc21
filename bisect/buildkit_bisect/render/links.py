"""Links in Markdown: to commits, pull requests, and the page of a report."""

from __future__ import annotations

from markupsafe import Markup

from buildkit_bisect.render import table, text
from buildkit_bisect.result import Result
from buildkit_bisect.system.addresses import is_link


def link(label: str, url: str) -> Markup:
    """Return *label*, linked to *url* if that is an https:// address."""
    shown = text.markdown(label)
    return Markup("[{}]({})").format(shown, Markup(url)) if is_link(url) else shown  # noqa: S704


def commit(result: Result, sha: str, label: str = "") -> Markup:
    """Return *label* or the short ID, linked to the commit's page if it has one."""
    shown = text.code(label or sha[:12])
    url = table.commit_url(result, sha)
    return Markup("[{}]({})").format(shown, Markup(url)) if url else shown  # noqa: S704 - matched
