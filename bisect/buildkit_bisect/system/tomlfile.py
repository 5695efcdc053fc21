"""Reads TOML files that users write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput

#: Bytes. Real files have a few thousand.
LARGEST = 1 << 20


def read(path: Path, *, hint: str) -> dict[str, Any]:
    """Return the content of *path*. Raises `BadInput` if it cannot be read or parsed."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path}: larger than {LARGEST} bytes", hint=hint)
        return tomllib.loads(path.read_text())
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number too long
        raise BadInput(f"{path}: invalid TOML: {error}", hint=hint) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint=hint) from None
