"""The files that a test script declares: they are part of what its trials are known by."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario import Scenario, from_script, script_files

HEAD = "#!/bin/sh\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the script's folder, which is not the current directory."""
    made = tmp_path / "tests"
    (made / "data" / "deep").mkdir(parents=True)
    for name in ("helper.sh", "data/a.json", "data/b.json", "data/deep/c.txt", "data/.hidden"):
        (made / name).write_text(name)
    (tmp_path / "outside.sh").write_text("outside")
    monkeypatch.chdir(tmp_path)
    return made


def scenario(text: str = "", *, files: tuple[str, ...] = ()) -> Scenario:
    script = Path("tests/my-test.sh")
    script.write_text(HEAD + text)
    script.chmod(0o755)
    return from_script(str(script), timeout=5, files=files)


def names(made: Scenario) -> list[str]:
    first, *files = [file.name for file in made.files]
    assert first == "my-test.sh"
    return files


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ("helper.sh", ["helper.sh"]),
        ("./helper.sh data/../helper.sh", ["helper.sh"]),
        ("data/*.json helper.sh", ["data/a.json", "data/b.json", "helper.sh"]),
        ("'data/[b-z].json'", ["data/b.json"]),
        ("data", ["data/.hidden", "data/a.json", "data/b.json", "data/deep/c.txt"]),
        ("data/", ["data/.hidden", "data/a.json", "data/b.json", "data/deep/c.txt"]),
        ("data/*", ["data/a.json", "data/b.json", "data/deep/c.txt"]),
        ("data/**/*.txt", ["data/deep/c.txt"]),
        ("my-test.sh helper.sh", ["helper.sh"]),
    ],
)
def test_what_a_comment_declares(declared: str, found: list[str]) -> None:
    assert names(scenario(f"# bkbisect-files: {declared}\n")) == found


@pytest.mark.parametrize("lead", ["#", "  #  ", "//", "-- ", ";; ", "## "])
def test_comments_of_several_languages(lead: str) -> None:
    assert names(scenario(f"{lead}bkbisect-files: helper.sh\r\nexit 0\n")) == ["helper.sh"]


def test_several_comments_and_the_option_add_up(folder: Path) -> None:
    text = "# bkbisect-files: helper.sh\nexit 0\n# bkbisect-files: data/a.json\n"
    made = scenario(text, files=("tests/data/b.json", str(folder / "data" / "deep")))
    assert names(made) == ["data/a.json", "data/b.json", "data/deep/c.txt", "helper.sh"]


def test_odd_names(folder: Path) -> None:
    (folder / "a b.sh").write_text("x")
    (folder / "[x].sh").write_text("x")
    (folder / "x.sh").write_text("x")
    assert names(scenario("# bkbisect-files: 'a b.sh'\n")) == ["a b.sh"]
    # A file with that very name comes before a pattern.
    assert names(scenario("# bkbisect-files: [x].sh\n")) == ["[x].sh"]


def test_a_pattern_is_not_of_the_folder_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "[ab]" / "tests"
    odd.mkdir(parents=True)
    (odd / "one.json").write_text("1")
    monkeypatch.chdir(odd.parent)
    assert names(scenario("# bkbisect-files: *.json\n")) == ["one.json"]


def digest() -> str:
    return scenario("# bkbisect-files: helper.sh data\n").run_digest


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "helper.sh").write_text("other"),
        lambda folder: (folder / "helper.sh").chmod(0o600),
        lambda folder: (folder / "data" / "new").write_text(""),
        lambda folder: (folder / "data" / "a.json").rename(folder / "data" / "z.json"),
        lambda folder: (folder / "data" / "deep" / "c.txt").unlink(),
    ],
)
def test_contents_modes_and_names_count(folder: Path, change: Callable[[Path], object]) -> None:
    before = digest()
    assert digest() == before
    change(folder)
    assert digest() != before


def test_a_link_counts_as_a_link_to_what_it_leads_to(folder: Path) -> None:
    text = "# bkbisect-files: link.sh\n"
    (folder / "link.sh").symlink_to("../outside.sh")
    made = scenario(text)
    assert names(made) == ["link.sh"]
    assert made.files[1].link == "../outside.sh"
    (folder.parent / "outside.sh").write_text("new content")
    changed = scenario(text).run_digest
    assert changed != made.run_digest
    (folder / "link.sh").unlink()
    (folder / "link.sh").write_text("new content")
    assert scenario(text).run_digest != changed


