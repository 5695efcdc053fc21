"""Signatures of entries in minisign's format."""

from __future__ import annotations

from pathlib import Path

import minisign

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.sharing.refused import Refused

#: Minisign's own signatures have 300 to 400 bytes.
LARGEST = 2000

_LARGEST_KEY = 10_000


def public_key(path: Path) -> minisign.PublicKey:
    """Return the key in *path*. Raises `BadInput` if there is none."""
    try:
        return minisign.PublicKey.from_bytes(_content(path))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{words(Building, store_key=True)} {str(path)!r} is not a public key of minisign:"
            f" {_why(error)}",
            hint=f"minisign -G, then {words(Building, store_key='minisign.pub')}",
        ) from None


def secret_key(path: Path) -> minisign.SecretKey:
    """Return the key in *path*. Raises `BadInput` if there is none, or it needs a password."""
    try:
        key = minisign.SecretKey.from_bytes(_content(path))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{words(Building, store_sign=True)} {str(path)!r} is not a secret key of minisign:"
            f" {_why(error)}",
            hint=f"minisign -G -W -s FILE, then {words(Building, store_sign='FILE')}",
        ) from None
    if key.is_encrypted():
        raise BadInput(
            f"{words(Building, store_sign=True)} {str(path)!r} has a password, and nobody is asked"
            " for it",
            hint=f"minisign -C -W -s {path}, for a copy without one",
        )
    return key


def sign(data: bytes, key: minisign.SecretKey) -> str:
    """Return the signature of *data*, as minisign would write it to a file."""
    return bytes(key.sign(data, trusted_comment="buildkit-bisect")).decode()


def verify(data: bytes, signature: str, key: minisign.PublicKey) -> None:
    """Raise `Refused` unless *signature* is one of *data* by *key*."""
    if not signature:
        raise Refused(f"it is not signed, and {words(Building, store_key=True)} requires that")
    if len(signature) > LARGEST:
        raise Refused("its signature is too long")
    try:
        key.verify(data, minisign.Signature.from_bytes(signature.encode()))
    except ValueError as error:
        raise Refused(
            f"its signature is not valid for {words(Building, store_key=True)}: {error}"
        ) from None


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_KEY)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
