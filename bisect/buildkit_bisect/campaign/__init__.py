"""Campaigns: a plan, the work, and its result document."""
