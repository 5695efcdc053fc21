"""Hundreds of bad inputs, written and generated: each gives one message and changes nothing.

All use the real command line in this process, because a start takes half a second;
`test_bad_input.py` runs a sample as a user does.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import bad_inputs
from buildkit_bisect import scenario
from buildkit_bisect.cli.line import normal
from buildkit_bisect.cli.program import Inv
from buildkit_bisect.system import checkout
from golang_repo import buildkit_like
from tool import figure

pytestmark = [pytest.mark.system, pytest.mark.alone]

MATRIX = ("matrix", "--revs=master")

#: Number of inputs that must be tried; the last test counts them.
ENOUGH = 150

MADE = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@dataclass(kw_only=True)
class World:
    """Files that no bad input may change, and how many inputs were tried."""

    home: Path  # cache, results, the user's repository, patches, scenarios
    tried: int = 0
    codes: set[int] = field(default_factory=set)

    @property
    def repo(self) -> str:
        return str(self.home / "upstream")

    def run(self, *words: str) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr of a command line."""
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                argv = ["inv", "--search-root", str(checkout.PROJECT), *words]
                Inv().run(normal(argv))
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int)
        return code, out.getvalue(), err.getvalue()

    def refuses(self, *words: str) -> str:
        """Return the only message; check exit 2, 3 or 4, no traceback, nothing on stdout."""
        code, out, err = self.run(*words)
        assert code in (2, 3, 4), (words, code, out, err)
        assert out == "", (words, out)
        assert "Traceback" not in err, (words, err)
        errors = re.findall(r"^error: .*", err, re.MULTILINE)
        assert len(errors) == 1, (words, err)
        assert err.count("\n") <= 12, (words, err)  # a source may print a line first
        assert len(err) < 3000, (words, len(err))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", err), (words, err)
        self.tried += 1
        self.codes.add(code)
        return str(errors[0])

    def git_options(self) -> list[str]:
        return ["--repo", self.repo, "--source", "git", "--dry-run"]


def _content(*roots: Path, but_for: str = "") -> dict[str, str]:
    """Return every file and its content, without locks, empty folders and compiled Python.

    Files that SQLite keeps while a database is open do not count either.
    """
    found = {}
    for root in roots:
        for folder, folders, files in os.walk(root):
            skipped = ("__pycache__", ".venv", ".hypothesis", but_for)
            folders[:] = [f for f in folders if f not in skipped and not f.endswith("_cache")]
            for name in files:
                path = Path(folder) / name
                if path.is_symlink():
                    found[str(path)] = str(path.readlink())
                elif path.is_file() and not path.name.endswith((".lock", "-shm", "-wal")):
                    found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("world")
    buildkit_like(home / "upstream")
    (home / "results").mkdir()
    bad_inputs.write_campaigns(home / "results")
    handlers = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("BKBISECT_")]:
            patch.delenv(name)
        patch.setenv("PATH", os.environ["PATH"])
        patch.setenv("BKBISECT_CACHE_DIR", str(home / "cache"))
        patch.setenv("BKBISECT_OUT", str(home / "results"))
        patch.setenv("BKBISECT_NO_INSTALL", "1")
        patch.setenv("DOCKER_HOST", "unix:///nowhere")
        # GitHub is the repository itself, which has no pull request.
        (home / "github" / "moby").mkdir(parents=True)
        (home / "github" / "moby" / "buildkit.git").symlink_to(home / "upstream" / ".git")
        (home / ".gitconfig").write_text(
            f'[url "file://{home}/github/"]\n    insteadOf = https://github.com/\n'
        )
        patch.setenv("HOME", str(home))
        found = World(home=home)
        # Store what valid commands remember about the repository, which bad ones may store too.
        for good in (("bisect", "--good=v0.1.0", "--bad=master"), MATRIX):
            code, _, err = found.run(*good, *found.git_options())
            assert code == 0, err
        gc.collect()  # closes the journal, which writes it a last time
        yield found
    for sign, handler in handlers.items():
        signal.signal(sign, handler)


