from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Observation, StepResult
from buildkit_bisect.scenario.outcome import judge
from buildkit_bisect.scenario.placeholders import fill
from buildkit_bisect.system import checkout
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


@pytest.mark.parametrize("name", scenario.library())
def test_reports_of_the_library_load(name: str) -> None:
    loaded = scenario.load(name)
    assert loaded.name == name
    assert {r.verdict for r in loaded.outcomes} >= {"good", "bad"}
    good = [r for r in loaded.outcomes if r.verdict == "good"]
    assert all(len(r.all) > 1 for r in good), "one fact is the control: it holds either way"


def test_library_names_all_of_its_reports_once() -> None:
    every = scenario.library()
    assert "library/empty-trim-expansion" in every
    assert scenario.expanded(["library"]) == every
    assert scenario.expanded([every[1], "inline", "library"]) == [
        every[1], "inline", every[0], *every[2:]]  # fmt: skip


def test_the_library_is_no_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="unknown scenario 'library/empty-trim'; did you mean"):
        scenario.load("library/empty-trim")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCENARIOS / "library/empty-trim-expansion", tmp_path / "library/own")
    # Its name is for the library: results and their index would take it for the report there.
    with pytest.raises(BadInput) as error:
        scenario.load("library/own")
    assert error.value.message == (
        "library/own/scenario.toml: name: 'library/empty-trim-expansion' is for a scenario in the"
        " folder of the library"
    )
    assert error.value.hint == 'name = "empty-trim-expansion"'
    file = tmp_path / "library/own/scenario.toml"
    file.write_text(file.read_text().replace('"library/empty-', '"empty-'))
    assert scenario.load("library/own").title == "a variable trimmed by an empty pattern"


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


def test_the_ignore_file_of_a_dockerfile_changes_the_run_digest(root: Path) -> None:
    """BuildKit reads it beside the Dockerfile; that of another Dockerfile has no part in it."""
    folder = root / "_cross-stage"
    without = scenario.load("cross-stage-lazy", root)
    (folder / "Other.dockerignore").write_text("*")
    (folder / ".dockerignore").write_text("*")
    assert scenario.load("cross-stage-lazy", root).run_digest == without.run_digest
    beside = folder / "Dockerfile.dockerignore"
    digests = [without.run_digest]
    for text in ("", "*\n"):
        beside.write_text(text)
        digests.append(scenario.load("cross-stage-lazy", root).run_digest)
    assert len(set(digests)) == 3
    beside.unlink()
    assert scenario.load("cross-stage-lazy", root).run_digest == without.run_digest


@pytest.mark.parametrize("kind", ["link", "folder", "binary"])
def test_an_ignore_file_is_a_text_file(root: Path, kind: str) -> None:
    beside = root / "_cross-stage" / "Dockerfile.dockerignore"
    match kind:
        case "link":
            beside.symlink_to("/etc/passwd")
        case "folder":
            beside.mkdir()
        case _:
            beside.write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"steps\[\d\].dockerfile: Dockerfile.dockerignore beside"):
        scenario.load("cross-stage-lazy", root)


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
    ('title = "mode=max', 'title = "" # "', "title: must not be empty"),
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
    (
        'different = "two base',
        'other = "two base',
        "axes.bases.labels: unknown value 'other'; known: different, same",
    ),
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
        ("2", "must be a text, not a whole number"),
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
        "'fine' is not ok, failed, late, a status",
    ),
    (
        '{ step = "export", exit = "ok" }',
        '{ step = "export" }',
        "needs exit, stderr, vertex, inner_layers, metric, file or image",
    ),
    ("'RUN echo stable', is", "'RUN (echo', is", "not a valid RE2 regular expression"),
    ('step = "export", inner_layers', 'step = "import", inner_layers', "can never match"),
    ("'RUN echo stable', is = \"ran\"", "'RUN echo stable'", "must be used together"),
    (
        "vertex = 'RUN echo stable', is = \"ran\"",
        "log = 'x'",
        "used together with is, log, took or",
    ),
    ("'RUN echo stable', is = \"ran\"", "'RUN echo stable', log = '(x'", "log: not a valid RE2"),
    ("'RUN echo stable', is = \"ran\"", "'RUN echo stable', log = 5", "log"),
    ('is = "ran"', "is = \"absent\", log = 'x'", "a vertex that is absent has no log"),
    (
        "'RUN echo stable', is = \"ran\" },",
        "'RUN a', is = \"absent\" }, { step = \"import\", vertex = 'RUN a', log = 'x' },",
        "contradictory conditions on step 'import'",
    ),
    ('step = "import", vertex', 'step = "prune", vertex', "prune is not a build"),
    (
        '{ step = "export", exit = "failed" },',
        '{ step = "export", exit = "failed" }, { step = "export", exit = "ok" },',
        "can never match",
    ),
    (
        '{ step = "export", exit = "ok" }',
        '{ step = "export", exit = "9-3" }',
        "outcomes[0].all[0].exit: can never match: '9-3' is an empty range",
    ),
    ('name = "cached"', 'name = "flaky"', "'flaky' is reserved"),
    (
        'name = "cached"',
        'name = "export-failed"',
        "outcomes[1].verdict: 'export-failed' above is good: not both",
    ),
    ('verdict = "good"', 'verdict = "infra"', "verdict"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN_SHARED)
