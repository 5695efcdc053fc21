"""Reads a variant, ``REV+PATCH+PATCH``."""

from __future__ import annotations

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.options import requests
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import GitSource, Source, github, names


def asked_for(item: str, request: Building) -> tuple[str, str]:
    """Split ``REV`` or ``REV+PATCH+PATCH`` into the revision and ``"PATCH,PATCH"`` or "".

    Raises `BadInput` if *request* names patches as well. A branch with a plus sign in its name
    must be given by its commit ID.
    """
    ref, *with_ = item.split("+")
    if not all([ref, *with_]):
        raise BadInput(
            f"{item!r} is neither a revision nor REV+PATCH",
            hint=words(requests.Matrix, revs="v0.26.0,master+PATCH")
            if isinstance(request, requests.Matrix)
            else words(requests.Run, rev="v0.26.0+PATCH"),
        )
    if with_ and request.patches:
        raise BadInput(
            f"{item} and {words(Building, patches=True)} both name patches",
            hint=f"{words(Building, patches=True)} applies to every revision; leave out either"
            " it or the part after +",
        )
    return ref, ",".join(with_)


def fixed(ref: str, revision: Revision, text: str, source: Source) -> str:
    """Return ``REV+PATCH`` that is the same commit wherever and whenever it is read.

    That is for *ref*, which is *revision* here, with the patches *text*. Releases stay as they are,
    and so do addresses and pull requests: without them their commits are not found.
    """
    if not (names.is_release(ref) or github.address(ref)):
        ref = revision.sha if isinstance(source, GitSource) else revision.describe
    return "+".join([ref, *filter(None, text.split(","))])