@pytest.fixture(autouse=True)
def _nothing_changes(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    before = _content(world.home)
    yield
    assert _content(world.home) == before


@pytest.fixture(scope="module", autouse=True)
def _nor_the_checkout() -> Iterator[None]:
    before = _content(checkout.PROJECT, but_for=".git")  # there may be a commit meanwhile
    yield
    assert _content(checkout.PROJECT, but_for=".git") == before


def _name(words: Sequence[str]) -> str:
    return " ".join(words)[:60].encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("words", bad_inputs.COMMAND_LINES, ids=_name)
def test_a_command_line(world: World, words: tuple[str, ...]) -> None:
    world.refuses(*(w.replace("REPO", world.repo) for w in words))


@pytest.mark.parametrize("task", bad_inputs.WITH_A_REVISION, ids=_name)
@pytest.mark.parametrize("ref", bad_inputs.REVISIONS, ids=lambda r: _name([r]))
def test_a_revision(world: World, task: tuple[str, ...], ref: str) -> None:
    dry = () if task[0] in ("build", "patch-check", "patch-new") else ("--dry-run",)
    words = [w.replace("REF", ref) for w in task]
    where = ("--repo", world.repo)
    world.refuses(*words, *where, *dry)


@pytest.mark.parametrize(("variable", "value"), bad_inputs.ENVIRONMENT)
def test_an_environment_twin(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    # The other twins are valid; the option itself is not given, since it would take precedence.
    for name, good in {"REPO": world.repo, "REVS": "master", "DRY_RUN": "1"}.items():
        monkeypatch.setenv(f"BKBISECT_{name}", good)
    monkeypatch.setenv(f"BKBISECT_{variable}", value)
    world.refuses("matrix")


@pytest.mark.parametrize(("variable", "value", "words"), bad_inputs.ADDRESSES, ids=str)
def test_an_address_in_the_environment(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: tuple[str, ...],
) -> None:
    if variable == "DOCKER_CONTEXT":
        monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv(variable, value)
    world.refuses(*words)


@pytest.mark.parametrize(("old", "new"), bad_inputs.SCENARIO_EDITS)
def test_a_scenario_file(world: World, tmp_path: Path, old: str, new: str) -> None:
    folder = _scenarios(tmp_path)
    text = folder.read_text()
    assert old in text
    folder.write_text(text.replace(old, new, 1))
    error = world.refuses(*MATRIX, "--scenario", str(folder.parent), *world.git_options())
    assert str(folder) in error


@pytest.mark.parametrize("data", bad_inputs.SCENARIO_FILES)
def test_a_file_that_is_not_a_scenario(world: World, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "scenario.toml").write_bytes(data)
    error = world.refuses(*MATRIX, "--scenario", str(tmp_path), *world.git_options())
    assert str(tmp_path) in error


@pytest.mark.parametrize("name", ["directory", "loop", "fifo-less", "unreadable"])
def test_a_scenario_whose_dockerfile_cannot_be_used(
    world: World, tmp_path: Path, name: str
) -> None:
    file = _scenarios(tmp_path).parent / "build.Dockerfile"
    file.unlink()
    match name:
        case "directory":
            file.mkdir()
        case "loop":
            file.symlink_to(file)
        case "unreadable":
            file.symlink_to("/proc/1/mem")
        case _:
            file.symlink_to("/etc/passwd")
    world.refuses(*MATRIX, "--scenario", str(file.parent), *world.git_options())


@pytest.mark.parametrize(("toml", "diff"), bad_inputs.PATCHES)
def test_a_patch(world: World, tmp_path: Path, toml: bytes, diff: bytes | None) -> None:
    _patch(tmp_path / "mine", toml, diff)
    error = world.refuses(*MATRIX, "--patches", str(tmp_path / "mine"), *world.git_options())
    assert re.search(r"mine|a\.patch|patch\.toml|no patch", error)
    world.refuses("patch-check", "--into", str(tmp_path), "--repo", world.repo)


def test_a_diff_that_is_a_symlink_out_of_its_folder(world: World, tmp_path: Path) -> None:
    _patch(tmp_path / "mine", b'title = "x"\n', None)
    (tmp_path / "mine" / "a.patch").symlink_to("/etc/passwd")
    world.refuses(*MATRIX, "--patches", str(tmp_path / "mine"), *world.git_options())


# --- generated by hypothesis -----------------------------------------------------------------

#: Any text that argv can contain: no NUL, undecodable bytes as surrogates.
TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=[])
    | st.sampled_from("-:;,=/.$`'\"\\\n\x1b~^@{}[]*?"),
    min_size=1,
    max_size=40,
).filter(lambda text: not any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) < 0xE000 for c in text))


@MADE
@given(TEXT)
@example("--upload-pack=touch x")
@example("\udcff\udc80")
def test_any_text_as_a_revision(world: World, text: str) -> None:
    assume(text.strip() not in ("", "HEAD", "@") and not set(text) & set(","))
    world.refuses("run", f"--rev={text}~^{{/x}}", *world.git_options())
    assume(not re.fullmatch(r"[\w.^~@-]+", text))
    world.refuses("run", f"--rev={text}", *world.git_options())


@MADE
@given(TEXT, st.sampled_from(["scenario", "patches", "runtime", "source", "images", "axis"]))
@example("a" * 5000, "scenario")
@example("\udcff", "patches")
@example("[" * 300, "axis")
def test_any_text_as_a_name(world: World, text: str, option: str) -> None:
    assume(text.strip(", \t\n"))
    assume(not (option in ("scenario", "patches") and set(text) <= set("./, \n\t")))
    world.refuses("run", "--rev=master", f"--{option}={text}", *world.git_options())


