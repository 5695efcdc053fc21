"""Bash text from untrusted values: comments, files and commands. Pure."""

from __future__ import annotations

import base64
import re
import shlex
import textwrap
from collections.abc import Sequence

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def comment(text: str) -> str:
    """Return *text* as one comment line; a line break in it cannot end the comment."""
    return f"# {_CONTROL.sub(' ', text)}".rstrip()


def command(words: Sequence[str]) -> str:
    """Return a command line, quoted, with each option on a line of its own."""
    first = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    lines = [shlex.join(words[:first]), *map(shlex.quote, words[first:])]
    return " \\\n  ".join(lines)


def document(text: str) -> str:
    """Return *text* as a here-document that expands nothing: what follows a command and ``<<``.

    A missing line break at its end is added.
    """
    text = text if text.endswith("\n") or not text else f"{text}\n"
    end = "EOF"
    while end in text.splitlines():
        end += "_"
    return f"'{end}'\n{text}{end}"


def file(path: str, text: str) -> str:
    """Return a command that writes *text* to *path*; it adds a missing line break at the end."""
    return f"cat > {shlex.quote(path)} <<{document(text)}"


def exact_file(path: str, data: bytes, mode: int) -> str:
    """Return commands that write exactly *data* to *path*, in a new folder, with *mode*.

    As base64 if it is no text that can stand in a script.
    """
    folder, _, _ = path.rpartition("/")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    plain = not _CONTROL.search(text.replace("\n", "").replace("\t", ""))
    if plain and text.endswith("\n"):
        write = file(path, text)
    else:
        lines = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 76))
        write = f"base64 -d > {shlex.quote(path)} <<{document(lines)}"
    return f"mkdir -p {shlex.quote(folder)}\n{write}\nchmod {mode:o} {shlex.quote(path)}"
