"""Cleans the output of builds for reports: no escapes, no secrets, only relevant lines."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Container, Iterable

from markupsafe import Markup

from buildkit_bisect.phrases import plural

#: Maximum length of a log line in a report; the rest is cut and counted.
LINE = 300

#: Maximum length of any other text.
TEXT = 1000

_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, hyperlinks
    r"|\x1b[PX^_].*?(?:\x1b\\|(?m:$))"  # control strings, at most to the end of the line
    r"|\x1b[@-Z\\-_]?"
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)

#: An absolute path in a command line, quoted as `shlex.quote` does if need be.
_PATH = re.compile(r"""(?<=[\s=])(?:/[^\s'"]+|'/[^']*'(?:"'"'[^']*')*)""")

# Logs are untrusted, so these take linear time. A pattern that may start anywhere in a run of
# characters would scan the rest of the run from each start. Those below start only where the run
# does, and find the same.
_SECRETS = (
    (re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$)"), "***"),
    (re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|xox[a-z]-|npm_|dckr_pat_)[\w-]{10,}"), "***"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "***"),
    # If the first eyJ of a run is too near its end, so are all others: no second one is tried.
    (re.compile(r"(?<![\w-])((?>[\w-]*?\b(?=eyJ)))eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"), r"\1***"),
    # A layout has no credentials: oci-layout://NAME@DIGEST.
    (re.compile(r"((?<!\boci-layout)(?<=\w)://)[^/\s@]*@"), r"\1***@"),
    (re.compile(r"(?i)\b(authorization\W{1,3}(?:bearer|basic|token)?|bearer)\s+[\w.+/=-]{8,}"),
     r"\1 ***"),
    (re.compile(
        r"(?i)(?<![\w-])"
        r"(?=[\w-]*?(?:password|passwd|secret|token|api[-_]?key|access[-_]?key))"
        r"([\w-]+[\"']?\s*[=:]\s*)(\"[^\"]+\"|'[^']+'|[^\s,;\"'&]{4,})"), r"\1***"),
)  # fmt: skip

_PARTS = r"(?:/[^\s/\"':=,]+)"  # of an absolute path

# A trial's scratch directory with the daemon's state, the cache, and home directories. Any other
# path is matched by the group as a whole, and kept.
_PATHS = (
    (re.compile(
        rf"{_PARTS}*/tmp/(?:trial|images|build|bench|bkb)[\w-]*-\d+-\w+|({_PARTS}+)"), "TRIAL"),
    # A checkout has the same name by default. What a user needs of it is not the cache's.
    (re.compile(
        rf"{_PARTS}*/\.?(?:cache/)?buildkit-bisect(?=/)(?!/(?:results|patches|templates)/)"
        rf"|({_PARTS}+)"), "CACHE"),
    (re.compile(r"(?<![\w./-])()(?:/home/[^\s/\"':]+|/Users/[^\s/\"':]+|/root)(?=[/\s\"':]|$)"),
     "~"),
)  # fmt: skip


@functools.lru_cache(maxsize=50_000)
def clean(text: str) -> str:
    """Return *text* without terminal escapes, control characters, secrets and host paths."""
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _CONTROL.sub("", text.replace("\t", "    "))
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    if "/" in text:
        for pattern, name in _PATHS:
            text = _named(pattern, name, text)
    return text


def _named(pattern: re.Pattern[str], name: str, text: str) -> str:
    return pattern.sub(lambda found: found[1] or name, text)


def plain(text: str) -> bool:
    """Return whether `clean` changes nothing in *text* but tabs."""
    return clean(text) == text.replace("\t", "    ")


def one_line(text: str) -> str:
    """Return *text*, cleaned, on one line."""
    return " ".join(clean(text).split())


def command(text: str) -> str:
    """Return a command line, cleaned, with ``PATH`` for each absolute path of this host."""
    return _PATH.sub("PATH", clean(text))


def commands(hint: str) -> list[str]:
    """Return the commands of a hint, ``./inv doctor, or ./inv status``, each as `command` does."""
    return [command(one) for one in re.split(r", or (?=\./inv )", hint)]


def shorten(line: str, limit: int = LINE) -> str:
    """Return *line* with its middle replaced by a count if it is longer than *limit*.

    It is cleaned first, as half a secret would not be recognised.
    """
    line = clean(line) if len(line) > limit else line
    if len(line) <= limit:
        return line
    head, tail = limit * 2 // 3, limit // 4
    return f"{line[:head]} [{len(line) - head - tail} characters] {line[-tail:]}"


def short(text: str) -> str:
    """Return *text*, cleaned, and shortened to `TEXT` characters."""
    return shorten(clean(text), TEXT)


def head(text: str, limit: int) -> str:
    """Return the first *limit* lines of *text*, cleaned, and the number of the others."""
    lines = clean(text).splitlines()
    more = len(lines) - limit
    rest = [f"... {plural(more, 'more line')}"] if more > 0 else []
    return "\n".join([*map(shorten, lines[:limit]), *rest])


def fit(text: str, width: float, letter: float) -> str:
    """Return *text*, cleaned, and cut to about *width* pixels at *letter* pixels per character."""
    text, room = clean(text), int(width / letter)
    return text if len(text) <= room else text[: max(1, room - 1)] + "…"


_MATTERS = re.compile(
    r"(?i)\b(?:error|errors|fail(?:ed|ure|s)?|fatal|panic|warn(?:ing)?|missing|denied|refused|"
    r"undefined|cannot|unable|unexpected|not found|no such|killed|signal|timed? ?out|invalid|"
    r"corrupt|mismatch|conflict|goroutine \d+ \[running)"
)
_STAMP = re.compile(
    r"^(?:time=\"[^\"]*\"\s*|\[?\d{4}[-/]\d\d[-/]\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\]?\s*)"
)
_NOISE = re.compile(r" (?:spanID|traceID|span|trace)=\w+|(?<=sha256:[0-9a-f]{12})[0-9a-f]{52}\b")
# Numbers, ids, and the snapshotter in the name of a daemon's state directory.
_VARIES = re.compile(r"\b(?:[0-9a-f]{12,}|\d+)\b|(?<=/runc-)\w+")


@functools.lru_cache(maxsize=50_000)
def gist(line: str) -> str:
    """Return *line* without numbers, IDs and snapshotters, to compare it with others."""
    return _VARIES.sub("#", line)


@functools.lru_cache(maxsize=10_000)
def stripped(text: str) -> tuple[str, ...]:
    """Return the lines of a log, cleaned, without time stamps and trace IDs, digests shortened."""
    lines = (_NOISE.sub("", _STAMP.sub("", line)).rstrip() for line in clean(text).splitlines())
    return tuple(line for line in lines if line.strip())


def matters(text: str, limit: int, boring: Container[str] = ()) -> list[str]:
    """Return at most *limit* lines of a log: those that report a failure, else the last ones.

    Lines whose `gist` is in *boring* are omitted. Lines with the same gist are folded, with their
    number; a gap is shown as ``...``.
    """
    lines = [line for line in stripped(text) if gist(line) not in boring]
    picked = [n for n, line in enumerate(lines) if _MATTERS.search(line)]
    if not picked:
        picked = list(range(max(0, len(lines) - limit), len(lines)))
    seen: dict[str, int] = {}
    for n in picked:
        seen[gist(lines[n])] = seen.get(gist(lines[n]), 0) + 1
    shown: list[str] = []
    last = -1
    for n in picked:
        times = seen.pop(gist(lines[n]), 0)
        if not times:
            continue
        if shown and n > last + 1 and shown[-1] != "...":
            shown.append("...")
        shown.append(shorten(lines[n]) + (f"  (x{times})" if times > 1 else ""))
        last = n
    if len(shown) > limit:
        left = sum(line != "..." for line in shown[limit - 1 :])
        shown = [*shown[: limit - 1], f"... {left} more such lines"]
    return shown


_MARKDOWN = str.maketrans({c: f"&#{ord(c)};" for c in "\\`*_{}[]()<>&\"'|~!$^"})


@functools.lru_cache(maxsize=20_000)  # a report is rendered again until it fits
def markdown(text: object) -> Markup:
    """Return *text* as literal text for a line or table cell of GitHub's Markdown.

    Nothing in it formats, links, mentions, or refers to an issue. Shortened to `TEXT` characters.
    """
    line = shorten(one_line(str(text)), TEXT).translate(_MARKDOWN)
    line = re.sub(r"^(\d+)([.)])", r"\1&#46;", line) if line[:1].isdigit() else line
    line = re.sub(r"^([-+=#])", lambda m: f"&#{ord(m[1])};", line)
    line = line.replace("://", "&#58;//").replace("www.", "www&#46;")
    # A zero-width space: GitHub links mentions and issues after it has decoded entities.
    line = re.sub(r"@(?=\w)", "@&#8203;", line)
    return Markup(re.sub(r"(?<!&)#(?=\d)", "#&#8203;", line))  # noqa: S704 - escaped above


def spaced_markup(*parts: str) -> Markup:
    """Return the parts that are not empty, escaped, with a space between two."""
    return Markup(" ").join(part for part in parts if part)


def code(text: object) -> Markup:
    """Return *text* as inline code, in both Markdown and HTML."""
    return Markup(f"<code>{markdown(text)}</code>")  # noqa: S704 - escaped by markdown()


def block(lines: Iterable[str]) -> Markup:
    """Return *lines*, cleaned and escaped, as a preformatted block in both Markdown and HTML.

    It may contain empty lines: an HTML block that starts with ``<pre>`` ends at ``</pre>``.
    """
    body = html.escape("\n".join(clean(line) for line in lines), quote=False)
    return Markup(f"<pre>\n{body}\n</pre>")  # noqa: S704 - escaped above


def duration(seconds: float) -> str:
    """Return ``45 s``, ``12 min`` or ``1 h 05 min``."""
    whole = round(seconds)
    if whole < 100:  # noqa: PLR2004 - two digits of seconds read well
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004
