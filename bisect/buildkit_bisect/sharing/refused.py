"""What a store holds cannot be used. Pure."""

from __future__ import annotations


class Refused(Exception):
    """An entry of a store did not verify; the text says why, and may go to a terminal."""
