"""What an issue's text says about the outcome: an error, or a step that must be cached. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.scenario import pattern
from buildkit_bisect.scenario.paste_blocks import Line

_ERROR = re.compile(r"^\s*(?:#\d+\s+(?:[\d.]+\s+)?)?(?:ERROR|[Ee]rror):\s+(.*\S)")
_FAILED = re.compile(r"^(?:failed to (?:solve|build|receive status):\s*)+")
_GRPC = re.compile(r"^(?:rpc error: code = \w+ desc = )+")

#: Parts of a message that differ between two runs, or with images of the trial.
_VARYING = re.compile(
    r"sha256:[0-9a-f*.]+|\b[0-9a-f]{12,}\b|\b[a-z0-9]{25}\b|(?<![\w/.-])(?:[\w.-]+/)+[\w.-]+(?::[\w.-]+)?(?:@\S+)?"
    r"|/(?:tmp|var|home|root|run)/\S+|\b\d+(?:\.\d+)+\S*|\*{3}|\b[\w.-]+:\d+\b"
)
_NUMBER = re.compile(r"(?<!exit code: )(?<![\w.])\d+(?![\w.]*\w)")
_META = re.compile(r"([\\.+*?()|\[\]{}^$])")

_CACHED = re.compile(r"\bCACHED\b|\bcached\b|\bcache hit\b", re.IGNORECASE)
_MUST = re.compile(r"\b(?:should|expect\w*|must|ought|supposed)\b", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:not|never|no longer|isn't)\b"
    r"(?:\W+(?:be|get|been|getting|being|from|the|in|a|using|use|reuse|hit)){0,6}\W+cached?\b",
    re.IGNORECASE,
)

#: A build that uses the cache, or does not; each part is bounded.
_USES = re.compile(
    r"\b(?:(?:re-?)?us(?:e|es|ed|ing)|hit|hits|hitting)"
    r"(?:\s+(?:the|its|this|that|any|local|remote|registry|inline|build|layer|imported|exported"
    r"|existing)){0,4}\s+cache\b"
    r"|\bcache(?!\s+(?:dir|export|folder|import|key|mount|volume))(?:\s+[\w']{1,12}){0,5}\s+(?:re-?)?(?:used|hit)\b",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"\b(?:re-?)?(?:execut(?:ed|es?)|runs?|ran|buil(?:ds?|t))(?:\s+again)?\s+(?:instead\s+of"
    r"|rather\s+than)(?:\s+(?:being|coming|taken|from|using|the)){0,3}\s+cached?\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|never|no longer|cannot|without|\w{2,7}n't)\b", re.IGNORECASE)
_OTHERWISE = re.compile(
    r"\b(?:if|unless)\b|\b(?:I|we|you)\s+(?:am|are|can|could|did|do|should|were)(?:n't|\s+not)\b"
    r"|\bfirst\s+(?:build|run)\b(?!.{0,80}\b(?:second|again|next|subsequent)\b)",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[.;!?](?=\s|$)|,?\s(?:but|however)\b|,\s{1,3}instead\b(?!\s+of)")
_RUN = re.compile(r"\bRUN\s+([^`\n]+)")

#: Characters of a pattern that is made of a message or an instruction.
_LONGEST = 160


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """What the text says."""

    error: str = ""  # a pattern for the message of the failing build
    error_line: int = 0
    cached: str = ""  # a pattern for a vertex that must be cached
    cached_line: int = 0
    inferred: bool = False  # whether the vertex is not named but follows from the arguments
    run: str = ""  # the RUN of that vertex, as the Dockerfile has it
    open_line: int = 0  # says that a step must be cached; no RUN is named, and none is stable


def stated(
    printed: Sequence[Line], prose: Sequence[Line], vertices: Iterable[str], stable: Sequence[str]
) -> Stated:
    """Return what the text says of its builds.

    *vertices* are the RUN instructions of their Dockerfiles, *stable* those that are the same in
    the first build and the last one.
    """
    line, message = _error(sorted([*printed, *_quoted(prose)], key=lambda one: one.number))
    runs = list(vertices)
    where, run, inferred = _must_be_cached(prose, runs, stable)
    open_line = 0 if run else where
    if not run:
        where, run = _shown_as_expected(printed, prose, runs)
    return Stated(
        error=message,
        error_line=line,
        cached=vertex(run) if run else "",
        cached_line=where if run else 0,
        inferred=inferred,
        run=run,
        open_line=0 if run else open_line,
    )


def _error(lines: Sequence[Line]) -> tuple[int, str]:
    """Return the line of the last error message, and a pattern for it."""
    best = (0, "")
    for line in lines:
        found = _ERROR.match(line.text)
        if not found:
            continue
        message = _GRPC.sub("", _FAILED.sub("", _GRPC.sub("", found[1])))
        if re.search(r"[A-Za-z]{3}", message):
            best = (line.number, loose(message))
    return best


def loose(message: str) -> str:
    """Return a pattern for *message* in which digests, names and numbers may differ.

    A line of a Dockerfile has another number here, since arguments for images stand above it. The
    exit code of a program stays: another one is another error.
    """
    parts, at = [], 0
    for found in _VARYING.finditer(message[:_LONGEST]):
        parts.append(_numbers(message[at : found.start()]))
        parts.append(r"\S+")
        at = found.end()
    text = "".join([*parts, _numbers(message[at:_LONGEST])]).strip()
    return text if not pattern.problem(text) else literal(message[:40])


def _numbers(text: str) -> str:
    return _NUMBER.sub("[0-9]+", literal(text))


def literal(text: str) -> str:
    """Return a pattern that matches *text*; blanks in it may be more than one."""
    return re.sub(r" +", " ", _META.sub(r"\\\1", text))


def vertex(run: str) -> str:
    """Return a pattern for the vertex of a RUN, whose flags and quotes may be written otherwise.

    It ends before the first variable: a vertex has the value of a build argument.
    """
    bare = re.sub(r"^(?:--[a-z-]+(?:=\S*)?\s+)+", "", run)
    plain = re.split(r"[\n$]|\s{2,}|\s*(?:&&|>|\|)", bare, maxsplit=1)[0].strip()
    flags = r"(--\S+ )*" if bare != run else ""
    return re.sub(r"[\"']", ".?", f"RUN {flags}{literal(plain[:60])}".strip())


def _must_be_cached(
    prose: Sequence[Line], runs: Sequence[str], stable: Sequence[str]
) -> tuple[int, str, bool]:
    """Return the line that says so, the RUN, and whether that is inferred.

    The RUN is "" if no line names one and none is *stable*.
    """
    inferred = 0  # the first line that names no RUN: one that does says more
    for at, line in enumerate(prose):
        text = line.text[:_SENTENCES].replace("\u2019", "'")
        near = " ".join(one.text for one in prose[max(0, at - 1) : at + 2])
        uses = _uses_cache(text)
        complaint = bool(_NOT.search(text)) and not _MUST.search(text)
        stated_ = _CACHED.search(text) and _MUST.search(near) and not _NOT.search(text)
        if not stated_ and not complaint and not uses:
            continue
        named = [one.strip() for one in _RUN.findall(text if complaint or uses else near)]
        for run in runs:
            if any(_same(run, one) for one in named):
                return line.number, run, False
        if complaint and not uses:
            continue
        inferred = inferred or line.number
    return (inferred, stable[-1], True) if inferred and stable else (inferred, "", False)


def _uses_cache(text: str) -> bool:
    """Whether *text* says that a build must use the cache, or complains that it does not."""
    for clause in _CLAUSES.split(text):
        if not clause or _OTHERWISE.search(clause):
            continue
        must, denied = _MUST.search(clause), _DENIED.search(clause)
        if _USES.search(clause) and bool(must) != bool(denied):
            return True
        if _INSTEAD.search(clause) and not must and not denied:
            return True
    return False


#: Characters of a line that are read for what it says of the cache.
_SENTENCES = 1000


def _quoted(prose: Sequence[Line]) -> Iterator[Line]:
    """Yield the prose, and its inline code, as lines that may show an error."""
    for line in prose:
        yield line
        for part in re.findall(r"`([^`]+)`", line.text):
            yield Line(number=line.number, text=part)


def _shown_as_expected(
    printed: Sequence[Line], prose: Sequence[Line], runs: Sequence[str]
) -> tuple[int, str]:
    """Return a RUN that is CACHED in an output which the text before calls expected."""
    wanted = [line.number for line in prose if _MUST.search(line.text)]
    names: dict[str, str] = {}
    for line in printed:
        if named := re.match(r"\s*(#\d+) \[.*?\] RUN (.*)", line.text):
            names[named[1]] = named[2]
        cached = re.match(r"\s*(#\d+) CACHED", line.text)
        shown = names.get(cached[1], "") if cached else ""
        if tty := re.match(r"\s*=> CACHED \[.*?\] RUN (.*?)(?:\s+\d+\.\d+s)?\s*$", line.text):
            shown = tty[1]
        near = [number for number in wanted if 0 < line.number - number <= _NEAR]
        for run in runs if shown and near else ():
            if _same(run, shown):
                return near[-1], run
    return 0, ""


#: Lines between a sentence and the output that it introduces.
_NEAR = 25


def _same(run: str, named: str) -> bool:
    """Whether *named*, maybe shortened with dots, is the instruction *run*."""
    plain = " ".join(re.split(r"\.{3}|…", named)[0].split())
    whole = " ".join(run.split())
    return bool(plain) and (whole.startswith(plain[:30]) or plain.startswith(f"{whole}'"))


Table = Mapping[str, object]


def rules(builds: Sequence[str], said: Stated) -> list[Table]:
    """Return the outcomes for the steps *builds*, in the order in which they are tried."""
    ended: list[Table] = [{"step": name, "exit": "ok"} for name in builds]
    if said.cached:
        cached = {"step": builds[-1], "vertex": said.cached}
        return [
            {"name": "cached", "verdict": "good", "means": "the step came from the cache",
             "all": [*ended, {**cached, "is": "cached"}]},
            {"name": "ran", "verdict": "bad", "means": "the step ran again",
             "all": [*ended, {**cached, "is": "ran"}]},
            *_failures(builds, said.error),
        ]  # fmt: skip
    if said.error:
        return [
            {"name": "built", "verdict": "good", "means": "every build ended without an error",
             "all": ended},
            *_failures(builds, said.error),
        ]  # fmt: skip
    return [
        {"name": "ended", "verdict": "weak", "all": ended,
         "means": "every build exited 0; the issue's text does not say what is expected"},
        *({"name": "failed", "verdict": "weak", "all": [{"step": name, "exit": "failed"}],
           "means": "a build failed; the issue's text does not say what is expected"}
          for name in builds),
    ]  # fmt: skip


def _failures(builds: Sequence[str], error: str) -> list[Table]:
    if not error:
        return []
    return [
        {"name": "failed-as-reported", "verdict": "bad", "means": "a build fails as reported",
         "all": [{"step": name, "exit": "failed"}, {"step": name, "stderr": error}]}
        for name in builds
    ]  # fmt: skip
