"""Builds: the key, the compile and the store."""

from buildkit_bisect.builds.builder import Builder, Progress
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.builds.store import history, sweep

__all__ = ["Builder", "Progress", "Recipe", "history", "sweep"]
