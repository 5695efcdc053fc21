"""Opens reports in a browser, and records what they complain about and ask for.

Screenshots are stored in the directory BKBISECT_SCREENSHOTS, which CI keeps.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from buildkit_bisect import render, result
from buildkit_bisect.result import Result

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the machine's own browser."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "these tests need a browser: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield opened
        opened.close()


@dataclass
class Reader:
    """Opens pages, and records their errors and network requests."""

    browser: Browser
    folder: Path
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, document: Result, *, dark: bool = False, width: int = 1200) -> Page:
        """Render *document* and open it."""
        self.write(document)
        return self.again(dark=dark, width=width)

    def write(self, document: Result) -> None:
        """Render *document*."""
        result.write(document, self.folder)
        (self.folder / "report.html").write_text(render.html(document, self.folder))

    def again(self, *, dark: bool = False, width: int = 1200, height: int = 860) -> Page:
        """Open the page that was rendered last."""
        context = self.browser.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}
        )
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto((self.folder / "report.html").as_uri())
        return page


def keep(page: Page, name: str) -> None:
    """Store a screenshot for people."""
    folder = os.environ.get("BKBISECT_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
