"""Selects the Go version that builds a commit, and provisions it."""
