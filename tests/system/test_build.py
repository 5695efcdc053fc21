from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildkit_bisect.builds import Builder, Recipe, history
from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted, host_arch
from buildkit_bisect.model import Build, NoBuild, Stage, Variant
from buildkit_bisect.patch import patches
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.machine_lock import machine_lock
from golang_repo import GO, MODULE, GolangRepo, buildkit_like, words

pytestmark = [pytest.mark.system, pytest.mark.alone]

_SHARED = ("toolchains", "gocache", "gomod")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    Toolchains().find(GoWanted(minor=(1, int(GO.split(".")[1]))))
    return buildkit_like(tmp_path_factory.mktemp("template") / "upstream")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a separate cache, with links to the expensive parts of the user's."""
    shared = {name: paths.cache(name) for name in _SHARED}
    (tmp_path / "cache").mkdir()
    for name, path in shared.items():
        (tmp_path / "cache" / name).symlink_to(path)
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def repo(template: GolangRepo, tmp_path: Path) -> GolangRepo:
    return template.copy(tmp_path / "upstream")


@pytest.fixture
def source(repo: GolangRepo) -> GitSource:
    return GitSource.open(str(repo.path))


@pytest.fixture
def builder(source: GitSource) -> Builder:
    return Builder(source=source)


def variant(source: GitSource, ref: str, *chosen: patches.Patch) -> Variant:
    return Variant(revision=source.resolve(ref), patches=tuple(p.ref for p in chosen))


