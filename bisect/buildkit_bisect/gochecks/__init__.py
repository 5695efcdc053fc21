"""Upstream's own tests, vet and cross builds, without and with patches."""

from buildkit_bisect.gochecks.run import check, cross, subjects
from buildkit_bisect.gochecks.told import packages

__all__ = ["check", "cross", "packages", "subjects"]
