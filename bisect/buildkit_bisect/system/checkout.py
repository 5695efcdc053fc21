"""Where this checkout keeps what it ships. Only constants, so that pure rooms may import them."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
SCENARIOS = PROJECT / "bisect" / "scenarios"
PATCHES = PROJECT / "patches"
TEMPLATES = PROJECT / "templates"
COMPLETIONS = PROJECT / "bisect" / "completions"
RESULTS = PROJECT / "results"
