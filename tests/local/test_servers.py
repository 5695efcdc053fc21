"""Servers of a trial: what HTTP clients and git get of them, and the script's ones beside them."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect.lab.serving import Stand
from buildkit_bisect.model import StepResult
from buildkit_bisect.runtime.servers import Page, serve
from buildkit_bisect.scenario import Action, Scenario, Step
from buildkit_bisect.scenario.placeholders import fill
from buildkit_bisect.scenario.reproduction import script
from small_scenario import loaded, written

pytestmark = [pytest.mark.local, pytest.mark.alone]

SCENARIO = r"""
[servers.web]
kind = "http"

[servers.repo]
kind = "git"

[[steps]]
id = "first"
action = "commit"
server = "repo"
tree = { Dockerfile = "FROM scratch\n", "a/b/it's" = "1", "a-b" = "2", "a.b" = "" }
tag = "v1"

[[steps]]
id = "plain"
action = "serve"
server = "web"
path = "plain"
content = "${commit.first}"

[[steps]]
id = "tagged"
action = "serve"
server = "web"
path = "dir/tagged"
base64 = "AP8="
etag = "one"
mtime = 1600000000

[[steps]]
id = "weak"
action = "serve"
server = "web"
path = "weak"
content = "w"
etag = "W/\"two\""

[[steps]]
id = "broken"
action = "serve"
server = "web"
path = "broken"
content = "out of order"
status = 503

[[steps]]
id = "second"
action = "commit"
server = "repo"
tree = { "a" = "now a file", "a.b" = "${sha256.tagged} ${server.web}" }
branch = "topic/x"
tag = "v1"
annotated = true

[[steps]]
id = "third"
action = "commit"
server = "repo"
tree = { "new/x" = "3" }
tag = "v2"

