"""The ``merge`` task: results of shards, or of several machines, in one report."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from buildkit_bisect import render, result
from buildkit_bisect.campaign import merged, record
from buildkit_bisect.cli.campaigns import code
from buildkit_bisect.errors import printable_line
from buildkit_bisect.options import requests
from buildkit_bisect.render import github, reports
from buildkit_bisect.render.machines import incomplete
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import one_line
from buildkit_bisect.result import CampaignStatus
from buildkit_bisect.system.announce import announce


def merge(request: requests.Merge) -> int:
    """Join results; write the document and its reports. Return the exit code of a matrix."""
    templates = Templates(request.templates)
    document, folder = merged.merge(request.result, request.out, request.command)
    if request.publish:
        document = replace(document, page=request.publish.replace("{id}", document.id))
        result.write(document, folder)
    with announce("writing the reports"):
        reports.write(document, folder, templates)
    record.begin(folder, document.kind, request.command)
    record.end(folder, str(CampaignStatus.DONE), "")
    github.publish(document, folder, env=os.environ, log=sys.stderr, templates=templates)
    for text in incomplete(document):
        print(f"warning: {one_line(text)}", file=sys.stderr)
    if request.json:
        sys.stdout.write(result.dump(document))
    else:
        print(f"{one_line(render.finding(document))} Results: {printable_line(folder)}")
    return code(document)
