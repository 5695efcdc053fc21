"""What marks a container, volume or image as ours, and whose it is.

Containers and volumes name the process that made them, so that a sweep beside a running
campaign, on the same Engine or from another machine, leaves that campaign's alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from buildkit_bisect.system import owner

#: On everything we make. Its value says what for: ``trial``, ``image``, ``base``.
OURS = "bkbisect"
CAMPAIGN = "bkbisect.campaign"
OWNER = "bkbisect.owner"  # see `owner`
CREATED = "bkbisect.created"  # seconds since the epoch
KEY = "bkbisect.key"  # of images: what decides their content

#: Names of our images begin with it. Labels do not tell: whoever makes an image on ours has them.
NAMESPACE = "bkbisect"

#: A registry that never answers. buildx asks for its image before it looks at the Engine's
#: own, and whoever owns our image's name on a public registry must not be asked.
NOWHERE = "localhost:1"

#: Anybody can write a label; not all that str.isdigit takes is a number.
_SECONDS = re.compile(r"[0-9]{1,15}")

#: Seconds after which what another machine made on this Engine counts as left behind.
STALE = 86_400.0


def of(purpose: str, campaign: str = "") -> dict[str, str]:
    """Labels for something that this process makes now and will remove."""
    return {OURS: purpose, CAMPAIGN: campaign, OWNER: owner.me(), CREATED: f"{time.time():.0f}"}


def is_our_name(ref: str) -> bool:
    """Whether *ref* is a name that we give to an image, and not one of the user's."""
    return ref.removeprefix(f"{NOWHERE}/").startswith(f"{NAMESPACE}/")


def left_behind(labels: Mapping[str, str], now: float) -> bool:
    """Whether what bears *labels* is ours, and nobody is left who would remove it."""
    if OURS not in labels or not labels.get(OWNER):
        return False
    gone = owner.gone(labels[OWNER])
    if gone is not None:
        return gone
    created = labels.get(CREATED, "")
    return _SECONDS.fullmatch(created) is not None and now - int(created) > STALE
