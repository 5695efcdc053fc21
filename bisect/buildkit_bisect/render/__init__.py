"""Renders results as text. Pure, except for reading the evidence files beside a result."""

from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.html import html
from buildkit_bisect.render.junit import junit
from buildkit_bisect.render.markdown import markdown
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import dump as json

__all__ = ["Templates", "finding", "html", "json", "junit", "markdown"]
