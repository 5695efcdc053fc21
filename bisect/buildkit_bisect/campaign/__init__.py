"""Campaigns: plan, build, run trials, and write the result document."""
