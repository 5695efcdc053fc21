"""Options of a build step: what is refused, and what buildctl, buildx and scripts are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import buildctl, scenario
from buildkit_bisect.buildctl import BuildRequest, NamedContext, Options
from buildkit_bisect.engine import buildx_plugin
from buildkit_bisect.errors import BadInput
from buildkit_bisect.scenario import Scenario, trust
from buildkit_bisect.scenario.build_step import Places, entitlements, options
from buildkit_bisect.scenario.reproduction import script
from buildkit_bisect.system import checkout

HEAD = """\
schema = 1
name = "options"
title = "options"
issue = "https://github.com/moby/buildkit/issues/1"
images.base = { dockerfile = "Dockerfile" }
axes.arch = { values = ["arm64", "amd64"] }

[[steps]]
id = "out"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "local", dest = "a folder" }]

[[steps]]
id = "layout"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "oci", dest = "lay", tar = "false" }]

[[steps]]
id = "both"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "local", dest = "a" }, { type = "oci", dest = "b", tar = "false" }]

[[steps]]
id = "archive"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "oci", dest = "c" }]

[[steps]]
id = "sometimes"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "local", dest = "d" }]
when = { arch = ["arm64"] }

[[steps]]
id = "beside"
action = "build"
dockerfile = "Dockerfile"
outputs = [{ type = "local", dest = "e" }]
parallel = "p"

[[steps]]
id = "go"
action = "build"
"""
TAIL = """
[[steps]]
id = "later"
action = "prune"

