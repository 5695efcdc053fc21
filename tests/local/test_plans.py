"""Plans and refusals come before anything is built; what they say is what happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import tool
from buildkit_bisect.system import checkout
from golang_repo import GolangRepo, buildkit_like

pytestmark = [pytest.mark.local, pytest.mark.alone]

SWAPPED = (
    "master (good) contains v0.1.0 (bad): the endpoints are swapped"
    " (try: ./inv bisect --bad v0.1.0 --good master --find-fix --repo {0}, or ./inv bisect"
    " --good v0.1.0 --bad master --repo {0})"
)
TURNED_BACK = (
    "v0.2.0 is newer than v0.1.1: the endpoints are swapped"
    " (try: ./inv boundaries --from v0.1.1 --to v0.2.0 --repo {0})"
)
#: Releases on two branches: neither contains the other.
BACK = (
    "v0.2.0 (good) is a later release than v0.1.1 (bad): the endpoints are swapped"
    " (try: ./inv bisect --bad v0.1.1 --good v0.2.0 --find-fix --repo {0}, or ./inv bisect"
    " --good v0.1.1 --bad v0.2.0 --repo {0})"
)
TURNED = (
    "master is newer than v0.1.0: the endpoints are swapped"
    " (try: ./inv boundaries --from v0.1.0 --to master --repo {0})"
)
SCRIPT = "#!/bin/sh\nexit 0\n"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    return buildkit_like(tmp_path_factory.mktemp("plans") / "repo")


class Place:
    """A cache and a folder of results of their own."""

    def __init__(self, root: Path, repo: GolangRepo) -> None:
        self.cache, self.out, self.repo = root / "cache", root / "results", repo
        self.script = root / "test.sh"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)

    def run(self, *words: str) -> tool.TaskOutput:
        return tool.inv(*words, "--repo", str(self.repo.path), env=self.env)

    @property
    def env(self) -> dict[str, str]:
        return {"BKBISECT_CACHE_DIR": str(self.cache)}

    @property
    def built(self) -> list[str]:
        return sorted(path.parent.name for path in self.cache.glob("builds/*/build.json"))


@pytest.fixture
def place(tmp_path: Path, repo: GolangRepo) -> Place:
    return Place(tmp_path, repo)


def test_the_plan_of_a_bisection_counts_candidates_steps_and_builds(place: Place) -> None:
    done = place.run("plan", "bisect", "--good", "v0.1.0", "--bad", "master")
    assert done.code == 0, done.stderr
    image, search, cell, other, then, needs, total = done.stdout.splitlines()
    assert image.startswith("first  making the base images of cross-stage-lazy: ")
    assert search == "search 10 candidates between v0.1.0 and master (4 different builds)"
    ends = "snapshotter=stargz: at least 1 trial of master and v0.1.0"
    assert cell == f"cell   cross-stage-lazy bases=different {ends}"
    assert other == f"cell   cross-stage-lazy bases=same {ends}"
    assert then == (
        "then   search in one of these cells where the good end is good and the bad one bad"
    )
    assert needs.startswith("needs  about ")
    assert total.endswith("based on typical times on 2 cores")
    assert place.built == []


def test_the_plan_of_a_bisection_as_json(place: Place) -> None:
    words = ("--good", "v0.1.0", "--bad", "master", "--json")
    plain = place.run("plan", "bisect", *words).document
    assert plain["tried_at"] == ["master", "v0.1.0"]
    assert [column["axes"]["bases"] for column in plain["columns"]] == ["different", "same"]
    named = place.run("plan", "bisect", *words, "--axis", "bases=same").document
    assert "tried_at" not in named
    assert len(named["columns"]) == 1
    assert plain["search"]["what"] == "10 candidates between v0.1.0 and master (4 different builds)"
    assert plain["search"]["builds"] >= 2
    assert 0 < plain["range"][0] < plain["seconds"] < plain["range"][1]
    # The instrumented build for a prior is counted.
    counted = place.run("plan", "bisect", *words, "--prior", "coverage").document
    assert counted["also"] == [
        "compile an instrumented build of the newer end and run it once, for the prior"
    ]
    assert counted["seconds"] > plain["seconds"] + 100
    # No base images, so nothing is made first.
    script = place.run("plan", "bisect", *words, "--script", str(place.script)).document
    assert "before" not in script
    assert script["seconds"] < plain["seconds"]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("master", "master", "both endpoints are master (try: ./inv bisect --bad master"),
        ("master", "v0.1.0", SWAPPED),
        ("v0.2.0", "v0.1.1", BACK),
    ],
)
def test_ends_that_cannot_be_searched_between_are_told_at_once(
    place: Place, good: str, bad: str, said: str
) -> None:
    words = ("--good", good, "--bad", bad)
    plan = place.run("plan", "bisect", *words)
    assert plan.code == 4
    assert f"error: {said.format(place.repo.path)}" in plan.stderr
    assert plan.stdout == ""
    done = place.run("bisect", *words, "--json", "--out", str(place.out))
    assert done.code == 4
    found = done.document["bisect"]
    assert found["status"] == "refused"
    assert said.startswith(found["reason"])
    assert "base images" not in done.stderr
    assert place.built == []
    assert not (place.cache / "registry").exists()


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("master", "master", "both endpoints are master"),
        ("master", "v0.1.0", TURNED),
        ("v0.2.0", "v0.1.1", TURNED_BACK),
    ],
)
def test_boundaries_tells_equal_and_swapped_ends_at_once(
    place: Place, start: str, end: str, said: str
) -> None:
    words = ("--from", start, "--to", end)
    plan = place.run("plan", "boundaries", *words)
    assert plan.code == 4
    assert f"error: {said.format(place.repo.path)}" in plan.stderr
    assert plan.stdout == ""
    done = place.run("boundaries", *words, "--json", "--out", str(place.out))
    assert done.code == 4
    found = done.document["bisect"]
    assert found["status"] == "refused"
    assert said.startswith(found["reason"])
    assert f"No search: {found['reason']}." in done.stderr
    (report,) = place.out.glob("*/report.md")
    assert report.read_text().startswith("**No search: ")
    assert "base images" not in done.stderr
    assert place.built == []


def test_the_plan_of_a_search_for_the_good_end(place: Place) -> None:
    done = place.run("plan", "bisect", "--find-good", "--bad", "master")
    assert done.code == 0, done.stderr
    assert "search the newest good one of 2 releases before master\n" in done.stdout
    assert "also   bisect from the release that is good: more steps and builds\n" in done.stdout


def test_a_matrix_counts_the_reference_only_for_images_that_need_it(
    place: Place, tmp_path: Path
) -> None:
    words = ("plan", "matrix", "--revs", "v0.1.0,master", "--json")
    first = "compiling BuildKit v0.25.0 for the base images"
    done = place.run(*words, "--scenario", "cross-stage-lazy")
    assert [*done.document["before"]] == ["making the base images of cross-stage-lazy"]

    for name in ("_cross-stage", "cross-stage-lazy"):
        shutil.copytree(checkout.SCENARIOS / name, tmp_path / name)
    own = tmp_path / "cross-stage-lazy"
    (own / "build.Dockerfile").write_text("FROM scratch\nCOPY busybox /a\nRUN true\n")
    done = place.run(*words, "--scenario", str(own))
    assert [*done.document["before"]] == [first, "building the base images of cross-stage-lazy"]
    builds = sum(done.document["build_seconds"].values())
    assert done.document["seconds"] > builds + done.document["before"][first]


def test_the_plan_of_a_build_builds_nothing(place: Place) -> None:
    done = place.run("plan", "build", "--rev", "v0.1.0")
    assert done.code == 0, done.stderr
    row, total = done.stdout.splitlines()
    assert row.startswith("build  v0.1.0: ")
    assert total.endswith("based on typical times on 2 cores")
    assert place.built == []


def test_a_task_without_a_plan_does_not_run_instead(place: Place) -> None:
    done = tool.inv("plan", "doctor", env=place.env)
    assert done.code == 2
    assert "doctor has no plan (try: ./inv doctor --help)" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("task", ["build", "run"])
def test_what_ends_before_a_campaign_begins_is_not_to_be_resumed(place: Place, task: str) -> None:
    hang = place.cache.parent / "bin"
    hang.mkdir()
    (hang / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (hang / "git").chmod(0o755)
    path = {"PATH": f"{hang}:{os.environ['PATH']}"}
    child = subprocess.Popen(
        tool.argv(task, "--rev", "v0.1.0", "--repo", str(place.repo.path)),
        env=tool.environment({**place.env, **path}),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert child.stderr
    # git itself is announced: nothing that takes long is silent.
    assert child.stderr.readline().startswith("running git -C")
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "resume" not in said
    assert "interrupted; completed builds and trials are kept: the same command again" in said


def test_json_of_a_plan_is_all_of_stdout(place: Place) -> None:
    done = place.run("plan", "matrix", "--revs", "v0.1.0", "--json")
    assert json.loads(done.stdout)["kind"] == "matrix"


def test_a_fix_is_not_refused_for_its_order(place: Place) -> None:
    words = ("--find-fix", "--bad", "v0.1.1", "--good", "v0.2.0")
    done = place.run("plan", "bisect", *words)
    assert done.code == 0, done.stderr
    turned = place.run("plan", "bisect", "--find-fix", "--bad", "v0.2.0", "--good", "v0.1.1")
    assert turned.code == 4
    assert "(try: ./inv bisect --good v0.1.1 --bad v0.2.0 --repo /" in turned.stderr
    assert ", or ./inv bisect --bad v0.1.1 --good v0.2.0 --find-fix --repo /" in turned.stderr


def test_the_plan_of_boundaries_counts_both_ends(place: Place) -> None:
    done = place.run("plan", "boundaries", "--from", "v0.1.0", "--to", "master", "--json")
    search = done.document["search"]
    # v0.2.0 and master are one build.
    assert (search["steps"], search["builds"]) == (2, 2)
