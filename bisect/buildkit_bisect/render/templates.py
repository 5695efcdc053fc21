"""The jinja2 environment of reports: strict, with autoescaping and a user's own templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Report
from buildkit_bisect.phrases import hashed, listed, plural
from buildkit_bisect.render import symbols, text
from buildkit_bisect.result import CampaignKind, CampaignStatus
from buildkit_bisect.system import checkout


class Templates:
    """Templates by name, from *folder* if it contains that name, else the shipped ones.

    Raises `BadInput` if *folder* does not exist.
    """

    def __init__(self, folder: Path | None = None, *, shipped: Path = checkout.TEMPLATES) -> None:
        if folder and not folder.is_dir():
            raise BadInput(f"template folder not found: {folder}", hint="ls templates/")
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder, shipped] if folder else [shipped]),
            autoescape=True,  # Markdown too: all that no filter has made safe is HTML-escaped
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
            commands=text.commands,
            duration=text.duration,
            head=text.head,
            listed=listed,
            hashed=hashed,
            word=symbols.word,
        )
        self._env.globals.update(
            plural=plural,
            spaced=text.spaced_markup,
            CampaignKind=CampaignKind,
            CampaignStatus=CampaignStatus,
            Verdict=Verdict,
        )

    def text(self, name: str) -> str:
        """Return the text of a file that is not a template: a style or a script."""
        assert self._env.loader
        try:
            return self._env.loader.get_source(self._env, name)[0]
        except jinja2.TemplateNotFound as error:
            raise BadInput(f"template not found: {error.name}", hint="ls templates/") from None

    def render(self, name: str, **values: Any) -> str:
        """Render a template. Raises `BadInput` with the line of an error in it."""
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
            raise BadInput(f"template not found: {error.name}", hint="ls templates/") from None
