"""Patches that are given as a file, a URL, a pull request, a commit or a branch, not as a folder.

Each becomes a folder in the cache, whose name depends on its content.
"""

from __future__ import annotations

import email.policy
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from email.parser import BytesHeaderParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from buildkit_bisect.errors import BadInput
from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.patch import branches, contribution, diffs, patches, patchmaker
from buildkit_bisect.patch.contribution import Work
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.patch.patchmaker import MOST_BYTES
from buildkit_bisect.source import GitSource, Source, github
from buildkit_bisect.source.github import Address
from buildkit_bisect.system import paths, strictjson, tomltext, web

_SUFFIXES = (".patch", ".diff")

#: The line before each mail that ``git format-patch`` writes.
_MAIL = re.compile(rb"^From [0-9a-f]{40} ", re.MULTILINE)

#: Most mails in one file; each of them is a patch of its own.
MOST_MAILS = 30

#: Longest name of a patch, in characters.
_LONGEST = 60

#: In a campaign's folder of patches: which of them a value of the option stood for.
_INDEX = "given.json"


@dataclass(kw_only=True)
class Loader:
    """Loads the patches of one command."""

    open_source: Callable[[], Source]  # called for pull requests and commits only
    say: Callable[[str], None]
    seconds: float  # for a download
    root: Path | None = None
    kept: Path | None = None  # patches of an earlier campaign, to use for the same values
    _made: dict[str, list[Patch]] = field(default_factory=dict)

    def load(self, text: str) -> list[Patch]:
        """Return the patches of ``"my-fix,pr/7107,./fix.diff"``, in order; raises `BadInput`.

        Also raises `InfraFailed` if a pull request cannot be fetched or a URL does not answer.
        """
        return patches.load_many(text, self.root, self._patches) if text else []

    def _patches(self, text: str) -> list[Patch]:
        """Return the patches that *text* stands for; none if it names a folder."""
        if text not in self._made:
            found = (self.kept and of_campaign(self.kept, text)) or self._new(text)
            self._made[text] = [replace(patch, given=text) for patch in found]
        return self._made[text]

    def _new(self, text: str) -> list[Patch]:
        if text.startswith(branches.PREFIX):
            return self._of_branch(text)
        if address := github.address(text):
            return [self._of_commits(text, address)]
        if "://" in text:
            return self._of_url(text)
        if text.endswith(_SUFFIXES) and not Path(text).is_dir():
            return self._of_file(text)
        return []

    def _of_file(self, text: str) -> list[Patch]:
        path = paths.expanded(text)
        try:
            if path.exists() and not path.is_file():  # a FIFO is never read to its end
                raise BadInput(
                    f"the patch {text} is not a file", hint=words(Building, patches="FILE.patch")
                )
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise BadInput(
                f"cannot read the patch {text}: {error.strerror or error}",
                hint=words(Building, patches=self._near(path)),
            ) from None
        if len(data) > MOST_BYTES:
            raise BadInput(f"{text} is larger than {MOST_BYTES} bytes", hint="git diff of less")
        return _of_text(data, _slug(path.stem), where=text, source="")

    def _near(self, path: Path) -> str:
        """Return the file beside *path*, or the patch by name, that it may have meant."""
        known = {file.stem: str(file) for file in _files(path.parent)}
        known |= {name: name for name in patches.names(self.root) if name not in known}
        return next((known[name] for name in nearest(path.stem, known)), "FILE.patch")

    def _of_url(self, url: str) -> list[Patch]:
        where = web.shown(url)
        self.say(f"downloading {where}")
        try:
            data = web.read(url, most=MOST_BYTES, within=self.seconds)
        except web.NotServed as error:
            if error.passing:
                raise
            raise BadInput(f"cannot download a patch: {error.message}", hint=_RAW) from None
        if data.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
            raise BadInput(f"{where} is a web page, not a patch", hint=_RAW)
        digest = hashlib.sha256(data).hexdigest()
        self.say(f"downloaded {len(data)} bytes with sha256 {digest}")
        stem = Path(unquote(urlsplit(url).path)).stem
        return _of_text(data, _slug(stem), where=where, source=where)

    def _of_commits(self, text: str, address: Address) -> Patch:
        source = self.open_source()
        if not isinstance(source, GitSource):
            raise BadInput(
                f"{text} as a patch needs a git source",
                hint=f"{words(Building, repo='PATH_OR_URL')}, or"
                f" {words(Building, patches='FILE.diff')} of it",
            )
        name, work = _work(source, text, address)
        if doubt := contribution.doubt(work):
            self.say(f"{name}: {doubt}")
        hint = inv("patch-new", "NAME", from_branch=text, base="R")
        made = _drafted(name, work, source, text, hint)
        if not address.commit:
            self.say(f"{name} is {work.commit[:12]} since {work.base.ref}")
        return made

    def _of_branch(self, text: str) -> list[Patch]:
        """Return one patch for each commit of a branch, numbered if there are several."""
        found = branches.find(text.removeprefix(branches.PREFIX), self.open_source, self.say)
        made = []
        for number, commit in enumerate(found.commits, 1):
            name = _slug(found.name)
            name = f"{name}-{number}" if len(found.commits) > 1 else name
            work = contribution.of_commits(found.source, commit, base=f"{commit}~1")
            hint = f"git rebase -i {found.base.sha[:12]} {shlex.quote(found.name)}"
            made.append(_drafted(name, work, found.source, f"{text}: {commit[:12]}", hint))
            # A patch that is named twice is used once: the branch would be another one.
            if made[-1].digest in {patch.digest for patch in made[:-1]}:
                raise BadInput(
                    f"{text}: {commit[:12]} makes the change of an earlier commit again", hint=hint
                )
        return made


