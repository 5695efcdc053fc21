"""Builds variants, runs cells, and keeps every build and trial."""
