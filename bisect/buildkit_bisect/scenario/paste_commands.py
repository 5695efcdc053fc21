"""What the commands of an issue do, in order: builds, prunes, restarts, changes of files. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.options.command import words as option
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import paste_options
from buildkit_bisect.scenario.paste_files import PROGRAMS, Event, Files, plain
from buildkit_bisect.scenario.paste_options import Build
from buildkit_bisect.scenario.paste_shell import Command, Left
from buildkit_bisect.scenario.paste_words import Untaken, another, require_known, written

#: What stands for the file whose content a command prints.
_PRINTED = "a rule says what a build must print or leave: see the outcomes in docs/scenarios.md"

_ENGINE = "images of dockerd: a trial has only those that builds push or write to a file"


@dataclass(kw_only=True)
class Desk(Files):
    """A reporter's shell: it knows where it is, and which builder it uses."""

    variables: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)  # of buildkitd
    config: str = ""  # the file with buildkitd's configuration, as named
    versions: list[str] = field(default_factory=list)  # of BuildKit, that the text names
    container: bool = False  # whether a builder is a buildkitd of its own, as in trials
    _builder: str = ""
    _last: str = ""  # the builder of the last build
    _used: set[str] = field(default_factory=set)
    _gone: bool = False  # whether the builder was removed after the last build

    def take(self, command: Command) -> None:
        """Do what *command* says, or note why not."""
        self.prints = ""
        try:
            self._take(command)
        except Untaken as error:
            self.left.append(
                Left(number=command.number, source=command.source, reason=written(str(error)))
            )

    def _take(self, command: Command) -> None:
        given = command.words
        words = _bare(given.words)
        if given.unless and words[:1] in (("true",), (":",), ("echo",), ("exit",)):
            return
        if given.unless:
            raise Untaken("what happens if a command fails: a step may fail, and a rule says so")
        name = posixpath.basename(words[0]) if words else ""
        if name in ("docker", "nerdctl", "podman", "buildx"):
            self._docker(command, ("buildx", *words[1:]) if name == "buildx" else words[1:])
            return
        if name in ("export", "declare", "local", "readonly"):
            pairs = (word.partition("=") for word in words[1:])
            self.variables.update({key: value for key, equals, value in pairs if equals})
            return
        if name in PROGRAMS or (name in _CHANGING and given.output):
            self._file(command, name, words[1:])
        elif name == "buildkitd":
            self._buildkitd(words[1:])
        elif name in ("buildctl", "buildctl-daemonless.sh"):
            self._buildctl(command, words[1:])
        elif name and not (name in _SILENT and not given.output):
            raise Untaken(_OTHER.get(name, f"{words[0][:40]!r} is not a command of a build"))

    def _file(self, command: Command, name: str, words: Sequence[str]) -> None:
        """Do what a program does to files."""
        given = command.words
        for text in (*words, given.document or "", given.output):
            require_known(text)
        if name in _CHANGING:
            self.date(command, another(self.variables))
        else:
            PROGRAMS[name](self, command, words)

    def _docker(self, command: Command, words: Sequence[str]) -> None:
        words = _after_globals(words)
        match words:
            case ["buildx", *more]:
                self._buildx(command, _after_globals(self._global_builder(more)))
            case ["build", *more] | [("image" | "builder"), "build", *more]:
                self._build(command, paste_options.docker(more, self._environment(command)))
            case [("builder" | "system"), "prune", *more]:
                self._prune(command, more)
            case ["run", *more]:
                self._run(more)
            case [("compose" | "bake"), *_]:
                raise Untaken("its builds are in another file: write them as docker buildx build")
            case [_, *more] if any("buildkit" in word for word in more):
                self._container(command, words)
            case [("rmi" | "save" | "load" | "image" | "import" | "export" | "commit") as word, *_]:
                raise Untaken(f"docker {word}: {_ENGINE}")
            case [word, *_] if word not in _HARMLESS:
                raise Untaken(f"docker {word}: {_PRINTED}")
            case []:
                raise Untaken("docker without a command")

    def _container(self, command: Command, words: Sequence[str]) -> None:
        """Take what docker does to the container or the volume of a builder."""
        if words[0] in ("restart", "stop", "kill"):
            self._daemon(command, "restart")
        elif words[0] in ("rm", "volume"):
            self._gone = bool(self._used)

    def _global_builder(self, words: Sequence[str]) -> list[str]:
        """Return *words* without a ``--builder`` before the command, which is kept."""
        left = list(words)
        if left and left[0].startswith("--builder"):
            name, equals, value = left.pop(0).partition("=")
            self._builder = value if equals else (left.pop(0) if left else "")
            del name
        return left

    def _buildx(self, command: Command, words: Sequence[str]) -> None:
        match words:
            case [("build" | "b"), *more]:
                self._build(command, paste_options.docker(more, self._environment(command)))
            case ["create", *more]:
                self._create(more)
            case ["prune", *more]:
                self._prune(command, more)
            case [("rm" | "remove"), *more]:
                self._gone = self._gone or self._is_current(plain(more))
            case ["use", *more]:
                self._builder = (plain(more) or [""])[-1]
            case ["stop", *_]:
                self._daemon(command, "restart")
            case ["bake", *_]:
                raise Untaken(
                    "bake: its targets are in another file; `docker buildx bake --print` shows"
                    " them, to write as docker buildx build"
                )
            case [("ls" | "inspect" | "version" | "install" | "du" | "history" | "imagetools"), *_]:
                pass
            case [word, *_]:
                raise Untaken(f"docker buildx {word}: {_PRINTED}")
            case _:
                raise Untaken("docker buildx without a command")

    def _is_current(self, names: Sequence[str]) -> bool:
        """Whether removing the builders *names* removes the one that the last build used."""
        return bool(self._used) and (not names or self._last in names or not self._last)

    def _create(self, words: Sequence[str]) -> None:
        self.container = True
        named, used = "", False
        left = list(words)
        while left:
            name, equals, value = left.pop(0).partition("=")
            if name in _WITH_VALUE and not equals and left:
                value = left.pop(0)
            match name:
                case "--name":
                    named = value
                case "--use":
                    used = True
                case "--buildkitd-flags":
                    self._daemon_flags(_split(value))
                case "--buildkitd-config" | "--config":
                    self.config = self.place(value)
                case "--driver-opt":
                    found = re.search(r"image=([^,\s\"]+)", value)
                    self.versions += [found[1]] if found else []
        if used or not self._builder:
            self._builder = named

    def _daemon_flags(self, words: Sequence[str]) -> None:
        left = list(words)
        while left:
            name, equals, value = left.pop(0).partition("=")
            if name in ("--config", "-config"):
                self.config = self.place(value if equals else left.pop(0) if left else "")
                continue
            if not equals and left and not left[0].startswith("-"):
                value, equals = left.pop(0), "="
            self.flags.append(f"{name}{equals}{value}")

    def _run(self, words: Sequence[str]) -> None:
        """Take ``docker run`` of a registry or of buildkitd; a trial has its own."""
        image = next((w for w in words if re.search(r"(?:^|/)registry(?::\d|$)", w)), "")
        if image:
            return
        kit = next((w for w in words if re.search(r"moby/buildkit\b", w)), "")
        if kit and not any("buildctl" in word for word in words):
            self.container = True
            self.versions.append(kit)
            self._daemon_flags([w for w in words[list(words).index(kit) + 1 :] if w != "buildkitd"])
            return
        raise Untaken(f"docker run: {_PRINTED}")

    def _buildkitd(self, words: Sequence[str]) -> None:
        self.container = True
        self._daemon_flags(words)

    def _buildctl(self, command: Command, words: Sequence[str]) -> None:
        self.container = True
        match _after_globals(words):
            case ["build", *more]:
                build = paste_options.buildctl(more, self._environment(command))
                self._build(command, build)
            case ["prune", *more]:
                self._prune(command, more)
            case [("prune-histories" | "du" | "debug" | "version" | "dial-stdio"), *_]:
                pass
            case [word, *_]:
                raise Untaken(f"buildctl {word}: not a build")
            case _:
                raise Untaken("buildctl without a command")

    def _environment(self, command: Command) -> Mapping[str, str]:
        return {**self.variables, **command.words.env}

    def _prune(self, command: Command, words: Sequence[str]) -> None:
        part = next((w for w in words if w.startswith(("--filter", "--keep", "--max", "--min",
                                                       "--reserved"))), "")  # fmt: skip
        self.event(command, "prune")
        if part:
            reason = f"{part.partition('=')[0]}: the step prune removes everything"
            self.left.append(Left(number=command.number, source=command.source, reason=reason))

    def _daemon(self, command: Command, start: str) -> None:
        last = self.events[-1] if self.events else None
        if last is not None and (last.does != "daemon" or last.start != start):
            self.events.append(
                Event(number=command.number, source=command.source, does="daemon", start=start)
            )

    def _build(self, command: Command, build: Build) -> None:
        given = command.words
        paste_options.fill_in(build)
        require_known(given.document or "")
        epoch = given.env.get("SOURCE_DATE_EPOCH", self.variables.get("SOURCE_DATE_EPOCH", ""))
        if build.epoch is None and epoch.isdigit():
            build.epoch = int(epoch)
        build.builder = build.builder or given.env.get("BUILDX_BUILDER", self._builder)
        document = given.document
        if build.file == "-" or build.context == "-":
            if document is None and given.input:
                build.file = self.place(given.input)
            elif document is None:
                raise Untaken("a build of standard input: the paste does not show what that is")
        else:
            document = None
            build.file = (
                self.place(build.file)
                if build.file and build.dockerfile_dir is None
                else build.file
            )
        if build.dockerfile_dir is not None:
            folder = self.place(build.dockerfile_dir or ".")
            build.file = posixpath.join(folder, build.file or "Dockerfile")
        if build.context != "-" and (build.context or build.dockerfile_dir is None):
            build.context = self._context(build.context)
        self._switch(command, build.builder)
        build.contexts = {k: self._named(v, build) for k, v in build.contexts.items()}
        self.events.append(
            Event(number=command.number, source=command.source, does="build", build=build,
                  document=document, folder=self.folder)
        )  # fmt: skip

    def _context(self, context: str) -> str:
        if re.match(r"[a-z]+://|git@|github\.com/", context):
            raise Untaken(f"{context}: a remote build context, which may change between two trials")
        place = self.place(context or ".")
        if place in ("/", "/home", "/root", "/tmp"):  # noqa: S108
            raise Untaken(f"{context}: as a build context it leads out of the paste")
        return place

    def _named(self, place: str, build: Build) -> str:
        """Return a named context with the paths in it from where the paste begins."""
        kind, colon, rest = place.partition(":")
        rest = rest.removeprefix("//")
        if kind == "local" and colon and rest in build.locals:
            return f"folder:{self.place(build.locals[rest])}"
        if kind == "oci-layout":
            name = re.split(r"@|:(?=[\w.-]+$)", rest)[0]
            return f"oci-layout:{self.place(build.layouts.get(name, name))}"
        if kind in ("docker-image", "image"):
            return f"image:{rest}"
        if kind == "input" or (colon and re.match(r"[a-z]+$", kind)):
            raise Untaken(f"the named context {place}: neither an image nor a folder of the paste")
        return f"folder:{self.place(place)}"

    def _switch(self, command: Command, builder: str) -> None:
        """Start an empty daemon for another builder than the last one's."""
        if self._used and builder != self._last and builder in self._used and not self._gone:
            raise Untaken(f"goes back to the builder {builder!r}: a trial has one daemon at a time")
        if self._used and (builder != self._last or self._gone):
            self._daemon(command, "fresh")
        self._last, self._gone = builder, False
        self._used.add(builder)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Untaken(f"--buildkitd-flags {text[:60]}: {error}") from None


