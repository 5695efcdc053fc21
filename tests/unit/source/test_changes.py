from __future__ import annotations

from buildkit_bisect.source.changes import MARK, Changes, parse_files, parse_functions

PATCH = f"""{MARK}aaa
diff --git a/solver/jobs.go b/solver/jobs.go
index 1..2 100644
--- a/solver/jobs.go
+++ b/solver/jobs.go
@@ -10 +10 @@ func (jl *Solver) getEdge(e Edge) *edge {{
-	old()
+	func() {{ new() }}()
@@ -40,2 +40,9 @@ type state struct {{
+func (s *state[K, V]) added(x int) error {{
+}}
+func plain() {{
@@ -90 +99 @@ func NewSolver(opts SolverOpt) *Solver {{
--- a comment that was deleted
+	x := 1 // func (s *state) notThis()
diff --git a/cmd/buildkitd/main.go b/cmd/buildkitd/main.go
deleted file mode 100644
--- a/cmd/buildkitd/main.go
+++ /dev/null
@@ -1,3 +0,0 @@
-package main
-func main() {{
-}}

{MARK}bbb

{MARK}ccc
diff --cc solver/edge.go
index 1,2..3
--- a/solver/edge.go
+++ b/solver/edge.go
@@@ -5,1 -5,1 +5,2 @@@ func (e *edge) unpark()
- 	one()
 -	two()
++	three()
++func both() {{}}
"""


def test_the_functions_that_commits_change() -> None:
    assert dict(parse_functions(PATCH)) == {
        "aaa": {
            "solver.Solver.getEdge",
            "solver.state.added",
            "solver.plain",
            "solver.NewSolver",
            "cmd/buildkitd.main",
        },
        "bbb": frozenset(),
        "ccc": {"solver.edge.unpark", "solver.both"},
    }
    assert dict(parse_functions("")) == {}


def test_the_files_that_commits_change() -> None:
    output = f"{MARK}aaa\n\nsolver/jobs.go\ndocs/a b.md\n{MARK}bbb\n"
    assert dict(parse_files(output)) == {"aaa": {"solver/jobs.go", "docs/a b.md"}, "bbb": set()}


def test_packages_that_are_built_for_linux() -> None:
    changes = Changes(
        files=frozenset(
            {
                "solver/jobs.go",
                "cache/refs_test.go",
                "executor/x_windows.go",
                "executor/y_darwin_arm64.go",
                "client/client.go",
                "util/a.md",
                "vendor/github.com/x/y/z.go",
                "windows_linux.go",
            }
        )
    )
    imported = frozenset({"solver", "cache", "executor", "util", "vendor/github.com/x/y", ""})
    assert changes.packages(imported) == {"solver", ""}


def test_paths_that_are_touched() -> None:
    changes = Changes(files=frozenset({"solver/llbsolver/jobs.go"}))
    for paths in (
        ["solver"],
        ["./solver/"],
        ["solver/llbsolver/jobs.go"],
        ["solver/*/jobs.go"],
        ["cache", "*.go"],
    ):
        assert changes.touches(paths), paths
    for paths in (["solve"], ["llbsolver"], ["*.md"], [], ["SOLVER"]):
        assert not changes.touches(paths), paths
