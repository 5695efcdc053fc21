"""Builds that machines share: OCI artifacts in a registry, verified before use.

`store` is imported only where one is used: it loads what speaks to a registry.
"""

from buildkit_bisect.sharing.entry import Asked, Entry
from buildkit_bisect.sharing.opening import open_store

__all__ = ["Asked", "Entry", "open_store"]
