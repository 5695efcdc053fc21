from __future__ import annotations

import pytest

from buildkit_bisect.scenario.dockerfile import (
    names,
    parse,
    remote_files,
    stable_runs,
    stages,
    undeclared,
    words,
)

TEXT = """\
# syntax=docker/dockerfile:1
# a comment
ARG BASE=alpine
ARG TAG=3.20
FROM --platform=linux/amd64 ${BASE}:$TAG AS Build
RUN --mount=type=cache,target=/c --mount=from=build,source=/x,target=/y echo a \\
    # a comment between

    && echo b
RUN <<EOF
FROM not-an-image
EOF
COPY <<one <<-"two" /dir/
1
one
\t2
\ttwo
FROM build
COPY --from=build --chmod=755 ["a b", "c", "/d"]
FROM scratch
ADD a* 'b c' /
"""


def test_instructions_are_read_with_their_continuations_and_documents() -> None:
    file = parse(TEXT)
    assert file.directives == {"syntax": "docker/dockerfile:1"}
    found = [one.word for one in file.instructions]
    assert found == ["ARG", "ARG", "FROM", "RUN", "RUN", "COPY", "FROM", "COPY", "FROM", "ADD"]
    run = file.instructions[3]
    assert " ".join(run.rest.split()) == "echo a && echo b"
    assert run.mounts == ("type=cache,target=/c", "from=build,source=/x,target=/y")
    assert (run.start, run.end) == (5, 9)
    document = file.instructions[4]
    assert document.documents
    assert file.lines[document.start : document.end] == ("RUN <<EOF", "FROM not-an-image", "EOF")
    assert file.instructions[5].sources == ()
    copy = file.instructions[7]
    assert copy.flags == {"from": "build", "chmod": "755"}
    assert copy.sources == ("a b", "c")
    assert file.instructions[9].sources == ("a*", "b c")


def test_bases_are_images_stages_or_scratch() -> None:
    found = list(stages(parse(TEXT), {"TAG": "3.19"}))
    assert [(one.image, one.name, one.outer) for one in found] == [
        ("alpine:3.19", "build", True),
        ("build", "", False),
        ("scratch", "", False),
    ]
    assert found[0].written == "${BASE}:$TAG"
    assert names(parse(TEXT)) == {"build", "0", "1", "2"}


@pytest.mark.parametrize(
    ("written", "image"),
    [
        ("$NONE", ""),
        ("${NONE}", ""),
        ("${NONE:-debian}", "debian"),
        ("${EMPTY:-debian}", "debian"),
        ("${SET:-debian}", "alpine"),
        ("x-$SET", "x-alpine"),
    ],
)
def test_variables_of_an_image(written: str, image: str) -> None:
    (found,) = stages(parse(f"ARG EMPTY\nARG SET=alpine\nFROM {written}\n"), {})
    assert found.image == image


def test_an_argument_below_the_first_from_does_not_count_for_images() -> None:
    found = list(stages(parse("FROM alpine\nARG X=debian\nFROM $X\n"), {}))
    assert [one.image for one in found] == ["alpine", ""]


def test_another_escape_character() -> None:
    file = parse("# escape=`\nFROM alpine\nRUN echo a `\n b\nRUN echo c\\\nRUN d\n")
    assert [one.word for one in file.instructions] == ["FROM", "RUN", "RUN", "RUN"]


@pytest.mark.parametrize(
    ("run", "documents"),
    [
        ("RUN <<EOF\na\n\tEOF\nb\nEOF", ("a\n\tEOF\nb\n",)),
        ("RUN <<-EOF\n\ta\n\t\tEOF", ("a\n",)),
        ("RUN <<A cat 3<<'B-1'\n1\nA\n2\nB-1", ("1\n", "2\n")),
        ("RUN cat <<EOF | sh\na\r\nEOF\r", ("a\n",)),
        ("RUN cat <<< EOF", ()),
        ('RUN echo "a<<b" $((1<<x))', ()),
        ("ENV A=<<EOF", ()),
    ],
)
def test_documents(run: str, documents: tuple[str, ...]) -> None:
    file = parse(f"FROM a\n{run}\nUSER x\n")
    assert [one.word for one in file.instructions] == ["FROM", run[:3], "USER"]
    assert file.instructions[1].documents == documents


