"""BuildKit as a Go module, from the module proxy that the user's go command uses."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted, fetch_env, network_settings
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import forms, github, names
from buildkit_bisect.source.inputs import PROGRAMS
from buildkit_bisect.system import cache_limit, paths, process
from buildkit_bisect.system.announce import announce, by_default
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.retry import passing, retried

MODULE = "github.com/moby/buildkit"

_NEEDS_GO = re.compile(r"requires go >= (\d+)\.(\d+)(?:\.(\d+))?")
# The proxy answered that it has no such version; any other error is a network problem.
_NOT_THERE = re.compile(
    r"unknown revision|no matching versions|404 Not Found|403 Forbidden|410 Gone|invalid version"
    r"|file://\S+: no such file"
)


@dataclass(kw_only=True)
class ModuleSource:
    """Tags of the module, and commit ids if the proxy serves them; it has no history.

    A revision's ``describe`` is its canonical module version; its ``sha`` is empty if the proxy
    does not report the commit. A module's zip has no vendored packages, nested modules, symlinks.
    """

    say: Callable[[str], None] = lambda _: None
    module: str = MODULE
    kind: str = "module"
    where: str = f"the Go module {MODULE}"
    deadlines: Deadlines = field(default_factory=Deadlines)
    note: str = ""  # why it replaces a git source
    _versions: list[str] = field(default_factory=list)
    _once: bool = False  # the proxy is asked until it does not answer in time once
    _late: bool = False  # it did not

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "say"} | {"_versions": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, say=lambda _: None)

    @contextmanager
    def until_late(self) -> Iterator[None]:
        """In the block, ask the proxy nothing more after it did not answer in time once.

        For several releases of which each can be left out: each would take the whole deadline.
        """
        self._once, self._late = True, False
        try:
            yield
        finally:
            self._once = self._late = False

    def resolve(self, ref: str) -> Revision:
        """Return the revision of a tag, commit id, ``latest``, ``0.26.0`` or ``v0.26.x``.

        Raises `BadInput` with the nearest versions, `InfraFailed` if the proxy did not answer.
        """
        ref = self._named(ref)
        if names.is_date(ref):
            raise BadInput(f"{ref} is a date: dates need a git source", hint=_GIT)
        info = self._cached_info(ref)
        if info is None:
            info = self._go("list", "-m", "-json", f"{self.module}@{ref}")
            if "Error" in info:
                raise self._refusal(ref, str(info["Error"]))
        origin = info.get("Origin") or {}
        return Revision(
            ref=ref,
            sha=str(origin.get("Hash", "")),
            describe=str(info["Version"]),
            date=str(info.get("Time", "")),
        )

    def resolve_all(self, refs: Sequence[str]) -> list[Revision]:
        """Return what `resolve` does for each of *refs*."""
        return list(map(self.resolve, refs))

    def _named(self, ref: str) -> str:
        """Return *ref* as the proxy knows it."""
        if address := github.address(ref):
            ref = address.commit or address.ref
            if not ref:
                raise BadInput("pull requests need a git source", hint=_GIT)
        ref = names.checked(ref)
        if names.is_date(ref) or names.is_full_sha(ref):
            return ref
        # The proxy itself would take a branch for `main`, and an incomplete version for `v0.26`.
        return next(forms.synonyms(ref, self._listed), ref)

    def tags(self) -> list[str]:
        """Return every version that the proxy lists."""
        return self._listed()

    def releases(self) -> list[Revision]:
        """Return the final releases that the proxy lists, newest first, without dates."""
        found = [v for v in self._listed() if names.is_release(v)]
        return [Revision(ref=v, sha="", describe=v) for v in names.newest_first(found)]

    def read(self, revision: Revision, path: str) -> str | None:
        """Return the text of a file in the module; None if there is no such file.

        Raises `InfraFailed` if it cannot be read.
        """
        try:
            return (self._directory(revision) / path).read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as err:
            raise InfraFailed(
                f"cannot read {path} of {revision.describe}: {err}", hint=_GIT
            ) from err

    def inputs(
        self,
        revision: Revision,
        extra: tuple[str, ...] = (),  # noqa: ARG002
    ) -> dict[str, str]:
        """Return, for each program, the canonical version and the checksum of its zip.

        These decide every file and, by its ``go.sum``, every dependency.
        """
        return dict.fromkeys(PROGRAMS, self._identity(revision))

    def affected(
        self,
        revision: Revision,  # noqa: ARG002
        files: Iterable[str],  # noqa: ARG002
        extra: tuple[str, ...] = (),  # noqa: ARG002
    ) -> frozenset[str]:
        """Return every program: which of them reads a file is not looked up here."""
        return frozenset(PROGRAMS)

    def content(self, revision: Revision, files: Iterable[str] | None) -> str:  # noqa: ARG002
        """Return the canonical version and the checksum of its zip, which decide every file."""
        return self._identity(revision)

    def _identity(self, revision: Revision) -> str:
        self._directory(revision)
        checksum = self._zip_sum(revision)
        if not checksum:  # other zips of this version would have the same identity
            raise InfraFailed(
                f"the module cache has no checksum of {self.module}@{revision.describe}", hint=_GIT
            )
        return f"{self.module}@{revision.describe} {checksum}"

    def write(self, revision: Revision, files: Iterable[str], folder: Path) -> None:
        """Copy those of *files* that the module has to *folder*."""
        original = self._directory(revision)
        with _copying(revision):
            for name in files:
                if (original / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(original / name, folder / name)

    @contextmanager
    def checkout(self, revision: Revision) -> Iterator[Path]:
        """Provide a copy of the module's directory, and remove it after the block.

        It has at most 500 MB: the go command refuses modules with more.
        """
        original = self._directory(revision)
        with paths.scratch("module") as tmp:
            tree = tmp / "tree"
            with _copying(revision):
                _copy(original, tree)
            yield tree

    @contextmanager
    def build_tree(self, revision: Revision) -> Iterator[Path]:
        """Provide the module's read-only directory in our module cache."""
        yield self._directory(revision)

    def _directory(self, revision: Revision) -> Path:
        cache_limit.used(paths.cache("gomod"))  # from here on it is not removed
        version = revision.describe
        path = paths.cache("gomod") / f"{self.module}@{_escape(version)}"
        partial = self._download_dir() / f"{_escape(version)}.partial"
        if path.is_dir() and not partial.exists() and self._zip_sum(revision):
            return path
        with announce(f"downloading {self.module}@{version}"):
            info = self._go("mod", "download", "-json", f"{self.module}@{version}")
        if "Error" in info:
            raise self._refusal(version, str(info["Error"]))
        return Path(info["Dir"])

    def _zip_sum(self, revision: Revision) -> str:
        try:
            return (
                self._download_dir().joinpath(f"{_escape(revision.describe)}.ziphash").read_text()
            ).strip()
        except OSError:
            return ""

    def _download_dir(self) -> Path:
        return paths.cache("gomod") / "cache" / "download" / self.module / "@v"

    def _cached_info(self, ref: str) -> dict[str, Any] | None:
        # A tag never moves, so a cached answer of the proxy stays valid.
        if not names.is_release(ref):
            return None
        try:
            return dict(json.loads((self._download_dir() / f"{ref}.info").read_text()))
        except (OSError, ValueError):
            return None

    def _listed(self) -> list[str]:
        if not self._versions:
            info = self._go("list", "-m", "-versions", "-json", self.module)
            if "Error" in info:
                raise InfraFailed(f"cannot list {self.where}: {info['Error']}", hint=_GIT)
            self._versions = list(info.get("Versions") or [])
        return self._versions

    def _refusal(self, ref: str, error: str) -> Exception:
        error = " ".join(error.split())
        if not _NOT_THERE.search(error):
            return InfraFailed(f"cannot download {self.module}@{ref}: {error}", hint=_GIT)
        if not names.version_key(ref)[0]:
            return BadInput(f"the module proxy has no {self.module}@{ref}: {error}", hint=_GIT)
        return names.unknown(ref, self._listed(), where=self.where)

    def _go(self, *args: str, want: GoWanted | None = None) -> dict[str, Any]:
        """Run a go command and return its JSON output; with the key ``Error`` if it failed."""
        if self._late:
            raise InfraFailed(
                "the module proxy was not asked, as it did not answer in time before", hint=_LATER
            )
        toolchains = Toolchains(say=self.say, deadlines=self.deadlines)
        toolchain = toolchains.find(want) if want else toolchains.any()
        env = fetch_env(**network_settings(toolchain), GOROOT=toolchain.goroot)

        def ask(left: float) -> dict[str, Any]:
            done = process.run(
                [toolchain.go, *args],
                timeout=left,
                cwd=Path("/"),
                env=env,
                inherit=False,
                check=False,
            )
            if done.timed_out:
                if self._once:
                    self._late = True
                    self.say(
                        "the module proxy did not answer in time and is not asked again; releases"
                        " that are not in the module cache are left out"
                    )
                raise InfraFailed(
                    f"go {args[0]} {args[-1]} timed out after {done.seconds:.0f} s", hint=_LATER
                )
            try:
                return dict(json.loads(done.stdout))
            except ValueError:
                return {"Error": done.tail()}

        with by_default(f"asking the module proxy: go {' '.join(args)}"):
            info = retried(
                ask,
                within=self.deadlines.module,
                trouble=lambda info: passing(str(info.get("Error", ""))),
                say=self.say,
            )
        # Even a download may need a newer Go, if the module requires it.
        needs = _NEEDS_GO.search(str(info.get("Error", "")))
        if needs and want is None:
            minor = (int(needs[1]), int(needs[2]))
            return self._go(*args, want=GoWanted(minor=minor, patch=int(needs[3] or 0)))
        return info


_GIT = words(Building, source="git", repo="PATH_OR_URL")
_LATER = f"{words(Building, deadline='module=SECONDS')}, or {_GIT}"


@contextmanager
def _copying(revision: Revision) -> Iterator[None]:
    try:
        yield
    except OSError as err:  # usually a full disk
        raise InfraFailed(
            f"cannot copy the files of {revision.describe}: {err}",
            hint=f"df -h; {inv('clean', cache=True)}",
        ) from err


def _copy(original: Path, tree: Path) -> None:
    """Copy a directory of the module cache, where everything is read-only, to writable files."""
    for folder, below, files in os.walk(original, onerror=_raise):
        # A zip may have a repository in it, whose settings git would use.
        below[:] = [name for name in below if name.lower() != ".git"]
        target = tree / Path(folder).relative_to(original)
        target.mkdir()
        for name in files:
            if name.lower() != ".git":
                shutil.copyfile(Path(folder, name), target / name)


def _raise(err: OSError) -> NoReturn:
    raise err


def _escape(version: str) -> str:
    # The module cache writes capitals as !lower; pseudo-versions and tags may contain them.
    return re.sub(r"[A-Z]", lambda m: "!" + m[0].lower(), version)