[[outcomes]]
name = "good"
verdict = "good"
means = "ok"
all = [{ step = "go", exit = "ok" }]
"""


def load(folder: Path, keys: str, tail: str = TAIL) -> Scenario:
    """Return the scenario whose step ``go`` has *keys*."""
    (folder / "Dockerfile").write_text("FROM scratch\n")
    own = "" if "dockerfile = " in keys else 'dockerfile = "Dockerfile"\n'
    (folder / "scenario.toml").write_text(f"{HEAD}{own}{keys}\n{tail}")
    return scenario.load(str(folder))


WRONG = [
    ('contexts = { base = "base" }', "contexts.base: must begin with one of step:, context:, im"),
    ('contexts = { base = "git:x" }', "contexts.base: must begin with one of step:"),
    ('contexts = { Base = "image:x" }', "contexts.Base: 'Base' is not a name that a Dockerfile"),
    ('contexts = { "a=b" = "image:x" }', "contexts.\"a=b\": 'a=b' is not a name"),
    ('contexts = { "a..b" = "image:x" }', "is not a name"),
    ("contexts = { base = 1 }", "contexts.base: must be a text, not a whole number"),
    ('contexts = { base = "image:" }', "contexts.base: '' is not an image reference"),
    ('contexts = { base = "image:a b" }', "contexts.base: 'a b' is not an image reference"),
    ('contexts = { base = "image:x,y" }', "contexts.base: 'x,y' is not an image reference"),
    ('contexts = { base = "image:${image.bse}" }', "contexts.base: unknown placeholder"),
    ('contexts = { base = "context:../x" }', "contexts.base: '../x' is not a path inside"),
    ('contexts = { base = "context:/etc" }', "contexts.base: '/etc' is not a path inside"),
    ('contexts = { base = "oci-layout:/x" }', "contexts.base: '/x' is not a path inside"),
    ('contexts = { base = "step:lyout" }', "unknown earlier step 'lyout'; did you mean layout"),
    ('contexts = { base = "step:go" }', "contexts.base: unknown earlier step 'go'"),
    ('contexts = { base = "step:later" }', "contexts.base: unknown earlier step 'later'"),
    ('contexts = { base = "step:archive" }', "archive needs one output that is a folder"),
    ('contexts = { base = "step:both" }', 'tar = "false" }; it has 2'),
    ('contexts = { base = "step:sometimes" }', "sometimes does not run in every cell in which go"),
    ('parallel = "p"\ncontexts.b = "step:beside"', "beside runs at the same time as go"),
    ('no_cache = "yes"', "no_cache: must be true or false"),
    ('no_cache = true\nno_cache_filter = ["a"]', "no_cache_filter: no_cache already builds every"),
    ('no_cache_filter = ["a,b"]', "no_cache_filter[0]: 'a,b' is not the name of a stage"),
    ('no_cache_filter = "a"', "no_cache_filter: must be a list"),
    ('platform = "arm64"', "platform: 'arm64' must be like linux/arm64; several are separated"),
    ('platform = "linux/arm64,"', "platform: 'linux/arm64,' must be like"),
    ('platform = "linux/arm64 linux/amd64"', "must be like linux/arm64"),
    ('platform = "linux/${axis.arch"', "must be like linux/arm64"),
    ('platform = "linux/${axis.arc}"', "platform: unknown placeholder"),
    (
        'attests = { prov = "" }',
        "attests: 'prov' is not one of provenance, sbom; did you mean prov",
    ),
    ('attests = { sbom = "x" }', "attests.sbom: 'x' is not a list like mode=max"),
    ('attests = { sbom = "a=1,\\"b=2" }', "attests.sbom: "),
    ('attests = { sbom = "a=1\\nb=2" }', "attests.sbom: "),
    ('labels = { "a b" = "x" }', "labels: 'a b' is no label's name"),
    ('labels = { "a=b" = "x" }', "labels: 'a=b' is no label's name"),
    ('labels = { a = "x\\ny" }', "labels.a: must be one line"),
    ("epoch = -1", "epoch: must be seconds since 1970"),
    ("epoch = 99999999999999", "epoch: must be seconds since 1970"),
    ('epoch = "now"', "epoch: must be a whole number"),
    ("epoch = 1.5", "epoch: must be a whole number"),
    ("epoch = true", "epoch: must be a whole number, not true"),
    ('epoch = 1\nargs = { SOURCE_DATE_EPOCH = "2" }', "epoch: args has SOURCE_DATE_EPOCH too"),
    ('secrets = { "a b" = "12345678" }', "secrets: 'a b' is not a secret's id"),
    ('secrets = { "a,b" = "12345678" }', "secrets: 'a,b' is not a secret's id"),
    ('secrets = { "../a" = "12345678" }', "secrets: '../a' is not a secret's id"),
    ('secrets = { a = "1234567" }', "secrets.a: must have 8 to 4096 characters"),
    ('secrets = { a = "${registry" }\nssh = ["../a"]', "ssh[0]: '../a' is not an agent's id"),
    ('ssh = ["a=b"]', "ssh[0]: 'a=b' is not an agent's id, such as default"),
    ('ssh = ["a", "a"]', "ssh[1]: 'a' is named twice"),
    ("ssh = true", "ssh: must be a list"),
    (
        'allow = ["security.insecur"]',
        "allow[0]: 'security.insecur' is not one of network.host, sec",
    ),
    ('allow = ["device"]', "allow[0]: 'device' is not one of network.host, security.insecure"),
    ('frontend = "a b"', "frontend: 'a b' is not an image reference"),
    ('frontend = "${image.bas}"', "frontend: unknown placeholder '${image.bas}'; did you mean"),
    ('dockerfile = "context:../x"', "dockerfile: '../x' is not a path inside the scenario"),
    ('dockerfile = "context:"', "dockerfile: file 'context:' not found"),
    ("no-cache = true", "no-cache: unknown key; did you mean no_cache"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_a_wrong_option_is_named(tmp_path: Path, keys: str, message: str) -> None:
    load(tmp_path, "")
    with pytest.raises(BadInput) as raised:
        load(tmp_path, keys)
    assert message in raised.value.message
    assert f"{tmp_path}/scenario.toml: steps[6]." in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    "key",
    [
        *("no_cache = true", "epoch = 0", 'platform = "a/b"', 'labels.a = "b"', 'contexts.x = ""'),
        *('secrets.a = "12345678"', 'ssh = ["default"]', 'allow = ["x"]', 'frontend = "a"'),
    ],
)
def test_an_option_is_for_a_build(tmp_path: Path, key: str) -> None:
    tail = TAIL.replace('"prune"', f'"prune"\n{key}')
    name = key.partition(" ")[0].partition(".")[0]
    with pytest.raises(BadInput, match=rf"steps\[7\].{name}: is for a build, not for prune"):
        load(tmp_path, "", tail)


ALL = """\
platform = "linux/${axis.arch},linux/386"
epoch = 0
no_cache_filter = ["one", "two"]
ssh = ["default", "other"]
allow = ["network.host"]
frontend = "${image.base}"
[steps.contexts]
base = "step:layout"
lay = "oci-layout:a lay"
out = "step:out"
lib = "context:sub/lib"
img = "image:${registry}/x:1"
[steps.attests]
provenance = "mode=max"
sbom = ""
[steps.secrets]
token = "12345678"
[steps.labels]
"org.example/x" = "a, ${axis.arch}"
"""
DIGEST = "sha256:" + "0" * 64


def made(loaded: Scenario) -> Options:
    step = next(step for step in loaded.steps if step.id == "go")
    places = Places(
        output=lambda dest: Path("/w") / dest,
        context=Path("/c"),
        digest=lambda _: DIGEST,
        secret=lambda name, text: Path(f"/p/{name}-{len(text)}"),
        key=lambda name: Path(f"/p/{name}"),
    )
    return options(loaded, step, lambda text: text.replace("${axis.arch}", "arm64"), places)


def test_each_context_is_what_its_kind_says(tmp_path: Path) -> None:
    assert made(load(tmp_path, ALL)).contexts == {
        "base": NamedContext(layout=Path("/w/lay"), digest=DIGEST),
        "lay": NamedContext(layout=Path("/w/a lay"), digest=DIGEST),
        "out": NamedContext(folder=Path("/w/a folder")),
        "lib": NamedContext(folder=Path("/c/sub/lib")),
        "img": NamedContext(image="${registry}/x:1"),
    }


def request(given: Options) -> BuildRequest:
    return BuildRequest(context=Path("/c"), dockerfile=Path("/d/F"), args={"A": "1"}, options=given)


def test_the_arguments_of_buildctl(tmp_path: Path) -> None:
    argv = buildctl.build("a", request(made(load(tmp_path, ALL))))
    assert argv[argv.index("--opt=build-arg:A=1") + 1 :] == [
        "--opt=build-arg:SOURCE_DATE_EPOCH=0",
        "--oci-layout=named-0=/w/lay",
        f"--opt=context:base=oci-layout://named-0@{DIGEST}",
        "--oci-layout=named-1=/w/a lay",
        f"--opt=context:lay=oci-layout://named-1@{DIGEST}",
        "--local=named-2=/w/a folder",
        "--opt=context:out=local:named-2",
        "--local=named-3=/c/sub/lib",
        "--opt=context:lib=local:named-3",
        "--opt=context:img=docker-image://${registry}/x:1",
        "--opt=no-cache=one,two",
        "--opt=platform=linux/arm64,linux/386",
        "--opt=attest:provenance=mode=max",
        "--opt=attest:sbom=",
        "--opt=label:org.example/x=a, arm64",
        "--secret=id=token,src=/p/token-8",
        "--ssh=default=/p/default",
        "--ssh=other=/p/other",
        "--allow=network.host",
    ]
    assert argv[3:6] == [
        "--progress=rawjson",
        "--frontend=gateway.v0",
        "--opt=source=${image.base}",
    ]
    assert "--no-cache" in buildctl.build("a", request(Options(no_cache=True)))


def test_the_arguments_of_buildx(tmp_path: Path) -> None:
    argv = buildx_plugin.build("b", request(made(load(tmp_path, ALL))))
    assert argv[argv.index("A=1") + 1 : argv.index("--output")] == [
        *("--build-arg", "SOURCE_DATE_EPOCH=0"),
        *("--build-context", f"base=oci-layout:///w/lay@{DIGEST}"),
        *("--build-context", f"lay=oci-layout:///w/a lay@{DIGEST}"),
        *("--build-context", "out=/w/a folder"),
        *("--build-context", "lib=/c/sub/lib"),
        *("--build-context", "img=docker-image://${registry}/x:1"),
        *("--no-cache-filter", "one", "--no-cache-filter", "two"),
        *("--platform", "linux/arm64,linux/386"),
        *("--attest", "type=provenance,mode=max", "--attest", "type=sbom"),
        *("--label", "org.example/x=a, arm64"),
        *("--secret", "id=token,src=/p/token-8"),
        *("--ssh", "default=/p/default", "--ssh", "other=/p/other"),
        *("--allow", "network.host"),
        *("--build-arg", "BUILDKIT_SYNTAX=${image.base}"),
    ]
    assert "--no-cache" in buildx_plugin.build("b", request(Options(no_cache=True)))


def test_a_build_without_options_has_the_arguments_that_it_had() -> None:
    plain = BuildRequest(context=Path("/c"), dockerfile=Path("/d/F"), args={})
    assert buildctl.build("a", plain)[3:] == [
        *("--progress=rawjson", "--frontend=dockerfile.v0", "--local=context=/c"),
        *("--local=dockerfile=/d", "--opt=filename=F"),
    ]


def test_only_a_build_that_uses_an_option_needs_it() -> None:
    listed = "".join(
        f"   {option} value\n"
        for option in (
            *("--export-cache", "--frontend", "--import-cache", "--local", "--opt", "--output"),
            *("--progress rawjson", "--no-cache"),
        )
    )
    layout = Options(contexts={"a": NamedContext(layout=Path("l"), digest=DIGEST)})
    assert buildctl.lacking(listed) == ""
    assert buildctl.lacking(listed, request(layout)) == "--oci-layout"
    assert buildctl.lacking(f"{listed}   --oci-layout value\n", request(layout)) == ""
    assert buildctl.lacking(listed, request(Options(no_cache=True, platform="a/b"))) == ""
    image = Options(contexts={"a": NamedContext(image="i")})
    assert buildctl.lacking(listed, request(image)) == ""


def test_options_are_in_the_digest_of_what_a_trial_runs(tmp_path: Path) -> None:
    plain = load(tmp_path, "").run_digest
    digests = {load(tmp_path, keys).run_digest for keys in ("no_cache = true", "epoch = 1", ALL)}
    assert len(digests | {plain}) == 4


def test_the_registry_of_a_context_makes_each_trial_have_one(tmp_path: Path) -> None:
    assert scenario.uses_registry(load(tmp_path, ALL))
    assert not scenario.uses_registry(load(tmp_path, ""))


def test_a_script_that_reproduces_it_has_every_option(tmp_path: Path) -> None:
    text = script(load(tmp_path, ALL), (("arch", "amd64"),))
    assert "- in PATH: jq, to read OCI layouts\n" in text
    assert """digest() { jq -r '.manifests[-1].digest' "$1/index.json"; }\n""" in text
    assert (
        "  --opt=build-arg:SOURCE_DATE_EPOCH=0 \\\n"
        "  --oci-layout=named-0=lay \\\n"
        '  --opt=context:base=oci-layout://named-0@"$(digest lay)" \\\n'
        "  '--oci-layout=named-1=a lay' \\\n"
        "  --opt=context:lay=oci-layout://named-1@\"$(digest 'a lay')\" \\\n"
        "  '--local=named-2=a folder' \\\n"
        "  --opt=context:out=local:named-2 \\\n"
        "  --local=named-3=context/sub/lib \\\n"
        "  --opt=context:lib=local:named-3 \\\n"
        "  --opt=context:img=docker-image://127.0.0.1:5001/x:1 \\\n"
        "  --opt=no-cache=one,two \\\n"
        "  --opt=platform=linux/amd64,linux/386 \\\n"
        "  --opt=attest:provenance=mode=max \\\n"
        "  --opt=attest:sbom= \\\n"
        "  '--opt=label:org.example/x=a, amd64' \\\n"
        "  --secret=id=token,src=private/secret-token \\\n"
        "  --ssh=default=private/key-default \\\n"
        "  --ssh=other=private/key-other \\\n"
        "  --allow=network.host 2>&1 | hide | tee go.log\n"
    ) in text
    assert "  --frontend=gateway.v0 \\\n  --opt=source=127.0.0.1:5000/base:gzip \\\n" in text
    assert 'start --oci-worker-snapshotter "$SNAPSHOTTER" --allow-insecure-entitlement=netw' in text
    assert "# - in SECRET_token: the secret token; otherwise it is 'no secret'\n" in text
    assert 'printf %s "${SECRET_token:-no secret}" > private/secret-token\n' in text
    assert "ssh-keygen -q -t ecdsa -m PEM -N '' -f private/key-other\n" in text
    assert "12345678" not in text, "a secret of someone's own is not in a report"
    assert "hide" not in script(load(tmp_path, "no_cache = true"), (("arch", "amd64"),))
    assert "jq" not in script(load(tmp_path, "no_cache = true"), (("arch", "amd64"),))


def test_a_context_of_a_step_keeps_what_the_step_is(tmp_path: Path) -> None:
    """A repeated step writes one folder: its runs have their own ids, the output does not."""
    loaded = load(tmp_path, 'contexts = { base = "step:out" }')
    steps = (replace(loaded.steps[0], repeat=2), *loaded.steps[1:])
    assert made(replace(loaded, steps=steps)).contexts["base"].folder == Path("/w/a folder")


def test_the_documented_example(tmp_path: Path) -> None:
    text = (checkout.PROJECT / "docs" / "scenarios.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    example = next(block for block in blocks if "step:parent" in block)
    for name in ("Dockerfile", "parent.Dockerfile"):
        (tmp_path / name).write_text("FROM scratch\n")
    head = 'schema = 1\nname = "x"\ntitle = "x"\nissue = "https://example.org/1"\n'
    tail = TAIL.replace('"go"', '"child"')
    (tmp_path / "scenario.toml").write_text(f"{head}{example}{tail}")
    assert scenario.load(str(tmp_path)).steps[1].contexts == {"parent": "step:parent"}


def test_what_a_secret_is_does_not_appear_in_messages(tmp_path: Path) -> None:
    for keys in ('secrets = { a = "hunter2" }', 'secrets = { "?" = "hunter2hunter2" }'):
        with pytest.raises(BadInput) as raised:
            load(tmp_path, keys)
        assert "hunter2" not in raised.value.message


def test_a_dockerfile_that_steps_write(tmp_path: Path) -> None:
    loaded = load(tmp_path, 'dockerfile = "context:sub/My.Dockerfile"')
    text = script(loaded, (("arch", "amd64"),))
    assert (
        "  --local=dockerfile=context/sub \\\n  --opt=filename=My.Dockerfile 2>&1 | tee go.log\n"
    ) in text
    assert "cat > dockerfiles/My.Dockerfile" not in text


def test_a_daemon_allows_what_the_steps_of_its_cell_ask_for(tmp_path: Path) -> None:
    loaded = load(tmp_path, 'allow = ["security.insecure", "network.host"]')
    assert entitlements(loaded.steps) == ("network.host", "security.insecure")
    assert entitlements(loaded.steps[:-2]) == ()


def test_the_machine_must_be_trusted(tmp_path: Path) -> None:
    """With the host's network, a ``RUN`` reaches the registry of base images, for example."""
    assert trust.needed(load(tmp_path, "")) == ""
    assert trust.needed(load(tmp_path, 'allow = ["network.host"]')) == (
        "steps[6] allows network.host, which is this machine's network with its servers on"
        " 127.0.0.1"
    )
    assert trust.needed(load(tmp_path, 'allow = ["network.host", "security.insecure"]')) == (
        "steps[6] allows security.insecure, which is root on this machine"
    )
