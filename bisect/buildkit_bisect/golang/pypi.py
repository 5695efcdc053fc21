"""Downloads files from a package index (PEP 503, PEP 691) and checks them against its digests.

The index is the one that the user's pip uses. Files without a digest are refused, and so is
plain HTTP except on loopback.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TypeVar
from urllib.parse import urldefrag, urljoin, urlsplit

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.system import addresses, process, web
from buildkit_bisect.system.retry import retried

T = TypeVar("T")

_DEFAULT = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_LARGEST_PAGE = 1 << 26

#: Errors from parsing an invalid page; json may nest too deep, and HTMLParser asserts.
_NO_PAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError)


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file that an index offers; *sha256* is "" if the index gives none."""

    name: str
    url: str
    sha256: str


def fetch(
    project: str,
    wanted: Callable[[Version], bool],
    folder: Path,
    *,
    within: float,
    say: Callable[[str], None],
) -> Path:
    """Download the newest *wanted* wheel of *project* that runs here to *folder*; check its digest.

    Raises `InfraFailed` with the reason of each index, `TimeoutError` past *within* seconds, and
    `BadInput` for an index with an invalid URL or over plain HTTP.
    """
    end = time.monotonic() + within
    user = settings()
    reasons = []
    for index in indexes(user):
        page = f"{index.rstrip('/')}/{project}/"
        try:
            newest = choose(_list_files(page, user.get("cert", ""), end, say), wanted)
            if newest is None:
                reasons.append(f"{web.shown(page)} has no suitable wheel")
                continue
            return _download(newest, folder, user.get("cert", ""), end, say)
        except web.NotServed as error:
            reasons.append(error.message)
    raise InfraFailed("; ".join(reasons) or "pip is configured with no-index")


def indexes(user: dict[str, str]) -> list[str]:
    """Return the URLs of the indexes in pip's settings, in pip's order.

    Raises `BadInput` if one is invalid, or neither https nor on loopback.
    """
    if user.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return []
    named = [user.get("index-url") or _DEFAULT, *user.get("extra-index-url", "").split()]
    for url in named:
        try:
            urlsplit(url)
        except ValueError as error:
            raise BadInput(
                f"pip's package index {web.shown(url)}: invalid URL: {error}",
                hint="PIP_INDEX_URL=https://HOST/simple",
            ) from None
        if not (url.lower().startswith("https://") or addresses.is_local_cleartext(url)):
            raise BadInput(
                f"pip's package index {web.shown(url)}: cleartext protocols are allowed only on"
                " loopback",
                hint="PIP_INDEX_URL=https://...",
            )
    return named


def settings() -> dict[str, str]:
    """Return the user's pip settings; the environment takes precedence over files."""
    found = _in_files()
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def _in_files() -> dict[str, str]:
    # A virtual environment created by uv has no pip.
    for argv in ([sys.executable, "-m", "pip"], ["pip3"], ["python3", "-m", "pip"]):
        if not shutil.which(argv[0]):
            continue
        done = process.run([*argv, "config", "list"], timeout=60, check=False)
        if done.ok:
            return parse_settings(done.stdout)
    return {}


def parse_settings(output: str) -> dict[str, str]:
    """Parse ``pip config list``: ``download.`` overrides ``global.``; others are ignored."""
    found: dict[str, str] = {}
    for section in ("global", "download"):
        for line in output.splitlines():
            name, equals, value = line.partition("=")
            if equals and name.startswith(f"{section}."):
                found[name.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return found


def _list_files(page: str, cafile: str, end: float, say: Callable[[str], None]) -> list[File]:
    def ask(left: float) -> list[File] | web.NotServed:
        try:
            headers = {"Accept": _ACCEPT}
            with web.open_url(
                page, timeout=min(60.0, left), headers=headers, cafile=cafile
            ) as answer:
                text = answer.read(_LARGEST_PAGE).decode(errors="replace")
                kind = answer.headers.get("Content-Type", "")
                return list(files(text, base=answer.url, is_json="json" in kind))
        except web.NotServedNow as error:
            return error

    return _retry(ask, end, say)


def _download(
    file: File, folder: Path, cafile: str, end: float, say: Callable[[str], None]
) -> Path:
    if not file.sha256:
        raise web.NotServed(f"the index gives no sha256 for {file.name}")
    path = folder / Path(file.name).name

    def take(left: float) -> Path | web.NotServed:
        try:
            web.download(file.url, path, sha256=file.sha256, within=left, cafile=cafile)
        except web.NotServedNow as error:
            return error
        return path

    return _retry(take, end, say)


def _retry(call: Callable[[float], T | web.NotServed], end: float, say: Callable[[str], None]) -> T:
    def trouble(result: T | web.NotServed) -> str:
        return result.message if isinstance(result, web.NotServed) else ""

    found = retried(call, within=end - time.monotonic(), trouble=trouble, say=say)
    if isinstance(found, web.NotServed):
        if time.monotonic() >= end:
            raise TimeoutError(found.message)
        raise found
    return found


def choose(offered: list[File], wanted: Callable[[Version], bool]) -> File | None:
    """Return the wheel with the newest *wanted* version that runs here; None if there is none."""
    here = set(sys_tags())
    good = []
    for file in offered:
        if not file.name.isprintable():  # it becomes a file name
            continue
        try:
            _, version, _, tags = parse_wheel_filename(file.name)
        except (InvalidWheelFilename, ValueError):
            continue
        if tags & here and wanted(version):
            good.append((version, file))
    return max(good, key=lambda found: found[0])[1] if good else None


def files(text: str, *, base: str, is_json: bool) -> Iterator[File]:
    """Yield the files of a project's page, except yanked ones. Raises `NotServed`."""
    try:
        if not is_json:
            yield from _Links(base).read(text)
            return
        for entry in json.loads(text)["files"]:
            if not entry.get("yanked"):
                yield File(
                    name=str(entry["filename"]),
                    url=urljoin(base, str(entry["url"])),
                    sha256=str(entry.get("hashes", {}).get("sha256", "")).lower(),
                )
    except _NO_PAGE as error:
        raise web.NotServed(f"{web.shown(base)} is not a package index page: {error}") from None


class _Links(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self._found: list[File] = []

    def read(self, text: str) -> list[File]:
        """Return the files that *text* links to."""
        self.feed(text)
        return self._found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a link; see the base class."""
        known = dict(attrs)
        if tag != "a" or not known.get("href") or "data-yanked" in known:
            return
        url, fragment = urldefrag(urljoin(self._base, known["href"] or ""))
        kind, _, digest = fragment.partition("=")
        name = url.rsplit("/", 1)[-1].partition("?")[0]
        sha256 = digest.partition("&")[0].lower() if kind == "sha256" else ""
        self._found.append(File(name=name, url=url, sha256=sha256))