def make_patch(folder: Path, repo: GolangRepo, ref: str, path: str, text: str) -> patches.Patch:
    """Return a patch that changes the content of *path* at *ref* to *text*."""
    folder.mkdir(parents=True)
    (folder / "patch.toml").write_text('title = "test"\n')
    old = folder / "old"
    old.write_text(repo.git("show", f"{ref}:{path}") + "\n")
    (folder / "new").write_text(text)
    done = subprocess.run(
        [
            "/usr/bin/env",
            "diff",
            "-u",
            "--label",
            f"a/{path}",
            "--label",
            f"b/{path}",
            "old",
            "new",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / "it.patch").write_text(done.stdout)
    return patches.load(str(folder))


def ran(build: Build | NoBuild, program: str = "buildkitd") -> str:
    assert isinstance(build, Build), build
    return subprocess.run(
        [f"{build.directory}/{program}"], capture_output=True, text=True, check=True
    ).stdout.strip()


def leftovers() -> list[str]:
    found = [p.name for p in paths.cache("tmp").iterdir()]
    return found + [str(p) for p in paths.cache("mirrors").glob("*/worktrees/*")]


def test_binaries_with_constant_versions(builder: Builder, source: GitSource) -> None:
    build = builder.build(variant(source, "v0.1.0"))
    assert ran(build) == "buildkitd cached v0.0.0+bkbisect bkbisect"
    assert ran(build, "buildctl").startswith("buildctl cached")
    assert isinstance(build, Build)
    assert build.go.startswith(f"{GO}.")
    assert build.source == "git"
    assert not build.reused
    assert build.seconds > 0
    assert (Path(build.directory) / "build.log").is_file()
    assert [b.key for b in history()] == [build.key]
    assert leftovers() == []


def test_a_second_request_starts_no_process(
    builder: Builder, source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = variant(source, "v0.1.0")
    assert builder.cached(asked) is None
    first = builder.build(asked)
    monkeypatch.setenv("PATH", "")  # any child process fails now
    took = []
    for _ in range(5):
        started = time.perf_counter()
        second = pickle.loads(pickle.dumps(builder)).build(asked)  # noqa: S301
        took.append(time.perf_counter() - started)
    assert min(took) < 0.05
    assert isinstance(first, Build)
    assert isinstance(second, Build)
    assert (second.key, second.reused) == (first.key, True)


def test_commits_with_the_same_inputs_are_one_build(builder: Builder, source: GitSource) -> None:
    builds = [builder.build(variant(source, ref)) for ref in ("v0.2.0", "master")]
    assert isinstance(builds[0], Build)
    assert isinstance(builds[1], Build)
    assert builds[0].directory == builds[1].directory
    assert builds[1].reused
    assert len(history()) == 1


def test_another_directory_gives_the_same_bytes(builder: Builder, source: GitSource) -> None:
    asked = variant(source, "v0.1.0")
    first = builder.build(asked)
    for name in ("builds", "programs", "trees"):
        shutil.rmtree(paths.cache(name))
    (paths.cache_root() / "gocache").unlink()  # no stored build to copy
    second = builder.build(asked)
    assert isinstance(first, Build)
    assert isinstance(second, Build)
    assert not second.reused
    assert second.packages > 20
    assert second.buildkitd_sha256 == first.buildkitd_sha256
    assert second.buildctl_sha256 == first.buildctl_sha256


def test_the_users_go_settings_do_not_change_the_bytes(
    builder: Builder, source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = variant(source, "v0.1.0")
    first = builder.build(asked)
    for name in ("builds", "programs"):
        shutil.rmtree(paths.cache(name))
    settings = {"GOFLAGS": "-race -tags=x", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOOS": "windows"}
    for name, value in (settings | {"GOEXPERIMENT": "nope", "GOWORK": "/nowhere"}).items():
        monkeypatch.setenv(name, value)
    second = builder.build(asked)
    assert isinstance(first, Build)
    assert isinstance(second, Build)
    assert second.buildkitd_sha256 == first.buildkitd_sha256


def test_a_commit_that_does_not_compile(
    builder: Builder, repo: GolangRepo, source: GitSource
) -> None:
    asked = variant(source, repo.commits["broken"])
    failed = builder.build(asked)
    assert isinstance(failed, NoBuild)
    assert failed.stage == "build"
    assert failed.reason == "solver/extra.go:3:9: undefined: missing"
    assert "undefined: missing" in Path(failed.log).read_text()
    assert builder.cached(asked) == failed
    assert leftovers() == []


def test_a_missing_package(tmp_path: Path) -> None:
    repo = GolangRepo.create(tmp_path / "r")
    repo.commit(
        "imports", {"solver/more.go": 'package solver\n\nimport _ "example.org/not/vendored"\n'}
    )
    source = GitSource.open(str(repo.path))
    failed = Builder(source=source).build(variant(source, "master"))
    assert isinstance(failed, NoBuild)
    assert failed.reason.startswith("solver/more.go:3:8: ")
    assert "example.org/not/vendored" in failed.reason


def test_a_patch_changes_only_the_patched_build(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    patch = make_patch(tmp_path / "p", repo, "v0.2.0", "util/words/words.go", words("fixed"))
    builder = Builder(source=source, patches=[patch])
    plain = builder.build(variant(source, "v0.2.0"))
    patched = builder.build(variant(source, "v0.2.0", patch))
    assert (ran(plain).split()[1], ran(patched).split()[1]) == ("ran", "fixed")
    assert isinstance(patched, Build)
    assert isinstance(plain, Build)
    assert patched.key != plain.key
    failed = builder.build(variant(source, "v0.1.0", patch))
    assert isinstance(failed, NoBuild)
    assert failed.stage == "patch"
    assert "does not apply: patch failed: util/words/words.go:" in failed.reason
    assert builder.cached(variant(source, "v0.1.0", patch)) == failed
    repo.commit("fixed", {"util/words/words.go": words("fixed")})
    there = builder.build(variant(GitSource.open(str(repo.path)), "master", patch))
    assert there == NoBuild(stage=Stage.PATCH, reason="p is already applied")
    assert leftovers() == []
    with pytest.raises(BadInput, match="does not have patch p"):
        Builder(source=source).build(variant(source, "v0.2.0-rc1", patch))


def only_of_the_daemon(repo: GolangRepo) -> str:
    """Commit a change that only buildkitd is built from; return its text."""
    text = repo.git("show", "master:cmd/buildkitd/main.go").replace("Answer()", "Answer(), 1")
    repo.commit("daemon", {"cmd/buildkitd/main.go": f"{text}\n"})
    return text


def test_buildctl_is_linked_only_where_its_inputs_changed(repo: GolangRepo) -> None:
    only_of_the_daemon(repo)
    repo.tag("v0.4.0")
    source = GitSource.open(str(repo.path))
    before, after = (Builder(source=source).build(variant(source, r)) for r in ("v0.2.0", "v0.4.0"))
    assert isinstance(before, Build)
    assert isinstance(after, Build)
    assert ran(after) == "buildkitd ran 1 v0.0.0+bkbisect bkbisect"
    assert before.buildkitd_sha256 != after.buildkitd_sha256
    assert before.buildctl_sha256 == after.buildctl_sha256
    assert programs(before) == [*programs(after)[:1], *programs(before)[1:]]
    assert len(list(paths.cache("programs").iterdir())) == 3
    assert "cmd/buildctl" not in (Path(after.directory) / "build.log").read_text()


def programs(build: Build) -> list[str]:
    """Return the paths of buildctl and buildkitd."""
    return [str((Path(build.directory) / p).resolve()) for p in ("buildctl", "buildkitd")]


def test_a_removed_program_is_linked_again(builder: Builder, source: GitSource) -> None:
    asked = variant(source, "v0.1.0")
    first = builder.build(asked)
    assert isinstance(first, Build)
    shutil.rmtree(Path(programs(first)[0]).parent)
    assert builder.cached(asked) is None
    again = builder.build(asked)
    assert isinstance(again, Build)
    assert ran(again, "buildctl").startswith("buildctl cached")
    assert programs(again) == programs(first)
    assert (again.key, again.buildctl_sha256) == (first.key, first.buildctl_sha256)


def test_a_patch_of_one_program(repo: GolangRepo, tmp_path: Path) -> None:
    """The other is the one without it; and a patch of neither is still another build."""
    text = repo.git("show", "master:cmd/buildkitd/main.go").replace("Answer()", "Answer(), 1")
    one = make_patch(tmp_path / "one", repo, "master", "cmd/buildkitd/main.go", f"{text}\n")
    neither = make_patch(tmp_path / "neither", repo, "master", "README.md", "patched\n")
    source = GitSource.open(str(repo.path))
    builder = Builder(source=source, patches=[one, neither])
    plain, patched, other = (
        builder.build(variant(source, "master", *p)) for p in ((), (one,), (neither,))
    )
    assert isinstance(plain, Build)
    assert isinstance(patched, Build)
    assert isinstance(other, Build)
    assert ran(patched) == "buildkitd ran 1 v0.0.0+bkbisect bkbisect"
    assert programs(plain)[0] == programs(patched)[0]
    assert programs(plain)[1] != programs(patched)[1]
    assert plain.key != other.key
    failed = builder.build(variant(source, "v0.1.0", neither))
    assert isinstance(failed, NoBuild)
    assert failed.stage == "patch"
    assert ran(builder.build(variant(source, "v0.1.0"))).startswith("buildkitd cached")


def difference(folder: Path, repo: GolangRepo, files: dict[str, str | None]) -> patches.Patch:
    """Return a patch that changes *files* of the current commit, which stays the current one."""
    folder.mkdir(parents=True)
    before = repo.git("rev-parse", "HEAD")
    repo.commit("changed", files)
    repo.git("diff", "-M", f"--output={folder / 'it.patch'}", before, "HEAD")
    (folder / "patch.toml").write_text('title = "test"\n')
    repo.git("reset", "--quiet", "--hard", before)
    return patches.load(str(folder))


@pytest.mark.parametrize("order", [("v0.1.0", "docs"), ("docs", "v0.1.0")])
def test_a_patch_that_fits_the_programs_alone(
    order: tuple[str, str], repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    """Two commits with the same programs have different documents, and the patch changes one."""
    repo.git("reset", "--quiet", "--hard", "v0.1.0")
    both = {"README.md": "patched\n", "util/words/words.go": words("fixed")}
    builder = Builder(source=source, patches=[difference(tmp_path / "p", repo, dict(both))])
    made = {}
    for ref in order:
        asked = variant(source, repo.commits.get(ref, ref), *builder.patches)
        made[ref] = builder.build(asked)
    assert ran(made["v0.1.0"]).startswith("buildkitd fixed")
    failed = made["docs"]
    assert isinstance(failed, NoBuild)
    assert "patch failed: README.md:1" in failed.reason


def prints_what_was(repo: GolangRepo, path: str, text: str) -> list[str]:
    """Commit *text* twice, which says FIRST and then SECOND; no program is built from *path*."""
    return [repo.commit(word, {path: text.replace("WORD", word)}) for word in ("FIRST", "SECOND")]


def test_a_patch_that_moves_a_file_into_a_program(repo: GolangRepo, tmp_path: Path) -> None:
    """What it holds is in no line of the patch, and in no input of the commit."""
    more = 'package words\n\nconst More = "WORD"\n'
    first, second = prints_what_was(repo, "docs/more.txt", more)
    files = {
        "docs/more.txt": None,
        "util/words/more.go": more.replace("WORD", "SECOND"),
        "util/words/words.go": "package words\n\nconst Cached = More\n",
    }
    patch = difference(tmp_path / "p", repo, files)
    assert "similarity index 100%" in patch.diffs[0].text
    source = GitSource.open(str(repo.path))
    builder = Builder(source=source, patches=[patch])
    for commit, word in ((first, "FIRST"), (second, "SECOND")):
        assert ran(builder.build(variant(source, commit, patch))).split()[1] == word


_USES = f'import "{MODULE}/util/unused"\n\n// */\nfunc init() {{ println(unused.X) }}\n'
_EMBEDS = 'import _ "embed"\n\n// EMBED\nvar data string\n\nfunc init() { println(data) }\n'
_OTHERS = ("util/unused/unused.go", 'package unused\n\nconst X = "WORD"\n')

#: A file of the solver, what a patch changes in it, and what it then depends on.
REVEALS = {
    "constraint": (f"//go:build ignore\n\npackage solver\n\n{_USES}", ("ignore", "linux"), _OTHERS),
    "comment": (f"package solver\n\n/*\n{_USES}", ("/*\n", ""), _OTHERS),
    "embed": (
        f"package solver\n\n{_EMBEDS}",
        ("// EMBED", "//go:embed data.txt"),
        ("solver/data.txt", "WORD"),
    ),
}


@pytest.mark.parametrize("kind", REVEALS)
def test_a_patch_that_reveals_what_no_added_line_names(
    kind: str, repo: GolangRepo, tmp_path: Path
) -> None:
    hidden, change, other = REVEALS[kind]
    repo.commit("hidden", {"solver/hidden.go": hidden})
    commits = prints_what_was(repo, *other)
    shown: dict[str, str | None] = {"solver/hidden.go": hidden.replace(*change)}
    patch = difference(tmp_path / "p", repo, shown)
    source = GitSource.open(str(repo.path))
    assert len({source.inputs(source.resolve(c))["buildkitd"] for c in commits}) == 1
    builder = Builder(source=source, patches=[patch])
    for commit, word in zip(commits, ("FIRST", "SECOND"), strict=True):
        build = builder.build(variant(source, commit, patch))
        assert isinstance(build, Build), build
        daemon = [f"{build.directory}/buildkitd"]
        done = subprocess.run(daemon, capture_output=True, text=True, check=True)
        assert done.stderr.strip() == word


def test_a_tree_with_a_patch_is_as_before_for_the_next_build(
    repo: GolangRepo, source: GitSource, tmp_path: Path
) -> None:
    patch = make_patch(tmp_path / "p", repo, "v0.2.0", "util/words/words.go", words("fixed"))
    builder = Builder(source=source, patches=[patch])
    for chosen, said in (((patch,), "fixed"), ((), "ran")):
        assert ran(builder.build(variant(source, "v0.2.0", *chosen))).split()[1] == said
    assert [p.name for p in paths.cache("trees").iterdir()] == ["0"]


def sections(build: Build | NoBuild) -> str:
    assert isinstance(build, Build), build
    binary = Path(build.directory) / "buildkitd"
    return "".join(s for s in (".symtab", ".debug_info") if s.encode() in binary.read_bytes())


PANICS = """package solver

// Answer panics in a function of its own.
func Answer() string {
	var none map[string]string
	return fill(none)
}

//go:noinline
func fill(none map[string]string) string {
	none["a"] = "b"
	return none["a"]
}
"""


def test_a_stack_trace_needs_no_debug_information(repo: GolangRepo) -> None:
    repo.commit("panics", {"solver/solver.go": PANICS})
    source = GitSource.open(str(repo.path))
    asked = variant(source, "master")
    traces = []
    for debug_info in (False, True):
        recipe = Recipe(goarch=host_arch(), debug_info=debug_info)
        build = Builder(source=source, recipe=recipe).build(asked)
        assert bool(sections(build)) is debug_info
        assert isinstance(build, Build)
        done = subprocess.run(
            [f"{build.directory}/buildkitd"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        traces.append(re.sub(r"0x[0-9a-f]+", "0x", done.stderr))
    assert traces[0] == traces[1]
    for part in (
        "panic: assignment to entry in nil map",
        "goroutine 1 [running]:",
        "github.com/moby/buildkit/solver.fill(",
        "github.com/moby/buildkit/solver/solver.go:11 +0x",
        "github.com/moby/buildkit/cmd/buildkitd/main.go:11 +0x",
    ):
        assert part in traces[0]


def test_a_missing_toolchain_is_a_reason_and_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = GolangRepo.create(tmp_path / "r", go="1.99")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("GOPROXY", "off")
    source = GitSource.open(str(repo.path))
    failed = Builder(source=source).build(variant(source, "master"))
    assert isinstance(failed, NoBuild)
    assert failed.stage == "toolchain"
    assert failed.reason.startswith("cannot find Go 1.99: PATH has ")
    assert Builder(source=source).cached(variant(source, "master")) is None


def never_compiled(repo: GolangRepo) -> None:
    """Commit a file that no Go cache on this machine has compiled."""
    repo.commit("new", {"util/words/words.go": words(str(time.time_ns()))})


def test_progress_counts_packages(repo: GolangRepo) -> None:
    never_compiled(repo)
    source = GitSource.open(str(repo.path))
    builder = Builder(source=source)
    seen: list[tuple[int, int]] = []
    first = builder.build(variant(source, "master"), lambda *now: seen.append(now))
    assert isinstance(first, Build)
    assert first.packages >= 4  # words, solver and the two programs
    assert [done for done, _ in seen] == list(range(1, first.packages + 1))
    assert {expected for _, expected in seen} == {0}  # nothing was built here before
    seen.clear()
    never_compiled(repo)
    builder.build(variant(GitSource.open(str(repo.path)), "master"), lambda *now: seen.append(now))
    assert {expected for _, expected in seen} == {first.packages}


def test_a_compile_that_times_out_is_tried_again(repo: GolangRepo) -> None:
    never_compiled(repo)
    source = GitSource.open(str(repo.path))
    asked = variant(source, "master")
    late = Builder(source=source, deadlines=Deadlines(compile=0.01)).build(asked)
    assert isinstance(late, NoBuild)
    assert (late.stage, late.reason) == ("build", "go build was still running after 0.01 s")
    assert late.log == "" or Path(late.log).exists()
    assert Builder(source=source).cached(asked) is None
    assert leftovers() == []
    assert isinstance(Builder(source=source).build(asked), Build)


def test_a_full_disk_is_infrastructure(builder: Builder, source: GitSource) -> None:
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    asked = variant(source, "v0.1.0")
    tmp = paths.cache("tmp")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp)]
    subprocess.run(["/usr/bin/env", *mount], check=True)
    try:
        with pytest.raises(InfraFailed, match=r"(?i)no space left on device"):
            builder.build(asked)
        assert leftovers() == []
    finally:
        subprocess.run(["/usr/bin/env", "umount", str(tmp)], check=True)
    assert builder.cached(asked) is None


def _build_and_report(
    builder: Builder, asked: Variant, answers: multiprocessing.Queue[str]
) -> None:
    build = builder.build(asked)
    assert isinstance(build, Build)
    answers.put(f"{build.key} {build.reused}")


def test_concurrent_processes_compile_once(builder: Builder, source: GitSource) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    asked = variant(source, "v0.1.0")
    children = [
        context.Process(target=_build_and_report, args=(builder, asked, answers)) for _ in range(2)
    ]
    for child in children:
        child.start()
    found = sorted(answers.get(timeout=120).split() for _ in children)
    for child in children:
        child.join()
    assert found[0][0] == found[1][0]
    assert [s[1] for s in found] == ["False", "True"]
    assert leftovers() == []


@pytest.fixture
def killed(repo: GolangRepo) -> tuple[Builder, Variant]:
    """Return the variant whose build was killed while it compiled."""
    never_compiled(repo)
    source = GitSource.open(str(repo.path))
    builder, asked = Builder(source=source), variant(source, "master")
    script = (
        "import pickle, sys\n"
        "builder, asked = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "builder.build(asked, lambda done, _: print(done, flush=True))\n"
    )
    payload = pickle.dumps((builder, asked)).hex()
    child = subprocess.Popen([sys.executable, "-c", script, payload], stdout=subprocess.PIPE)
    assert child.stdout
    with child:
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    return builder, asked


def test_a_killed_build_leaves_neither_an_entry_nor_processes(
    killed: tuple[Builder, Variant],
) -> None:
    builder, asked = killed
    assert leftovers() != []
    assert builder.cached(asked) is None
    assert [p.name for p in paths.cache("builds").iterdir()] == []
    root = str(paths.cache_root())
    time.sleep(0.5)
    running = [
        p
        for p in Path("/proc").glob("[0-9]*/environ")
        if root in _text(p) and "GOTMPDIR" in _text(p)
    ]
    assert running == []
    build = builder.build(asked)  # the locks are free again
    assert isinstance(build, Build)
    assert not build.reused
    assert leftovers() == []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_a_compile_waits_for_a_trial(builder: Builder, source: GitSource) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(
        target=_build_and_report, args=(builder, variant(source, "v0.1.0"), answers)
    )
    with machine_lock():
        child.start()
        time.sleep(3)
        assert answers.empty()
        assert list(paths.cache("builds").glob("*/build.json")) == []
    assert answers.get(timeout=120).endswith("False")
    child.join()


def test_a_damaged_entry_is_built_again(builder: Builder, source: GitSource) -> None:
    asked = variant(source, "v0.1.0")
    build = builder.build(asked)
    assert isinstance(build, Build)
    (Path(build.directory) / "build.json").write_text("{")
    again = builder.build(asked)
    assert isinstance(again, Build)
    assert not again.reused
    assert again.directory == build.directory
    assert leftovers() == []
