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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: invalid TOML: {error}", hint=hint) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: invalid UTF-8 at byte {error.start}", hint=hint) from None
    except RecursionError:
        raise BadInput(f"{path}: nested too deeply", hint=hint) from None
    except ValueError:  # Python reads no whole number of over 4300 digits
        raise BadInput(f"{path}: a number or date is not valid, or too long", hint=hint) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint=hint) from None