def test_what_ends_a_line_and_a_word() -> None:
    file = parse("FROM\ta\nRUN a\u2028RUN b\x0cc\nRUN echo a\\\nb\n")
    assert [(one.word, one.text) for one in file.instructions] == [
        ("FROM", "a"), ("RUN", "a\u2028RUN b\x0cc"), ("RUN", "echo ab"),
    ]  # fmt: skip


def test_directives_end_at_the_first_line_that_is_none() -> None:
    file = parse("# Check=skip=all\n# escape=x\n# author=me\n# syntax=a\nFROM a\nRUN b\\\nc\n")
    assert file.directives == {"check": "skip=all", "escape": "x"}
    assert file.instructions[1].text == "bc"
    assert parse("#syntax=a\n# escape=`\nFROM a\n").own_frontend == ["# escape=`"]


def test_directives_below_a_line_for_a_shell() -> None:
    """BuildKit looks for a frontend there; its parser has no ``escape`` then."""
    file = parse("#!/x\n# syntax=a\n# escape=`\n# check=b\nFROM a\nRUN b\\\nc`\nRUN d\n")
    assert file.own_frontend == ["#!/x", "# escape=`", "# check=b"]
    assert file.lines[len(file.directives)] == "FROM a"
    assert [one.text for one in file.instructions] == ["a", "bc`", "d"]
    again = parse("\n".join([*file.own_frontend, *file.lines[len(file.directives) :]]))
    assert [one.text for one in again.instructions] == ["a", "bc`", "d"]
    assert "syntax" not in again.directives


def test_a_byte_order_mark_hides_no_directive() -> None:
    file = parse("\ufeff# syntax=a\nFROM a\n")
    assert file.directives == {"syntax": "a"}
    assert file.own_frontend == []


@pytest.mark.parametrize("deep", [3000, 200_000])
def test_words_nested_too_deep_are_none(deep: int) -> None:
    (run,) = parse(f"RUN {'[' * deep}{']' * deep}\n").instructions
    assert words(run.rest) == []
    assert parse(f"COPY {'[' * deep}\n").instructions[0].sources == ()


def test_each_document_is_ended_or_not() -> None:
    found = parse("COPY <<a <<b /\n1\na\n2\nb\nCOPY <<a <<b /\n1\nb\n").instructions
    assert [(one.ended, one.documents) for one in found] == [
        (True, ("1\n", "2\n")),
        (False, ("1\nb\n", "")),
    ]


def test_files_and_images_that_are_used() -> None:
    file = parse(
        "FROM a\nCOPY --from=0 x /\nADD https://x.y/z git@x:y b /\n"
        "RUN --mount=from=c,target=/c --mount=source=d,target=/d --mount=target=/e ls\n"
    )
    assert [one.files for one in file.instructions] == [(), (), ("b",), ("d", ".")]
    assert [one.others for one in file.instructions] == [(), ("0",), (), ("c",)]
    assert remote_files(file) == ["https://x.y/z", "git@x:y"]


def test_what_a_changed_argument_or_file_cannot_affect() -> None:
    file = parse(
        "FROM a\nRUN one\nARG BUST\nRUN two\nFROM b AS x\nCOPY f /\nRUN three\n"
        "FROM c\nRUN four\nCOPY --from=0 /x /\nRUN five\nFROM x\nRUN six\n"
    )
    assert stable_runs(file, ["BUST"], ["f"]) == ["one", "four"]
    assert stable_runs(file, [], ["f"]) == ["one", "two", "four", "five"]


def test_arguments_without_a_default() -> None:
    text = "ARG TARGETPLATFORM\nARG A\nFROM alpine\nARG B=1\nARG BUST\nARG A=2 C\n"
    assert undeclared(parse(text)) == ["BUST", "C"]


@pytest.mark.parametrize(
    "text", ["", "#", "RUN <<EOF", "FROM", "COPY [", "COPY 'a", "\\", "FROM a\\"]
)
def test_anything_parses(text: str) -> None:
    file = parse(text)
    list(stages(file, {}))
    assert all(one.end <= len(file.lines) for one in file.instructions)
    assert all(isinstance(one.sources, tuple) for one in file.instructions)
