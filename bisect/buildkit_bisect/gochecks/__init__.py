"""Upstream's own tests, vet and cross builds, without and with patches."""

from buildkit_bisect.gochecks.output import packages
from buildkit_bisect.gochecks.run import check, cross, subjects

__all__ = ["check", "cross", "packages", "subjects"]
