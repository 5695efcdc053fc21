from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario.placeholders import fill
from buildkit_bisect.system.checkout import SCENARIOS

LAZY = (
    (("bases", "different"), ("snapshotter", "stargz")),
    (("bases", "different"), ("snapshotter", "overlayfs")),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(SCENARIOS, tmp_path / "scenarios")
    return tmp_path / "scenarios"


def edit(root: Path, old: str, new: str, name: str = "cross-stage-lazy") -> None:
    path = root / name / "scenario.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", scenario.names())
def test_shipped_scenarios_load(name: str) -> None:
    loaded = scenario.load(name)
    assert loaded.name == name
    assert any(loaded.is_control(axes) for axes in loaded.cells())
    assert any(not loaded.is_control(axes) for axes in loaded.cells())
    assert {r.verdict for r in loaded.outcomes} >= {"good", "bad"}


@pytest.mark.parametrize("name", scenario.names())
def test_shipped_scenarios_label_every_axis_value(name: str) -> None:
    for axis in scenario.load(name).axes.values():
        assert set(axis.labels) == set(axis.values)


def test_labels_do_not_change_the_run_digest(root: Path) -> None:
    before = scenario.load("cross-stage-lazy", root)
    edit(root, '"two base images"', '"two images"')
    edit(root, '"step cached"', '"step from the cache"', "_cross-stage")
    assert before.run_digest == scenario.load("cross-stage-lazy", root).run_digest


def test_an_outcome_of_several_rules_has_one_label(root: Path) -> None:
    shared = '[[outcomes]]\nname = "{}"\nlabel = "{}"\nverdict = "bad"\nmeans = "no"\n'
    rule = (
        shared
        + 'all = [{{ step = "export", exit = "failed" }}, {{ step = "import", exit = "late" }}]\n'
    )
    path = root / "cross-stage-lazy/scenario.toml"
    text = path.read_text()
    path.write_text(text + rule.format("export-failed", "cache export failed"))
    names = [r.label for r in scenario.load("cross-stage-lazy", root).outcomes]
    assert names.count("cache export failed") == 2
    path.write_text(text + rule.format("export-failed", "no export"))
    with pytest.raises(BadInput, match="label: must not repeat"):
        scenario.load("cross-stage-lazy", root)


def test_control_of_a_lazy_cell_keeps_the_other_axes() -> None:
    loaded = scenario.load("cross-stage-lazy")
    lazy, eager = LAZY
    assert loaded.control_of(lazy) == eager
    assert loaded.control_of(eager) is None


def test_cells_are_narrowed_in_file_order() -> None:
    loaded = scenario.load("cross-stage-lazy")
    cells = loaded.cells({"snapshotter": ("stargz", "overlayfs"), "bases": ("same",)})
    assert [dict(c)["snapshotter"] for c in cells] == ["overlayfs", "stargz"]


def test_extending_puts_own_steps_first() -> None:
    assert [s.id for s in scenario.load("cross-stage-dedup").steps] == [
        "warm",
        "export",
        "prune",
        "import",
    ]


def test_rules_do_not_change_the_run_digest(root: Path) -> None:
    before = scenario.load("cross-stage-lazy", root)
    edit(root, 'verdict = "good"', 'verdict = "weak"', "_cross-stage")
    after = scenario.load("cross-stage-lazy", root)
    assert before.run_digest == after.run_digest
    assert before.digest != after.digest


def test_files_change_the_run_digest(root: Path) -> None:
    before = scenario.load("cross-stage-lazy", root)
    with (root / "_cross-stage" / "Dockerfile").open("a") as file:
        file.write("RUN true\n")
    assert before.run_digest != scenario.load("cross-stage-lazy", root).run_digest


def test_fill_expands_vars() -> None:
    loaded = scenario.load("cross-stage-lazy")
    text = fill(
        "${var.final} ${axis.bases} ${registry}",
        scenario=loaded,
        axes=LAZY[0],
        images={"build": "B", "final": "F"},
        registry="R",
    )
    assert text == "F different R"


