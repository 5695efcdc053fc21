"""Opens the store that a request names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from buildkit_bisect.errors import BadInput
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.options.shared import WithStore

if TYPE_CHECKING:
    from buildkit_bisect.sharing.store import SharedStore

SCHEME = "oci://"


def open_store(
    request: WithStore, seconds: float, say: Callable[[str], None]
) -> SharedStore | None:
    """Return the store that *request* names; None if it names none. Nothing is asked yet.

    Raises `BadInput` if a key is not one, or options conflict.
    """
    _check_options(request)
    if not request.store:
        return None
    # Imported late: what speaks to a registry takes long to import, and is needed only here.
    from buildkit_bisect.sharing import signing  # noqa: PLC0415
    from buildkit_bisect.sharing.store import SharedStore  # noqa: PLC0415

    return SharedStore(
        place=request.store.removeprefix(SCHEME),
        seconds=seconds,
        key=signing.public_key(request.store_key) if request.store_key else None,
        secret=signing.secret_key(request.store_sign) if request.store_sign else None,
        pushes=request.store_push,
        by=request.store_by,
        say=say,
    )


def _check_options(request: WithStore) -> None:
    sign = words(Building, store_sign=True)
    if not request.store:
        given = {
            words(Building, store_push=True): request.store_push,
            sign: request.store_sign,
            words(Building, store_key=True): request.store_key,
        }
        alone = next((option for option, value in given.items() if value), "")
        if alone:
            raise BadInput(
                f"{alone} needs a store", hint=words(Building, store="oci://ghcr.io/me/builds")
            )
    elif request.store_sign and not request.store_push:
        raise BadInput(
            f"{sign} is for what is pushed, and nothing is", hint=words(Building, store_push=True)
        )