[[steps]]
id = "fourth"
action = "commit"
server = "repo"
tree = { "new/x" = "4" }
branch = "topic/x/y"
delete_branch = "topic/x"
"""


@pytest.fixture
def made(tmp_path: Path) -> Scenario:
    return loaded(written(tmp_path / "scenario", SCENARIO))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Servers by name, and the ids of commits."""

    hosts: dict[str, str]
    commits: dict[str, str]

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, str, str]:
        """Return status, body, ETag and Last-Modified."""
        connection = http.client.HTTPConnection(self.hosts["web"], timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return (
            answer.status,
            body,
            answer.headers.get("ETag", ""),
            answer.headers.get("Last-Modified", ""),
        )


@pytest.fixture
def ours(made: Scenario) -> Iterator[tuple[Place, Stand]]:
    with serve() as web, serve() as repo:
        stand = Stand(made, {"web": web, "repo": repo})

        def text(text: str) -> str:
            return fill(
                text, scenario=made, axes=(), images={}, registry="", made=stand.made.values
            )

        for step in made.steps[:-1]:
            assert stand.do(step, text).exit == 0
        commits = {
            name.removeprefix("commit."): value
            for name, value in stand.made.values.items()
            if name.startswith("commit.")
        }
        yield Place(hosts={"web": web.host, "repo": repo.host}, commits=commits), stand


LATER, EARLIER = "Wed, 01 Jan 2020 00:00:00 GMT", "Tue, 31 Dec 2019 23:59:59 GMT"
SEPTEMBER = "Sun, 13 Sep 2020 12:26:40 GMT"

#: Path, method and headers of a request; status, body, ETag and Last-Modified of its answer.
ASKED: list[tuple[str, str, dict[str, str], tuple[int, bytes, str, str]]] = [
    ("/dir/tagged", "GET", {}, (200, b"\0\xff", '"one"', SEPTEMBER)),
    ("/dir/tagged?x=1", "HEAD", {}, (200, b"", '"one"', SEPTEMBER)),
    ("/dir/tagged", "GET", {"If_None_Match": '"one"'}, (304, b"", '"one"', SEPTEMBER)),
    ("/dir/tagged", "GET", {"If_None_Match": 'W/"x", W/"one"'}, (304, b"", '"one"', SEPTEMBER)),
    ("/dir/tagged", "GET", {"If_None_Match": "*"}, (304, b"", '"one"', SEPTEMBER)),
    ("/dir/tagged", "GET", {"If_None_Match": '"on"'}, (200, b"\0\xff", '"one"', SEPTEMBER)),
    (
        "/dir/tagged",
        "GET",
        {"If_None_Match": '"x"', "If_Modified_Since": SEPTEMBER},
        (200, b"\0\xff", '"one"', SEPTEMBER),
    ),
    ("/weak", "HEAD", {"If_None_Match": '"two"'}, (304, b"", 'W/"two"', LATER)),
    ("/weak", "GET", {"If_Modified_Since": LATER}, (304, b"", 'W/"two"', LATER)),
    ("/weak", "GET", {"If_Modified_Since": EARLIER}, (200, b"w", 'W/"two"', LATER)),
    ("/weak", "GET", {"If_Modified_Since": "soon"}, (200, b"w", 'W/"two"', LATER)),
    ("/broken", "GET", {"If_None_Match": "*"}, (503, b"out of order", "", LATER)),
    ("/gone", "GET", {"If_None_Match": "*"}, (404, b"not found\n", "", "")),
]


@pytest.mark.parametrize(("path", "method", "headers", "answer"), ASKED)
def test_conditional_requests(
    ours: tuple[Place, Stand],
    path: str,
    method: str,
    headers: dict[str, str],
    answer: tuple[int, bytes, str, str],
) -> None:
    assert ours[0].get(path, method, **headers) == answer


def clone(url: str, folder: Path) -> str:
    """Clone with the plain protocol; return all refs and the tree of each."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["/usr/bin/git", *words],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    git("clone", "-q", "--mirror", url, str(folder))
    git("-C", str(folder), "fsck", "--strict")
    refs = git("-C", str(folder), "show-ref", "-d")
    for ref in re.findall(r" (\S+[^}\n])\n", refs):
        refs += git("-C", str(folder), "ls-tree", "-r", ref)
    return refs + git("-C", str(folder), "symbolic-ref", "HEAD")


def test_git_clones_it(ours: tuple[Place, Stand], tmp_path: Path) -> None:
    place, _ = ours
    seen = clone(f"http://{place.hosts['repo']}/repo.git", tmp_path / "clone")
    assert f"{place.commits['third']} refs/heads/main\n" in seen
    assert f"{place.commits['fourth']} refs/heads/topic/x/y\n" in seen
    assert "refs/heads/topic/x\n" not in seen
    assert f"{place.commits['second']} refs/tags/v1^{{}}\n" in seen
    assert f"{place.commits['third']} refs/tags/v2\n" in seen
    assert seen.endswith("refs/heads/main\n")


def requests(stand: Stand, path: str = "") -> StepResult:
    step = Step(id="asked", action=Action.REQUESTS, server="web", path=path)
    return stand.do(step, lambda text: text)


def test_requests_are_facts(ours: tuple[Place, Stand]) -> None:
    place, stand = ours
    assert requests(stand).metrics == {"requests": 0, "not_modified": 0, "bytes": 0}
    place.get("/dir/tagged?x")
    place.get("/dir/tagged", If_None_Match='"one"')
    place.get("/weak", "HEAD")
    place.get("/broken")
    seen = requests(stand, "dir/tagged")
    assert seen.metrics == {"requests": 2, "not_modified": 1, "bytes": 2}
    assert seen.stderr == "GET /dir/tagged?x 200 2\nGET /dir/tagged 304 0\n"
    assert requests(stand).metrics == {"requests": 2, "not_modified": 0, "bytes": 12}
    assert requests(stand).metrics["requests"] == 0


def test_a_client_that_goes_away_takes_no_bytes_and_ends_nothing() -> None:
    with serve() as server:
        server.put({"big": Page(data=b"x" * 50_000_000)})
        connection = http.client.HTTPConnection(server.host, timeout=10)
        connection.request("GET", "/big")
        connection.getresponse().read(10)
        connection.close()
        until = time.monotonic() + 20
        place = Place(hosts={"web": server.host}, commits={})
        assert place.get("/gone")[0] == 404
        until = time.monotonic() + 20
        while server._requests[1].sent and time.monotonic() < until:
            time.sleep(0.05)
        assert [str(r) for r in server.taken()] == ["GET /big 200 0", "GET /gone 404 10"]


def test_servers_end_with_the_process() -> None:
    """Also by SIGKILL; and a server that has ended frees its port at once."""
    program = (
        "from buildkit_bisect.runtime.servers import serve\n"
        "import time\n"
        "with serve() as server:\n"
        "    print(server.host, flush=True)\n"
        "    time.sleep(600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    host = child.stdout.readline().strip()
    place = Place(hosts={"web": host}, commits={})
    assert place.get("/x")[0] == 404
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with pytest.raises(ConnectionRefusedError):
        place.get("/x")
    with serve() as server:
        place = Place(hosts={"web": server.host}, commits={})
        assert place.get("/x")[0] == 404
    with pytest.raises(ConnectionRefusedError):
        place.get("/x")


def test_the_script_has_the_same_servers(
    made: Scenario, ours: tuple[Place, Stand], tmp_path: Path
) -> None:
    """Its servers answer in the same way, and its commits are the ids that it says."""
    text = script(made, ())
    begin, steps = text.index("cat > serve.py"), text.index("# step first")
    own = (
        text[begin : text.index("\nstart --oci")] + "\n" + text[steps : text.index("# step build")]
    )
    ports = {name: free_port() for name in ("web", "repo")}
    for name, port in (("web", "5002"), ("repo", "5003")):
        own = own.replace(f"serve {name} {port}", f"serve {name} {ports[name]}")
    program = f"set -eu\numask 022\nstop() {{ :; }}\n{own}\necho ready\nread -r\n"
    child = subprocess.Popen(
        ["/bin/bash", "-c", program], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert child.stdout
    assert child.stdin
    try:
        assert child.stdout.readline() == "ready\n"
        hosts = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        theirs = Place(hosts=hosts, commits={})
        for path, method, headers, answer in ASKED:
            assert theirs.get(path, method, **headers) == answer, (path, headers)
        refs = clone(f"http://{hosts['repo']}/repo.git", tmp_path / "clone")
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()
    first = theirs_in(text, "plain")
    assert f"{first} refs/" not in refs, "the tag has moved"
    assert ours[0].commits["first"] == first
    assert (tmp_path / "servers/web/requests").read_text().count("\n") == len(ASKED)


def theirs_in(text: str, step: str) -> str:
    found = re.search(rf"# step {step}\n.*\nprintf %s (\w+) ", text)
    assert found
    return found[1]


def free_port() -> int:
    with serve() as server:
        return int(server.host.rpartition(":")[2])
