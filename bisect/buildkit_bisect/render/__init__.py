"""Result -> text. Pure but for reading the evidence that lies beside a result."""

from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.markdown import markdown
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.result import dump as json

__all__ = ["Templates", "finding", "json", "markdown"]
