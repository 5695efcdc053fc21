"""Labels that mark a container, volume or image as ours, and name its owner.

Containers and volumes name the process that made them, so that a sweep on the same Engine,
even from another machine, leaves those of a running campaign alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from buildkit_bisect.system import owner

#: On everything we make. The value is the purpose: ``trial``, ``image``, ``base``.
OURS = "bkbisect"
CAMPAIGN = "bkbisect.campaign"
OWNER = "bkbisect.owner"  # see `owner`
CREATED = "bkbisect.created"  # seconds since the epoch
KEY = "bkbisect.key"  # of images: digest of what determines their content

#: Prefix of our images' names. Labels do not suffice: an image built on ours inherits them.
NAMESPACE = "bkbisect"

#: A registry that never answers. buildx tries to pull an image before it uses the Engine's own,
#: and must not pull from a public registry, where our image's name may belong to someone else.
NOWHERE = "localhost:1"

#: Labels are untrusted, and str.isdigit accepts characters that int rejects.
_SECONDS = re.compile(r"[0-9]{1,15}")

#: Seconds after which an object that another machine made counts as left behind.
STALE = 86_400.0


def of(purpose: str, campaign: str = "") -> dict[str, str]:
    """Labels for an object that this process makes now and will remove."""
    return {OURS: purpose, CAMPAIGN: campaign, OWNER: owner.me(), CREATED: f"{time.time():.0f}"}


def is_our_name(ref: str) -> bool:
    """Whether *ref* is a name that we give to images, not one of the user's."""
    return ref.removeprefix(f"{NOWHERE}/").startswith(f"{NAMESPACE}/")


def left_behind(labels: Mapping[str, str], now: float) -> bool:
    """Whether an object with *labels* is ours and its owner no longer runs."""
    if OURS not in labels or not labels.get(OWNER):
        return False
    gone = owner.gone(labels[OWNER])
    if gone is not None:
        return gone
    created = labels.get(CREATED, "")
    return _SECONDS.fullmatch(created) is not None and now - int(created) > STALE
