"""The jinja2 environment of reports: strict, with autoescaping and a user's own templates."""

from __future__ import annotations

import contextlib
import sys
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

#: Raise it when the options of the environment below change: they are part of what is compiled.
_FORMAT = 1


class _Compiled(jinja2.FileSystemBytecodeCache):
    """Compiled templates, in this tool's own Python environment like its compiled modules.

    Compiling them takes as long as the rest of a report. Where they cannot be stored they are
    compiled each time.
    """

    def __init__(self) -> None:
        place = Path(sys.prefix) / "templates" / f"{jinja2.__version__}-{_FORMAT}"
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
        super().__init__(str(place))

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Load a template that was compiled from the same source."""
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Store a compiled template."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


class Templates:
    """Templates by name, from *folder* if it contains that name, else the shipped ones.

    Raises `BadInput` if *folder* does not exist.
    """

    def __init__(self, folder: Path | None = None, *, shipped: Path = checkout.TEMPLATES) -> None:
        if folder and not folder.is_dir():
            raise BadInput(f"template folder not found: {folder}", hint="ls templates/")
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder, shipped] if folder else [shipped]),
            bytecode_cache=_Compiled() if sys.prefix != sys.base_prefix else None,
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