def _bare(words: Sequence[str]) -> tuple[str, ...]:
    """Return *words* without programs that only start another one."""
    left = list(words)
    while left and left[0] in _STARTERS:
        left.pop(0)
        while left and (left[0].startswith("-") or "=" in left[0] or left[0].isdigit()):
            left.pop(0)
    return tuple(left)


def _after_globals(words: Sequence[str]) -> list[str]:
    """Return *words* without the options before a command."""
    left = list(words)
    while left and left[0].startswith("-"):
        name, equals, _ = left.pop(0).partition("=")
        if not equals and left and name in ("--addr", "--context", "-c", "--host", "-H", "--config",
                                            "--log-level", "-l", "--builder"):  # fmt: skip
            left.pop(0)
    return left


#: Programs that print something else each time.
_CHANGING = ("date", "uuidgen")

_STARTERS = ("sudo", "time", "command", "env", "nohup", "exec", "nice", "timeout", "stdbuf")

#: Options of ``buildx create`` with a value.
_WITH_VALUE = frozenset({
    *("--name", "--driver", "--driver-opt", "--buildkitd-flags", "--buildkitd-config", "--config"),
    *("--platform", "--node"),
})  # fmt: skip

#: Commands of docker that change nothing for a build.
_HARMLESS = frozenset({
    *("buildx", "context", "images", "info", "inspect", "login", "logout", "logs", "ps", "pull"),
    *("version", "--version", "network", "history", "tag"),
})  # fmt: skip

