"""Builds variants, runs cells, and stores every build and trial."""
