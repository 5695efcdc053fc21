"""Builds that machines share: OCI artifacts in a registry, verified before use."""

from buildkit_bisect.sharing.entry import Asked, Entry
from buildkit_bisect.sharing.store import Found, SharedStore, open_store

__all__ = ["Asked", "Entry", "Found", "SharedStore", "open_store"]
