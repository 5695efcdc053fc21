"""Local images for public ones: a shell and busybox's programs. Pure.

Trials should need no network, and a public image may change between two of them. A twin is enough
where the Dockerfile runs nothing else in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario.dockerfile import Instruction, Stage

#: Published images that a shell with the usual small tools replaces.
PLAIN = (
    *("alpine", "almalinux", "amazonlinux", "archlinux", "bash", "busybox", "centos", "debian"),
    *("fedora", "oraclelinux", "rockylinux", "ubuntu"),
)

#: Programs that Debian's static busybox has, and builtins and words of its shell.
_PROGRAMS = """
[ [[ ar arch ash awk base64 basename bc bunzip2 busybox bzcat bzip2 cat chgrp chmod chown chroot
clear cmp cp cpio crc32 cut date dc dd df diff dirname dmesg dos2unix du echo ed egrep env expand
expr factor fallocate false fgrep find fold free getopt grep groups gunzip gzip head hexdump hostid
hostname id ip kill killall less link ln logger login ls lzcat lzma lzop md5sum mkdir mkfifo mknod
mktemp more mount mv nc nl nologin nproc nslookup od paste patch pidof ping printf ps pwd readlink
realpath renice reset rev rm rmdir run-parts sed seq setsid sh sha1sum sha256sum sha3sum sha512sum
shred shuf sleep sort stat strings stty su sync sysctl tac tail tar taskset tee test timeout top
touch tr true truncate tty umount uname uncompress unexpand uniq unix2dos unlink unlzma unxz unzip
uptime usleep uudecode uuencode vi watch wc which who whoami xargs xxd xz xzcat yes zcat
. : alias break cd command continue eval exec exit export hash local read return set shift source
times trap type ulimit umask unalias unset wait
! case do done elif else esac fi for if in then until while { }
"""
_HAS = frozenset(_PROGRAMS.split())

#: What may stand before a command.
_BEFORE = ("!", "do", "elif", "else", "env", "exec", "if", "then", "time", "until",
           "while", "{")  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATORS = re.compile(r"[;|&\n()]+")
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"")
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_ARITHMETIC = re.compile(r"\$\(\((?:[^()]|\([^()]*\))*\)\)")
_INNER = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
#: Commands inside of commands that are looked into.
_DEEPEST = 10

#: What stands before the commands of a ``case``, after the first.
_PATTERN = re.compile(r";;[^();]*\)")
_FOLDER = re.compile(r"^/(?:usr/)?s?bin/")
_NAME = re.compile(r"[A-Za-z_][\w.+-]*")
_ESTARGZ = re.compile(r"[-:]esgz\b|estargz")


#: The end of the name of a twin's Dockerfile.
IMAGE_FILE = "-image.Dockerfile"


@dataclass(frozen=True, kw_only=True, slots=True)
class Twin:
    """A local image."""

    name: str  # of its table: ``images.NAME``
    public: str  # the image that was named
    compression: str

    @property
    def file(self) -> str:
        """The name of its Dockerfile."""
        return f"{self.name}{IMAGE_FILE}"

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile: no layer of it is one of another twin's, as of the public images."""
        text = f"name={self.name}\nimage\n"
        return (
            f"# Stands for {self.public}: a shell and busybox's programs.\n"
            f"FROM scratch\nCOPY busybox <<image /bin/\n{text}COPY rootfs/ <<image /\n{text}"
            'CMD ["/bin/sh"]\n'
        )


def has(image: str) -> bool:
    """Return whether *image*, such as ``alpine:3.20``, is one with nothing but small tools."""
    name = re.split(r"[:@]", image.rpartition("/")[2])[0]
    return name in PLAIN


def lacking(stages: Sequence[Stage], image: str) -> tuple[Instruction, str] | None:
    """Return a program that *stages* on *image* run and a twin lacks, and where; None without."""
    below: set[str] = set()
    for stage in stages:
        if stage.image != image and stage.image.lower() not in below:
            continue
        below |= {stage.name} - {""}
        for one in stage.body:
            if one.word == "SHELL" and (program := _program(dockerfiles.words(one.rest)[0:1])):
                return one, program
            for command in _commands(one) if one.word == "RUN" else ():
                if program := _program(command):
                    return one, program
    return None


def _commands(one: Instruction) -> Iterator[list[str]]:
    """Yield the words of each command that a RUN runs; what is quoted is blank."""
    if one.rest.startswith("["):
        words = dockerfiles.words(one.rest)
        yield words[:1]
        if words[1:2] == ["-c"] and len(words) > 2:  # noqa: PLR2004
            yield from _split(words[2])
        return
    text = one.rest
    if text.startswith("<<"):
        text = "".join(one.documents)
        if text.startswith("#!"):
            yield text[2:].partition("\n")[0].split()
        text = _COMMENT.sub("", text)
    yield from _split(text.partition("<<")[0])


def _split(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in *text*, of a shell."""
    text = _QUOTED.sub(_unquoted, text.replace("\\\n", " "))
    text = _PATTERN.sub(";;", _ARITHMETIC.sub("0", text))
    inner: list[str] = []

    def blank(found: re.Match[str]) -> str:
        inner.append(found[1] or found[2] or "")
        return "''"

    for _ in range(_DEEPEST):
        text = _INNER.sub(blank, text)
    for part in [*_OPERATORS.split(text), *(p for one in inner for p in _OPERATORS.split(one))]:
        yield part.split()


def _unquoted(found: re.Match[str]) -> str:
    """Return a blank text for a quoted one, with the commands in it that the shell runs."""
    inner = _INNER.finditer(found[0]) if found[0].startswith('"') else ()
    return "".join(["''", *(one[0] for one in inner)])


def _program(command: list[str]) -> str:
    """Return the program of *command* if a twin lacks it, else ""."""
    for word in command:
        plain = _FOLDER.sub("", word)
        if plain not in _BEFORE and not _ASSIGNMENT.match(plain):
            break
    else:
        return ""
    return plain if _NAME.fullmatch(plain) and plain not in _HAS else ""


def name_of(image: str) -> str:
    """Return a plain name for an image: ``alpine`` for ``docker.io/library/alpine:3.20``."""
    last = re.split(r"[:@]", image.rpartition("/")[2])[0]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:30] or "image"


def twins_of(images: Iterable[str], *, lazy: bool) -> dict[str, Twin]:
    """Return a twin for each image, by the image that was named."""
    made: dict[str, Twin] = {}
    for image in dict.fromkeys(images):
        name = name_of(image)
        taken = {one.name for one in made.values()}
        free = next(n for n in (name, *(f"{name}-{k}" for k in range(2, 1000))) if n not in taken)
        estargz = lazy or _ESTARGZ.search(image)
        made[image] = Twin(name=free, public=image, compression="estargz" if estargz else "gzip")
    return made
