"""Reads what a build wrote: files, and the documents of images.

The build under test wrote it, and may have written anything: what cannot be read is reported as
left out, never as absent.
"""

from __future__ import annotations

import contextlib
import tarfile
import zlib
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

from buildkit_bisect.lab import image_source, opened, output_files
from buildkit_bisect.lab.image_source import Image
from buildkit_bisect.lab.output_files import Found
from buildkit_bisect.model import OutputFacts
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import outputs

#: What reading may raise, beside what each reader expects.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, OverflowError),
    *(RecursionError, tarfile.TarError, zlib.error, HTTPException),
)


def read(
    entry: Mapping[str, str], filled: Mapping[str, str], registry: Registry | None
) -> OutputFacts | None:
    """Return what the output *entry* of a step contains; None if it cannot be looked into.

    *filled* is *entry* with its placeholders replaced and the path of its ``dest``; *registry* has
    the images that are pushed.
    """
    written = outputs.written(entry)
    if written is None:
        return None
    found, documents = Found(), image_source.Documents()
    try:
        if written.kind == "local":
            output_files.of_folder(Path(filled["dest"]), found)
        elif written.kind == "tar":
            path = Path(filled["dest"])
            with opened.file(path.parent, path.name) as file:
                output_files.of_tar(file, found)
        else:
            with contextlib.closing(_image(written.kind, filled, registry)) as image:
                documents = image.documents()
                output_files.of_layers(image, documents.descriptors, found)
    except output_files.TooMuch as error:
        found.left_out = str(error)
    except _UNREADABLE as error:
        found.left_out = f"cannot be read: {type(error).__name__}: {error}"[:300]
    return OutputFacts(
        name=written.name,
        kind=written.kind,
        files=found.kept(),
        left_out=found.left_out,
        documents=documents.found,
        too_large=tuple(documents.too_large),
    )


def _image(kind: str, filled: Mapping[str, str], registry: Registry | None) -> Image:
    """Return the image; raises one of `_UNREADABLE`."""
    if kind == "image":
        if registry is None:
            raise ValueError("the trial has no registry")
        return image_source.Pushed(registry, filled["name"])
    path = Path(filled["dest"])
    return image_source.Folder(path) if path.is_dir() else image_source.Archive(path)
