from __future__ import annotations

from buildkit_bisect.model import Revision
from buildkit_bisect.patch.contribution import Work, doubt
from buildkit_bisect.patch.forkpoint import Line, candidates


def names(*refs: str, main: str = "") -> list[str]:
    return [line.name for line in candidates(dict.fromkeys(refs, "a"), main)]


def test_branches_of_every_remote_are_candidates() -> None:
    refs = ("refs/remotes/my-fork/master", "refs/remotes/upstream/v0.32", "refs/remotes/x/topic")
    assert names("refs/heads/master", "refs/heads/v0.32", *refs, "refs/remotes/x/HEAD") == [
        "my-fork/master",
        "upstream/v0.32",
    ], "people work on the repository's own branches"


def test_own_branches_count_if_no_remote_has_a_main_branch() -> None:
    refs = ("refs/heads/main", "refs/heads/v0.32", "refs/heads/v0.32.1-fix", "refs/heads/topic")
    assert names(*refs) == ["main", "v0.32"]
    assert names(*refs, "refs/remotes/o/v0.31") == ["main", "v0.32", "o/v0.31"]


def test_a_remotes_default_branch_is_a_main_branch_whatever_its_name() -> None:
    trunk = "refs/remotes/origin/trunk"
    assert candidates({trunk: "a", "refs/heads/v0.32": "b"}, trunk) == [
        Line(name="origin/trunk", sha="a", remote="origin", main=True)
    ]
    assert names("refs/heads/topic", main="refs/heads/topic") == []


def test_a_warning_counts_many_commits_or_authors_and_names_the_base() -> None:
    def warning(commits: int, authors: int) -> str:
        base = Revision(ref="origin/master at abc", sha="abc")
        return doubt(Work(base=base, tree="t", author="A", commits=commits, authors=authors))

    assert warning(0, 0) == warning(20, 1) == ""
    assert "21 commits by A since origin/master at abc" in warning(21, 1)
    assert "2 commits by 2 authors" in warning(2, 2)
    assert warning(2, 2).endswith("--base R")
