"""Posts reports as GitHub comments with the user's ``gh``, and updates earlier comments."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.options.command import inv
from buildkit_bisect.render.markdown import LIMIT, markdown
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import Result
from buildkit_bisect.system import paths, process

UPSTREAM = "moby/buildkit"

#: Seconds for one GitHub request.
TIMEOUT = 60.0


def post(
    result: Result,
    folder: Path | None,
    *,
    issue: int,
    repo: str = UPSTREAM,
    confirm: Callable[[str], bool],
    templates: Templates | None = None,
) -> str:
    """Post *result* as a comment on *issue*, or update the earlier comment. Return its URL.

    *confirm* gets the comment and where it will be posted; unless it returns true, nothing is
    posted and the result is "". Raises `Missing` if ``gh`` is not installed or not logged in,
    `InfraFailed` if a request fails.
    """
    if issue < 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadInput(f"{repo}#{issue} is not an issue", hint=inv("post", "ID", issue=6893))
    me = login()
    body = comment(result, folder, templates)
    earlier = own_comment(repo, issue, me, marker(result))
    what = "update the comment at" if earlier else "comment on"
    where = earlier["html_url"] if earlier else f"https://github.com/{repo}/issues/{issue}"
    if not confirm(f"{body}\n\n{me} will {what} {where} ({len(body)} characters)"):
        return ""
    path = (
        f"repos/{repo}/issues/comments/{earlier['id']}"
        if earlier
        else f"repos/{repo}/issues/{issue}/comments"
    )
    with paths.scratch("post") as scratch:
        draft = scratch / "comment.json"
        draft.write_text(json.dumps({"body": body}))
        method = "PATCH" if earlier else "POST"
        made = _gh("api", "--method", method, path, "--input", str(draft))
    return str(_json(made, "the comment")["html_url"])


def comment(result: Result, folder: Path | None, templates: Templates | None = None) -> str:
    """Return the text that `post` posts: the report, and a hidden marker. It needs no ``gh``."""
    sign = marker(result)
    return markdown(result, folder, templates=templates, limit=LIMIT - len(sign)) + sign


def marker(result: Result) -> str:
    """Return the hidden line that identifies the comment for a kind and set of scenarios."""
    names = ",".join(sorted(s.name for s in result.scenarios))
    return f"\n<!-- buildkit-bisect {result.kind} {re.sub(r'[^A-Za-z0-9_,-]', '_', names)} -->\n"


def login() -> str:
    """Return the user that ``gh`` is logged in as. Raises `Missing` if there is none."""
    preview = f"{inv('post', 'ID', dry_run=True)} prints the comment"
    if shutil.which("gh") is None:
        raise Missing(
            "gh is not installed; nothing was posted", hint=f"apt-get install gh; {preview}"
        )
    status = process.run(["gh", "auth", "status"], timeout=TIMEOUT, check=False)
    if not status.ok:
        raise Missing("gh is not logged in; nothing was posted", hint=f"gh auth login; {preview}")
    return str(_json(_gh("api", "user"), "the user")["login"])


def own_comment(repo: str, issue: int, me: str, sign: str) -> dict[str, Any] | None:
    """Return the newest comment by *me* that contains *sign*; copies by others are ignored."""
    pages = _gh("api", "--paginate", f"repos/{repo}/issues/{issue}/comments?per_page=100")
    found = None
    for comment in _pages(pages):
        mine = (comment.get("user") or {}).get("login") == me
        if mine and sign.strip() in (comment.get("body") or ""):
            found = comment
    return found


def _gh(*args: str) -> str:
    done = process.run(["gh", *args], timeout=TIMEOUT, check=False)
    if not done.ok:
        reason = done.tail(3) or f"exit {done.exit}"
        raise InfraFailed(f"gh {' '.join(args[:4])}: {reason}", hint="gh auth status")
    return done.whole().stdout


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InfraFailed(f"gh returned no JSON for {what}: {text[:200]}", hint="gh auth status")
    return value


def _pages(text: str) -> list[dict[str, Any]]:
    """Return the comments of all pages; gh prints one JSON array per page."""
    decoder, at, found = json.JSONDecoder(), 0, []
    try:
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            page, at = decoder.raw_decode(text, at)
            found += [comment for comment in page if isinstance(comment, dict)]
    except (ValueError, TypeError):
        raise InfraFailed(
            f"gh returned no JSON for the comments: {text[:200]}", hint="gh auth status"
        ) from None
    return found
