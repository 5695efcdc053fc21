"""Local images for the public ones in a Dockerfile: the same tools, from the machine's busybox.

Trials should need no network, and a public image may change between two of them. Pure.
"""

from __future__ import annotations

import re

#: Published images that a shell with the usual small tools replaces.
PLAIN = (
    *("alpine", "almalinux", "amazonlinux", "archlinux", "bash", "busybox", "centos", "debian"),
    *("fedora", "oraclelinux", "rockylinux", "ubuntu"),
)

#: Programs that these images have and busybox has not.
_LACKING = re.compile(
    r"(?:^|[\s;&|(`])(apk|apt|apt-get|bash|cargo|cmake|curl|dnf|dpkg|g\+\+|gcc|git|go|java|make"
    r"|microdnf|node|npm|pacman|perl|pip3?|python3?|rpm|ruby|yum)(?=[\s;&|)`]|$)"
)


def has(image: str) -> bool:
    """Return whether there is a local image for *image*, such as ``alpine:3.20``."""
    name = re.split(r"[:@]", image.rpartition("/")[2])[0]
    return name in PLAIN


def lacking(command: str) -> str:
    """Return a program that *command*, of a RUN, needs and a local image lacks; "" if none."""
    found = _LACKING.search(command)
    return found[1] if found else ""


def dockerfile(name: str) -> str:
    """Return the Dockerfile of a local image. No layer of it is one of another *name*.

    Its build context has a static busybox.
    """
    box = f"/sbin/busybox-{name}"
    setup = (
        f"{box} mkdir -p /bin /etc /root /tmp && {box} --install -s /bin"
        " && echo root:x:0:0:root:/root:/bin/sh > /etc/passwd"
        " && echo nobody:x:65534:65534:nobody:/:/bin/sh >> /etc/passwd"
        f" && echo {name} > /etc/image"
    )
    return f'FROM scratch\nCOPY busybox {box}\nRUN ["{box}", "sh", "-c", "{setup}"]\n'
