"""``validate``: does a patch fix it, and what else does it change."""

from __future__ import annotations

from collections.abc import Mapping

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign.setup import load_patches, prepare
from buildkit_bisect.campaign.validate import Checks, Question, Validation
from buildkit_bisect.cli import options
from buildkit_bisect.cli.campaigns import scripted, show_plan, work
from buildkit_bisect.cli.options import Raw
from buildkit_bisect.errors import BadInput
from buildkit_bisect.live import Display


def validate(raw: Mapping[str, Raw]) -> int:
    """Does it fix, what else does it change, where does it apply."""
    chosen = options.read("validate", raw)
    question = Question(
        base=options.option("base", raw.get("base", "")),
        culprit=options.option("culprit", raw.get("culprit", "")),
        checks=Checks(options.one_of("checks", raw.get("checks", ""), [str(c) for c in Checks])),
    )
    given = load_patches(chosen.patches)
    if not given:
        raise BadInput("which patches?", hint="./inv validate --patches NAME; ./inv patch-list")
    script = scripted(raw)
    with Display() as events:
        # A patch that mends one way to fail can break another: everything that ships is tried.
        setup = prepare(chosen, events, chosen=given, default=scenarios.names(), script=script)
        validation = Validation(setup, question, given)
        if chosen.dry_run:
            return show_plan(chosen, validation.planned(), validation.also)
        return work(setup, "validate", validation.run)
