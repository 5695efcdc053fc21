"""Splits a line of shell into simple commands: words, redirections, variables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field

_NAME = re.compile(r"[A-Za-z_]\w*")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_SPECIAL = re.compile(r"[A-Za-z0-9_@*#?!$-]")
_REDIRECTION = re.compile(r"(?P<fd>\d*|&)(?P<op>>>|>|<<<|<<-?|<)(?P<to>&\d|&-)?")

#: Programs that only show what a build prints; a pipe into them is left out.
_FILTERS = (
    *("awk", "cat", "cut", "egrep", "grep", "head", "jq", "less", "more", "sed", "sort", "tail"),
    *("tee", "tr", "uniq", "wc"),
)

#: Programs whose output differs each time: an argument that keeps a step from the cache.
_CHANGING = re.compile(r"(?:date|uuidgen|mktemp -u|openssl rand|od |cat /proc/sys/kernel/random)\b")

#: What stands for a directory of ``mktemp``.
SCRATCH = "/tmp/scratch"  # noqa: S108 - nothing is made there


#: Longest word, value or here-document with variables in it, and all texts that variables of one
#: paste gave, in characters: `A=$A$A` doubles a value.
_LONGEST, _MOST = 64 << 10, 16 << 20

#: No variable's name: how much variables have given so far.
_GIVEN = "."


class Untaken(ValueError):
    """A part of the shell that is not understood; the message says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A simple command: its words, and where its input and output are."""

    words: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)  # assignments before it
    document: str | None = None  # its here-document
    input: str = ""  # the file after ``<``
    output: str = ""  # the file after ``>``
    append: bool = False
    unless: bool = False  # after ``||``: runs only if another one fails
    piped: bool = False  # gets another one's output


@dataclass(kw_only=True, slots=True)
class _Word:
    text: str = ""
    quoted: bool = False


def commands(
    text: str,
    documents: Sequence[str],
    expands: Sequence[bool],
    variables: MutableMapping[str, str],
) -> Iterator[Words]:
    """Yield the commands in *text* in order. Raises `Untaken` for what cannot be known.

    A pipe into a program that only filters is left out with that program.
    """
    left = list(zip(documents, expands, strict=True))
    joint = ""
    for part, ends in _parts(text):
        made = _simple(part, left, variables)
        before, joint = joint, ends
        if before == "|":
            if made.words and made.words[0] in _FILTERS and not made.output.endswith("Dockerfile"):
                continue
            raise Untaken("a pipe: only the input of a program in the paste itself is known")
        if not made.words and not made.output:
            variables.update(made.env)
            continue
        yield _marked(made, unless=before == "||")


def _marked(made: Words, *, unless: bool) -> Words:
    if not unless:
        return made
    return Words(
        words=made.words, env=made.env, document=made.document, input=made.input,
        output=made.output, append=made.append, unless=True,
    )  # fmt: skip


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield each simple command's text, and the operator after it."""
    start = at = 0
    quote = ""
    nested = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif text.startswith("$(", at) or (nested and char == "("):
            nested += 1
        elif char == ")" and nested:
            nested -= 1
        elif char == "#" and (at == 0 or text[at - 1].isspace()):
            end = text.find("\n", at)
            text = text[:at] + (text[end:] if end >= 0 else "")
            continue
        elif not nested and char in ";&|\n":
            operator = next((o for o in ("&&", "||", "|&", ";;") if text.startswith(o, at)), char)
            redirected = operator == "&" and (
                text[at - 1 : at] in "<>" or text[at + 1 : at + 2] == ">"
            )
            if not redirected:
                yield text[start:at], operator
                at += len(operator)
                start = at
                continue
        at += 1
    yield text[start:], ""


def _simple(
    text: str, documents: list[tuple[str, bool]], variables: MutableMapping[str, str]
) -> Words:
    if text.lstrip().startswith(("(", "{")):
        raise Untaken("a group of commands: write its lines one by one")
    env: dict[str, str] = {}
    words: list[str] = []
    files: dict[str, str] = {}  # by operator
    document: str | None = None
    pieces = list(_pieces(text.strip(), variables))
    while pieces:
        piece = pieces.pop(0)
        if isinstance(piece, _Word):
            found = _ASSIGNMENT.fullmatch(piece.text)
            if found and not words:
                env[found[1]] = found[2]
            else:
                words.append(piece.text)
            continue
        if piece["to"]:
            continue
        target = pieces.pop(0) if pieces else None
        if not isinstance(target, _Word):
            raise Untaken("a redirection without a file")
        if piece["op"] in ("<<", "<<-") and documents:
            body, expand = documents.pop(0)
            document = _expanded(body, variables) if expand else body
        elif piece["op"] == "<<<":
            document = f"{target.text}\n"
        elif _is_kept(piece, target.text):
            files[piece["op"]] = target.text
    return Words(
        words=tuple(words), env=env, document=document, input=files.get("<", ""),
        output=files.get(">") or files.get(">>", ""), append=">>" in files and ">" not in files,
    )  # fmt: skip


def _is_kept(redirection: re.Match[str], target: str) -> bool:
    """Whether a redirection gives a command its input, or keeps what it prints on stdout."""
    if redirection["op"] == "<":
        return True
    return redirection["fd"] in ("", "1", "&") and target != "/dev/null"