def test_mistakes_in_steps_and_rules_are_named(
    root: Path, old: str, new: str, message: str
) -> None:
    edit(root, old, new, "_cross-stage")
    with pytest.raises(BadInput, match=message.replace("[", r"\[")):
        scenario.load("cross-stage-lazy", root)


EXACT = [
    # An unknown key of a step, with its index.
    ('action = "prune"', 'action = "prune"\nopts = 1', "steps[1].opts: unknown key; did you mean"),
    (
        'action = "prune"',
        'action = "prunes"',
        "steps[1].action: 'prunes' is not one of build, prune, write, ",
    ),
    (
        'verdict = "good"',
        'verdict = "fine"',
        "outcomes[0].verdict: 'fine' is not one of good, bad, weak, skip",
    ),
    (
        'is = "cached"',
        'is = "cahced"',
        "outcomes[0].all[2].is: 'cahced' is not one of cached, ran, failed, absent; did you mean",
    ),
    (
        'inner_layers = "none"',
        'inner_layers = "no"',
        "outcomes[2].all[1].inner_layers: 'no' is not one of all, some, none; did you mean none?",
    ),
    ('id = "prune"', 'id = "pru\\u0000ne"', "steps[1].id: contains a NUL (U+0000)"),
    (
        'verdict = "good"',
        'verdict = "infra"',
        "outcomes[0].verdict: 'infra' is not one of good, bad,",
    ),
    ('id = "prune"', "id = 3", "steps[1].id: must be a text, not a whole number (3)"),
    ('id = "prune"', "", "steps[1].id: is missing"),
    (
        'means = "the stable RUN came from the imported cache"',
        'means = " "',
        "outcomes[0].means: must",
    ),
    (
        'BUST = "1"',
        "BUST = 1",
        "steps[0].args.BUST: must be a text, not a whole number (1)",
    ),
    (
        'dest = "cache"',
        "dest = 1",
        "steps[0].exports[0].dest: must be a text, not a whole number (1)",
    ),
    (
        'dest = "cache"',
        'dest = "/cache"',
        "steps[0].exports[0].dest: '/cache' is not a path inside",
    ),
    (
        'type = "local", mode',
        'type = "locl", mode',
        "steps[0].exports[0].type: 'locl' is not one of",
    ),
    ('{ type = "local", mode', "{ mode", "steps[0].exports[0].type: is missing"),
    (
        'dest = "cache"',
        'dest = "${axis.x}"',
        "steps[0].exports[0].dest: unknown placeholder '${axis.x}'",
    ),
    (
        'action = "prune"',
        'action = "prune"\nwhen = { bases = ["same", "differnt"] }',
        "steps[1].when.bases[1]: unknown value 'differnt'; did you mean different?",
    ),
    (
        'action = "prune"',
        'action = "daemon"\nstart = "fresch"',
        "steps[1].start: 'fresch' is not one of restart, fresh; did you mean fresh?",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), EXACT)
def test_messages_name_the_whole_path_and_the_words(
    root: Path, old: str, new: str, message: str
) -> None:
    edit(root, old, new, "_cross-stage")
    with pytest.raises(BadInput) as raised:
        scenario.load("cross-stage-lazy", root)
    path = root / "cross-stage-lazy" / "scenario.toml"
    assert raised.value.message.startswith(f"{path}: {message}")


