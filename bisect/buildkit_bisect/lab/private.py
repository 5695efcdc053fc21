"""Secrets and keys of one build: private files, and what of them evidence leaves out.

A build may print a secret that it was given. Evidence, observations and reports then have
``[secret ID]`` in its place.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets as random
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from buildkit_bisect import solve_status
from buildkit_bisect.model import OutputFacts
from buildkit_bisect.runtime import Built
from buildkit_bisect.scenario.build_step import SECRET_LENGTHS

#: The private part of a key on P-256 is a number below the order of the curve; these all are.
_PRIVATE_BYTES = 32

#: DER of an ECPrivateKey with the parts that are the same for every key on P-256.
_DER = bytes.fromhex("30310201010420"), bytes.fromhex("a00a06082a8648ce3d030107")

#: What a vertex printed, in the progress of a build; a trace before v0.13 has capitals.
_DATA = re.compile(r'("data"\s*:\s*")([A-Za-z0-9+/=]+)"', re.IGNORECASE)


class Private:
    """The private files of one build, in a new folder below *parent* that is removed after it."""

    def __init__(self, parent: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="private-", dir=parent))
        self.secrets: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def secret(self, name: str, text: str) -> Path:
        """Return a file with the text of a secret."""
        self.secrets[name] = text
        return self._written(f"secret-{name}", text)

    def key(self, name: str) -> Path:
        """Return a new private key, in a form that every ssh since OpenSSH 5.7 and Go reads."""
        number = b"\1" + random.token_bytes(_PRIVATE_BYTES - 1)  # neither 0 nor too large
        body = base64.encodebytes(_DER[0] + number + _DER[1]).decode()
        kind = "EC PRIVATE KEY"
        return self._written(f"key-{name}", f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n")

    def _written(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


def hidden(built: Built, secrets: Mapping[str, str]) -> Built:
    """Return what a build printed and did without the texts of *secrets*."""
    if not secrets:
        return built
    done = replace(built.done, stdout=without(built.done.stdout, secrets))
    if built.trace is None:
        return replace(built, done=replace(done, stderr=_progress(done.stderr, secrets)))
    done = replace(done, stderr=without(done.stderr, secrets))
    return replace(built, done=done, trace=_progress(built.trace, secrets))


def in_outputs(found: OutputFacts, secrets: Mapping[str, str]) -> OutputFacts:
    """Return what is known of an output without the texts of *secrets*."""
    if not secrets:
        return found
    files = (
        file if file.text is None else replace(file, text=without(file.text, secrets))
        for file in found.files
    )
    documents = json.loads(without(json.dumps(found.documents, ensure_ascii=False), secrets))
    return replace(found, files=tuple(files), documents=documents)


def without(text: str, secrets: Mapping[str, str]) -> str:
    """Return *text* with ``[secret ID]`` for each secret, and for each longer line of one."""
    forms = {
        form: name
        for name, secret in secrets.items()
        for part in (secret, *secret.splitlines())
        for form in (part, json.dumps(part)[1:-1])
        if len(form) >= SECRET_LENGTHS[0]
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, f"[secret {forms[form]}]")
    return text


def _progress(text: str, secrets: Mapping[str, str]) -> str:
    """Return the progress of a build in which neither texts nor logs have a secret."""
    text = _DATA.sub(lambda match: _recoded(match, secrets), without(text, secrets))
    logs = "".join(vertex.log for vertex in solve_status.read(text).vertices)
    if without(logs, secrets) == logs:
        return text
    # It is spread over several messages: then none of them is kept.
    return _DATA.sub(r'\1"', text)


def _recoded(match: re.Match[str], secrets: Mapping[str, str]) -> str:
    try:
        data = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        return match[0]
    # Bytes that are no text stay as they are.
    text = without(data.decode(errors="surrogateescape"), secrets)
    return f'{match[1]}{base64.b64encode(text.encode(errors="surrogateescape")).decode()}"'
