"""Servers on loopback as bash commands, for the script of `reproduction`. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping

from buildkit_bisect.scenario import content, git_objects, shell
from buildkit_bisect.scenario.context_script import bytes_to
from buildkit_bisect.scenario.definition import Action, Scenario, ServerKind, Step

#: Where the script's servers listen: on this port and the next ones.
FIRST_PORT = 5002

#: Serves files, with the headers that make clients ask again only for what is new.
_PROGRAM = """\
import email.utils, http.server, os, sys
root, port = sys.argv[1], int(sys.argv[2])

def read(kind, name):
    try:
        with open(os.path.join(root, kind, name), "rb") as file:
            return file.read()
    except OSError:
        return None

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.partition("?")[0].lstrip("/")
        data, status = read("files", name), int(read("status", name) or 200)
        etag, since = (read("etag", name) or b"").decode(), 0
        headers = {"ETag": etag} if etag else {}
        if data is None:
            data, status, headers = b"not found\\n", 404, {}
        else:
            since = int(os.stat(os.path.join(root, "files", name)).st_mtime)
            headers["Last-Modified"] = email.utils.formatdate(since, usegmt=True)
        if status == 200 and self.known(etag, since):
            data, status = b"", 304
        if status != 304:
            headers["Content-Length"] = len(data)
        sent = data if self.command == "GET" else b""
        with open(os.path.join(root, "requests"), "a") as log:
            print(self.command, self.path, status, len(sent), file=log)
        self.send_response(status)
        for header in headers.items():
            self.send_header(*map(str, header))
        self.end_headers()
        self.wfile.write(sent)

    do_HEAD = do_GET

    def known(self, etag, changed):
        tags = self.headers.get("If-None-Match")
        if tags is not None:
            tags = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
            return tags == ["*"] or etag and etag.removeprefix("W/") in tags
        try:
            since = self.headers["If-Modified-Since"]
            return changed <= email.utils.parsedate_to_datetime(since).timestamp()
        except (TypeError, ValueError):
            return False

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

_START = """\
servers=()
serve() {
  mkdir -p "servers/$1/files"
  if (: < "/dev/tcp/127.0.0.1/$2") 2> probe.log; then echo "port $2 is in use"; exit 1; fi
  python3 serve.py "servers/$1" "$2" 2> "servers/$1/log" &
  servers+=($!)
  until (: < "/dev/tcp/127.0.0.1/$2") 2> probe.log; do
    kill -0 $! || { cat "servers/$1/log"; exit 1; }
    sleep 0.2
  done
}
trap 'stop; kill "${servers[@]}"' EXIT"""

#: Prints the requests for a path, or all, since the last call, and what they add up to.
_REQUESTS = """\
requests() {
  touch "servers/$1/requests"
  cp "servers/$1/requests" "servers/$1/before"
  awk -v path="$2" '{ split($2, part, "?"); mine = !path || part[1] == "/" path }
    !mine { print > (file ".rest") }
    mine { print; n++; bytes += $4; same += $3 == 304 }
    END { printf "requests %d, not_modified %d, bytes %d\\n", n, same, bytes }
  ' file="servers/$1/requests" "servers/$1/before"
  : > "servers/$1/requests"
  [ ! -f "servers/$1/requests.rest" ] || mv "servers/$1/requests.rest" "servers/$1/requests"
}"""


def hosts(scenario: Scenario) -> dict[str, str]:
    """Return the addresses of the script's servers, by name."""
    return {name: f"127.0.0.1:{FIRST_PORT + n}" for n, name in enumerate(scenario.servers)}


def needs(scenario: Scenario) -> Iterator[str]:
    """Yield what the servers need."""
    if scenario.servers:
        yield f"- in PATH: python3; free ports: {', '.join(hosts(scenario).values())}"
    if any(one.kind is ServerKind.GIT for one in scenario.servers.values()):
        yield "- in PATH: git"


def begin(scenario: Scenario, steps: list[Step]) -> Iterator[str]:
    """Yield the commands that start the servers, after the functions of the daemon."""
    if not scenario.servers:
        return
    yield shell.file("serve.py", _PROGRAM)
    yield _START
    if any(step.action is Action.REQUESTS for step in steps):
        yield _REQUESTS
    for name, host in hosts(scenario).items():
        yield f"serve {name} {host.rpartition(':')[2]}"
        if scenario.servers[name].kind is ServerKind.GIT:
            first = next((s.branch for s in steps if s.server == name and s.tree), "main")
            folder = _repository(name)
            yield f"git init -q --bare {folder} && touch servers/{name}/last"
            yield f"git --git-dir {folder} symbolic-ref HEAD refs/heads/{first}"
            yield f"git --git-dir {folder} update-server-info"


def action(
    step: Step, scenario: Scenario, text: Callable[[str], str], numbers: Mapping[str, int]
) -> str:
    """Return the commands of a step that uses a server; *text* fills in placeholders.

    *numbers* are those of the commits within their repositories, from 0.
    """
    if step.action is Action.REQUESTS:
        return f"requests {step.server} {shlex.quote(step.path)}"
    if step.action is Action.COMMIT:
        return "\n".join(_commit(step, text, numbers[step.id]))
    return "\n".join(_serve(step, scenario, text))


def _serve(step: Step, scenario: Scenario, text: Callable[[str], str]) -> Iterator[str]:
    root = f"servers/{step.server}"
    folder = "/".join(step.path.split("/")[:-1])
    yield f"mkdir -p {root}/{{files,etag,status}}/{folder}".rstrip("/")
    path = f"{root}/files/{step.path}"
    yield bytes_to(path, content.data(step, scenario, text))
    yield f"touch -d @{content.MTIME if step.mtime is None else step.mtime} {path}"
    yield f"printf %s {shlex.quote(content.etag(step.etag))} > {root}/etag/{step.path}"
    yield f"echo {step.status} > {root}/status/{step.path}"


def _commit(step: Step, text: Callable[[str], str], number: int) -> Iterator[str]:
    when = f"{git_objects.FIRST + git_objects.APART * number} +0000"
    last = f"servers/{step.server}/last"
    yield "( export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1"
    yield f"export GIT_DIR={_repository(step.server)}"
    for who in ("AUTHOR", "COMMITTER"):
        named = f"GIT_{who}_NAME={git_objects.NAME} GIT_{who}_EMAIL={git_objects.EMAIL}"
        yield f"export {named} GIT_{who}_DATE='{when}'"
    if step.delete_branch:
        yield f"git update-ref -d refs/heads/{step.delete_branch}"
    yield f"parent=$(git rev-parse -q --verify refs/heads/{step.branch} || cat {last})"
    yield 'git read-tree "${parent:---empty}"'
    for path, inside in step.tree.items():
        yield bytes_to("blob", text(inside).encode())
        entry = f'"100644,$(git hash-object -w blob),"{shlex.quote(path)}'
        yield f"git update-index --add --replace --cacheinfo {entry}"
    yield f'git commit-tree "$(git write-tree)" ${{parent:+-p "$parent"}} -m {step.id} > {last}'
    yield f'git update-ref refs/heads/{step.branch} "$(cat {last})"'
    if step.tag:
        how = f"-a -m {step.id} " if step.annotated else ""
        yield f'git tag -f {how}{step.tag} "$(cat {last})" > tag.log'
    yield "git update-server-info )"


def _repository(server: str) -> str:
    return f"servers/{server}/files/{git_objects.PATH}"