PUSH_IS_OK = '{ step = "export", exit = "ok" }'

REPEATED = [
    ('runs = "all"', 'outcomes[0].all[0].runs: \'all\' is not "any", "every" or "at least N"'),
    ('runs = "2"', "outcomes[0].all[0].runs: '2' is not"),
    ('runs = "at least 0"', "outcomes[0].all[0].runs: 'at least 0' is not"),
    ('runs = "at least 4"', "'at least 4' can never hold: export runs 3 times"),
    ("runs = 2", "outcomes[0].all[0].runs"),
]


@pytest.mark.parametrize(("given", "message"), REPEATED)
def test_runs_are_checked(root: Path, given: str, message: str) -> None:
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 3', "_cross-stage")
    scenario.load("cross-stage-lazy", root)
    edit(root, PUSH_IS_OK, PUSH_IS_OK.replace(" }", f", {given} }}"), "_cross-stage")
    with pytest.raises(BadInput, match=message.replace("[", r"\[")):
        scenario.load("cross-stage-lazy", root)


@pytest.mark.parametrize("given", ["any", "every", "at least 1", "at least 3"])
def test_runs_that_are_valid(root: Path, given: str) -> None:
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 3', "_cross-stage")
    edit(root, PUSH_IS_OK, PUSH_IS_OK.replace(" }", f', runs = "{given}" }}'), "_cross-stage")
    assert scenario.load("cross-stage-lazy", root).outcomes[0].all[0].runs == given


@pytest.mark.parametrize("given", ["any", "every", "at least 1"])
def test_runs_of_a_step_that_is_not_repeated(root: Path, given: str) -> None:
    edit(root, PUSH_IS_OK, PUSH_IS_OK.replace(" }", f', runs = "{given}" }}'), "_cross-stage")
    with pytest.raises(BadInput, match=r"\.runs: export runs once: it has no repeat"):
        scenario.load("cross-stage-lazy", root)


def test_a_condition_names_the_step_and_not_one_of_its_runs(root: Path) -> None:
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 3', "_cross-stage")
    edit(root, PUSH_IS_OK, PUSH_IS_OK.replace("export", "export-2"), "_cross-stage")
    with pytest.raises(BadInput, match=r"\.step: 'export-2' is a run of 'export'; name that step"):
        scenario.load("cross-stage-lazy", root)


@pytest.mark.parametrize("other", ["prune", "import"])
def test_a_step_and_a_run_of_another_with_one_name(root: Path, other: str) -> None:
    """The rules could not tell them apart, nor could the files of evidence."""
    edit(root, f'id = "{other}"', 'id = "export-3"', "_cross-stage")
    if other == "import":
        edit(root, 'step = "import"', 'step = "export-3"', "_cross-stage")
    scenario.load("cross-stage-lazy", root)
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 3', "_cross-stage")
    with pytest.raises(BadInput, match=r"steps\[0\].repeat: a run is called 'export-3', but"):
        scenario.load("cross-stage-lazy", root)


def test_runs_of_two_steps_with_one_name(root: Path) -> None:
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 3', "_cross-stage")
    edit(root, 'id = "prune"', 'id = "export-2"\nrepeat = 2', "_cross-stage")
    with pytest.raises(BadInput, match="'export-2', but a step or a run of 'export-2' has"):
        scenario.load("cross-stage-lazy", root)


def test_runs_do_not_change_the_run_digest(root: Path) -> None:
    """Trials store every run, so that they are judged again without a new trial."""
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 2', "_cross-stage")
    default = scenario.load("cross-stage-lazy", root)
    edit(root, PUSH_IS_OK, PUSH_IS_OK.replace(" }", ', runs = "any" }'), "_cross-stage")
    any_run = scenario.load("cross-stage-lazy", root)
    assert any_run.run_digest == default.run_digest
    assert any_run.digest != default.digest


