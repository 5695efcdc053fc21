"""Which Go builds a commit, and where it comes from."""