#: Programs that change nothing for a build.
_SILENT = frozenset({
    *(":", "[", "alias", "cat", "clear", "cmp", "date", "df", "diff", "du", "echo", "exit", "file"),
    *("find", "grep", "head", "jq", "kill", "ls", "mktemp", "nproc", "popd", "pwd", "read", "set"),
    *("sha256sum", "shopt", "shasum", "sleep", "source", "stat", "sync", "tail", "test", "trap"),
    *("tree", "true", "type", "uname", "unset", "wait", "which", "wc"),
    *("tar", "crane", "skopeo", "oras", "regctl"),
})  # fmt: skip

_SCRIPT = f"a program of its own: {option(Campaign, script='FILE')} runs one in a trial"

_OTHER = {
    **dict.fromkeys(("bash", "sh", "go", "python", "python3"), _SCRIPT),
    "git": "git: a trial has only the files that steps write",
    "curl": "curl: a trial downloads nothing",
    "wget": "wget: a trial downloads nothing",
    "make": "make: its rules are in another file",
    "chmod": "chmod: a step `write` can have a mode",
    "cp": "cp: write the file's content",
    "dd": "dd: write the file's content",
    "sed": "sed: write the file's content",
    "systemctl": "systemctl: a step `daemon` restarts buildkitd",
    "buildah": "buildah is not BuildKit",
}