def test_what_does_not_count(folder: Path) -> None:
    before = digest()
    (folder / "undeclared").write_text("x")
    os.utime(folder / "helper.sh", (1, 1))
    assert digest() == before


def test_the_name_the_mode_and_the_timeout_of_the_script_count(folder: Path) -> None:
    made = scenario()
    script = folder / "my-test.sh"
    assert from_script(str(script), timeout=6).run_digest != made.run_digest
    script.chmod(0o700)
    assert from_script(str(script), timeout=5).run_digest != made.run_digest
    script.chmod(0o755)
    assert from_script(str(script), timeout=5).run_digest == made.run_digest
    script.rename(folder / "other.sh")
    assert from_script(str(folder / "other.sh"), timeout=5).run_digest != made.run_digest


def test_trials_of_earlier_versions_do_not_count() -> None:
    """They were known by the script's content and the timeout alone."""
    made = scenario()
    assert made.run_digest != hashlib.sha256(HEAD.encode() + b" 5").hexdigest()


def odd_files(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("tests/socket")
    (folder / "lost").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "linked").symlink_to("data")
    (folder / "empty").mkdir()
    (folder / "inside").mkdir()
    (folder / "inside" / "linked").symlink_to("../data")
    (folder / "odd").mkdir()
    (folder / "odd" / "a\nb").write_text("")


@pytest.mark.parametrize(
    ("declared", "message", "hint"),
    [
        ("helpr.sh", "'helpr.sh' does not exist", "# bkbisect-files: helper.sh"),
        ("data/a.jsn", "'data/a.jsn' does not exist", "# bkbisect-files: data/a.json"),
        ("no/such", "'no/such' does not exist", "docs/usage.md"),
        ("helper.sh, data", "'helper.sh,' does not exist", "# bkbisect-files: helper.sh"),
        ("data/*.yaml", "'data/*.yaml' matches no file", "docs/usage.md"),
        ("empty", "'empty' has no files in it", "docs/usage.md"),
        ("../outside.sh", "'../outside.sh' is outside the folder of my-test.sh", "a link in that"),
        ("/etc/passwd", "'/etc/passwd' is outside the folder of my-test.sh", "a link in that fo"),
        ("'../*.sh'", "'../*.sh' is outside the folder of my-test.sh", "a link in that folder"),
        ("..", "is outside the folder of my-test.sh", "a link in that folder"),
        ("pipe", "'pipe' is neither a file nor a folder", "docs/usage.md"),
        ("socket", "'socket' is neither a file nor a folder", "docs/usage.md"),
        ("lost", "'lost' is a link that leads to no file", "docs/usage.md"),
        ("loop", "'loop' is a link that leads to no file", "docs/usage.md"),
        ("linked", "'linked' is a link to a folder", "# bkbisect-files: 'linked/*'"),
        (
            "inside",
            "'inside' has 'inside/linked', which is a link to",
            "# bkbisect-files: 'inside/",
        ),
        (".", "'.' has 'inside/linked', which is a link to a folder", "# bkbisect-files: "),
        ("odd", "has 'odd/a\\nb', which cannot be printed", "docs/usage.md"),
        ("", "is not a list of files", "# bkbisect-files: helper.sh 'data/*.json'"),
        ("'helper.sh", "is not a list of files", "# bkbisect-files: helper.sh 'data/*.json'"),
        ("''", "is not a list of files", "# bkbisect-files: helper.sh 'data/*.json'"),
        ("a\x1bb", "has characters that cannot be printed", "docs/usage.md"),
        ("x" * 5000, "does not exist", "docs/usage.md"),
    ],
)
def test_what_a_comment_cannot_declare(
    folder: Path, declared: str, message: str, hint: str
) -> None:
    odd_files(folder)
    with pytest.raises(BadInput) as raised:
        scenario(f"# bkbisect-files: {declared}\n")
    assert raised.value.message.startswith("my-test.sh: ")
    assert message in raised.value.message
    assert "\n" not in raised.value.message
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("helper.sh", "does not exist", "--script-files tests/helper.sh"),
        ("tests/helpr.sh", "does not exist", "--script-files tests/helper.sh"),
        ("outside.sh", "is outside the folder of my-test.sh", "a link in that folder"),
        ("tests/none*", "matches no file", "docs/usage.md"),
    ],
)
def test_what_the_option_cannot_declare(given: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as raised:
        scenario(files=(given,))
    assert raised.value.message == f"--script-files {given!r} {message}"
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "line",
    [
        "# bkbisect-file: helper.sh",
        "# bkbisect-files helper.sh",
        "# bkbisect_files: helper.sh",
        "#BKBISECT-FILES: helper.sh",
        "// bkbisect-script-files: helper.sh",
    ],
)
def test_a_misspelled_declaration_is_not_overlooked(line: str) -> None:
    with pytest.raises(BadInput, match="declares nothing: it must begin with bkbisect-files:"):
        scenario(f"{line}\n")


