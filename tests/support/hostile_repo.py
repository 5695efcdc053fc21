"""A repository that tries to run programs and to write outside, in every way that git has.

Every program is ``touch MARKS/NAME``, so the names of the files in MARKS are the ways that worked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from golang_repo import GolangRepo, buildkit_like

HOOKS = (
    *("applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout"),
    *("post-commit", "post-index-change", "post-merge", "post-receive", "post-rewrite"),
    *("post-update", "pre-applypatch", "pre-auto-gc", "pre-commit", "pre-merge-commit"),
    *("pre-push", "pre-rebase", "pre-receive", "prepare-commit-msg", "proc-receive"),
    *("push-to-checkout", "reference-transaction", "sendemail-validate", "update"),
)

#: Settings whose value is a program.
PROGRAMS = (
    *("core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor"),
    *("core.askPass", "core.alternateRefsCommand", "sequence.editor", "credential.helper"),
    *("diff.external", "diff.evil.command", "diff.evil.textconv", "merge.evil.driver"),
    *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process"),
    *("gpg.program", "gpg.ssh.program", "pager.log", "pager.diff", "interactive.diffFilter"),
    *("uploadpack.packObjectsHook", "remote.origin.uploadpack", "remote.origin.receivepack"),
    *("uploadarchive.x", "man.evil.cmd", "web.browser", "trailer.evil.command"),
    *("submodule.evil.update", "tar.evil.command", "browser.evil.cmd", "log.showSignature"),
)

ATTRIBUTES = "* filter=evil diff=evil merge=evil export-subst\n*.md ident\n"

MODULES = """[submodule "evil"]
	path = evil
	url = ext::sh -c {touch}%20ext
	update = !touch {marks}/update
[submodule "--upload-pack=touch"]
	path = --upload-pack=touch
	url = --upload-pack={marks}/url