def test_the_digest_covers_what_a_condition_without_runs_means(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results whose rules meant something else must not compare as those of equal scenarios."""
    once = scenario.load("cross-stage-lazy", root)
    edit(root, 'id = "prune"', 'id = "prune"\nrepeat = 2', "_cross-stage")
    unused = scenario.load("cross-stage-lazy", root)
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 2', "_cross-stage")
    repeated = scenario.load("cross-stage-lazy", root)
    loading = importlib.import_module("buildkit_bisect.scenario.load")
    monkeypatch.setattr(loading, "needed", lambda *_: 1)  # the rule that held before: one run
    again = scenario.load("cross-stage-lazy", root)
    assert again.digest != repeated.digest
    edit(root, 'id = "export"\nrepeat = 2', 'id = "export"', "_cross-stage")
    assert scenario.load("cross-stage-lazy", root).digest == unused.digest
    edit(root, 'id = "prune"\nrepeat = 2', 'id = "prune"', "_cross-stage")
    assert scenario.load("cross-stage-lazy", root).digest == once.digest


def test_rules_of_a_repeated_step_that_cannot_match(root: Path) -> None:
    edit(root, 'id = "export"', 'id = "export"\nrepeat = 3', "_cross-stage")
    scenario.load("cross-stage-lazy", root)
    rule = '\n[[outcomes]]\nname = "own"\nverdict = "{}"\nmeans = "x"\nall = [\n{}\n]\n'
    failed = '{{ step = "export", exit = "failed", runs = "{}" }},'
    some_ok = '{{ step = "export", exit = "ok", runs = "{}" }},'
    path = root / "_cross-stage" / "scenario.toml"
    text = path.read_text()

    def read(*rules: str) -> None:
        path.write_text(text + "".join(rules))
        scenario.load("cross-stage-lazy", root)

    read(rule.format("bad", failed.format("at least 2") + some_ok.format("any")))
    with pytest.raises(BadInput, match=r"outcomes\[5\]: can never match: contradictory"):
        read(rule.format("bad", failed.format("at least 2") + some_ok.format("at least 2")))
    with pytest.raises(BadInput, match=r"outcomes\[5\]: can never match: contradictory"):
        read(rule.format("bad", failed.format("every") + some_ok.format("any")))
    # every run failed, so at least two did
    first = rule.format("weak", failed.format("at least 2"))
    with pytest.raises(BadInput, match=r"outcomes\[6\]: can never match: 'own' above"):
        read(first, rule.format("bad", failed.format("every")).replace('"own"', '"second"'))
    read(first, rule.format("bad", failed.format("any")).replace('"own"', '"second"'))


def test_the_documented_example_of_runs(tmp_path: Path) -> None:
    """One or two failures in three are one outcome, three another: as docs/scenarios.md says."""
    text = (checkout.PROJECT / "docs" / "scenarios.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    example = next(block for block in blocks if "sometimes-pushed" in block)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "scenario.toml").write_text(
        f'schema = 1\nname = "x"\ntitle = "x"\nissue = "https://example.org/1"\n{example}'
    )
    loaded = scenario.load(str(tmp_path))

    def outcome(*exits: int) -> str:
        runs = zip(loaded.steps[0].runs, exits, strict=True)
        steps = tuple(StepResult(id=run, exit=exit_, seconds=1) for run, exit_ in runs)
        return judge(loaded, Observation(steps=steps, seconds=3), None).name

    assert outcome(0, 0, 0) == "pushed"
    assert outcome(0, 1, 1) == "sometimes-pushed"
    assert outcome(1, 0, 0) == "sometimes-pushed"
    assert outcome(1, 1, 1) == "push-failed"


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"name = \xff", "invalid UTF-8 at byte 7"),
        (b"name = " + b"9" * 6000, "a number or date is not valid, or too long"),
        (b"name = " + b"[" * 9000 + b"]" * 9000, "nested too deeply"),
        (b"name =", "invalid TOML: Invalid value"),
        (b"schema = 1\nextend = 1", "extend: unknown key; did you mean extends?"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    """Python's own messages name codecs and functions."""
    (tmp_path / "scenario.toml").write_bytes(data)
    with pytest.raises(BadInput) as raised:
        scenario.load(str(tmp_path))
    assert raised.value.message.startswith(f"{tmp_path}/scenario.toml: {message}")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean cross-stage-lazy or cross-stage-dedup"):
        scenario.load("cross-stage-lasy")
