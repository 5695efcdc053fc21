"""Other machines, through a Dask scheduler: what they are given, and what comes home."""
