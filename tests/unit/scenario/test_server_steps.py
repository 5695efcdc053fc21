"""Servers of a scenario: every mistake is named, and so is a placeholder without a value yet."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Observation, StepResult
from buildkit_bisect.scenario import uses_loopback
from buildkit_bisect.scenario.made import Made
from buildkit_bisect.scenario.outcome import judge
from buildkit_bisect.scenario.reproduction import script
from small_scenario import loaded, written

SERVERS = '[servers.web]\nkind = "http"\n[servers.repo]\nkind = "git"\n'


def step(action: str, *, id: str = "change", **keys: str) -> str:  # noqa: A002
    """Return a step as TOML; the values of keys are TOML too."""
    lines = [f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(["[[steps]]", f'id = "{id}"', f'action = "{action}"', *lines, ""])


def serve(**keys: str) -> str:
    return step("serve", **{"server": '"web"', "path": '"f"', **keys})


def commit(**keys: str) -> str:
    return step("commit", **{"server": '"repo"', "tree": '{ a = "1" }', **keys})


BROKEN = [
    ('[servers.web]\nkind = "ftp"\n', "servers.web.kind: 'ftp' is not one of http, git"),
    ("[servers.web]\n", "servers.web.kind: is missing"),
    ('[servers.web]\nkind = "http"\nport = 1\n', "servers.web.port: unknown key"),
    ('[servers.Web]\nkind = "http"\n', "servers.Web: 'Web' is not a plain name"),
    (
        "".join(f'[servers.s{n}]\nkind = "http"\n' for n in range(11)),
        "servers: must be at most 10",
    ),
    (SERVERS + serve(server='"wbe"'), "steps[0].server: unknown server 'wbe'; did you mean web?"),
    (SERVERS + serve(server='"repo"'), "steps[0].server: 'repo' is of kind git; serve needs http"),
    (SERVERS + commit(server='"web"'), "steps[0].server: 'web' is of kind http; commit needs git"),
    (SERVERS + serve(path='"../f"'), "steps[0].path: '../f' is not a path inside"),
    (SERVERS + serve(path='""'), "steps[0].path: '' is not a path inside"),
    (SERVERS + serve(path='"a b"'), "steps[0].path: 'a b' is not a plain path of a URL"),
    (SERVERS + serve(path='"f?x"'), "steps[0].path: 'f?x' is not a plain path of a URL"),
    (SERVERS + serve(path='"f/"'), "steps[0].path: 'f/' is not a plain path of a URL"),
    (SERVERS + serve(etag=r'"a\r\nX: y"'), "steps[0].etag: 'a\\r\\nX: y' cannot be in an ETag"),
    (SERVERS + serve(etag=r'"\"a"'), "steps[0].etag: '\"a' cannot be in an ETag header"),
    (SERVERS + serve(status="304"), "steps[0].status: must be 200, or 400 to 599"),
    (SERVERS + serve(status='"500"'), "steps[0].status: must be a whole number"),
    (SERVERS + serve(mtime="-1"), "steps[0].mtime: must be seconds since 1970"),
    (SERVERS + serve(file='"gone"'), "steps[0].file: file 'gone' not found"),
    (SERVERS + serve(content='"x"', base64='"eA=="'), "steps[0]: content and base64: only one"),
    (SERVERS + serve(symlink='"x"'), "steps[0].symlink: serve has no symlink"),
    (SERVERS + serve(tag='"x"'), "steps[0].tag: serve has no tag"),
    (SERVERS + step("prune", server='"web"'), "steps[0].server: prune has no server"),
    (SERVERS + step("requests"), "steps[0].server: unknown server ''"),
    (SERVERS + commit(tree="{ }"), "steps[0].tree: must not be empty"),
    (SERVERS + commit(tree='{ "../a" = "" }'), "steps[0].tree.\"../a\": '../a' is not a path"),
    (SERVERS + commit(tree='{ ".GIT/x" = "" }'), "steps[0].tree.\".GIT/x\": '.GIT/x' is not a"),
    (SERVERS + commit(tree='{ "a//b" = "" }'), "steps[0].tree.\"a//b\": 'a//b' is not a path in"),
    (SERVERS + commit(tree='{ "a/" = "" }'), "steps[0].tree.\"a/\": 'a/' is not a path in a git"),
    (
        SERVERS + commit(tree='{ a = "1", "a/b" = "2" }'),
        "steps[0].tree: 'a' is both a file and a folder",
    ),
    (SERVERS + commit(tree='{ a = "${axis.x}" }'), "steps[0].tree.a: unknown placeholder"),
    (SERVERS + commit(branch='""'), "steps[0].branch: '' is not a plain name of a branch"),
    (SERVERS + commit(branch='"a..b"'), "steps[0].branch: 'a..b' is not a plain name of a branch"),
    (SERVERS + commit(tag='"-d"'), "steps[0].tag: '-d' is not a plain name of a tag"),
    (SERVERS + commit(tag='"x.lock"'), "steps[0].tag: 'x.lock' is not a plain name of a tag"),
    (SERVERS + commit(annotated="true"), "steps[0].annotated: needs a tag"),
    (
        SERVERS + commit(delete_branch='"a..b"'),
        "steps[0].delete_branch: 'a..b' is not a plain name of a branch",
    ),
    (
        SERVERS + commit(delete_branch='"main"'),
        "steps[0].delete_branch: must not be the branch of this commit",
    ),
    (
        SERVERS + commit(id="one", branch='"topic"') + commit(delete_branch='"tobic"'),
        "steps[1].delete_branch: unknown branch 'tobic'; did you mean topic?",
    ),
    (SERVERS + serve(delete_branch='"x"'), "steps[0].delete_branch: serve has no delete_branch"),
    (
        serve(server='"web"', content='"${server.web}"'),
        "steps[0].server: unknown server 'web'",
    ),
    (
        SERVERS + serve(content='"${server.wbe}"'),
        "steps[0].content: unknown placeholder '${server.wbe}'; did you mean ${server.web}",
    ),
    (
        SERVERS + serve(content='"${commit.build}"'),
        "steps[0].content: unknown placeholder '${commit.build}'",
    ),
    (
        SERVERS + serve(content='"${sha256.change}"'),
        "steps[0].content: ${sha256.change}: that step does not end before this one",
    ),
    (
        SERVERS + serve(content='"${commit.later}"') + commit(id="later"),
        "steps[0].content: ${commit.later}: that step does not end before this one",
    ),
    (
        SERVERS + commit(id="one", parallel='"p"')
        + serve(content='"${commit.one}"', parallel='"p"'),
        "steps[1].content: ${commit.one}: that step does not end before this one",
    ),
    (
        '[axes.a]\nvalues = ["x", "y"]\n'
        + SERVERS + commit(id="one", when='{ a = ["x"] }') + serve(content='"${commit.one}"'),
        "steps[1].content: ${commit.one}: that step does not end before this one",
    ),
    (
        '[axes.a]\nvalues = ["x"]\n[vars.v]\naxis = "a"\nvalues = { x = "${commit.one}" }\n'
        + SERVERS + commit(id="one"),
        "vars.v.values.x: unknown placeholder '${commit.one}'",
    ),
    (
        SERVERS + step("write", id="l", path='"x"', symlink='"y"') + serve(content='"${sha256.l}"'),
        "steps[1].content: unknown placeholder '${sha256.l}'",
    ),
]  # fmt: skip


def remote(context: str, dockerfile: str = "Dockerfile") -> str:
    return SERVERS + step("build", context=f'"{context}"', dockerfile=f'"{dockerfile}"')


BROKEN += [
    (remote("https://example.org/x.git"), "steps[0].context: 'https://example.org/x.git' is not"),
    (remote("${server.web}.example.org/x"), "steps[0].context: '${server.web}.example.org/x' is"),
    (remote("${server.web}@example.org"), "steps[0].context: '${server.web}@example.org' is not"),
    (remote("${registry}/x"), "steps[0].context: '${registry}/x' is not ${server.NAME}, with a"),
    (remote("${server.wbe}"), "steps[0].context: unknown placeholder '${server.wbe}'"),
    (remote("${server.repo}#${commit.x}"), "steps[0].context: unknown placeholder '${commit.x}'"),
    (remote("${server.repo}", "/Dockerfile"), "steps[0].dockerfile: '/Dockerfile' is not a path"),
    (remote("${server.repo}", ""), "steps[0].dockerfile: '' is not a path inside"),
    (SERVERS + serve(context='"${server.web}"'), "steps[0].context: serve has no context"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    folder = written(tmp_path, text)
    with pytest.raises(BadInput) as raised:
        loaded(folder)
    assert raised.value.message.startswith(f"{folder}/scenario.toml: {message}")


def test_what_steps_make_has_names(tmp_path: Path) -> None:
    """Also in a cell in which the step that uses a name does not run."""
    text = '[axes.a]\nvalues = ["x", "y"]\n' + SERVERS + serve(id="file", content='"x"')
    both = 'when = { a = ["x"] }\n'
    text += commit(id="one", tree='{ a = "${sha256.file} ${server.repo}" }') + both
    text += step("write", path='"x"', content='"${commit.one}"') + both
    made = loaded(written(tmp_path, text))
    assert uses_loopback(made)
    known = Made(made, {"web": "127.0.0.1:1", "repo": "127.0.0.1:2"})
    assert known.values == {
        "server.web": "http://127.0.0.1:1",
        "server.repo": "http://127.0.0.1:2/repo.git",
    }
    assert known.note(made.steps[0], lambda text: text) == b"x"
    known.note(made.steps[1], lambda text: text)
    assert known.values["sha256.file"].startswith("2d711642b726b044")
    assert len(known.values["commit.one"]) == 40


def test_a_context_on_a_server(tmp_path: Path) -> None:
    """Its Dockerfile is not one of the scenario's folder; also in the script."""
    text = SERVERS + commit(id="one", tree='{ "sub/my.Dockerfile" = "FROM scratch\\n" }')
    built = step(
        "build", id="far", context='"${server.repo}#${commit.one}:sub"',
        dockerfile='"my.Dockerfile"',
    )  # fmt: skip
    made = script(loaded(written(tmp_path, text + built)), ())
    sha = re.search(r"repo\.git#([0-9a-f]{40}):sub", made)
    assert sha
    assert (
        "  --progress=plain \\\n  --frontend=dockerfile.v0 \\\n"
        f"  '--opt=context=http://127.0.0.1:5003/repo.git#{sha[1]}:sub' \\\n"
        "  --opt=filename=my.Dockerfile 2>&1 | tee far.log\n"
    ) in made
    assert "dockerfiles/my.Dockerfile" not in made


