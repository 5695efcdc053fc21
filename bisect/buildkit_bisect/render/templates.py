"""The jinja2 environment of reports: strict, escaping, and open to a user's own templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Report
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.render import symbols, text
from buildkit_bisect.result import CampaignKind, CampaignStatus
from buildkit_bisect.system import checkout


class Templates:
    """Templates by name: from *folder* where it has one of that name, else the shipped one.

    Raises `BadInput` for a *folder* that does not exist.
    """

    def __init__(self, folder: Path | None = None, *, shipped: Path = checkout.TEMPLATES) -> None:
        if folder and not folder.is_dir():
            raise BadInput(f"no such folder of templates: {folder}", hint="ls templates/")
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder, shipped] if folder else [shipped]),
            autoescape=True,  # Markdown too: what a filter has not made safe is escaped for HTML
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._env.filters.update(
            md=text.markdown,
            code=text.code,
            block=text.block,
            clean=text.clean,
            short=text.short,
            command=text.command,
            duration=text.duration,
            head=text.head,
            listed=listed,
            word=symbols.word,
        )
        self._env.globals.update(
            plural=plural,
            CampaignKind=CampaignKind,
            CampaignStatus=CampaignStatus,
            Verdict=Verdict,
        )

    def text(self, name: str) -> str:
        """A file's own text, nothing filled in: styles and scripts."""
        assert self._env.loader
        try:
            return self._env.loader.get_source(self._env, name)[0]
        except jinja2.TemplateNotFound as error:
            raise BadInput(f"no template {error.name}", hint="ls templates/") from None

    def render(self, name: str, **values: Any) -> str:
        """The template's text. Raises `BadInput` for one that is wrong, naming the line."""
        try:
            return self._env.get_template(name).render(**values)
        except jinja2.TemplateSyntaxError as error:
            raise BadInput(
                f"template {error.name}, line {error.lineno}: {error.message}",
                hint=f"docs/reports.md, or leave out {words(Report, templates=True)}",
            ) from None
        except jinja2.UndefinedError as error:
            raise BadInput(
                f"template {name}: {error.message}",
                hint=f"docs/reports.md, or leave out {words(Report, templates=True)}",
            ) from None
        except jinja2.TemplateNotFound as error:
            raise BadInput(f"no template {error.name}", hint="ls templates/") from None
