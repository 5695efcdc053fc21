"""Local images for the ones that an issue names, and Dockerfiles that use them. Pure.

A twin has a shell and busybox's small programs. It is taken only if the Dockerfile runs nothing
else in it, so that a trial needs no network and always has the same base.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario.dockerfile import Dockerfile, Instruction, Stage
from buildkit_bisect.system.addresses import is_image

#: Programs that Debian's static busybox has, and builtins and words of its shell.
_PROGRAMS = """
[ [[ ar arch ash awk base64 basename bc bunzip2 busybox bzcat bzip2 cat chgrp chmod chown chroot
cksum clear cmp cp cpio crc32 cut date dc dd df diff dirname dmesg dos2unix du echo ed egrep env
expand expr factor fallocate false fgrep find fold free getopt grep groups gunzip gzip head hexdump
hostid hostname id install ip kill killall less link ln logger login ls lzcat lzma lzop md5sum mkdir
mkfifo mknod mktemp more mount mountpoint mv nc nice nl nohup nologin nproc nslookup od paste patch
pidof ping printenv printf ps pwd readlink realpath renice reset rev rm rmdir run-parts sed seq
setsid sh sha1sum sha256sum sha3sum sha512sum shred shuf sleep sort split stat strings stty su sum
sync sysctl tac tail tar taskset tee test timeout top touch tr tree true truncate tty umount uname
uncompress unexpand uniq unix2dos unlink unlzma unxz unzip uptime usleep uudecode uuencode vi watch
wc which who whoami xargs xxd xz xzcat yes zcat
. : alias break cd command continue eval exec exit export hash local read return set shift source
times trap type ulimit umask unalias unset wait
! case do done elif else esac fi for if in then until while { }
"""
_HAS = frozenset(_PROGRAMS.split())

#: What may stand before a command.
_BEFORE = ("!", "do", "elif", "else", "env", "exec", "if", "nice", "nohup", "then", "time", "until",
           "while", "{")  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_OPERATORS = re.compile(r"&&|\|\||[;|&\n(){}]|`|\$\(")
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"")
_ESTARGZ = re.compile(r"[-:]esgz\b|estargz")


#: Stages of a Dockerfile that are looked at.
MOST_STAGES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Twin:
    """A local image."""

    name: str  # of its table: ``images.NAME``
    public: str  # the image that was named
    compression: str

    @property
    def file(self) -> str:
        """The name of its Dockerfile."""
        return f"{self.name}-image.Dockerfile"

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile: no layer of it is one of another twin's, as no layer of theirs was."""
        box = f"/sbin/busybox-{self.name}"
        setup = (
            f"{box} mkdir -p /bin /etc /home /opt /root /tmp /usr/bin /usr/local/bin /var"
            f" && {box} --install -s /bin && chmod 1777 /tmp"
            " && echo root:x:0:0:root:/root:/bin/sh > /etc/passwd"
            " && echo nobody:x:65534:65534:nobody:/:/bin/sh >> /etc/passwd"
            f" && echo {self.name} > /etc/image"
        )
        return (
            f"# Stands for {self.public}: a shell and busybox's programs.\n"
            f'FROM scratch\nCOPY busybox {box}\nRUN ["{box}", "sh", "-c", "{setup}"]\n'
            'CMD ["/bin/sh"]\n'
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Swapped:
    """A Dockerfile with arguments in place of images."""

    text: str
    args: dict[str, str] = field(default_factory=dict)  # argument -> the image that was named
    kept: tuple[tuple[str, str], ...] = ()  # image, and why it has no twin
    syntax: str = ""  # the external frontend that it asks for, left out


def swap(
    text: str, args: Mapping[str, str], own: Mapping[str, str], contexts: Collection[str] = ()
) -> Swapped:
    """Return the Dockerfile *text* without images of the network, as far as that is possible.

    *args* are the build arguments; *own* are images that an earlier step pushed: they are
    arguments too. Named *contexts* replace images, which stay as they are written.
    Raises ValueError, with the reason, if an image cannot be pulled by anyone.
    """
    file = dockerfiles.parse(text)
    all_stages = dockerfiles.stages(file, args)
    if len(all_stages) > MOST_STAGES:
        raise ValueError(f"its Dockerfile has more than {MOST_STAGES} stages")
    lines = list(file.lines)
    found: dict[str, str] = {}
    kept: dict[str, str] = {}
    names: dict[str, str] = {}
    for stage in all_stages:
        image = _outer(stage)
        if not image or image in contexts:
            continue
        if image not in own and (why := _lacking(all_stages, image)):
            kept[image] = why
            continue
        names.setdefault(image, _argument(stage, image, names))
        found[names[image]] = image
        dockerfiles.start_from(lines, stage, f"${{{names[image]}}}")
    new = _copied(file, own, found=found, kept=kept, lines=lines, contexts=contexts)
    first = next((one.start.start for one in all_stages), len(lines))
    above = [one for one in file.instructions if one.start < first]
    own_args = {name for one in above for name in dockerfiles.declared(one)}
    declared = [f"ARG {name}={image}" for name, image in found.items() if name not in own_args]
    rest = lines[len(file.directives) :]
    return Swapped(
        text="\n".join([*file.own_frontend, *declared, *new, *rest]).strip("\n") + "\n",
        args=found,
        kept=tuple(kept.items()),
        syntax=file.directives.get("syntax", ""),
    )


def _outer(stage: Stage) -> str:
    """Return the image that *stage* starts from; "" if that is another stage, or scratch."""
    if not stage.image:
        raise ValueError(f"FROM {stage.written}: the paste does not say which image that is")
    if not stage.outer:
        return ""
    if not is_image(stage.image):
        raise ValueError(f"FROM {stage.image}: not an image that can be pulled")
    if re.search(r"windows|nanoserver", stage.image):
        raise ValueError(f"FROM {stage.image}: an image for Windows; trials run on Linux")
    return stage.image


def _argument(stage: Stage, image: str, taken: Mapping[str, str]) -> str:
    """Return the argument that FROM has, or a new name."""
    alone = re.fullmatch(r"\$\{?(\w+)\}?", stage.written)
    if alone and alone[1] not in taken.values():
        return alone[1]
    name = re.sub(r"\W+", "_", name_of(image)).upper()
    free = (f"IMAGE_{name}{n}" for n in ("", *(f"_{k}" for k in range(2, 100))))
    return next(one for one in free if one not in taken.values())


def _copied(
    file: Dockerfile,
    own: Mapping[str, str],
    *,
    found: dict[str, str],
    kept: dict[str, str],
    lines: list[str],
    contexts: Collection[str],
) -> list[str]:
    """Replace images that instructions copy from by stages, since --from takes no argument.

    Returns the lines of these stages; a file whose stages have numbers is left as it is.
    """
    known = {*dockerfiles.names(file), *contexts}
    copied = [(one, name) for one in file.instructions for name in one.others]
    wanted = [(o, n) for o, n in copied if n.lower() not in known and "$" not in n]
    numbered = any(name.isdigit() for _, name in copied)
    out: list[str] = []
    for one, name in wanted:
        if name not in own:
            kept.setdefault(name, f"files are copied from it ({one.word} --from={name})")
            continue
        if numbered:
            kept.setdefault(name, "it is beside stages that have numbers")
            continue
        argument = f"IMAGE_{re.sub(r'[^A-Z0-9]+', '_', name_of(name).upper())}"
        stage = f"image-{name_of(name)}"
        line = f"FROM ${{{argument}}} AS {stage}"
        if found.setdefault(argument, name) == name and line not in out:
            out.append(line)
        for at in range(one.start, one.end):
            lines[at] = lines[at].replace(f"from={name}", f"from={stage}")
    return out


def _lacking(stages: Sequence[Stage], image: str) -> str:
    """Return what the stages that start from *image* run and a twin lacks; "" if nothing."""
    below: set[str] = set()
    for stage in stages:
        if stage.image != image and stage.image.lower() not in below:
            continue
        below |= {stage.name} - {""}
        for one in stage.body:
            if one.word == "SHELL" and (program := _program(dockerfiles.words(one.rest)[0:1])):
                return f"SHELL needs {program}"
            for command in _commands(one) if one.word == "RUN" else ():
                if program := _program(command):
                    return f"RUN needs {program}"
    return ""


def _commands(one: Instruction) -> Iterator[list[str]]:
    """Yield the words of each command that a RUN runs; quoted ones are blank."""
    if one.rest.startswith("["):
        words = dockerfiles.words(one.rest)
        yield words[:1]
        if words[1:2] == ["-c"] and len(words) > 2:  # noqa: PLR2004
            yield from (part.split() for part in _OPERATORS.split(_QUOTED.sub("''", words[2])))
        return
    text = one.rest
    if text.startswith("<<"):
        body = "".join(one.documents).splitlines()
        if body and body[0].startswith("#!"):
            yield [body[0][2:].split()[0]] if body[0][2:].split() else []
        text = "\n".join(line for line in body if not line.lstrip().startswith("#"))
    elif "<<" in text:
        text = text.partition("<<")[0]
    for part in _OPERATORS.split(_QUOTED.sub("''", text)):
        yield part.split()


def _program(command: list[str]) -> str:
    """Return the program of *command* if a twin lacks it, else ""."""
    words = list(command)
    while words and (words[0] in _BEFORE or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    word = words[0] if words else ""
    if words[:1] == ["for"]:
        return ""
    if word.startswith(("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/")):
        word = word.rpartition("/")[2]
    plain = re.fullmatch(r"[A-Za-z_][\w.+-]*", word)
    return word if plain and word not in _HAS else ""


def name_of(image: str) -> str:
    """Return a plain name for an image: ``alpine`` for ``docker.io/library/alpine:3.20``."""
    last = re.split(r"[:@]", image.rpartition("/")[2])[0]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:30] or "image"


def twins(images: list[str], *, lazy: bool) -> dict[str, Twin]:
    """Return a twin for each image, by the image that was named."""
    made: dict[str, Twin] = {}
    for image in dict.fromkeys(images):
        name = name_of(image)
        taken = {one.name for one in made.values()}
        free = next(n for n in (name, *(f"{name}-{k}" for k in range(2, 1000))) if n not in taken)
        estargz = lazy or _ESTARGZ.search(image)
        made[image] = Twin(name=free, public=image, compression="estargz" if estargz else "gzip")
    return made