def test_rules_may_have_bounds_for_what_steps_count(tmp_path: Path) -> None:
    counted = {"requests": "not_modified", "du": "bytes.exec.cachemount", "histories": "failed"}
    text = SERVERS + "".join(
        step(action, id=action, **({"server": '"web"'} if action == "requests" else {}))
        for action in counted
    )
    rules = ", ".join(
        f'{{ step = "{action}", metric = "{metric}", over = "1" }}'
        for action, metric in counted.items()
    )
    text += f'[[outcomes]]\nname = "few"\nverdict = "bad"\nmeans = "x"\nall = [{rules}]\n'
    folder = written(tmp_path, text)
    made = loaded(folder)
    results = {
        action: StepResult(id=action, exit=0, seconds=1, metrics={metric: 2})
        for action, metric in counted.items()
    }
    seen = Observation(steps=tuple(results.values()), seconds=1)
    assert judge(made, seen, None).name == "few"
    few = replace(results["du"], metrics={"bytes.exec.cachemount": 1})
    seen = Observation(steps=tuple({**results, "du": few}.values()), seconds=1)
    assert judge(made, seen, None).name == "unclassified"
    shown = script(made, ())
    for action, metric in counted.items():
        assert f"echo '-- {action}, {metric}'\ncat {action}.log\n" in shown
    toml = folder / "scenario.toml"
    toml.write_text(toml.read_text().replace("not_modified", "bites"))
    with pytest.raises(BadInput, match="metric: 'bites' is not one of seconds, requests, not_mod"):
        loaded(folder)


def test_a_scenario_without_servers_needs_no_loopback(tmp_path: Path) -> None:
    assert not uses_loopback(loaded(written(tmp_path, "")))
