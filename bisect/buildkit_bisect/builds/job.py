"""Compiles the programs of a variant that are missing, and stores what that came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildkit_bisect.builds import complaint, store
from buildkit_bisect.builds import key as keys
from buildkit_bisect.builds.compile import Compiled, compile_tree
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.toolchain import Toolchain
from buildkit_bisect.model import Build, NoBuild, Stage, Variant
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.patch.patches import Patch, PatchFailed, apply
from buildkit_bisect.source import Source

AGAIN = "the same command again"

#: ``(packages compiled so far, packages expected or 0)``; the go command skips cached ones.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A variant to compile: of what, with what, and the key of each program."""

    variant: Variant
    source: Source
    patches: Sequence[Patch]  # of the variant, in order
    recipe: keys.Recipe
    toolchain: Toolchain
    programs: Mapping[str, str]
    tag: str  # of a shared store
    seconds: float  # that the compile may take
    say: Callable[[str], None]

    @property
    def key(self) -> str:
        """The key of the build."""
        return keys.build_key(self.programs)

    def compile(self, made: Path, on_progress: Progress) -> Build | NoBuild:
        """Compile the programs that are not stored yet, in the folder *made*; store the build.

        Only a complaint about the source or a patch is stored as a failure. Raises `InfraFailed`
        if anything else fails, `OSError` if the cache cannot be written.
        """
        entry, out = made / "entry", made / "out"
        entry.mkdir()
        out.mkdir()
        log = entry / "build.log"
        binary = self.recipe.binary
        missing = [p for p, key in self.programs.items() if not store.program(key, binary(p))]
        result = Compiled(seconds=0.0, packages=0)
        if missing:
            of_module = self.source.kind == "module"
            copied = of_module and self.patches  # the module cache is shared, and read-only
            provide = self.source.checkout if copied else self.source.build_tree
            with provide(self.variant.revision) as tree:
                try:
                    apply(tree, self.patches, of_module=of_module)
                except PatchFailed as err:
                    if not complaint.of_patch(err.message):
                        raise InfraFailed(err.message, hint=AGAIN) from err
                    return store.save_failure(entry, self.key, Stage.PATCH, err.message)
                result = self._compiled(missing, tree, made, on_progress)
        if result.late:  # it may build with a longer deadline
            return NoBuild(
                stage=Stage.BUILD,
                reason=result.error,
                log=str(store.keep_log(log, self.key) or ""),
                infra=True,
                hint=f"{words(Building, deadline='compile=SECONDS')}, or {AGAIN}",
            )
        if result.error:
            return store.save_failure(entry, self.key, Stage.BUILD, result.error)
        for program in missing:
            store.save_program(out / binary(program), self.programs[program])
        if self.recipe.cover:
            store.mark_instrumented(entry)
        store.link_programs(entry, {binary(p): key for p, key in self.programs.items()})
        return store.save(entry, self._meta(result))

    def _compiled(
        self, programs: Sequence[str], tree: Path, made: Path, on_progress: Progress
    ) -> Compiled:
        """Compile *programs* into ``made/out``. Raises `InfraFailed`, and keeps the log then."""
        log = made / "entry" / "build.log"
        expected = store.expected_packages()
        try:
            return compile_tree(
                tree,
                made / "out",
                toolchain=self.toolchain,
                recipe=self.recipe.only(programs),
                # A module's zip may contain vendor/modules.txt, but never the rest of vendor/.
                vendored=self.source.kind == "git" and (tree / "vendor/modules.txt").is_file(),
                log=log,
                timeout=self.seconds,
                on_package=lambda done: on_progress(done, expected),
                say=self.say,
            )
        except InfraFailed as err:
            kept = store.keep_log(log, self.key)
            hint = f"less {kept}, then {err.hint}" if kept else err.hint
            raise InfraFailed(err.message, hint=hint) from err

    def _meta(self, result: Compiled) -> dict[str, Any]:
        binaries = {p: store.program(k, self.recipe.binary(p)) for p, k in self.programs.items()}
        sums = {
            f"{p}_sha256": store.file_sha256(binary) if (binary := binaries.get(p)) else ""
            for p in ("buildkitd", "buildctl")
        }
        return {
            "key": self.key,
            "go": self.toolchain.version,
            "source": self.source.kind,
            "seconds": round(result.seconds, 2),
            "packages": result.packages,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **sums,
        }
