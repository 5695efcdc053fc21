"""What a scenario says of its build context: every mistake is named, every change is digested."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario import content
from small_scenario import loaded, written


def step(**keys: str) -> str:
    """Return a step as TOML; values are TOML too."""
    lines = [f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(["[[steps]]", 'id = "change"', *lines, ""])


def write(**keys: str) -> str:
    return step(action='"write"', path='"a"', **keys)


BROKEN = [
    ('[context]\nfolder = "gone"\n', "context.folder: folder 'gone' not found"),
    ('[context]\nfolder = "../x"\n', "context.folder: '../x' is not a path inside"),
    ('[context]\nfolder = "/etc"\n', "context.folder: '/etc' is not a path inside"),
    ('[context]\nfolder = "out"\n', "context.folder: 'out' is outside the scenario"),
    ('[context]\nfolder = "pipe"\n', "context.folder: fifo is neither a file, a folder nor"),
    ('[context]\nfolder = "odd"\n', "context.folder: 'a\\nb' has characters that cannot be"),
    ('[context]\nfolder = "many"\n', "context.folder: 'many' has more than 500 files or 1000 kB"),
    ('[context]\nfolder = "big"\n', "context.folder: 'big' has more than 500 files or 1000 kB"),
    ('[context]\nfolder = "own"\nbusybox = true\n', "context.busybox: 'own' has a busybox"),
    ("[context]\nbusybox = 1\n", "context.busybox: must be true or false, not a whole number"),
    ("[context]\nfiles = 1\n", "context.files: unknown key"),
    (write(content='"x"', base64='"eA=="'), "steps[0]: content and base64: only one can be in"),
    (write(file='"Dockerfile"', symlink='"b"'), "steps[0]: file and symlink: only one can be"),
    (write(base64='"?"'), "steps[0].base64: is not base64"),
    (write(base64='"eA"'), "steps[0].base64: is not base64"),
    (write(file='"gone"'), "steps[0].file: file 'gone' not found"),
    (write(file='"../x"'), "steps[0].file: '../x' is not a path inside"),
    (write(file='"out/x"'), "steps[0].file: 'out/x' is outside the scenario"),
    (write(file='"big/x"'), "steps[0].file: is over 1000 kB"),
    (write(mode='"rwx"'), "steps[0].mode: 'rwx' is not a mode such as \"0755\""),
    (write(mode='"0o755"'), "steps[0].mode: '0o755' is not a mode"),
    (write(mode="0o755"), "steps[0].mode: must be a text, not a whole number (493)"),
    (write(symlink='"b"', mode='"777"'), "steps[0].mode: a symbolic link has no mode"),
    (write(symlink='"${axis.x}"'), "steps[0].symlink: unknown placeholder '${axis.x}'"),
    (write(mtime="-1"), "steps[0].mtime: must be seconds since 1970, from 0 to 8589934591"),
    (write(mtime="8589934592"), "steps[0].mtime: must be seconds since 1970"),
    (write(mtime="1.5"), "steps[0].mtime: must be a whole number"),
    (write(to='"b"'), "steps[0].to: write has no to"),
    (step(action='"write"', path='"a/"'), "steps[0].path: names a folder; mkdir makes folders"),
    (step(action='"delete"', path='"../a"'), "steps[0].path: '../a' is not a path inside"),
    (step(action='"delete"'), "steps[0].path: '' is not a path inside"),
    (step(action='"delete"', path='"a"', mode='"755"'), "steps[0].mode: delete has no mode"),
    (step(action='"mkdir"', path='"."'), "steps[0].path: '.' is not a path inside"),
    (step(action='"mkdir"', path='"a"', file='"x"'), "steps[0].file: mkdir has no file"),
    (step(action='"rename"', path='"a"'), "steps[0].to: '' is not a path inside"),
    (step(action='"rename"', path='"a"', to='"/b"'), "steps[0].to: '/b' is not a path inside"),
    (step(action='"prune"', tar='[{ path = "a" }]'), "steps[0].tar: prune has no tar"),
    (write(tar='[{ path = "../a" }]'), "steps[0].tar[0].path: '../a' is not a path inside"),
    (write(tar='[{ path = "a" }, { }]'), "steps[0].tar[1].path: is missing"),
    (write(tar='[{ path = "a", modes = "" }]'), "steps[0].tar[0].modes: unknown key"),
    (write(tar='[{ path = "a", mode = "9" }]'), "steps[0].tar[0].mode: '9' is not a mode"),
    (write(tar='[{ path = "a", mtime = -1 }]'), "steps[0].tar[0].mtime: must be seconds"),
    (write(tar='[{ path = "a", base64 = "?" }]'), "steps[0].tar[0].base64: is not base64"),
    (
        write(tar='[{ path = "a", symlink = "b", content = "c" }]'),
        "steps[0].tar[0]: content and symlink: only one can be in an entry",
    ),
    (
        write(tar='[{ path = "a/", content = "c" }]'),
        "steps[0].tar[0]: a path that ends in a slash is a folder: it has none",
    ),
    (
        write(tar='[{ path = "a", content = "${var.x}" }]'),
        "steps[0].tar[0].content: unknown placeholder '${var.x}'",
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    many = {f"many/{n}": "" for n in range(501)}
    files: dict[str, bytes | str] = {
        "own/busybox": "",
        "big/x": b"x" * 1_000_001,
        "odd/a\nb": "",
        **many,
    }
    folder = written(tmp_path / "s", text, files=files)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").touch()
    (folder / "out").symlink_to(outside)
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe/fifo")
    with pytest.raises(BadInput) as raised:
        loaded(folder)
    assert raised.value.message.startswith(f"{folder}/scenario.toml: {message}")


def test_what_is_valid(tmp_path: Path) -> None:
    text = '[context]\nfolder = "context"\nbusybox = true\n'
    text += write(
        tar='[{ path = "d/" }, { path = "d/x", content = "1", mode = "4755", mtime = 0 }]'
    )
    text += step(action='"rename"', path='"a"', to='"d/b"').replace('"change"', '"two"')
    made = loaded(written(tmp_path, text, files={"context/x": "1"}))
    assert [s.action for s in made.steps] == ["write", "rename", "build"]
    assert made.steps[0].tar[1].mtime == 0


def test_the_digest_covers_what_a_trial_gets(tmp_path: Path) -> None:
    """Content, names, links and permissions of the folder, and files that steps write."""
    text = '[context]\nfolder = "context"\n' + write(file='"data"')
    folder = written(tmp_path, text, files={"context/x": "1", "data": "2"})
    seen = [loaded(folder).run_digest]

    def differs() -> bool:
        seen.append(loaded(folder).run_digest)
        return seen[-1] not in seen[:-1]

    (folder / "context/x").write_text("3")
    assert differs()
    (folder / "context/x").chmod(0o755)
    assert differs()
    (folder / "context/empty").mkdir()
    assert differs()
    (folder / "context/l").symlink_to("/nowhere")
    assert differs()
    (folder / "data").write_text("4")
    assert differs()
    (folder / "context/x").chmod(0o775)
    (folder / "other").touch()
    assert not differs(), "git does not keep this"


def test_an_archive_is_always_the_same_bytes(tmp_path: Path) -> None:
    entries = '[{ path = "d/" }, { path = "d/x", content = "${axis.a}" }, { path = "l", symlink = "d/x" }]'  # fmt: skip  # noqa: E501
    text = '[axes.a]\nvalues = ["one"]\n' + write(tar=entries).replace('"a"', '"a.tgz"')
    made = loaded(written(tmp_path, text))
    data = content.data(made.steps[0], made, lambda text: text.replace("${axis.a}", "one"))
    assert data[:2] == b"\x1f\x8b"
    assert data == content.data(made.steps[0], made, lambda text: text.replace("${axis.a}", "one"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {m.name: (m.type, oct(m.mode), m.mtime, m.uid, m.linkname) for m in tar}
        file = tar.extractfile("d/x")
        assert file
        assert file.read() == b"one"
    assert members == {
        "d": (tarfile.DIRTYPE, "0o755", content.MTIME, 0, ""),
        "d/x": (tarfile.REGTYPE, "0o644", content.MTIME, 0, ""),
        "l": (tarfile.SYMTYPE, "0o777", content.MTIME, 0, "d/x"),
    }