_RAW = "the address of the raw text of a diff"


def _work(source: GitSource, text: str, address: Address) -> tuple[str, Work]:
    """Return the name and the work of a pull request, a branch, or one commit."""
    repo = address.repo or github.owner_and_name(source.where) or github.UPSTREAM
    page = f"https://github.com/{repo}"
    if address.pull:
        origin = f"{page}/pull/{address.pull}"
        return f"pr-{address.pull}", contribution.of_commits(source, text, origin=origin)
    if address.commit:
        tip = source.resolve(text).sha
        if len(source.parents([tip], [f"{tip}^@"]).get(tip, ())) != 1:
            raise BadInput(
                f"{address.commit[:12]} is a merge or the first commit, not one change",
                hint=words(Building, patches="pr/N"),
            )
        work = contribution.of_commits(source, tip, base=f"{tip}~1", origin=f"{page}/commit/{tip}")
        return f"commit-{tip[:12]}", work
    if address.ref:
        work = contribution.of_commits(source, text, origin=f"{page}/tree/{address.ref}")
        return _slug(address.ref), work
    raise BadInput(
        f"{text[:100]!r} is a repository, not a patch", hint=words(Building, patches="pr/N")
    )


def _drafted(name: str, work: Work, source: GitSource, what: str, hint: str) -> Patch:
    """Return the patch of *work*; errors name *what* it was made from, with *hint*."""
    with paths.scratch("given") as tmp:
        folder = tmp / name
        folder.mkdir()
        try:
            patchmaker.draft(folder, work, source)
        except BadInput as error:
            raise BadInput(f"{what}: {error.message}", hint=hint) from None
        return _store(folder)


def _of_text(data: bytes, name: str, *, where: str, source: str) -> list[Patch]:
    """Return the patch in *data*; of several mails one patch each, which are numbered."""
    starts = [found.start() for found in _MAIL.finditer(data)]
    if len(starts) > MOST_MAILS:
        raise BadInput(
            f"{where} has {len(starts)} patches; at most {MOST_MAILS} are taken",
            hint="git diff BASE HEAD > NAME.diff",
        )
    mails = [data[a:b] for a, b in pairwise([*starts, len(data)])] or [data]
    digest = hashlib.sha256(data).hexdigest()
    made = []
    for number, mail in enumerate(mails, 1):
        own = f"{name}-{number}" if len(mails) > 1 else name
        title, author = _headers(mail)
        facts = {
            "title": title or Path(where).name,
            "author": author,
            "source": source,
            "sha256": digest,
        }
        diff = diffs.parse(f"{own}.patch", mail, where=where)
        with paths.scratch("given") as tmp:
            folder = tmp / own
            folder.mkdir()
            (folder / diff.name).write_text(diff.text)
            (folder / "patch.toml").write_text(
                "".join(
                    f"{key} = {tomltext.string(value)}\n" for key, value in facts.items() if value
                )
            )
            made.append(_store(folder))
    return made


def _headers(mail: bytes) -> tuple[str, str]:
    """Return the subject and author of a mail by ``git format-patch``; "" for a plain diff."""
    if not mail.startswith((b"From ", b"From:", b"Subject:")):
        return "", ""
    found = BytesHeaderParser(policy=email.policy.default).parsebytes(mail)
    subject, author = (" ".join(str(found.get(name, "")).split()) for name in ("Subject", "From"))
    return re.sub(r"^\[PATCH[^]]*\]\s*", "", subject), author.partition(" <")[0].strip('"')


def _store(folder: Path) -> Patch:
    """Move a complete *folder* to the cache, unless it is there; return its patch."""
    sha = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        sha.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    target = paths.cache("patches") / sha.hexdigest()[:32] / folder.name
    target.parent.mkdir(exist_ok=True)
    if not target.is_dir():
        try:
            folder.rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return patches.load(str(target))


def keep(chosen: Iterable[Patch], folder: Path) -> None:
    """Copy the patches of a campaign to *folder*, so that its result can be repeated."""
    given: dict[str, list[str]] = {}
    for patch in chosen:
        home = folder / patch.name
        home.mkdir(parents=True, exist_ok=True)
        for name in ("patch.toml", *(diff.name for diff in (*patch.diffs, *patch.tests))):
            (home / name).write_bytes((Path(patch.folder) / name).read_bytes())
        if patch.given and patch.name not in given.setdefault(patch.given, []):
            given[patch.given].append(patch.name)
    if given:
        (folder / _INDEX).write_text(json.dumps(given, indent=1))


def of_campaign(folder: Path, text: str) -> list[Patch]:
    """Return the patches that *text* stood for in the campaign that `keep` copied to *folder*.

    Empty if it did not stand for any, or if the copies cannot be read.
    """
    try:
        given = strictjson.loads((folder / _INDEX).read_text())
        names = given.get(text, []) if isinstance(given, dict) else []
        return [patches.load(str(folder / Path(str(name)).name)) for name in names]
    except (OSError, ValueError, BadInput):
        return []


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix in _SUFFIXES] if folder.is_dir() else []


def _slug(text: str) -> str:
    """Return *text* as the name of a patch."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return plain[:_LONGEST].strip("-._") or "patch"
