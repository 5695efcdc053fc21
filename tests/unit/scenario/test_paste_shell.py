"""Which lines of a shell are commands, what their words are, and why others are not taken."""

from __future__ import annotations

import pytest

from buildkit_bisect.scenario import paste_blocks, paste_shell
from buildkit_bisect.scenario.paste_blocks import Block, Kind, Line
from buildkit_bisect.scenario.paste_shell import Command, Left, Printed


def block(text: str, kind: Kind = Kind.SHELL) -> Block:
    lines = enumerate(text.split("\n"), 1)
    return Block(kind=kind, lines=tuple(Line(number=n, text=t) for n, t in lines))


def read(text: str) -> list[Command | Left | Printed]:
    return list(paste_shell.read(block(text), {}))


def commands(text: str) -> list[tuple[str, ...]]:
    return [one.words.words for one in read(text) if isinstance(one, Command)]


def reasons(text: str) -> list[tuple[int, str]]:
    return [(one.number, one.reason) for one in read(text) if isinstance(one, Left)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("docker build .", ("docker", "build", ".")),
        ("$ docker build .", ("docker", "build", ".")),
        ("# docker build .", ("docker", "build", ".")),
        ("user@host:~/src$ docker build .", ("docker", "build", ".")),
        ("root@box:/# docker build .", ("docker", "build", ".")),
        ("[root@box src]# docker build .", ("docker", "build", ".")),
        ("~/src ❯ docker build .", ("docker", "build", ".")),  # noqa: RUF001
        ("docker build \\\n  -t x \\\n  .", ("docker", "build", "-t", "x", ".")),
        ("docker build \\\n  # a comment\n  .", ("docker", "build", ".")),
        ("docker build . # twice", ("docker", "build", ".")),
        ("$ docker build \\\n> -t x \\\n> .", ("docker", "build", "-t", "x", ".")),
        ("docker build --build-arg 'A=b c' .", ("docker", "build", "--build-arg", "A=b c", ".")),
        ('docker build --build-arg "A=b c" .', ("docker", "build", "--build-arg", "A=b c", ".")),
        ("docker build --label a=x\\ y .", ("docker", "build", "--label", "a=x y", ".")),
        ("docker build . > log 2>&1", ("docker", "build", ".")),
        ("docker build . 2>&1 | tee log", ("docker", "build", ".")),
        ("docker build . | grep CACHED | wc -l", ("docker", "build", ".")),
    ],
)
def test_a_command(text: str, words: tuple[str, ...]) -> None:
    assert commands(text) == [words]


def test_several_commands_on_a_line() -> None:
    assert commands("mkdir a && cd a; docker build .") == [
        ("mkdir", "a"), ("cd", "a"), ("docker", "build", "."),
    ]  # fmt: skip


def test_a_document() -> None:
    (one,) = read("cat > Dockerfile <<'EOF'\nFROM x\nRUN echo $A\nEOF")
    assert isinstance(one, Command)
    assert (one.words.output, one.words.document) == ("Dockerfile", "FROM x\nRUN echo $A\n")


def test_a_document_behind_a_prompt() -> None:
    (one,) = read("$ docker build - <<EOF\n> FROM x\n> EOF")
    assert isinstance(one, Command)
    assert one.words.document == "FROM x\n"


def test_variables_of_the_text_are_replaced() -> None:
    (found,) = commands('A=1\nB="$A-2"\necho $A ${B} \'$A\' "${C:-d}"')
    assert found == ("echo", "1", "1-2", "$A", "d")


def test_a_value_that_differs_each_time() -> None:
    first, second = commands("echo $(date +%s)\necho $RANDOM")
    assert first != second


@pytest.mark.parametrize(
    ("text", "lines", "reason"),
    [
        ("for i in 1 2; do\n  docker build .\ndone", [1, 2, 3], "a loop"),
        ("for i in 1 2; do docker build .; done", [1], "a loop"),
        ("while true; do\ndocker build .\ndone", [1, 2, 3], "a loop"),
        ("if [ -f x ]; then\ndocker build .\nfi", [1, 2, 3], "a condition"),
        ("f() {\n  docker build .\n}", [1, 2, 3], "a shell function"),
        ("docker build --build-arg A=$A .", [1], "does not say what $A is"),
        ("docker build -t x:${TAG} .", [1], "does not say what ${TAG} is"),
        ("docker build -t x:$(git rev-parse HEAD) .", [1], "$(git rev-parse HEAD) prints"),
        ("docker build -t x:$1 .", [1], "does not say what $1 is"),
        ("go run ./x | buildctl build", [1], "a pipe"),
        ("cat Dockerfile | docker build -", [1], "a pipe"),
        ("(cd x; docker build .)", [1], "a group of commands"),
        ("docker build 'x", [1], "a quote that does not end"),
        ("docker build ${x", [1], "a bracket that does not end"),
        ("docker build $((", [1], "a bracket that does not end"),
        ("docker build `x", [1], "a quote that does not end"),
        ("docker build >", [1], "a redirection without a file"),
    ],
)
def test_what_is_not_taken_is_named_line_by_line(text: str, lines: list[int], reason: str) -> None:
    found = reasons(text)
    assert [number for number, _ in found] == lines
    assert all(reason in why for _, why in found)


