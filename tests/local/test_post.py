"""Posting through a fake gh that stores its comments in a file."""

from __future__ import annotations

import io
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

import results
from buildkit_bisect import result
from buildkit_bisect.cli import post
from buildkit_bisect.cli import results as commands
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.options import parse
from buildkit_bisect.options.option import find
from buildkit_bisect.options.requests import Post

pytestmark = pytest.mark.local

GH = """#!{python}
import json, pathlib, sys
home = pathlib.Path({home!r})
state = json.loads((home / "state.json").read_text())
args = sys.argv[1:]
with (home / "calls.jsonl").open("a") as log:
    log.write(json.dumps(args) + "\\n")
def body():
    return json.loads(pathlib.Path(args[args.index("--input") + 1]).read_text())["body"]
def done(answer):
    (home / "state.json").write_text(json.dumps(state))
    print(json.dumps(answer))
    sys.exit(0)
if args[:2] == ["auth", "status"]:
    sys.exit(0 if state["login"] else 1)
if args == ["api", "user"]:
    done({{"login": state["login"]}})
if state.get("broken"):
    sys.exit("gh: Not Found (HTTP 404)")
path = next(a for a in args if a.startswith("repos/"))
if "--paginate" in args:
    half = len(state["comments"]) // 2
    for page in (state["comments"][:half], state["comments"][half:]):
        print(json.dumps(page))
    sys.exit(0)
if "PATCH" in args:
    number = int(path.rsplit("/", 1)[1])
    comment = next(c for c in state["comments"] if c["id"] == number)
    comment["body"] = body()
    done(comment)
comment = {{"id": 100 + len(state["comments"]), "body": body(), "user": {{"login": state["login"]}},
           "html_url": "https://github.com/" + path}}
state["comments"].append(comment)
done(comment)
"""