def _pieces(text: str, variables: MutableMapping[str, str]) -> Iterator[_Word | re.Match[str]]:
    at = 0
    word: _Word | None = None
    while at < len(text):
        char = text[at]
        if char.isspace():
            if word:
                yield word
            word = None
            at += 1
            continue
        redirection = _REDIRECTION.match(text, at) if word is None or char in "<>" else None
        if redirection and (char in "<>" or word is None):
            if word:
                yield word
            word = None
            yield redirection
            at = redirection.end()
            continue
        word = word or _Word()
        at = _take(text, at, word, variables)
    if word:
        yield word


def _take(text: str, at: int, word: _Word, variables: MutableMapping[str, str]) -> int:
    """Add the next quoted or plain part of *text* to *word*; return where it ends."""
    char = text[at]
    if char == "'":
        end = text.find("'", at + 1)
        if end < 0:
            raise Untaken("a quote that does not end")
        word.text += text[at + 1 : end]
        word.quoted = True
        return end + 1
    if text.startswith("$'", at):
        end = text.find("'", at + 2)
        if end < 0:
            raise Untaken("a quote that does not end")
        word.text += text[at + 2 : end].replace("\\n", "\n").replace("\\t", "\t")
        return end + 1
    if char == '"':
        end = _closing(text, at + 1)
        inner = _expanded(text[at + 1 : end], variables)
        word.text += re.sub(r'\\(["\\$`\n])', r"\1", inner)
        if len(word.text) > max(_LONGEST, len(text)):
            raise Untaken("with its variables, a text is longer than 64 KiB")
        word.quoted = True
        return end + 1
    if char == "\\":
        word.text += text[at + 1 : at + 2]
        return at + 2
    if char in "$`":
        value, end = _value(text, at, variables)
        word.text = _with(word.text, value, variables)
        return end
    word.text += char
    return at + 1


def _with(text: str, value: str, variables: MutableMapping[str, str]) -> str:
    """Return *text* with the *value* of a variable after it. Raises `Untaken` if it is too long."""
    given = int(variables.get(_GIVEN, "0")) + len(value)
    if len(text) + len(value) > _LONGEST:
        raise Untaken("with its variables, a text is longer than 64 KiB")
    if given > _MOST:
        raise Untaken("the variables of the paste give more than 16 MiB of text")
    variables[_GIVEN] = str(given)
    return text + value


def _closing(text: str, at: int) -> int:
    """Return where the double quote that is open at *at* ends."""
    nested = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text.startswith("$(", at):
            nested += 1
        elif text[at] == ")" and nested:
            nested -= 1
        elif text[at] == '"' and not nested:
            return at
        at += 1
    raise Untaken("a quote that does not end")


def _expanded(text: str, variables: MutableMapping[str, str]) -> str:
    """Return *text*, as between double quotes, with its variables replaced."""
    out, at = "", 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            out += text[at + 1] if text[at + 1] in "$`" else text[at : at + 2]
            at += 2
        elif text[at] in "$`":
            value, at = _value(text, at, variables)
            out = _with(out, value, variables)
        else:
            out += text[at]
            at += 1
    return out


def _value(text: str, at: int, variables: MutableMapping[str, str]) -> tuple[str, int]:
    """Return the value of the variable or the substitution at *at*, and where that ends."""
    if text[at] == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise Untaken("a quote that does not end")
        return _substituted(text[at + 1 : end], variables), end + 1
    if text.startswith("$(", at):
        end = _bracket(text, at + 2)
        return _substituted(text[at + 2 : end], variables), end + 1
    if text.startswith("${", at):
        end = text.find("}", at)
        if end < 0:
            raise Untaken("a bracket that does not end")
        return _braced(text[at + 2 : end], variables), end + 1
    found = _NAME.match(text, at + 1)
    if found:
        return _braced(found[0], variables, written=f"${found[0]}"), found.end()
    if at + 1 < len(text) and _SPECIAL.match(text[at + 1]):
        raise Untaken(f"the paste does not say what {text[at : at + 2]} is")
    return "$", at + 1


def _braced(inner: str, variables: MutableMapping[str, str], written: str = "") -> str:
    """Return the value of what is in braces: a variable, perhaps with a default."""
    name = re.match(r"\w*", inner)[0]  # type: ignore[index]
    default = inner[len(name) :]
    known = _known(name, variables)
    if default.startswith((":-", "-")):
        return known or default.lstrip(":-")
    if known is None or default:
        raise Untaken(f"the paste does not say what {written or f'${{{inner}}}'} is")
    return known


def _known(name: str, variables: MutableMapping[str, str]) -> str | None:
    if name == "RANDOM":
        return _another(variables)
    return variables.get(name)


def _another(variables: MutableMapping[str, str]) -> str:
    """Return a value that no earlier call returned, the same in every run of this program."""
    count = int(variables.get("", "0")) + 1
    variables[""] = str(count)
    return str(count)


def _bracket(text: str, at: int) -> int:
    nested = 1
    for end in range(at, len(text)):
        nested += {"(": 1, ")": -1}.get(text[end], 0)
        if not nested:
            return end
    raise Untaken("a bracket that does not end")


def _substituted(command: str, variables: MutableMapping[str, str]) -> str:
    command = command.strip()
    if command == "pwd":
        return "."
    if re.match(r"mktemp\b(?!.*-u)", command):
        return f"{SCRATCH}{_another(variables)}"
    if _CHANGING.match(command):
        return _another(variables)
    found = re.fullmatch(r"(?:echo|printf)\s+(['\"]?)([\w./:@=-]*)\1", command)
    if found:
        return found[2]
    raise Untaken(f"the paste does not say what $({command[:60]}) prints")