BROKEN = [
    ("schema = 1", "schema = 2", "schema"),
    ('title = "mode', 'titel = "mode', "titel"),
    ('controls = ["overlayfs", "native"]', 'controls = ["btrfs"]', "axes.snapshotter.controls"),
    ('values = ["different", "same"]', "values = [1, 2]", "axes"),
    ('values = ["different", "same"]', "values = []", "axes.bases.values"),
    ('different = "$', 'diferent = "$', "vars.final.values"),
    ('compression = "estargz"', 'compression = "lzma"', "compression"),
    ('"build.Dockerfile"', '"nothing.Dockerfile"', "file 'nothing.Dockerfile' not found"),
    ('"build.Dockerfile"', '"../../../../etc/passwd"', "not a path inside"),
    ('"${axis.snapshotter}"', '"${axis.snapshoter}"', "unknown placeholder"),
    ('name = "cross-stage-lazy"', 'name = "Cross Stage"', "not a plain name"),
    ('extends = "_cross-stage"', 'extends = "../_cross-stage"', "extends"),
    ('extends = "_cross-stage"', 'extends = "_nothing"', "extends"),
    ("[axes.bases]", "[axes.bases", "invalid TOML"),
    ("[axes.bases]", "[axes.runtime]", "axes.runtime: this name is reserved for --runtime"),
    ('different = "two base', 'other = "two base', "axes.bases.labels: 'other' is not in values"),
    ('"two base images"', '"one base image"', "axes.bases.labels: must not repeat"),
    ('"two base images"', '" two base images"', "axes.bases.labels.different: must be one line"),
    ('"two base images"', f'"{"x" * 41}"', "axes.bases.labels.different: must be one line"),
    ('"two base images"', '""', "axes.bases.labels.different: must be one line"),
    ('"two base images"', "2", "labels"),
]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ('"cache export failed"', "must not repeat"),
        ('"layers dropped"', "must not repeat"),
        ('"no build"', "must not repeat"),
        ('"step  cached"', "must be one line"),
        (f'"{"x" * 41}"', "must be one line"),
        ('""', "must be one line"),
        ("2", "at .outcomes.label"),
    ],
)
def test_a_label_of_an_outcome_is_checked(root: Path, label: str, message: str) -> None:
    """Reports must not call two outcomes alike, also not one by its name."""
    edit(root, '"step cached"', label, "_cross-stage")
    with pytest.raises(BadInput, match=message):
        scenario.load("cross-stage-lazy", root)


@pytest.mark.parametrize(("old", "new", "message"), BROKEN)
def test_mistakes_are_named(root: Path, old: str, new: str, message: str) -> None:
    edit(root, old, new)
    with pytest.raises(BadInput, match=message.replace("[", r"\[")):
        scenario.load("cross-stage-lazy", root)


BROKEN_SHARED = [
    ('action = "prune"', 'action = "prunes"', "steps"),
    ('action = "prune"', 'action = "prune"\nwhen = { colour = ["red"] }', "unknown axis 'colour'"),
    ('action = "prune"', 'action = "prune"\nrepeat = 0', "repeat"),
    ('action = "prune"', 'action = "prune"\ntimeout = "soon"', "timeout"),
    ('action = "prune"', 'action = "write"\npath = "/etc/passwd"', "not a path inside"),
    ('dest = "cache"', 'dest = "../cache"', "not a path inside"),
    ('id = "prune"', 'id = "export"', "used twice"),
    (
        '{ step = "export", exit = "ok" }',
        '{ step = "exprot", exit = "ok" }',
        "unknown step 'exprot'",
    ),
    (
        '{ step = "export", exit = "ok" }',
        '{ step = "export", exit = "fine" }',
        "ok, failed, N or N-M",
    ),
    (
        '{ step = "export", exit = "ok" }',
        '{ step = "export" }',
        "needs exit, stderr, vertex or inner_layers",
    ),
    ("'RUN echo stable', is", "'RUN (echo', is", "not a valid RE2 regular expression"),
    ('step = "export", inner_layers', 'step = "import", inner_layers', "can never match"),
    ("'RUN echo stable', is = \"ran\"", "'RUN echo stable'", "must be used together"),
    (
        '{ step = "export", exit = "failed" },',
        '{ step = "export", exit = "failed" }, { step = "export", exit = "ok" },',
        "can never match",
    ),
    ('name = "cached"', 'name = "flaky"', "'flaky' is reserved"),
    ('verdict = "good"', 'verdict = "infra"', "verdict"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN_SHARED)
def test_mistakes_in_steps_and_rules_are_named(
    root: Path, old: str, new: str, message: str
) -> None:
    edit(root, old, new, "_cross-stage")
    with pytest.raises(BadInput, match=message.replace("[", r"\[")):
        scenario.load("cross-stage-lazy", root)


def test_a_shadowed_rule_can_never_match(root: Path) -> None:
    with (root / "_cross-stage" / "scenario.toml").open("a") as file:
        file.write(
            '[[outcomes]]\nname = "late"\nverdict = "bad"\nmeans = "x"\nall = [\n'
            '{ step = "export", exit = "failed" },\n'
            "{ step = \"export\", stderr = 'missing descriptor handlers for lazy blobs' },\n"
            '{ step = "import", exit = "ok" },\n]\n'
        )
    with pytest.raises(BadInput, match="can never match: 'export-failed' above"):
        scenario.load("cross-stage-lazy", root)


@pytest.mark.parametrize("name", ["own.yaml", "folder"])
def test_a_path_that_is_not_a_scenario(tmp_path: Path, name: str) -> None:
    (tmp_path / "own.yaml").write_text("name: own\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=rf"{name}'; a scenario is a folder with scenario\.toml"):
        scenario.load(str(tmp_path / name))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean cross-stage-lazy or cross-stage-dedup"):
        scenario.load("cross-stage-lasy")
