"""What each task does: options in, exit code out. Tasks themselves only parse."""

from buildkit_bisect.cli.guard import guarded

__all__ = ["guarded"]
