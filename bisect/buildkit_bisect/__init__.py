"""Regression matrices and bisection for moby/buildkit."""

__version__ = "0.1.0"
