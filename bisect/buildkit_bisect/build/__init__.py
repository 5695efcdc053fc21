"""Builds: the key, the compile, the cache and who may use the machine."""

from buildkit_bisect.build.builder import Builder, Progress
from buildkit_bisect.build.key import Recipe
from buildkit_bisect.build.lock import machine_lock
from buildkit_bisect.build.store import history, sweep

__all__ = ["Builder", "Progress", "Recipe", "history", "machine_lock", "sweep"]
