"""Options with a closed set of values."""

from __future__ import annotations

from enum import StrEnum


class SourceKind(StrEnum):
    """The source of BuildKit revisions."""

    AUTO = "auto"  # git, or module if the git remote is unreachable
    GIT = "git"
    MODULE = "module"  # the Go module proxy: releases and commits, without history


class Images(StrEnum):
    """The base images that trials use."""

    LOCAL = "local"  # built here
    PUBLIC = "public"  # those named in the issue


class ImageBuilder(StrEnum):
    """How a variant's image is made."""

    BINARIES = "binaries"  # compiled here and layered on a base
    DOCKERFILE = "dockerfile"  # built with upstream's


class Format(StrEnum):
    """The output of a task."""

    FILES = "files"
    GITHUB_MATRIX = "github-matrix"  # a GitHub Actions matrix, on stdout


class Prior(StrEnum):
    """What candidates are weighed by before any trial."""

    UNIFORM = "uniform"
    PACKAGES = "packages"  # those that a commit changes and buildkitd imports
    COVERAGE = "coverage"  # the functions that a commit changes and the reproducer runs


class Checks(StrEnum):
    """The checks that ``validate`` runs."""

    ALL = "all"
    CELLS = "cells"  # no go test, go vet and cross builds
    NONE = "none"  # only the cells before and after


class Shell(StrEnum):
    """The shells that ``completion`` knows."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