"""


@dataclass(kw_only=True)
class Hostile:
    """The repository, the directory for its marks, and a directory that it tries to write to."""

    repo: GolangRepo
    marks: Path
    outside: Path

    def worked(self) -> list[str]:
        """Return the ways that ran a program."""
        return sorted(p.name for p in self.marks.iterdir())

    def program(self, name: str) -> str:
        """Return a program that leaves the mark *name* and copies its input to its output."""
        path = self.marks.parent / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {self.marks}/{name}\nexec cat\n")
        path.chmod(0o755)
        return str(path)


def make(root: Path) -> Hostile:
    """Create a `buildkit_like` repository below *root* with all payloads, one per branch."""
    for name in ("marks", "outside"):
        (root / name).mkdir(parents=True)
    repo = buildkit_like(root / "upstream", broken=False)
    made = Hostile(repo=repo, marks=root / "marks", outside=root / "outside")
    (made.outside / "solver.go").write_text((repo.path / "solver/solver.go").read_text())
    _attributes(made)
    _links(made)
    _trees(made)
    _words(made)
    repo.switch("master")
    configure(made, repo.path / ".git")
    return made


def configure(made: Hostile, folder: Path) -> None:
    """Add hooks and settings that run programs to the git directory *folder*."""
    (folder / "hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        shutil.copy(made.program(f"hook-{name}"), folder / "hooks" / name)
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text(ATTRIBUTES)
    (folder / "objects" / "info").mkdir(exist_ok=True)
    lines = ["[core]\n\tcompression = 1\n"]
    for name in PROGRAMS:
        section, _, key = name.rpartition(".")
        above, _, below = section.partition(".")
        head = f'[{above} "{below}"]' if below else f"[{above}]"
        lines.append(f"{head}\n\t{key} = {made.program(name.replace('.', '-').lower())}\n")
    lines.append(f"[include]\n\tpath = {made.marks.parent}/included\n")
    lines.append('[remote "origin"]\n\turl = ext::sh -c touch% ' + str(made.marks / "ext") + "\n")
    lines.append('[protocol "ext"]\n\tallow = always\n[uploadpack]\n\tallowFilter = true\n')
    included = f"[core]\n\tfsmonitor = {made.program('included')}\n"
    (made.marks.parent / "included").write_text(included)
    with (folder / "config").open("a") as config:
        config.write("".join(lines))


def _attributes(made: Hostile) -> None:
    """Add attributes, and submodules whose URLs are commands, to ``master``."""
    modules = MODULES.format(touch="touch", marks=made.marks)
    made.repo.commit("attributes", {".gitattributes": ATTRIBUTES, ".gitmodules": modules})
    made.repo.tag("v0.3.0")


def _links(made: Hostile) -> None:
    """Add symlinks to outside: for files that are read, and a directory that a patch changes."""
    repo = made.repo
    for branch, path, target in (
        ("link-file", "README.md", "/etc/passwd"),
        ("link-endless", "README.md", "/dev/zero"),
        ("link-folder", "solver", str(made.outside)),
        ("link-gomod", "go.mod", "/etc/passwd"),
        ("link-dockerfile", "Dockerfile", "/dev/zero"),
    ):
        repo.branch(branch, "master")
        repo.git("rm", "-r", "--quiet", path)
        (repo.path / path).symlink_to(target)
        repo.commit(branch, {})
    repo.switch("master")


def _trees(made: Hostile) -> None:
    """Add trees that no work tree makes: spellings of ``.git``, ``..``, a submodule for a file."""
    repo = made.repo
    blob = repo.git("hash-object", "-w", made.program("hook-post-checkout"))
    base = repo.git("ls-tree", "master")
    for branch, entry in (
        ("dotgit", ".git"),
        ("dotgit-case", ".GIT"),
        ("dotgit-short", "git~1"),
        ("dotgit-zero-width", ".g\u200cit"),
        ("dotdot", ".."),
    ):
        hooks = repo.git("mktree", stdin=f"100755 blob {blob}\tpost-checkout\n")
        inner = repo.git("mktree", stdin=f"040000 tree {hooks}\thooks\n")
        lines = f"{base}\n040000 tree {inner}\t{entry}\n"
        _commit(repo, branch, repo.git("mktree", stdin=lines))
    for branch, path in (("module-gomod", "go.mod"), ("module-dockerfile", "Dockerfile")):
        kept = [line for line in base.splitlines() if not line.endswith(f"\t{path}")]
        lines = "\n".join([*kept, f"160000 commit {'1' * 40}\t{path}", ""])
        _commit(repo, branch, repo.git("mktree", "--missing", stdin=lines))
    inner = repo.git("mktree", "--missing", stdin=f"160000 commit {'2' * 40}\tx.go\n")
    kept = [line for line in base.splitlines() if not line.endswith("\tsolver")]
    lines = "\n".join([*kept, f"040000 tree {inner}\tsolver", ""])
    _commit(repo, "module-package", repo.git("mktree", stdin=lines))


def _words(made: Hostile) -> None:
    """Add branch names, tag names and a message that look like options, commands or lines."""
    repo = made.repo
    tip = repo.commits["tip"]
    packed = [
        f"{tip} refs/heads/--output={made.outside}/output".encode(),
        f"{tip} refs/heads/--upload-pack=touch${{IFS}}{made.marks}/ref".encode(),
        b"%s refs/heads/v0.25\xe2\x80\xa8v0.26" % tip.encode(),
        f"{tip} refs/tags/--exec={made.marks}/exec".encode(),
        f"{tip} refs/tags/v0.4.0-$(touch${{IFS}}{made.marks}/tag)".encode(),
        b"%s refs/tags/v0.5.0\xe2\x80\xa8x" % tip.encode(),
        b"%s refs/tags/v0.6.0\xff" % tip.encode(),
    ]
    repo.git("pack-refs", "--all")
    path = repo.path / ".git" / "packed-refs"
    kept = path.read_bytes().splitlines()
    head, refs = kept[:1], [*kept[1:], *packed]
    path.write_bytes(b"\n".join([b"# pack-refs with:", *head[1:], *refs]) + b"\n")
    message = f"-x\x0bone\x1ftwo\x1ethree\u2028four\x1b]0;title\x07\r$(touch {made.marks}/subject)"
    _commit(repo, "message", repo.git("rev-parse", "master^{tree}"), f"{message}\n\n{message}\n")


def _commit(repo: GolangRepo, branch: str, tree: str, message: str = "odd") -> None:
    sha = repo.git("commit-tree", tree, "-p", "master", "-F", "-", stdin=message)
    repo.git("update-ref", f"refs/heads/{branch}", sha)


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Return the mode, the time, and the digest or target of every entry below *root*."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)  # noqa: PTH115 - a string, whatever it contains
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                content = ""
            found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found
