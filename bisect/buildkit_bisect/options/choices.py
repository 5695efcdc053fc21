"""The closed choices among options' values."""

from __future__ import annotations

from enum import StrEnum


class SourceKind(StrEnum):
    """Where BuildKit's revisions come from."""

    AUTO = "auto"  # git, or modules where its remote cannot be reached
    GIT = "git"
    MODULE = "module"  # the Go module proxy: releases and commits, unpatched


class Images(StrEnum):
    """Which base images trials use."""

    LOCAL = "local"  # built here
    PUBLIC = "public"  # the ones that the issue names


class ImageBuilder(StrEnum):
    """How a variant's image is made."""

    BINARIES = "binaries"  # compiled here and layered on a base
    DOCKERFILE = "dockerfile"  # by upstream's own


class Format(StrEnum):
    """What a task makes of a campaign."""

    FILES = "files"
    GITHUB_MATRIX = "github-matrix"  # a workflow's strategy, on stdout


class Checks(StrEnum):
    """How much ``validate`` looks at."""

    ALL = "all"
    CELLS = "cells"  # no go test, vet and cross builds
    NONE = "none"  # nothing but the cells before and after
