"""The tasks: options in, exit code out."""

from buildkit_bisect.cli.guard import guarded

__all__ = ["guarded"]
