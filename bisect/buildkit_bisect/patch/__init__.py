"""Patch folders: load, apply, make, and where they apply."""
