"""Processes, files, the network and the cache directory."""