@pytest.mark.parametrize("line", ["# bkbisect runs this", "# BKBISECT_BUILDCTL is set", "exit 0"])
def test_other_comments_declare_nothing(line: str) -> None:
    assert names(scenario(f"{line}\n")) == []


def test_many_and_big_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = folder / "many"
    many.mkdir()
    for number in range(script_files.MOST_FILES):
        (many / str(number)).touch()
    text = "# bkbisect-files: many\n"
    assert len(names(scenario(text))) == script_files.MOST_FILES
    (many / "more").touch()
    for declared in (text, "# bkbisect-files: many/*\n"):
        with pytest.raises(BadInput, match="declares are more than 1000 files"):
            scenario(declared)
    with (folder / "big").open("wb") as file:
        file.truncate(script_files.MOST_BYTES)
    monkeypatch.setattr(script_files, "digested", lambda path, name: pytest.fail(f"read {path}"))
    with pytest.raises(BadInput, match="declares are more than 100 MB"):
        scenario("# bkbisect-files: big helper.sh\n")


def test_a_folder_that_is_reached_by_a_link(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "short").symlink_to(folder)
    made = scenario(files=("short/helper.sh",))
    assert names(made) == ["helper.sh"]


def test_a_compiled_program_declares_by_the_option_only(folder: Path) -> None:
    program = folder / "true"
    program.write_bytes(Path("/bin/true").read_bytes() + b"\n# bkbisect-files: none\n")
    program.chmod(0o755)
    made = from_script("tests/true", timeout=5, files=("tests/helper.sh",))
    assert [file.name for file in made.files] == ["true", "helper.sh"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('. "$(dirname "$0")/helper.sh"', ("helper.sh",)),
        ('here=$(dirname "$0")\n"$here/helper.sh" && cat $here/data/a.json',
         ("helper.sh", "data/a.json")),
        ('cd "$(dirname "$0")"\n. ./helper.sh', ("helper.sh",)),
        ('cd "${0%/*}"\nsh helper.sh', ("helper.sh",)),
        ('cat "${BASH_SOURCE%/*}"/data/*', ("data/",)),
        # Nothing there can be reached: it runs in another directory.
        ("sh helper.sh; cat data/a.json", ()),
        ('# see "$(dirname "$0")/helper.sh"', ()),
        ('echo "usage: $0"; mkdir data', ()),
        ('echo "$0/my-test.sh" /etc/passwd ../outside.sh', ()),
        ('# bkbisect-files: helper.sh data\n. "${0%/*}/helper.sh"; cat "${0%/*}"/data/a.json', ()),
        ('# bkbisect-files: data/a.json\ncp -r "${0%/*}"/data .', ()),
    ],
)  # fmt: skip
def test_a_file_that_is_named_and_not_declared(text: str, found: tuple[str, ...]) -> None:
    assert scenario(f"{text}\n").beside == found


def test_an_absolute_path_and_a_module_are_seen_too(folder: Path) -> None:
    assert scenario(f"cat {folder}/data/a.json\n").beside == ("data/a.json",)
    (folder / "lib.py").write_text("")
    python = folder / "test.py"
    python.write_text("#!/usr/bin/python3\nimport json\nimport lib\nfrom helper import x\n")
    python.chmod(0o755)
    assert from_script("tests/test.py", timeout=5).beside == ("lib.py",)


def test_changed_names_what_is_no_longer_as_it_was(folder: Path) -> None:
    made = scenario("# bkbisect-files: helper.sh\n")
    assert script_files.changed(made.files) == ""
    (folder / "helper.sh").write_text("new")
    assert script_files.changed(made.files) == "helper.sh"
    (folder / "my-test.sh").unlink()
    assert script_files.changed(made.files) == "my-test.sh"
