"""Builds the binaries of a variant; each is compiled once and then reused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from buildkit_bisect.builds import exchange, store
from buildkit_bisect.builds import key as keys
from buildkit_bisect.builds.job import AGAIN, Job, Progress
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted, host_arch, local, wanted
from buildkit_bisect.model import Build, NoBuild, Revision, Stage, Variant
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.sharing.entry import BUILD, FAILURE
from buildkit_bisect.source import GitSource, Source
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.machine_lock import machine_lock

if TYPE_CHECKING:
    from buildkit_bisect.sharing.store import SharedStore

_GIT = words(Building, source="git", repo="PATH")

#: The digest of a program's inputs, and those of the patches that change it.
_Inputs = tuple[str, tuple[str, ...]]


@dataclass(kw_only=True)
class Builder:
    """Builds variants of one source; *patches* are the ones that variants may use.

    With *shared*, builds are looked up there before they are compiled. With *own*, only what this
    machine compiled is used: neither a store nor what was pulled from one. Without *alone*, the
    caller has locked the machine, for several compiles at once.

    Safe beside other builders with the same cache, in this process and in others.
    """

    source: Source
    patches: Sequence[Patch] = ()
    recipe: keys.Recipe = field(default_factory=lambda: keys.Recipe(goarch=host_arch()))
    deadlines: Deadlines = field(default_factory=Deadlines)
    say: Callable[[str], None] = lambda _: None
    shared: SharedStore | None = None
    own: bool = False
    elsewhere: bool = False
    alone: bool = True

    def __post_init__(self) -> None:
        self._toolchains = Toolchains(say=self.say, deadlines=self.deadlines)
        self._found: dict[str, Build] = {}  # by request

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_toolchains")
        state.pop("_found")
        return state | {"say": _silent}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def cached(self, variant: Variant) -> Build | NoBuild | None:
        """Return the result of an earlier `build` of *variant*; None if it was never built.

        Only reads two small files: no process, no network. A build that was found is found again
        without them: what a process has used stays in the cache until the process ends.
        """
        request = self._request(variant)
        if request in self._found:
            return self._found[request]
        key = store.answer(request)
        found = self._stored(key) if key else None
        if found is None and self.elsewhere and not self.own:
            found = store.elsewhere(request)
        if isinstance(found, Build):
            self._found[request] = found
        return found

    def keep_elsewhere(self, variant: Variant, build: Build) -> None:
        """Remember that another machine made *build* of *variant*: `cached` has its facts then."""
        request = self._request(variant)
        self._found[request] = replace(build, reused=True)
        with contextlib.suppress(OSError):  # it only saves time later
            store.remember_elsewhere(request, build)

    def build(
        self, variant: Variant, on_progress: Progress = lambda _done, _expected: None
    ) -> Build | NoBuild:
        """Return the binaries of *variant*, or the reason why it cannot be built.

        Only a complaint about the source or a patch is stored. A compile past its deadline, and a
        Go that this machine does not have, are `NoBuild.infra`: the next call tries again.
        Raises `InfraFailed` if anything else fails (disk, network, the go command), `BadInput` if
        the variant names a patch that this builder does not have.
        """
        known = self.cached(variant)
        if known:
            return known
        if why := self.refused(variant):
            return NoBuild(stage=Stage.PATCH, reason=why, hint=_GIT)
        revision = variant.revision
        try:
            # The download of a module may need the Go that the module asks for.
            dockerfile, gomod = (self.source.read(revision, f) for f in ("Dockerfile", "go.mod"))
        except Missing as err:
            return _no_go(err)
        try:
            want = wanted(dockerfile, gomod)
        except Missing as err:
            return NoBuild(stage=Stage.TOOLCHAIN, reason=err.message, hint=err.hint)
        parts = self._parts(variant)
        key, made = self._existing(variant, want, parts)
        if made is None:
            try:
                toolchain = self._toolchains.find(want)
            except Missing as err:
                return _no_go(err)
            programs = self._programs(parts, toolchain.version)
            job = Job(
                variant=variant,
                source=self.source,
                patches=self._patches(variant),
                recipe=self.recipe,
                toolchain=toolchain,
                programs=programs,
                tag=self._tag(parts),
                seconds=self.deadlines.compile,
                say=self.say,
            )
            key, made = job.key, self._build(job, on_progress)
        self._remember(variant, key)
        return made

    def _remember(self, variant: Variant, key: str) -> None:
        with contextlib.suppress(OSError):  # it only saves time later
            store.remember(self._request(variant), key)

    def pulled(self, variant: Variant) -> Build | NoBuild | None:
        """Return what `build` would use without a compile; None if it compiles, or without a store.

        For who has other processes compile: what is wrong with a store is then said, and said once.
        Raises `InfraFailed` like `build`.
        """
        if self.shared is None or self.own or self.refused(variant):
            return None
        try:
            want = self._wanted(variant.revision)
        except Missing:  # which `build` says
            return None
        key, made = self._existing(variant, want, self._parts(variant))
        if made:
            self._remember(variant, key)
        return made

    def refused(self, variant: Variant) -> str:
        """Return why the patches of *variant* cannot be applied to any tree of the source, or "".

        Raises `BadInput` if the variant names a patch that this builder does not have.
        """
        if self.source.kind == "git":
            return ""
        found = (patch.not_for_modules for patch in self._patches(variant))
        return next(filter(None, found), "")

    def in_store(self, commits: Sequence[str]) -> frozenset[str]:
        """Return those of *commits* whose build, without patches, the shared store should have.

        It only looks at names: whether the builds can be used is known when they are pulled.
        """
        tags = self.shared.tags() if self.shared else frozenset[str]()
        if not tags or not isinstance(self.source, GitSource):
            return frozenset()
        found = self.source.all_inputs(commits)
        return frozenset(
            commit
            for commit, inputs in found.items()
            if self._tag({p: (inputs[p], ()) for p in self.recipe.programs}) in tags
        )

    def share(self, variant: Variant, made: Build | NoBuild) -> None:
        """Push *made*, which the cache had for *variant*, unless the store has it."""
        if not self._pushes(made):
            return
        want = self._wanted(variant.revision)
        here = local(want)
        go = made.go if isinstance(made, Build) else here.version if here else ""
        parts = self._parts(variant)
        key = keys.build_key(self._programs(parts, go))
        with store.lock(key):
            self._push(made, key, go, self._tag(parts))

    def _pushes(self, made: Build | NoBuild) -> bool:
        """Whether *made* is for the store: only a log proves a failure to others."""
        proven = isinstance(made, Build) or (made.stage is Stage.BUILD and not made.infra)
        return proven and self.shared is not None and self.shared.pushes

    def _push(self, made: Build | NoBuild, key: str, go: str, tag: str) -> None:
        """Push *made*; the lock of *key* is held, so that it stays the same meanwhile."""
        if self.shared and self._pushes(made):
            kind = BUILD if isinstance(made, Build) else FAILURE
            exchange.push(self.shared, exchange.asked(key, go, self.recipe), kind=kind, tag=tag)

    def _wanted(self, revision: Revision) -> GoWanted:
        return wanted(*(self.source.read(revision, name) for name in ("Dockerfile", "go.mod")))

    def _request(self, variant: Variant) -> str:
        revision = variant.revision
        name = revision.sha if self.source.kind == "git" else revision.describe
        digests = tuple(p.digest for p in variant.patches)
        return keys.request_key(self.source.kind, name, digests, self.recipe)

    def _parts(self, variant: Variant) -> dict[str, _Inputs]:
        """Return, by program, the digest of its inputs and those of the patches that change it.

        Patches are with at least one program, so a build with patches never counts for one without.
        So is what the patches find in the files that they touch: whether they apply, and what is
        moved to another file, does not depend on the inputs alone.
        """
        revision, chosen = variant.revision, self._patches(variant)
        added = tuple(sorted({i for p in chosen for i in p.imports}))
        files = {f for p in chosen for f in p.files}
        affected = self.source.affected(revision, files, added) if files else frozenset()
        patched = affected.intersection(self.recipe.programs) or self.recipe.programs
        inputs = self.source.inputs(revision)
        with_patches = self.source.inputs(revision, added) if added else inputs
        digests = tuple(p.digest for p in variant.patches)
        if chosen:
            whole = any(p.reveals for p in chosen)
            digests += (self.source.content(revision, None if whole else files),)
        return {
            p: (with_patches[p], digests) if p in patched else (inputs[p], ())
            for p in self.recipe.programs
        }

    def _programs(self, parts: Mapping[str, _Inputs], go: str) -> dict[str, str]:
        """Return the key of each program with that Go."""
        return {
            p: keys.program_key(p, inputs, patches, go, self.recipe)
            for p, (inputs, patches) in parts.items()
        }

    def _tag(self, parts: Mapping[str, _Inputs]) -> str:
        """Return the name in a store of the build with any patch release of Go."""
        return f"inputs-{keys.build_key(self._programs(parts, ''))}"

    def _existing(
        self, variant: Variant, want: GoWanted, parts: Mapping[str, _Inputs]
    ) -> tuple[str, Build | NoBuild | None]:
        """Return what the cache or the store has of *variant*, with any Go that it accepts.

        The store is asked before a Go is downloaded, which may not be needed then.
        """
        if self.shared:
            self.shared.begin()
        for go in self._releases(want, self._tag(parts)):
            key = keys.build_key(self._programs(parts, go))
            with store.lock(key):
                made = self._stored(key) or self._pulled(variant, key, go)
            if made:
                return key, made
        return "", None

    def _releases(self, want: GoWanted, tag: str) -> Iterator[str]:
        """Yield the Go that this machine would compile with, then the one of the store's build."""
        here = local(want)
        if here:
            yield here.version
        there = self.shared.go(tag) if self.shared and not self.own else None
        if there and there != (here and here.version) and want.accepts(there):
            yield there

    def _patches(self, variant: Variant) -> list[Patch]:
        have = {p.ref.digest: p for p in self.patches}
        missing = [p.name for p in variant.patches if p.digest not in have]
        if missing:
            raise BadInput(f"the builder does not have patch {missing[0]}", hint=inv("patch-list"))
        return [have[p.digest] for p in variant.patches]

    def _build(self, job: Job, on_progress: Progress) -> Build | NoBuild:
        with store.lock(job.key):  # whoever compiles it holds that, so there may be a build now
            known = self._stored(job.key)
        if known:
            return known
        store.sweep()
        store.forget_unproven()
        with contextlib.ExitStack() as until_pushed:
            try:
                with self._machine():
                    # The machine is locked first: by the caller, if several compile at once.
                    until_pushed.enter_context(store.lock(job.key))
                    known = self._stored(job.key)
                    if known:
                        return known
                    with paths.scratch("build") as made:
                        done = job.compile(made, on_progress)
            except OSError as err:  # usually a full disk, and never the variant's fault
                raise _disk(job.variant, err) from err
            self._push(done, job.key, job.toolchain.version, job.tag)
        return done

    def _machine(self) -> contextlib.AbstractContextManager[None]:
        return machine_lock(self._waiting) if self.alone else contextlib.nullcontext()

    def _stored(self, key: str) -> Build | NoBuild | None:
        if not exchange.believed(key, self.shared) or (self.own and exchange.pulled(key)):
            return None
        return store.load(key) or store.failure(key)

    def _pulled(self, variant: Variant, key: str, go: str) -> Build | NoBuild | None:
        """Return what the shared store has for *key*; None if there is no store, or nothing."""
        if self.shared is None or self.own:
            return None
        asked = exchange.asked(key, go, self.recipe)
        try:
            return exchange.pull(self.shared, asked, variant.label, self.say)
        except OSError as err:
            raise _disk(variant, err) from err

    def _waiting(self) -> None:
        self.say("waiting for another build or trial to end")


def _disk(variant: Variant, err: OSError) -> InfraFailed:
    return InfraFailed(
        f"cannot build {variant.label}: {err}", hint=f"df -h; {inv('clean', cache=True)}"
    )


def _silent(_: str) -> None:
    pass


def _no_go(err: Missing) -> NoBuild:
    return NoBuild(
        stage=Stage.TOOLCHAIN,
        reason=err.message,
        infra=True,
        hint=f"{err.hint}, then {AGAIN}",
    )
