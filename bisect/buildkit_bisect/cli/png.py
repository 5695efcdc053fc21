"""Converts SVG to PNG with rsvg-convert or a Chromium browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.options.command import inv
from buildkit_bisect.system import paths, process

#: Seconds for one conversion.
TIMEOUT = 60.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def png(svg: Path, target: Path, *, scale: int = 2) -> Path:
    """Convert the file *svg* to *target*, with *scale* pixels per unit, and return *target*.

    Raises `BadInput` if *svg* has no width and height, `Missing` if no converter is installed.
    """
    size = re.search(r'<svg\b[^>]*? width="([\d.]+)" height="([\d.]+)"', svg.read_text())
    if not size:
        raise BadInput(f"{svg} has no width and height", hint=f"{inv('report', 'ID')} renders it")
    if shutil.which("rsvg-convert"):
        argv = ["rsvg-convert", f"--zoom={scale}", f"--output={target}", str(svg)]
        process.run(argv, timeout=TIMEOUT)
        return target
    browser = next(filter(shutil.which, _BROWSERS), None)
    if browser is None:
        raise Missing(
            "cannot write PNG: neither rsvg-convert nor Chromium found",
            hint="apt-get install -y librsvg2-bin",
        )
    width, height = (round(float(side)) for side in size.groups())
    with paths.scratch("picture") as scratch:
        argv = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={scratch}", f"--force-device-scale-factor={scale}",
            f"--window-size={width},{height}", f"--screenshot={target.absolute()}",
            svg.absolute().as_uri(),
        ]  # fmt: skip
        process.run(argv, timeout=TIMEOUT)
    return target
