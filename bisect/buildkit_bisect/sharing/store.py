"""A store of builds: asks for them, verifies them, and adds those that this machine made.

Whatever is wrong with a store, the campaign goes on by compiling, and says so once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import minisign

from buildkit_bisect.sharing import entry as entries
from buildkit_bisect.sharing import files, signing
from buildkit_bisect.sharing import manifest as manifests
from buildkit_bisect.sharing.entry import BUILD, Asked, Entry
from buildkit_bisect.sharing.manifest import Layer, Manifest
from buildkit_bisect.sharing.opening import SCHEME
from buildkit_bisect.sharing.refused import NONSENSE, Refused, why
from buildkit_bisect.sharing.remote import Remote, Unavailable, within
from buildkit_bisect.system.announce import announce

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An entry that a store has: verified itself, but none of its files yet."""

    entry: Entry
    manifest: Manifest
    text: bytes  # the entry as it was signed


@dataclass(kw_only=True)
class SharedStore:
    """One repository of a registry; *place* is ``HOST[:PORT]/REPOSITORY``.

    After trouble with the connection it is not asked again, and after trouble with a push nothing
    more is pushed. An entry that does not verify is not used; others are still asked for. All that
    is asked for a build, since `begin`, takes at most *seconds*.
    """

    place: str
    seconds: float  # for all that is asked and downloaded for a build, and for each push
    key: minisign.PublicKey | None = None  # entries without its signature are not used
    secret: minisign.SecretKey | None = None
    pushes: bool = False
    by: str = ""
    say: Callable[[str], None] = lambda _: None
    _told: set[str] = field(default_factory=set)
    _wrong: set[str] = field(default_factory=set)  # keys whose entries did not verify
    _down: bool = False
    _spent: float = 0.0  # seconds, since `begin`
    _tags: frozenset[str] | None = None
    _remote: Remote | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "say": _silent, "_remote": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def address(self) -> str:
        """``oci://HOST/REPOSITORY``."""
        return f"{SCHEME}{self.place}"

    @property
    def trouble(self) -> bool:
        """Whether the store could not be used, or something could not be pushed to it."""
        return self._down or "push" in self._told

    def begin(self) -> None:
        """Begin a build: it has all of the time."""
        self._spent = 0.0

    def go(self, tag: str) -> str | None:
        """Return the Go that the build named *tag* says to be of; None if there is none.

        Which key that build must have follows from it, so `find` then verifies it.
        """

        def look() -> str | None:
            found = self._read(self._asked(), tag)
            return found.entry.go if found else None

        return self._guarded(tag, look)

    def tags(self) -> frozenset[str]:
        """Return all names in the store, none after trouble with its list; asked once."""
        if self._tags is None:
            self._tags = frozenset() if self._down else self._listed()
        return self._tags

    def _listed(self) -> frozenset[str]:
        try:
            return within(self.seconds, lambda: frozenset(self._asked().tags()))
        except (Unavailable, Refused, *NONSENSE) as error:  # many have builds and list nothing
            self._remote = None  # what is late may still use it
            where, reason = self.address, why(error)
        self._tell(
            "tags",
            f"warning: cannot list the builds of {where}: {reason}; plans do not count on them",
        )
        return frozenset()

    def find(self, asked: Asked) -> Found | None:
        """Return the verified entry of *asked*; None if there is none that can be used."""

        def look() -> Found | None:
            found = self._read(self._asked(), asked.key)
            if found:
                entries.check_asked(found.entry, asked)
                manifests.check_layers(found.manifest, found.entry)
            return found

        return self._guarded(asked.key, look)

    def download(self, found: Found, into: Path, base: Path | None = None) -> bool:
        """Write the files of *found* to the folder *into*; return whether all of them verified.

        *base* is the folder of the entry that deltas are against.
        """

        def get() -> bool:
            remote = self._asked()
            layers = {layer.name: layer for layer in found.manifest.layers}
            for file in found.entry.files:
                files.get(remote, file, layers[file.name], into, base)
            return True

        with announce(f"pulling a build from {self.address}"):
            return self._guarded(found.entry.key, get) or False

    def note(self, found: Found) -> str:
        """Return what a build cache keeps beside the files of *found*, for `signed`."""
        kept = {
            "store": self.address,
            "entry": found.text.decode(),
            "signature": found.manifest.signature,
        }
        return json.dumps(kept, indent=1)

    def signed(self, note: str) -> bool:
        """Return whether the *note* of an earlier pull has the signature that is required now."""
        try:
            kept = entries.document(note.encode(), "the note")
            text, signature = str(kept.get("entry", "")), str(kept.get("signature", ""))
            if self.key:
                signing.verify(text.encode(), signature, self.key)
        except Refused:
            return False
        return True

    def refuse(self, key: str, why: str) -> None:
        """Say, once, that what the store has for *key* is not used."""
        self._wrong.add(key)
        self._tell(
            "wrong",
            f"warning: {self.address} has an entry that is not used: {why} ({key[:12]});"
            " such builds are compiled here",
        )

    def push(
        self,
        asked: Asked,
        kind: str,
        folder: Path,
        *,
        meta: Mapping[str, Any],
        names: tuple[str, ...],
        local: Callable[[str], Path | None],
        tag: str = "",
    ) -> bool:
        """Add the files *names* of *folder* as the entry of *asked*; return whether it has it now.

        *tag* names it for those who do not know the Go. *local* returns the folder of an entry
        that this machine has: a delta needs the base. What the store has already stays, unless it
        did not verify.
        """
        if self._down or "push" in self._told:
            return False

        def put() -> bool:
            remote = self._asked()
            wrong = {asked.key, tag} & self._wrong
            has = remote.has_manifest(asked.key)
            if not wrong and has and (not tag or remote.has_manifest(tag)):
                return True
            made = Entry(
                kind=kind,
                key=asked.key,
                go=asked.go,
                flags=asked.flags,
                built_by=self.by,
                created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                files=tuple(files.described(folder / name) for name in names),
                meta=dict(meta),
            )
            # Deltas of others may be against what is replaced: it is whole then too.
            self._put(asked, made, folder, _nothing if has else local, tag, anew=bool(wrong))
            return True

        try:
            with announce(f"pushing a build to {self.address}"):
                return within(self.seconds, put)
        except (Unavailable, Refused, OSError) as error:  # also if a file here cannot be read
            self._tell(
                "push", f"warning: cannot push to {self.address}: {error}; nothing more is pushed"
            )
            return False

    def _guarded(self, key: str, call: Callable[[], T]) -> T | None:
        if self._down:
            return None
        began = time.monotonic()
        try:
            return within(self.seconds - self._spent, call)
        except Unavailable as error:
            self._down = True
            late = self._spent + time.monotonic() - began >= self.seconds
            said = f"no whole answer in {self.seconds:g} s" if late else error
            self._tell(
                "down", f"warning: {self.address} cannot be used: {said}; builds are compiled here"
            )
        except (Refused, *NONSENSE) as error:
            self.refuse(key, why(error))
        finally:
            self._spent += time.monotonic() - began
        return None

    def _asked(self) -> Remote:
        """Return the connection, which is kept: many registries want a login for each."""
        self._remote = self._remote or Remote(self.place)
        return self._remote

    def _tell(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.say(text)

    def _read(self, remote: Remote, tag: str) -> Found | None:
        """Return what *tag* names, if its signature is as required; None if there is nothing."""
        data = remote.manifest(tag)
        if data is None:
            return None
        manifest = manifests.read(data)
        text = b"".join(remote.blob(manifest.entry))
        if self.key:
            signing.verify(text, manifest.signature, self.key)
        return Found(entry=entries.read(text), manifest=manifest, text=text)

    def _put(
        self,
        asked: Asked,
        made: Entry,
        folder: Path,
        local: Callable[[str], Path | None],
        tag: str,
        *,
        anew: bool,
    ) -> None:
        remote, base_tag = self._asked(), _base_tag(asked)
        packed, base = self._packed(remote, asked, made, folder, local, anew=anew)
        text = entries.write(made)
        for layer, data in packed:
            remote.put_blob(layer.blob, data)
        config = files.blob(text)
        remote.put_blob(config, text)
        data = manifests.write(
            Manifest(
                entry=config,
                layers=tuple(layer for layer, _ in packed),
                signature=signing.sign(text, self.secret) if self.secret else "",
                base=base,
            )
        )
        remote.put_manifest(asked.key, data)
        if tag:
            remote.put_manifest(tag, data)
        if made.kind == BUILD and not base:
            remote.put_manifest(base_tag, data)

    def _packed(
        self,
        remote: Remote,
        asked: Asked,
        made: Entry,
        folder: Path,
        local: Callable[[str], Path | None],
        *,
        anew: bool,
    ) -> tuple[list[tuple[Layer, bytes]], str]:
        """Return the layers of *made*, and the key of the base if they are deltas.

        Deltas are used where they save a half of what the base takes, which is about what this
        entry would take: packing it twice would cost more time than it saves.
        """
        found = self._base(remote, asked) if made.kind == BUILD else None
        base = local(found.entry.key) if found else None
        if found and base and files.same(found.entry, base, asked.binaries):
            packed = [files.pack(file, folder, base) for file in made.files]
            if sum(len(data) for _, data in packed) <= found.manifest.size / 2:
                return packed, found.entry.key
        return [files.pack(file, folder, None, anew=anew) for file in made.files], ""

    def _base(self, remote: Remote, asked: Asked) -> Found | None:
        """Return the whole build that deltas of *asked* may be against; None if there is none."""
        try:
            found = self._read(remote, _base_tag(asked))
            if found is None or found.manifest.base:
                return None
            if found.entry.key in {asked.key, *self._wrong}:
                return None
            entries.check_asked(found.entry, replace(asked, key=found.entry.key))
        except Refused:  # a new base replaces it
            return None
        return found


def _base_tag(asked: Asked) -> str:
    """Return the tag of the base for deltas: the latest whole build of that Go and those flags."""
    names = "\0".join((asked.go, *asked.flags))
    return f"base-{hashlib.sha256(names.encode()).hexdigest()}"


def _nothing(_: str) -> None:
    return None


def _silent(_: str) -> None:
    pass