def test_what_follows_a_loop_is_taken() -> None:
    text = "for i in 1 2; do\n  if x; then\n    y\n  fi\ndone\ndocker build ."
    assert commands(text) == [("docker", "build", ".")]


def test_output_is_not_a_command() -> None:
    text = "docker build .\n#1 [internal] load\n#1 DONE 0.0s\nsome text\ndocker build x"
    assert commands(text) == [("docker", "build", "."), ("docker", "build", "x")]
    assert [one.text for one in read(text) if isinstance(one, Printed)][-1] == "some text"


def test_with_prompts_only_they_begin_commands() -> None:
    text = "$ cat f\ndocker build .\n$ docker build y"
    assert commands(text) == [("cat", "f"), ("docker", "build", "y")]


def test_a_commented_command_of_a_script_is_no_command() -> None:
    assert commands("# docker build old\ndocker build .") == [("docker", "build", ".")]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("```dockerfile\nFROM x\n```", [Kind.DOCKERFILE]),
        ("```\nARG A\nFROM x\n```", [Kind.DOCKERFILE]),
        ("```\n# syntax=docker/dockerfile:1\nFROM x\n```", [Kind.DOCKERFILE]),
        ("```\ndocker build .\n```", [Kind.SHELL]),
        ("~~~sh\nx\n~~~", [Kind.SHELL]),
        ("````\n```\ndocker build .\n````", [Kind.SHELL]),
        ("```\n#1 DONE\n```", [Kind.OUTPUT]),
        ("```toml\ndebug = true\n```", [Kind.FILE]),
        ("hello.txt:\n```\nhello\n```", [Kind.FILE]),
        ("The long story of how hello.txt came to be printed by this:\n```\nx\n```", [Kind.OUTPUT]),
        ("> ```\n> docker build .\n> ```", [Kind.SHELL]),
        ("text\n```\ndocker build .", [Kind.SHELL]),  # a fence that does not end
        ("FROM x\nRUN y", [Kind.DOCKERFILE]),
        ("docker build .\n", [Kind.SHELL]),
        ("    docker build .\n", [Kind.SHELL]),
        ("Run this:\n\n    docker build .\n\nIt fails.", [Kind.SHELL]),
    ],
)
def test_what_a_block_is(text: str, kinds: list[Kind]) -> None:
    found = paste_blocks.read(text).blocks
    assert [one.kind for one in found] == kinds
    commands = [line.text for one in found for line in one.lines if "docker build" in line.text]
    assert all(line == "docker build ." for line in commands)


def test_the_number_of_a_line_is_that_of_the_text() -> None:
    paste = paste_blocks.read("a\r\nb\r\n```\r\ndocker build .\r\n```\r\n")
    assert paste.blocks[0].lines[0] == Line(number=4, text="docker build .")


@pytest.mark.parametrize("again", ["A=$A$A", 'A="$A$A"', 'A="$A""$A"', "A=${A}${A}", "A=x$A$A"])
def test_a_variable_that_doubles_ends(again: str) -> None:
    variables: dict[str, str] = {}
    text = "\n".join(["A=0123456789", *[again] * 60])
    left = [one for one in paste_shell.read(block(text), variables) if isinstance(one, Left)]
    assert {one.reason for one in left} == {"with its variables, a text is longer than 64 KiB"}
    assert len(variables["A"]) <= 64 << 10
    assert len(left) == 60 - 12


def test_variables_give_so_much_text_in_all() -> None:
    text = "\n".join([f"A={'x' * 60_000}", *["echo $A > f"] * 400])
    found = read(text)
    kept = [one for one in found if isinstance(one, Command)]
    assert len(kept) == (16 << 20) // 60_000
    (reason,) = {one.reason for one in found if isinstance(one, Left)}
    assert reason == "the variables of the paste give more than 16 MiB of text"


def test_a_document_with_variables_has_a_limit() -> None:
    text = "\n".join([f"A={'x' * 60_000}", "cat > f <<EOF", "$A$A", "EOF", "cat > f <<'EOF'",
                      "y" * 70_000, "EOF"])  # fmt: skip
    assert reasons(text) == [(2, "with its variables, a text is longer than 64 KiB")]
