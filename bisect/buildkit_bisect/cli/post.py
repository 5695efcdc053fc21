"""Comment a report upstream through the user's own ``gh``; one comment a kind, kept up to date."""

from __future__ import annotations

import json
import re
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

#: Seconds for one answer of GitHub.
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
    """Comment *result* on *issue*, or update the comment made there before. Returns its address.

    *confirm* is shown what is going to be posted and where; unless it returns true nothing
    is, and the answer is "". Raises `Missing` without a ``gh`` that the user has logged in,
    `InfraFailed` where GitHub refuses.
    """
    if issue < 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadInput(f"not an issue: {repo}#{issue}", hint=inv("post", "ID", issue=6893))
    me = login()
    sign = marker(result)
    body = markdown(result, folder, templates=templates, limit=LIMIT - len(sign)) + sign
    earlier = own_comment(repo, issue, me, sign)
    what = "update the comment at" if earlier else "comment on"
    where = earlier["html_url"] if earlier else f"https://github.com/{repo}/issues/{issue}"
    if not confirm(f"{body}\n\n{me} is going to {what} {where} ({len(body)} characters)"):
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


def marker(result: Result) -> str:
    """The hidden line by which a comment is found again: one a kind and set of scenarios."""
    names = ",".join(sorted(s.name for s in result.scenarios))
    return f"\n<!-- buildkit-bisect {result.kind} {re.sub(r'[^A-Za-z0-9_,-]', '_', names)} -->\n"


def login() -> str:
    """Who *gh* is logged in as. Raises `Missing` where nobody is."""
    status = process.run(["gh", "auth", "status"], timeout=TIMEOUT, check=False)
    if not status.ok:
        raise Missing("gh is not logged in; nothing was posted", hint="gh auth login")
    return str(_json(_gh("api", "user"), "the user")["login"])


def own_comment(repo: str, issue: int, me: str, sign: str) -> dict[str, Any] | None:
    """The newest comment of *me* that carries *sign*; somebody else's copy of it does not count."""
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
        said = done.tail(3) or f"exit {done.exit}"
        raise InfraFailed(f"gh {' '.join(args[:4])}: {said}", hint="gh auth status")
    return done.whole().stdout


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InfraFailed(f"gh gave no JSON for {what}: {text[:200]}", hint="gh auth status")
    return value


def _pages(text: str) -> list[dict[str, Any]]:
    """The comments of every page: gh writes one JSON array after the other."""
    decoder, at, found = json.JSONDecoder(), 0, []
    try:
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            page, at = decoder.raw_decode(text, at)
            found += [comment for comment in page if isinstance(comment, dict)]
    except (ValueError, TypeError):
        raise InfraFailed(
            f"gh gave no JSON for the comments: {text[:200]}", hint="gh auth status"
        ) from None
    return found
