from __future__ import annotations

import re
import shlex
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from buildkit_bisect.render import text

GFM = MarkdownIt("gfm-like", {"html": True})

#: What GitHub links automatically (GFM 6.9). This renderer also links bare names such as x.ax.
AUTOLINK = re.compile(r"(?i)://|^www\.|@")


class Seen(HTMLParser):
    """Tags and text of a rendered page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.links.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1:] == ["a"] and not self.links[-1]:
            self.links[-1] = data


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("a\rb\x00\x07c", "a\nbc"),
        ("left\u202eright\u2066", "leftright"),
        ("token ghp_0123456789abcdefABCD", "token ***"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("https://user:secret@example.org/x", "https://***@example.org/x"),
        ("read unix @->/tmp/bkb-21535-wl6p2sc5/s: reset", "read unix @->TRIAL/s: reset"),
        ("context:a=oci-layout://named-0@sha256:1", "context:a=oci-layout://named-0@sha256:1"),
        ("xoci-layout://user:secret@example.org", "xoci-layout://***@example.org"),
        ('{"password": "hunter22", "a": 1}', '{"password": ***, "a": 1}'),
        ("NPM_TOKEN=abcd1234 go", "NPM_TOKEN=*** go"),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAA\n-----END RSA PRIVATE KEY-----", "***"),
        ("open /home/ann/src/x.go", "open ~/src/x.go"),
        ("/home/ann/.cache/buildkit-bisect/tmp/trial-12-ab_3/work/cache/index.json",
         "TRIAL/work/cache/index.json"),
        ("/var/x/buildkit-bisect/builds/k/buildkitd", "CACHE/builds/k/buildkitd"),
        ("a-eyJ-eyJhbGciOi.eyJzdWIiOi.c2ln-b x", "a-*** x"),
        ("--my-api-key: 'a b'; x", "--my-api-key: ***; x"),
        ("/a/tmp/trial-1-a/b/tmp/images-2-b.c/d", "TRIAL.c/d"),
        ("/a/.cache/buildkit-bisect/b,/c/d", "CACHE/b,/c/d"),
        ("/home/ann/buildkit-bisect/results/x", "~/buildkit-bisect/results/x"),
        ("/srv/buildkit-bisect/patches/a/b.patch", "/srv/buildkit-bisect/patches/a/b.patch"),
        ("kept \x1bPto the end of the line\nand \x1b_to its end\x1b\\ on", "kept \nand  on"),
        ("the token is missing", "the token is missing"),
        ("COPY /rootfs /root.txt", "COPY /rootfs /root.txt"),
    ],
)  # fmt: skip
def test_clean(dirty: str, clean: str) -> None:
    assert text.clean(dirty) == clean


def test_a_command_has_no_path_of_this_host() -> None:
    assert text.command("./inv matrix --repo /src/bk --out=/tmp/o") == (
        "./inv matrix --repo PATH --out=PATH"
    )
    for path in ("/src/b k", "/src/it's here", "/src/a;b"):
        quoted = shlex.join(["./inv", "matrix", "--repo", path, "--trials", "3"])
        assert text.command(quoted) == "./inv matrix --repo PATH --trials 3"


def test_matters_returns_failures_not_the_end() -> None:
    log = "\n".join(["start", "error: no such blob", *(f"chatter {c}" for c in "abcdef")])
    assert text.matters(log, 3) == ["error: no such blob"]


def test_matters_folds_lines_that_differ_only_in_numbers() -> None:
    log = "\n".join(f"2026-11-24T04:30:0{n}Z error: blob {n}{n} lost" for n in range(5))
    assert text.matters(log, 3) == ["error: blob 00 lost  (x5)"]


def test_matters_shows_gaps_and_counts_omitted_lines() -> None:
    log = "\n".join(f"error {chr(97 + n)}\nfine" for n in range(10))
    shown = text.matters(log, 4)
    assert shown == ["error a", "...", "error b", "... 8 more such lines"]


def test_matters_falls_back_to_the_last_lines() -> None:
    assert text.matters("one\ntwo\nthree", 2) == ["two", "three"]


def test_matters_omits_lines_of_good_trials() -> None:
    dull = frozenset({text.gist("level=warning msg=usual 7")})
    assert text.matters("level=warning msg=usual 9\nlevel=error msg=odd", 9, dull) == [
        "level=error msg=odd"
    ]


def test_shorten_keeps_both_ends() -> None:
    short = text.shorten("a" * 500 + "END", 100)
    assert len(short) < 130
    assert short.endswith("END")
    assert re.search(r"\[\d+ characters\]", short)


@pytest.mark.parametrize("link", ["http://a.b/c", "www.example.com", "a@example.com", "ftp://x.y"])
def test_what_github_would_link_is_not_linked(link: str) -> None:
    bare, made = Seen(GFM.render(link)), Seen(GFM.render(str(text.markdown(link))))
    assert bare.links == [link], "the renderer here would"
    assert [found for found in made.links if AUTOLINK.search(found)] == []
    assert made.text.replace("\u200b", "").strip() == link


@example(".A")
@settings(deadline=None)
@given(st.text())
def test_markdown_is_literal_in_a_table_cell(raw: str) -> None:
    page = GFM.render(f"| a |\n| -- |\n| x{text.markdown(raw)}x |\n")
    seen = Seen(page)
    assert set(seen.tags) <= {"table", "thead", "tr", "th", "tbody", "td", "a"}
    assert [link for link in seen.links if AUTOLINK.search(link)] == []
    words = seen.text.replace("\u200b", "").split()
    assert words == ("a x" + " ".join(text.clean(raw).split()) + "x").split() or not raw.strip()


@settings(deadline=None)
@given(st.lists(st.text()))
def test_a_block_is_literal(lines: list[str]) -> None:
    page = GFM.render(f"{text.block(lines)}\n\nafter\n")
    seen = Seen(page)
    assert seen.tags == ["pre", "p"]
    assert seen.text.strip().endswith("after")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (45, "45 s"), (99, "99 s"), (754, "13 min"),
     (3900, "1 h 05 min")],
)  # fmt: skip
def test_duration(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_secrets_are_removed_before_a_line_is_cut() -> None:
    for at in range(180, 260):
        line = "x" * at + " password=hunter22-and-more /home/someone/else " + "y" * 300
        assert "hunter" not in text.clean(text.shorten(line))
        assert "someone" not in text.clean(text.shorten(line))


#: Shorter patterns for the same secrets and paths, which are slow if they do not match.
_SHORT = (
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"), "***"),
    (re.compile(r"(\w://)[^/\s:@]*:?[^/\s@]*@"), r"\1***@"),
    (re.compile(
        r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[-_]?key|access[-_]?key)[\w-]*"
        r"[\"']?\s*[=:]\s*)(\"[^\"]+\"|'[^']+'|[^\s,;\"'&]{4,})"), r"\1***"),
    (re.compile(
        r"(?:/[^\s/\"':=,]+)*/tmp/(?:trial|images|build|bench|bkb)[\w-]*-\d+-\w+"), "TRIAL"),
    (re.compile(r"(?:/[^\s/\"':=,]+)*/\.?(?:cache/)?buildkit-bisect(?=/)"), "CACHE"),
)  # fmt: skip
_PIECES = (
    *"/-_.aé1²:='\",;& \n@", "--", "//", "://", "a/tmp/", "x/tmp", "/trial", "/trial-1-a",
    "/images-x-22-b", "build-1-", "-1-1", "eyJ", "eyJabcdefgh", "abcdefgh", "password", "Secret",
    "\u017fecret", "token", "api", "key", "-key", "access-key", "hunter22", "abc", "a://", "cache/",
    "/.cache/buildkit-bisect", "/buildkit-bisect", "/buildkit-bisect/",
)  # fmt: skip


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
def test_the_patterns_are_equivalent_to_the_short_ones(raw: str) -> None:
    expected = raw
    for pattern, instead in _SHORT:
        expected = pattern.sub(instead, expected)
    assert text.clean(raw) == expected


@pytest.mark.parametrize(
    "piece",
    ["/a", "password", "secret-", "eyJ-", "\x1bP", "/a/tmp/trial", "/a/tmp/trial-1-a",
     "/buildkit-bisect", "password='", "password= ", "-----BEGIN ", "bearer ", "a://", "/home/a",
     "x", " ", "\x1b["],
)  # fmt: skip
@pytest.mark.parametrize("ends", [("", ""), ("", "\nx"), ("secret", "=a"), ("a://", "-.-")])
def test_cleaning_takes_linear_time(piece: str, ends: tuple[str, str]) -> None:
    """Four times the text takes about four times as long, not sixteen times."""

    def seconds(n: int) -> float:
        raw, best = ends[0] + piece * n + ends[1], 1e9
        for _ in range(5):
            text.clean.cache_clear()
            began = time.process_time()
            text.clean(raw)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(2000) < 9 * seconds(500) + 0.001
