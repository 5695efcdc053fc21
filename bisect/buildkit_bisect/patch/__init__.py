"""Patch folders: load them, apply them, create them, and find where they apply."""
