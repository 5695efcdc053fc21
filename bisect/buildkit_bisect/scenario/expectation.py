"""What a build is expected to do, in one line, as the steps and rules of a scenario. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.nearest import did_you_mean, nearest
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario import pattern
from buildkit_bisect.scenario.definition import Condition, Rule, VertexIs
from buildkit_bisect.scenario.require import require_path

#: The ids of the steps: the first build, and for `cached` and `ran` a prune and a second build.
BUILD, PRUNE, AGAIN = "build", "prune", "again"

#: The folder of the cache that the first build exports.
CACHE = "cache"

#: The folder of the files that a build outputs, if they are asked about.
OUTPUT = "out"

#: Messages of a build that could not reach a server, or that a signal ended: they say nothing about
#: BuildKit. A daemon that dies cuts a connection too, but one of a socket, to no address.
_TRANSIENT = (
    r"(?i)dial tcp|no such host|i/o timeout|TLS handshake timeout|toomanyrequests"
    r"|too many requests|(request timeout|bad gateway|service unavailable|gateway time-?out"
    r"|internal server error)\b|unexpected status(?: code)?[^\n]*\b(?:408|425|429|50[0-4])\b"
    r"|temporary (?:failure|error)|could not resolve|network is (?:unreachable|down)"
    r"|no route to host|connection timed out|Client\.Timeout|unexpected EOF|https?://[^\n]*: EOF"
    r"|\b(?:read|write) tcp [^\n]*(?:reset by peer|EOF|broken pipe)"
    r"|exit code: 137\b|signal: killed|cannot allocate memory|out of memory"
)

#: The same in the log of a RUN, whose connections are never those to the daemon.
_TRANSIENT_LOG = rf"{_TRANSIENT}|reset by peer|bad address '"

#: A vertex of any name.
_ANY = "."


class Kind(StrEnum):
    """What can be expected."""

    CACHED = "cached"
    RAN = "ran"
    OK = "ok"
    FAILS = "fails"
    PRINTS = "prints"
    FILE = "file"

    @property
    def needs(self) -> str:
        """What must follow the colon; "" if nothing may."""
        return _NEEDS.get(self, "")

    @property
    def rebuilds(self) -> bool:
        """Whether it is about a second build, with the cache of the first one."""
        return self in (Kind.CACHED, Kind.RAN)


_NEEDS = {
    Kind.CACHED: "VERTEX",
    Kind.RAN: "VERTEX",
    Kind.PRINTS: "REGEX",
    Kind.FILE: "PATH=REGEX",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """An expectation: ``cached: RUN echo stable``."""

    kind: Kind
    text: str = ""  # a part of a vertex's name, or a regular expression
    path: str = ""  # of a file in the output

    def __str__(self) -> str:
        """Return it as it is written."""
        path = f"{self.path}=" if self.path else ""
        return f"{self.kind}: {path}{self.text}" if self.text else str(self.kind)


def read(given: str) -> Expectation:
    """Return the expectation that *given* names. Raises `BadInput` for anything else."""
    option = words(Campaign, expect=True)
    word, colon, text = given.partition(":")
    word, text = word.strip(), text.strip()
    if word not in set(Kind):
        raise BadInput(
            f"{option} {given[:60]!r} is not an expectation; {_meant(word)}",
            hint=words(Campaign, expect="cached: RUN echo stable"),
        )
    kind = Kind(word)
    if kind.needs and not text:
        raise BadInput(
            f"{option} {given!r} does not say of what: {kind}: {kind.needs}",
            hint=words(Campaign, expect=f"{kind}: {_SAMPLES[kind]}"),
        )
    if kind is Kind.OK and (text or colon):
        raise BadInput(f"{option} {given!r}: nothing follows ok", hint=words(Campaign, expect="ok"))
    if kind is Kind.FAILS and colon and not text:
        raise BadInput(
            f"{option} {given!r} does not say with which message",
            hint=f"{words(Campaign, expect='fails')} for any",
        )
    path = ""
    if kind is Kind.FILE:
        path, equals, text = text.partition("=")
        path = path.strip().lstrip("/")
        if not (equals and text and path):
            raise BadInput(
                f"{option} {given!r} is not file: PATH=REGEX",
                hint=words(Campaign, expect=f"file: {_SAMPLES[kind]}"),
            )
        try:
            require_path(path, f"{option} {given!r}", "the output")
        except BadInput as error:
            raise BadInput(
                error.message, hint=words(Campaign, expect=f"file: {_SAMPLES[kind]}")
            ) from None
    if kind in (Kind.FAILS, Kind.PRINTS, Kind.FILE) and (wrong := pattern.problem(text)):
        raise BadInput(
            f"{option} {given!r}: not a valid RE2 regular expression: {wrong}",
            hint="docs/scenarios.md",
        )
    if kind.rebuilds and (wrong := pattern.problem(vertex(text))):
        raise BadInput(f"{option} {given[:60]!r}: {wrong}", hint="docs/scenarios.md")
    return Expectation(kind=kind, text=text, path=path)


def _meant(word: str) -> str:
    known = [f"{kind}: {kind.needs}" if kind.needs else str(kind) for kind in Kind]
    known.insert(known.index(Kind.FAILS) + 1, f"{Kind.FAILS}: REGEX")  # it may follow
    return did_you_mean(word, Kind) if nearest(word, Kind) else f"known: {', '.join(known)}"


_SAMPLES = {
    Kind.CACHED: "RUN make",
    Kind.RAN: "RUN make",
    Kind.PRINTS: "v[0-9]+",
    Kind.FILE: "etc/image=^base-1$",
}


def vertex(text: str) -> str:
    """Return a regular expression for the names of vertices that contain *text*.

    Any run of blanks matches any other: BuildKit joins the lines of an instruction.
    """
    return r"\s+".join(literal(word) for word in text.split())


def literal(text: str) -> str:
    """Return a regular expression that matches *text* alone; readable in a TOML file."""
    return re.sub(r"([][\\.^$*+?{}|()])", r"\\\1", text)


def rules(expected: Expectation) -> Iterator[Rule]:
    """Yield the rules of *expected*, in order.

    Only a build that ended can be bad, and only for what it was asked about.
    """
    if expected.kind.rebuilds:
        yield from _of_rebuilds(expected)
        return
    late = Condition(step=BUILD, exit="late")
    yield _rule("late", Verdict.WEAK, "the build timed out", late)
    ok, failed = Condition(step=BUILD, exit="ok"), Condition(step=BUILD, exit="failed")
    transient = [
        _rule("transient", Verdict.WEAK, "a server, or a signal, may have failed the build",
              failed, condition)
        for condition in (
            Condition(step=BUILD, stderr=_TRANSIENT),
            Condition(step=BUILD, vertex=_ANY, log=_TRANSIENT_LOG),
        )
    ]  # fmt: skip
    match expected.kind:
        case Kind.OK:
            yield from transient
            yield _rule("ok", Verdict.GOOD, "the build is ok", ok)
            yield _rule("failed", Verdict.BAD, "the build fails", failed)
        case Kind.FAILS if expected.text:
            means = f"the build fails with {expected.text!r}"
            said = Condition(step=BUILD, stderr=expected.text)
            printed = Condition(step=BUILD, vertex=_ANY, log=expected.text)
            yield _rule("failed", Verdict.GOOD, means, failed, said)
            yield _rule("failed", Verdict.GOOD, means, failed, printed)
            yield _rule("failed-otherwise", Verdict.WEAK, "the build fails in another way", failed)
            yield _rule("ok", Verdict.BAD, "the build is ok", ok)
        case Kind.FAILS:
            yield from transient
            yield _rule("failed", Verdict.GOOD, "the build fails", failed)
            yield _rule("ok", Verdict.BAD, "the build is ok", ok)
        case Kind.PRINTS:
            printed = Condition(step=BUILD, vertex=_ANY, log=expected.text)
            means = f"a RUN prints {expected.text!r}"
            yield _rule("printed", Verdict.GOOD, means, ok, printed)
            lacks = Condition(not_=printed)  # not known of a log that was shortened
            yield _rule("not-printed", Verdict.BAD, f"no RUN prints {expected.text!r}", ok, lacks)
            yield _rule("failed", Verdict.WEAK, "the build fails", failed)
        case Kind.FILE:
            yield from _of_file(expected, ok, failed)


def _of_file(expected: Expectation, ok: Condition, failed: Condition) -> Iterator[Rule]:
    """A file that was not read is neither as it should be nor wrong."""
    has = Condition(step=BUILD, file=expected.path, content=expected.text)
    named = f"the file {expected.path}"
    yield _rule("content", Verdict.GOOD, f"{named} has {expected.text!r}", ok, has)
    lacks = Condition(not_=has)
    means = f"{named} is missing, or has no {expected.text!r}"
    yield _rule("other-content", Verdict.BAD, means, ok, lacks)
    yield _rule("failed", Verdict.WEAK, "the build fails", failed)


def _of_rebuilds(expected: Expectation) -> Iterator[Rule]:
    wanted = vertex(expected.text)

    def seen(state: VertexIs) -> Condition:
        return Condition(step=AGAIN, vertex=wanted, is_=state)

    both = tuple(Condition(step=step, exit="ok") for step in (BUILD, AGAIN))
    cached = f"{expected.text!r} is CACHED in the second build"
    ran = f"{expected.text!r} runs in the second build"
    good = expected.kind is Kind.CACHED
    yield _rule("cached", Verdict.GOOD if good else Verdict.BAD, cached, *both,
                seen(VertexIs.CACHED))  # fmt: skip
    yield _rule("ran", Verdict.BAD if good else Verdict.GOOD, ran, *both, seen(VertexIs.RAN))
    for step, which in ((BUILD, "first"), (AGAIN, "second")):
        failed = Condition(step=step, exit="failed")
        yield _rule(f"{which}-build-failed", Verdict.WEAK, f"the {which} build fails", failed)
    absent = f"no vertex of the second build is called {expected.text!r}"
    yield _rule("absent", Verdict.WEAK, absent, seen(VertexIs.ABSENT))


def _rule(name: str, verdict: Verdict, means: str, *conditions: Condition) -> Rule:
    return Rule(name=name, verdict=verdict, means=means, all=conditions)


def steps(
    expected: Expectation,
    *,
    target: str,
    args: Mapping[str, str],
    again: Mapping[str, str],
) -> Iterator[dict[str, object]]:
    """Yield the steps of *expected*, as tables of a scenario file.

    *again* are the arguments that differ in the second build.
    """
    build: dict[str, object] = {"action": "build", "dockerfile": "Dockerfile"}
    build |= {"target": target} if target else {}
    with_args = {"args": dict(args)} if args else {}
    if not expected.kind.rebuilds:
        local = [{"type": "local", "dest": OUTPUT}]
        read = {"outputs": local} if expected.kind is Kind.FILE else {}
        yield {"id": BUILD, **build, **with_args, **read}
        return
    exported = {"type": "local", "mode": "max", "dest": CACHE}
    yield {"id": BUILD, **build, **with_args, "exports": [exported]}
    yield {"id": PRUNE, "action": "prune"}
    both = {**args, **again}
    imported = {"type": "local", "src": CACHE}
    yield {"id": AGAIN, **build, **({"args": both} if both else {}), "imports": [imported]}