@MADE
@given(TEXT, st.sampled_from(["trials", "jobs"]))
def test_any_text_as_a_number(world: World, text: str, option: str) -> None:
    with contextlib.suppress(ValueError):
        assume(not 0 < int(text) < 1000)
    world.refuses("run", "--rev=master", f"--{option}={text}", *world.git_options())


@MADE
@given(TEXT)
def test_any_text_as_a_repository(world: World, text: str) -> None:
    assume(text.strip() and not Path(text.strip()).is_absolute() and "://" not in text)
    assume("@" not in text)  # a valid ssh address, which would be contacted
    assume(not set(text.strip()) <= set("./~"))
    world.refuses("run", "--rev=master", "--source=git", "--dry-run", f"--repo={text}/none")


@MADE
@given(TEXT)
def test_any_text_as_a_campaign(world: World, text: str) -> None:
    assume(text.strip("./ \t\n") and not text.startswith("-"))
    for task in ("report", "status", "resume"):
        world.refuses(task, f"none-{text}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def _toml(value: object) -> str:
    match value:
        case bool() | int() | float():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in value.items())}}}"
    return json.dumps("" if value is None else str(value).encode(errors="replace").decode())


KEYS = st.sampled_from(
    ["schema", "extends", "name", "axes", "vars", "images", "daemon", "steps", "outcomes", "other"]
)


@MADE
@given(key=KEYS, value=VALUES)
@example(key="extends", value=[1])
@example(key="axes", value={"a": {"values": "abc"}})
@example(key="steps", value={})
@example(key="images", value={"x": {"dockerfile": ["a"]}})
def test_any_value_in_a_scenario(world: World, tmp_path: Path, key: str, value: object) -> None:
    folder = tmp_path / "made"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(checkout.SCENARIOS / "_cross-stage" / "Dockerfile", folder / "Dockerfile")
    lines = ["schema = 1", 'name = "made"', 'title = "x"', 'issue = "https://x"']
    lines = [line for line in lines if not line.startswith(f"{key} ")]
    (folder / "scenario.toml").write_text("\n".join([*lines, f"{key} = {_toml(value)}"]) + "\n")
    world.refuses(*MATRIX, "--scenario", str(folder), *world.git_options())


META = ["title", "claim", "issue", "requires", "diffs", "files", "series", "other", "fixed-by"]


@MADE
@given(key=st.sampled_from(META), value=VALUES)
def test_any_value_in_a_patch(world: World, tmp_path: Path, key: str, value: object) -> None:
    assume(not (key == "title" and isinstance(value, str)))
    toml = "" if key == "title" else 'title = "x"\n'
    _patch(tmp_path / "made", f"{toml}{key} = {_toml(value)}\n".encode(), b"no diff\n")
    world.refuses(*MATRIX, "--patches", str(tmp_path / "made"), *world.git_options())


@MADE
@given(st.binary(max_size=200))
@example(b"\xff\xfe--- a/x\n")
def test_any_bytes_as_a_diff(world: World, tmp_path: Path, data: bytes) -> None:
    _patch(tmp_path / "made", b'title = "x"\n', data)
    world.refuses(*MATRIX, "--patches", str(tmp_path / "made"), *world.git_options())


@MADE
@given(st.integers(0, len(bad_inputs.GOOD_DIFF)), st.integers(0, 30), st.binary(max_size=8))
def test_a_diff_with_bytes_changed_never_crashes(
    world: World, tmp_path: Path, at: int, cut: int, put: bytes
) -> None:
    """The result may still be a valid diff; in any case there is an answer and no change."""
    data = bad_inputs.GOOD_DIFF[:at] + put + bad_inputs.GOOD_DIFF[at + cut :]
    _patch(tmp_path / "made", b'title = "x"\n', data)
    words = (*MATRIX, "--patches", str(tmp_path / "made"), *world.git_options())
    code, _, err = world.run(*words)
    assert code in (0, 2, 3, 4), (data, err)
    assert "Traceback" not in err
    world.tried += code != 0


def test_enough_inputs_were_tried(world: World) -> None:
    assert world.tried >= ENOUGH
    assert world.codes <= {2, 3, 4}
    figure(
        "bad inputs to the command line, the environment, scenario and patch files",
        f"{world.tried} refused, each with one message; exit codes"
        f" {', '.join(map(str, sorted(world.codes)))}; 0 tracebacks, 0 files changed",
    )


def _scenarios(tmp_path: Path) -> Path:
    """Copy a shipped scenario into one file, since only shipped ones may use `extends`."""
    folder = tmp_path / "single-chain"
    shutil.copytree(checkout.SCENARIOS / "single-chain", folder)
    assert scenario.load(str(folder)).name == "single-chain"
    return folder / "scenario.toml"


def _patch(folder: Path, toml: bytes, diff: bytes | None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "patch.toml").write_bytes(toml)
    if diff is not None:
        (folder / "a.patch").write_bytes(diff)