class Hub:
    """The state of the fake gh, and the requests that it got."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.set(login="ann", comments=[])

    def set(self, **state: Any) -> None:
        known = {} if not (self.home / "state.json").exists() else self.state
        (self.home / "state.json").write_text(json.dumps({**known, **state}))

    @property
    def state(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.home / "state.json").read_text())
        return loaded

    @property
    def comments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.state["comments"]
        return found

    @property
    def wrote(self) -> bool:
        calls = (self.home / "calls.jsonl").read_text()
        return "POST" in calls or "PATCH" in calls


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(GH.format(python=sys.executable, home=str(tmp_path)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))
    return Hub(tmp_path)


def yes(_: str) -> bool:
    return True


def test_it_posts_what_it_showed(hub: Hub) -> None:
    shown: list[str] = []

    def confirm(text: str) -> bool:
        shown.append(text)
        return True

    url = post.post(results.matrix(), None, issue=6893, confirm=confirm)
    assert url == "https://github.com/repos/moby/buildkit/issues/6893/comments"
    (comment,) = hub.comments
    assert comment["body"].startswith("**Broken in 4 of 5 unpatched revisions")
    assert len(comment["body"]) <= 60_000
    assert comment["body"] in shown[0]
    assert "ann will comment on https://github.com/moby/buildkit/issues/6893" in shown[0]


def test_a_second_post_updates_the_comment(hub: Hub) -> None:
    hub.set(comments=[{"id": n, "body": "other", "user": {"login": "bob"}, "html_url": "u"}
                      for n in range(5)])  # fmt: skip
    post.post(results.matrix(), None, issue=6893, confirm=yes)
    post.post(results.two_scenarios(), None, issue=6893, confirm=yes)
    assert len(hub.comments) == 7, "other scenarios are another comment"
    post.post(results.matrix(id="today"), None, issue=6893, confirm=yes)
    assert len(hub.comments) == 7
    assert "today" in hub.comments[5]["body"]


def test_a_marker_in_another_users_comment_does_not_count(hub: Hub) -> None:
    sign = post.marker(results.matrix())
    hub.set(comments=[{"id": 7, "body": f"quoting{sign}", "user": {"login": "eve"},
                       "html_url": "u"}])  # fmt: skip
    post.post(results.matrix(), None, issue=1, confirm=yes)
    assert hub.comments[0]["body"].startswith("quoting")
    assert len(hub.comments) == 2


def test_hostile_text_cannot_end_the_marker(hub: Hub) -> None:
    post.post(results.hostile(), None, issue=1, confirm=yes)
    assert hub.comments[0]["body"].count("<!--") == 1
    assert hub.comments[0]["body"].rstrip().endswith("-->")


def test_nothing_is_posted_after_no(hub: Hub) -> None:
    assert post.post(results.matrix(), None, issue=1, confirm=lambda _: False) == ""
    assert not hub.wrote


def test_without_a_login_nothing_is_posted(hub: Hub) -> None:
    hub.set(login="")
    with pytest.raises(Missing, match="not logged in") as caught:
        post.post(results.matrix(), None, issue=1, confirm=yes)
    assert caught.value.hint == "gh auth login"
    assert not hub.wrote


def test_without_gh(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="gh is not installed"):
        post.post(results.matrix(), None, issue=1, confirm=yes)


def test_an_error_shows_githubs_refusal(hub: Hub) -> None:
    hub.set(broken=True)
    with pytest.raises(InfraFailed, match="Not Found"):
        post.post(results.matrix(), None, issue=1, confirm=yes)


@pytest.mark.parametrize(("issue", "repo"), [(0, "moby/buildkit"), (1, "moby"), (1, "a/b?x=/c")])
def test_invalid_issues_are_refused(issue: int, repo: str) -> None:
    with pytest.raises(BadInput, match="is not an issue"):
        post.post(results.matrix(), None, issue=issue, repo=repo, confirm=yes)


@pytest.fixture
def campaign(tmp_path: Path) -> str:
    folder = tmp_path / "results" / "one"
    folder.mkdir(parents=True)
    result.write(results.matrix(), folder)
    return str(folder)


def test_yes_shows_the_comment_before_it_is_posted(
    hub: Hub, campaign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.post(Post(id=campaign, issue=6893, yes=True)) == 0
    (comment,) = hub.comments
    shown, _, posted = capsys.readouterr().out.rpartition("will comment on")
    assert comment["body"] in shown
    assert posted.splitlines()[-1] == comment["html_url"]


@pytest.mark.parametrize(("answer", "posted"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_it_asks_before_posting(
    hub: Hub, campaign: str, monkeypatch: pytest.MonkeyPatch, answer: str, posted: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert commands.post(Post(id=campaign, issue=6893)) == 0
    assert bool(hub.comments) is posted


def test_without_a_terminal_the_answer_is_no(
    hub: Hub, campaign: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert commands.post(Post(id=campaign, issue=6893)) == 0
    assert not hub.wrote
    assert capsys.readouterr().out.endswith("nothing was posted\n")


def test_a_comment_from_the_users_own_template(hub: Hub, campaign: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.md.j2").write_text("MINE {{ result.id|md }}")
    commands.post(Post(id=campaign, issue=6893, yes=True, templates=tmp_path / "mine"))
    assert hub.comments[0]["body"].startswith("MINE 20261124")


def test_the_comment_links_to_the_page_and_the_page_to_the_comment(hub: Hub, campaign: str) -> None:
    page = parse.page(find(Post, "publish"), "https://ann.example/bk/{id}/")
    commands.post(Post(id=campaign, issue=6893, yes=True, publish=page))
    there = "https://ann.example/bk/20261124-043000-matrix/report.html"
    assert f"[whole report]({there})" in hub.comments[0]["body"]
    known = result.read(Path(campaign))
    assert (known.page, known.comment) == (there, hub.comments[0]["html_url"])
    assert f'href="{known.comment}"' in (Path(campaign) / "report.html").read_text()


def test_without_a_page_the_comment_links_to_none(hub: Hub, campaign: str) -> None:
    commands.post(Post(id=campaign, issue=6893, yes=True))
    assert "whole report" not in hub.comments[0]["body"]
