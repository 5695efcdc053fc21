"""Tables of bad inputs: command lines, revisions, scenario and patch files, campaigns."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

GIT = ("--repo=REPO", "--source=git", "--dry-run")
RUN = ("run", "--rev=master", *GIT)
BISECT = ("bisect", "--good=v0.1.0", "--bad=master", *GIT)

NUMBERS = ["none", "-1", "0", "1.5", "1e3", "0x10", "9" * 30, "9" * 6000, "1 2", "\n", "∞", "--"]

REVISIONS = [
    "nothing",
    "v99.0.0",
    "--force",
    "--upload-pack=touch /tmp/x",
    "--output=/tmp/x",
    "-c",
    "v0.1.0..master",
    "v0.1.0...master",
    "^master",
    ":/fix",
    ":README.md",
    "master:README.md",
    "master^{/fix}",
    "master^{/(((a{1,250}){1,250}){1,250})}",
    "master^{tree}",
    "master~99999999999",
    "master@{1}",
    "@{upstream}",
    "$(touch /tmp/x)",
    "`id`",
    "a b",
    "a\nb",
    "a\x1b[2Jb",
    "\udcff",
    "ﬀ\u202e",
    "../../etc/passwd",
    "refs/../../x",
    "pull/99999",
    "pull/-1",
    "pull/1/../../x",
    "0" * 40,
    "abcd",
    "1970-01-01",
    "2025-99-99",
    "2025-09-11T10:00",
    "x" * 251,
    "x" * 100_000,
]

WITH_A_REVISION = [
    ("matrix", "--revs=REF"),
    ("bisect", "--good=REF", "--bad=master"),
    ("boundaries", "--from=v0.1.0", "--to=REF"),
    ("patch-check", "--revs=REF"),
]

#: Whole command lines; REPO is a valid repository.
COMMAND_LINES: list[tuple[str, ...]] = [
    # parsed by Invoke
    ("matrices",),
    ("matrix", "--colour", "red"),
    ("matrix", "--revs"),
    ("matrix", "v0.26.0", "extra"),
    ("matrix", "-x"),
    ("--no-such-core-option",),
    ("matrix", "--json=yes"),
    ("patch", "burn"),
    ("patch-new", "--base"),
    ("diff", "one"),
    ("post",),
    ("report",),
    ("run\x1b[2J",),
    ("é" * 3000,),
    # numbers
    *((*RUN, f"--trials={n}") for n in NUMBERS),
    *((*RUN, f"--jobs={n}") for n in NUMBERS),
    *(("boundaries", "--from=v0.1.0", "--to=master", *GIT, f"--resolution={n}") for n in NUMBERS),
    *((*BISECT, "--script=/bin/true", f"--script-timeout={n}") for n in NUMBERS),
    *(("patch-new", "mine", "--repo=REPO", f"--from-pr={n}") for n in NUMBERS),
    *(("post", "good", f"--issue={n}", "--yes") for n in NUMBERS),
    *((*BISECT, f"--confidence={n}") for n in ("high", "2", "0", "-1", "nan", "inf", "1e400")),
    # choices
    *((*RUN, f"--runtime={r}") for r in ("podman", "host,,docker", "HOST", "host;id", "--", "a,b")),
    *((*RUN, f"--source={s}") for s in ("svn", "GIT", "git,module", "--", "\n")),
    *((*RUN, f"--images={i}") for i in ("remote", "public,local", "-")),
    ("validate", "--patches=record-ctx-opts", "--checks=some", *GIT),
    ("build", "--rev=master", "--builder=podman", "--repo=REPO"),
    ("report", "good", "--format=pdf"),
    # axes and sockets
    *((*RUN, f"--axis={a}") for a in (
        "snapshotter", "=stargz", "snapshotter=", "colour=red", "snapshotter=zfs",
        "snapshotter=overlayfs,zfs", "snapshotter=--privileged", "snapshotter=$(id)",
        "snapshotter=a\nb", "snapshotter=\x1b[31m", "../x=y", "--x=y", "snapshotter=" + "x" * 9000,
        "bases=,", "=", "snapshotter=stargz=stargz", "snapshotter=\udcff",
    )),
    *((*RUN, f"--store={s}") for s in (
        "x", "https://ghcr.io/me/x", "oci://", "oci://ghcr.io", "oci://ghcr.io/", "oci://me/x",
        "oci://ghcr.io/Me", "oci://ghcr.io/me:tag", "oci://u:p@ghcr.io/me", "oci://ghcr.io/me?x",
        "oci://ghcr.io/../me", "oci://ghcr.io/me\n", f"oci://ghcr.io/{'x' * 300}",
    )),
    (*RUN, "--store-push"),
    (*RUN, "--store-key=REPO"),
    (*RUN, "--store-key=nowhere", "--store=oci://ghcr.io/me/x"),
    (*RUN, "--store-key=/etc/passwd", "--store=oci://ghcr.io/me/x"),
    (*RUN, "--store-sign=/etc/passwd", "--store=oci://ghcr.io/me/x"),
    (*RUN, "--store-sign=/etc/passwd", "--store-push", "--store=oci://ghcr.io/me/x"),
    (*RUN, f"--store-by={'x' * 201}"),
    *((*RUN, f"--snapshotter-socket={s}") for s in (
        "mine", "mine=", "=/run/x", "mine=relative", "mine=--flag", "a=/x,b",
        "mine=/run/\x1b[0m,", "mine=/x:", "mine=/x:/", "mine=/x:/y/..",
        "--root=/x=y", "mi ne=/x", "mine=/x\n[grpc]",
    )),
    # repositories
    *(("run", "--rev=master", "--source=git", "--dry-run", f"--repo={r}") for r in (
        "/nowhere", "/etc", "/etc/passwd", "-oProxyCommand=touch /tmp/x", "--upload-pack=x",
        "ext::sh -c 'touch /tmp/x'", "fd::17", "file:///nowhere", "git://127.0.0.1:9/x",
        "git://example.org/x", "http://example.org/x.git", "http://127.0.0.1.example.org/x",
        "http://127.0.0.1@example.org/x", "http://localhost:9/x.git", "https://127.0.0.1:9/x",
        "ftp://example.org/x", "ssh://-oProxyCommand=x/y", "-x@host:y", "u@-oProxyCommand=x:y",
        "rsync://x/y", "a\nb", "\x1b[2J", "\udcff", "x" * 300, "x/" * 5000, "HTTP://EXAMPLE.ORG/x",
        "https://", "https:///x", "https://127.0.0.1:9/\x00x".replace("\x00", "%00"), "  ",
        "https://user:secret-password@127.0.0.1:9/x", "transport::https://x/y", "~nobody-here/x",
    ) if r.strip()),
    # registries
    *((*RUN, f"--registry={r}") for r in (
        "example.org:5000", "127.0.0.1.example.org", "127.0.0.1:5000@example.org",
        "127.0.0.1:5000/path", "127.0.0.1:99999", "127.0.0.1:x", "0.0.0.0:5000", "http://127.0.0.1",
        '127.0.0.1:5000"]\n[grpc]', "localhost.example.org", "10.0.0.1", "[::2]:5000", "-", "::1",
    )),
    # scenarios and patches by name
    *((*RUN, f"--scenario={s}") for s in (
        "nothing", "../../etc", "/etc", "/etc/passwd", "/dev/null", "-x", "_cross-stage", "a\nb",
        "cross-stage-lazy,nothing", "cross-stage-lazy/../nothing", "\udcff", "x" * 300,
        "a/" * 3000, "\x1b[2J", "CROSS-STAGE-LAZY", "$(id)", "~root", "file:///x",
        "inline,./bisect/scenarios/inline",  # two of one name
    )),
    *((*RUN, f"--patches={p}") for p in (
        "nothing", "../x", "/etc", "record-ctx-opts,nothing", "-x", "a\nb", "x" * 300, "./",
        "record-ctx-opts/../../x", "\udcff", "$(id)", "\x1b[2J", "x/" * 3000, ".", "..",
    )),
    ("validate", *GIT),
    ("validate", "--patches=,", *GIT),
    ("matrix", "--revs=,", "--patches=nothing", *GIT),
    # options that exclude each other
    ("run", *GIT),
    ("build", "--repo=REPO"),
    ("bisect", "--good=v0.1.0", *GIT),
    ("bisect", "--bad=v0.1.0", *GIT),
    ("bisect", "--find-good", "--good=v0.1.0", "--bad=master", *GIT),
    ("bisect", "--find-good", "--find-fix", "--bad=master", *GIT),
    ("bisect", "--good=v0.1.0", "--bad=master", "--source=module", "--dry-run"),
    ("bisect", "--good=nothing", "--bad=master", "--releases", *GIT),
    ("boundaries", "--from=v0.1.0", *GIT),
    (*BISECT, "--scenario=cross-stage-lazy,cross-stage-dedup"),
    (*BISECT, "--script=/bin/true", "--scenario=cross-stage-lazy"),
    *((*BISECT, f"--script={s}") for s in (
        "/nowhere", "/etc/passwd", "/etc", "-x", "x" * 300, "a\nb", "\udcff", "/dev/null")),
    (*RUN, "--script-files=/bin/true"),
    *((*RUN, "--script=/bin/true", f"--script-files={f}") for f in (
        "/nowhere", "/etc/passwd", "..", "/dev/null", "/bin/no*such", "x" * 300, "a\nb", "\udcff")),
    *((*RUN, "--script=/bin/true", f"--script-bad={c}") for c in ("0", "125", "128", "9-3", "x")),
    *((*RUN, "--script=/bin/true", f"--outcome={o}") for o in (
        "3", "3=slow", "3=slow:weak", "0=a:bad", "137=a:bad", "3=flaky:bad", "9" * 6000)),
    (*RUN, "--script=/bin/true", "--outcome=3=a:bad", "--script-bad=3"),
    # a Dockerfile in one line
    (*RUN, "--expect=ok"),
    (*RUN, "--dockerfile=/bin/sh"),
    *((*RUN, "--expect=ok", f"--dockerfile={f}") for f in (
        "/nowhere", "/etc", "/bin/sh", "/dev/null", "-", "x" * 300, "a\nb", "\udcff")),
    *((*RUN, "--dockerfile=bisect/scenarios/inline/Dockerfile", f"--expect={e}") for e in (
        "", " ", "cached", "cached:", "cached : ", "good", "ok: yes", "fails:", "fails: (",
        "file: x", "file: ../x=y", "prints: (?=x)", "cached: " + "x" * 2000, "cached: RUN nothing",
        "\n")),
    *((*RUN, "--dockerfile=Dockerfile", "--expect=ok", f"--build-arg={a}") for a in (
        "A", "=1", "1=2", "a b=c", "A=${image.x}", "-=1")),
    # scenarios
    ("scenario", "burn"),
    ("scenario-learn",),
    ("scenario-learn", "inline"),
    ("scenario-learn", "inline", "--good=v0.1.0", "--bad=master", *GIT, "--trials=1"),
    ("scenario-learn", "inline", "--good=v0.1.0", "--bad=v0.1.0", *GIT),
    ("scenario-learn", "inline", "--good=v0.1.0", "--bad=master", "--script=/bin/true", *GIT),
    *(("scenario-learn", "inline", "--good=v0.1.0", "--bad=master", *GIT, f"--pick={p}") for p in (
        "0", "-1", "one", "1,,2", "9" * 5000)),
    *((task, f, *GIT) for task, f in itertools.product(
        ("scenario-check", "scenario-learn"),
        ("nothing", "/nowhere", "/etc", "/etc/passwd", "..", "x" * 300, "a\nb", "\udcff"))),
    ("scenario-check", "inline", "--trials=5"),
    ("scenario-check", "inline", "--rev=nothing", *GIT),
    (*RUN, "--images=public", "--scenario=cross-stage-dedup"),
    ("build", "--rev=master", "--repo=REPO", "--builder=dockerfile", "--base-image=x"),
    *(("build", "--rev=master", "--repo=REPO", f"--save={s}") for s in (
        "/nowhere/x.tar", "/", "/etc", "/etc/", ".", "..")),
    *(("clean", "--dry-run", f"--cache-size={s}") for s in (
        "much", "-1", "9" * 400 + "GB", "9" * 6000, "1" + "0" * 19, "nan", "inf", "1e400")),
    *(("build", "--rev=master", "--repo=REPO", f"--push={p}") for p in (
        "--all", "a b", "http://example.org", "x\n", "UPPER/case:tag:tag", "../x", "x" * 300)),
    *(("build", "--rev=master", "--repo=REPO", f"--base-image={b}") for b in (
        "--all", "a b", "UPPER", "x\n", "x" * 300, "../x", "x@sha256:1")),
    # patch-new
    ("patch-new",),
    ("patch-new", "mine"),
    ("patch-new", "mine", "--from-branch=master", "--from-pr=1", "--repo=REPO"),
    *(("patch-new", n, "--from-branch=master", "--repo=REPO") for n in (
        "../mine", "Mine", "a b", "a/b", ".", "..", "record-ctx-opts", "x" * 300, "\udcff", "é")),
    *(("patch-new", "mine", f"--from-worktree={w}") for w in (
        "/nowhere", "/etc", "/etc/passwd", "-x", "x" * 300, "a\nb", "\udcff")),
    *(("patch-new", "mine", f"--from-branch={b}", "--repo=REPO") for b in REVISIONS[:12]),
    ("patch-new", "mine", "--from-branch=master", "--repo=REPO", "--base=nothing"),
    ("patch-new", "mine", "--from-branch=master", "--repo=REPO", "--base=master"),
    ("patch-check", "--into=/nowhere", "--repo=REPO"),
    ("patch-check", "--patches=nothing", "--repo=REPO"),
    # scenario-new
    ("scenario",),
    ("scenario-new",),
    ("scenario-new", "mine"),
    ("scenario-new", "mine", "--from"),
    *(("scenario-new", n, "--from=/etc/hostname") for n in (
        "../Mine", "Mine", "a b", ".", "..", "x" * 300, "\udcff", "é", "-", "/", "/etc", "x\n")),
    *(("scenario-new", "mine", f"--from={f}") for f in (
        "/nowhere", "/etc", "/dev/zero", "x" * 300, "a\nb", "\udcff",
        "http://example.org/x", "ftp://x/y", "file:///etc/passwd", "https://", "https://[::1")),
    # campaigns
    *((task, *ids) for task, ids in itertools.product(
        ("report", "status", "resume", "post"),
        (("nothing",), ("../../etc",), ("/etc/",), ("/etc/passwd",), ("x" * 300,), ("\udcff",),
         ("a\nb",), ("broken-json",), ("broken-shape",), ("broken-text",), ("broken-schema",)),
    ) if task != "post"),
    *(("diff", a, b) for a, b in (
        ("nothing", "other"), ("good", "nothing"), ("broken-json", "good"),
        ("good", "broken-shape"),
    )),
    ("resume", "hostile-task"),
    ("resume", "hostile-option"),
    ("resume", "hostile-quote"),
    ("post", "good"),
    *(("post", "good", "--issue=1", "--yes", f"--to={r}") for r in (
        "moby", "moby/buildkit/x", "--x/y", "-x/y", "../x", "a b/c", "moby/buildkit#1", "moby/..",
        "moby/buildkit?x=y", "moby/buildkit\n", "\udcff/x", "./x",
    )),
    ("report", "good", "--templates=/nowhere"),
    ("report", "good", "--templates=/etc/passwd"),
    ("report", "good", "--publish=/dev/null/x"),
    ("report", "good", "--publish=/proc/none"),
    ("report", "good", "--publish=" + "x" * 300),
    ("run", "--rev=v0.1.0", "--repo=REPO", "--source=git", "--out=/dev/null/x"),
    ("run", "--rev=v0.1.0", "--repo=REPO", "--source=git", "--out=" + "x" * 300),
]  # fmt: skip

#: Variables other than the twins of our options: name, value, and the task that reads it.
ADDRESSES: list[tuple[str, str, tuple[str, ...]]] = [
    *(("DOCKER_HOST", value, ("clean", "--dry-run")) for value in (
        "tcp://[::1", "ssh://[x", "ssh://me@[::1", "ssh://", "ssh://-oProxyCommand=x", "unix://[",
    )),
    ("DOCKER_CONTEXT", "nothing", ("clean", "--dry-run")),
    *((variable, value, (
        "build", "--rev=v0.25.0", "--source=module")) for variable, value in (
            ("GOPROXY", "http://proxy.example"), ("GOSUMDB", "sums http://sums.example"),
    )),
]  # fmt: skip

ENVIRONMENT = [
    ("DRY_RUN", "perhaps"),
    ("JSON", "2"),
    ("FRESH", "\udcff"),
    ("TRIALS", "many"),
    ("JOBS", "0"),
    ("AXIS", "snapshotter"),
    ("AXIS", "colour=red bases=same"),
    ("RUNTIME", "podman"),
    ("SOURCE", "svn"),
    ("IMAGES", "x"),
    ("REGISTRY", "example.org"),
    ("REPO", "ext::sh -c id"),
    ("REVS", "--force"),
    ("SCENARIO", "../../etc"),
    ("PATCHES", "nothing"),
    ("SNAPSHOTTER_SOCKET", "x"),
    ("REVS", "a\x1b[2J"),
    ("TRIALS", "9" * 6000),
]

#: Edits of the scenario single-chain: text -> replacement.
SCENARIO_EDITS = [
    ("schema = 1", "schema = 2"),
    ("schema = 1", 'schema = "1"'),
    ("schema = 1", "schema = true"),
    ("schema = 1\n", ""),
    ("title =", "titel ="),
    ("title =", "title = [] #"),
    ('name = "single-chain"', 'name = "../../x"'),
    ('name = "single-chain"', 'name = "--force"'),
    ('name = "single-chain"', 'name = "a\\nb"'),
    ('name = "single-chain"', 'name = "a\\u0000b"'),
    ('name = "single-chain"', f'name = "{"x" * 5000}"'),
    ('name = "single-chain"', 'name = ""'),
    ('"https://github.com/moby/buildkit/issues/6893"', '"javascript:alert(1)"'),
    ('"https://github.com/moby/buildkit/issues/6893"', '"http://example.org"'),
    ('"https://github.com/moby/buildkit/issues/6893"', '"https://x\\n<script>"'),
    ("schema = 1", 'schema = 1\nextends = "../x"'),
    ("schema = 1", 'schema = 1\nextends = "_nothing"'),
    ("schema = 1", "schema = 1\nextends = 7"),
    ("schema = 1", "schema = 1\nextends = []"),
    ('values = ["overlayfs", "stargz"]', 'values = ["overlayfs", "--root"]'),
    ('values = ["overlayfs", "stargz"]', 'values = ["overlayfs", "a b"]'),
    ('values = ["overlayfs", "stargz"]', 'values = "overlayfs"'),
    ('values = ["overlayfs", "stargz"]', 'values = ["overlayfs", "overlayfs"]'),
    ('values = ["overlayfs", "stargz"]', 'values = ["overlayfs", 1]'),
    ('values = ["overlayfs", "stargz"]', 'values = ["overlayfs", ["x"]]'),
    ("[axes.snapshotter]", '[axes."../x"]'),
    ("[axes.snapshotter]", '[axes."--x"]'),
    ('axis = "compression"', 'axis = "nothing"'),
    ('gzip = "false", ', ""),
    ('"${axis.snapshotter}"', '"${axis.nothing}"'),
    ('"${axis.snapshotter}"', '"${image.build"\nconfig = "${env.HOME}"'),
    ('"${axis.snapshotter}"', '"overlayfs\\" --root /"'),
    ('"${axis.snapshotter}"', '"--root=/"'),
    ('"${axis.snapshotter}"', '"overlayfs"\nconfig = "not toml ["'),
    ('"${axis.snapshotter}"', '"overlayfs"\nconfig = "root = \'/\'"'),
    ('"${axis.snapshotter}"', '"overlayfs"\nconfig = "[grpc]\\naddress = [\'tcp://0.0.0.0:1\']"'),
    ('"${axis.snapshotter}"', '"overlayfs"\nconfig = "[worker.oci]\\nbinary = \'/tmp/x\'"'),
    ('"build.Dockerfile"', '"/etc/passwd"'),
    ('"build.Dockerfile"', '"../x"'),
    ('"build.Dockerfile"', '"nothing"'),
    ('"build.Dockerfile"', '""'),
    ('"build.Dockerfile"', '"."'),
    ('"build.Dockerfile"', '"a\\u0000b"'),
    ('"build.Dockerfile"', f'"{"x" * 300}"'),
    ('compression = "estargz"', 'compression = "estargz,dest=/x"'),
    ('compression = "estargz"', 'compression = "estargz"\npublic = "--all"'),
    ('compression = "estargz"', 'compression = "estargz"\npublic = "a b"'),
    ("[images.build]", '[images."../x"]'),
    ('id = "export"', 'id = "../x"'),
    ('id = "export"', 'id = "prune"'),
    ('action = "build"', 'action = "shell"'),
    ('action = "build"', 'action = "script"\npath = "/bin/true"'),
    ('action = "prune"', 'action = "write"\npath = "../x"'),
    ('action = "prune"', 'action = "write"\npath = "/x"'),
    ('action = "prune"', 'action = "write"\npath = "a\\u0000b"'),
    ('action = "prune"', 'action = "write"\npath = "."'),
    ('action = "prune"', f'action = "write"\npath = "{"x" * 300}"'),
    ('action = "prune"', 'action = "delete-blob"\ncache = "../x"'),
    ('action = "prune"', 'action = "delete-blob"\ncache = "cache"\nlayer = -1'),
    ('action = "prune"', 'action = "daemon"\nstart = "stop"'),
    ('action = "prune"', 'action = "prune"\ntimeout = -1'),
    ('action = "prune"', 'action = "prune"\ntimeout = inf'),
    ('action = "prune"', 'action = "prune"\ntimeout = nan'),
    ('action = "prune"', 'action = "prune"\ntimeout = 99999'),
    ('action = "prune"', 'action = "prune"\nrepeat = 1000000'),
    ('action = "prune"', 'action = "prune"\nrepeat = 9999999999999999999999'),
    ('action = "prune"', 'action = "prune"\nwhen = { snapshotter = "stargz" }'),
    ('action = "prune"', 'action = "prune"\nwhen = { snapshotter = [] }'),
    ('action = "prune"', "action = []"),
    ('dest = "cache"', 'dest = "/etc"'),
    ('dest = "cache"', 'dest = "../../x"'),
    ('dest = "cache"', 'dest = ""'),
    ('dest = "cache"', 'dest = "cache", DEST = "/etc/x"'),
    ('dest = "cache"', 'dest = "cache", "dest=/etc/x" = "y"'),
    ('dest = "cache"', 'dest = "cache", " dest" = "/etc/x"'),
    ('dest = "cache"', 'dest = "cache", "a,dest" = "/etc/x"'),
    ('dest = "cache"', 'dest = "cache", "" = "x"'),
    ('dest = "cache"', "dest = 1"),
    ('{ type = "local", src = "cache" }', '{ type = "registry", ref = "example.org/x:1" }'),
    ('{ type = "local", src = "cache" }', '{ type = "registry", ref = "${registry}/../x" }'),
    ('{ type = "local", src = "cache" }', '{ src = "cache" }'),
    ('{ type = "local", src = "cache" }', '{ type = "s3", bucket = "x" }'),
    ('{ type = "local", src = "cache" }', '{ type = "local", SRC = "/etc" }'),
    ("imports = [{", 'outputs = [{ type = "image", name = "example.org/x" }]\nimports = [{'),
    ("imports = [{", 'outputs = [{ type = "image", name = "${registry}/x,y/z" }]\nimports = [{'),
    ("imports = [{", 'outputs = [{ type = "image", name = "${var.force}/x" }]\nimports = [{'),
    ("imports = [{", 'outputs = [{ type = "local", dest = "/etc" }]\nimports = [{'),
    ("imports = [{", 'outputs = "x"\nimports = [{'),
    ('BUST = "1"', '"BUST=1,x" = "1"'),
    ('BUST = "1"', '"" = "1"'),
    ('BUST = "1"', "BUST = 1"),
    ('BUST = "1"', 'BUST = "a\\u0000b"'),
    ('exit = "failed"', 'exit = "99999"'),
    ('exit = "failed"', 'exit = "fine"'),
    ("vertex = 'RUN echo stable'", "vertex = '('"),
    ("vertex = 'RUN echo stable'", "vertex = 'a{99999}'"),
    ("vertex = 'RUN echo stable'", "vertex = '(?=RUN) echo'"),
    ('verdict = "good"', 'verdict = "infra"'),
    ('verdict = "good"', "verdict = true"),
    ('name = "cached"', 'name = "flaky"'),
    ('name = "cached"', 'name = "<script>"'),
    ("[[outcomes]]", "[outcomes]"),
    ("[[outcomes]]", "[[other]]"),
    ("[[steps]]", "[steps]"),
]  # fmt: skip

SCENARIO_FILES = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"schema",
    b"schema = 1",
    b"[" * 5000,
    b"schema = 1\na = " + b"[" * 2000 + b"]" * 2000,
    b"schema = 1\na = " + b"9" * 6000,
    b"steps = 1\nschema = 1\n",
    b"schema = 1\n" + b"x" * 1_000_000 + b" = 1",
    b'schema = 1\nname = "\\ud800"',
    "schema = 1\nname = '\u202e\x85'".encode(),
    b"schema = 1979-05-27",
    b"schema = 1\n[a.b]\nc = 1\n[a]\nb = 1",
]

GOOD_DIFF = (
    b"diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n"
    b"@@ -1 +1,2 @@\n one\n+two\n"
)
_TITLE = b'title = "x"\n'


def _diff(path: str, *, before: str = "", hunk: str = "@@ -1 +1,2 @@\n one\n+two\n") -> bytes:
    return f"{before}--- a/{path}\n+++ b/{path}\n{hunk}".encode()


#: A patch.toml and its diff.
PATCHES: list[tuple[bytes, bytes | None]] = [
    (b"", GOOD_DIFF),
    (b"title", GOOD_DIFF),
    (b"\xff", GOOD_DIFF),
    (b"title = 1", GOOD_DIFF),
    (b'title = " "', GOOD_DIFF),
    (b'title = "x"\nextra = 1', GOOD_DIFF),
    (b'title = "x"\nextra-\xc3\xa9 = 1', GOOD_DIFF),
    (b'title = "x"\nissue = "1"', GOOD_DIFF),
    (b'title = "x"\nissue = true', GOOD_DIFF),
    (b'title = "x"\nrequires = "a"', GOOD_DIFF),
    (b'title = "x"\nrequires = [1]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["../a.patch"]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["/etc/passwd"]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["nothing.patch"]', GOOD_DIFF),
    (b'title = "x"\ndiffs = [""]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["."]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["a\\u0000b"]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["' + b"x" * 300 + b'"]', GOOD_DIFF),
    (b'title = "x"\ndiffs = ["patch.toml"]', GOOD_DIFF),
    (b'title = "x"\nfiles = ["other.go"]', GOOD_DIFF),
    (b'title = "x"\nseries = ["nothing"]', None),
    (b'title = "x"\nseries = [""]', None),
    (b'title = "x"\nseries = ["../../x"]', None),
    (b'title = "x"\nseries = ["a"]\ndiffs = ["a.patch"]', GOOD_DIFF),
    (b'title = "x"\nseries = [["a"]]', None),
    (b"[" * 5000, GOOD_DIFF),
    (_TITLE, None),
    (_TITLE, b""),
    (_TITLE, b"\n \n"),
    (_TITLE, b"hello\n"),
    (_TITLE, b"\xff\xfe\n"),
    (_TITLE, GOOD_DIFF.replace(b"\n", b"\r\n")),
    (_TITLE, GOOD_DIFF.replace(b"two", b"\0")),
    (_TITLE, GOOD_DIFF + b"\nGIT binary patch\nliteral 1\n"),
    (_TITLE, b"Binary files a/x and b/x differ\n" + GOOD_DIFF),
    (_TITLE, GOOD_DIFF.replace(b"+1,2", b"+1,9")),
    (_TITLE, GOOD_DIFF.replace(b"@@ -1", b"@@ -9999999999999999999")),
    (_TITLE, GOOD_DIFF.replace(b"@@ -1", b"@@ -1," + b"9" * 5000)),
    (_TITLE, GOOD_DIFF.replace(b"+1,2", b"+" + b"9" * 5000)),
    (_TITLE, GOOD_DIFF.replace(b"a/README.md", b"README.md")),
    (_TITLE, _diff("../x")),
    (_TITLE, _diff("x/../../y")),
    (_TITLE, _diff("/etc/passwd")),
    (_TITLE, _diff(".git/hooks/post-checkout")),
    (_TITLE, _diff(".GIT/config")),
    (_TITLE, _diff("x/.git/config")),
    (_TITLE, _diff("x\\..\\y")),
    (_TITLE, _diff('"\\056\\056/x"')),
    (_TITLE, b'--- "a/\\056\\056/x"\n+++ "b/\\056\\056/x"\n@@ -1 +1,2 @@\n one\n+two\n'),
    (_TITLE, _diff("x", before="diff --git a/../x b/../x\n")),
    (_TITLE, _diff("x", before="new file mode 120000\n")),
    (_TITLE, _diff("x", before="new file mode 160000\n")),
    (_TITLE, _diff("x", before="old mode 100644\nnew mode 104755\n")),
    (_TITLE, _diff("x", before="index 1234567..89abcde 120000\n")),
    (_TITLE, b"diff --git a/x b/../y\nrename from x\nrename to ../y\n" + _diff("x")),
    (_TITLE, b"diff --git a/x b/y\ncopy from /etc/passwd\ncopy to y\n" + _diff("x")),
    (_TITLE, _diff("x", hunk="@@ -1,0 +2 @@\n+lands anywhere\n")),
    (_TITLE, _diff("x", hunk="")),
    (_TITLE, b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n"),
    (_TITLE, _diff("x") + _diff("../y")),
]

_RECORD = {"kind": "matrix", "status": "killed", "reason": "", "pid": 0}


def write_campaigns(out: Path) -> None:
    """Write campaigns below *out* with files that the tool would not write."""
    for name, text in {
        "broken-json": "{",
        "broken-shape": '{"schema": 1}',
        "broken-text": "\x00\x01",
        "broken-schema": '{"schema": "9"}',
    }.items():
        (out / name).mkdir()
        (out / name / "result.json").write_text(text)
        (out / name / "campaign.json").write_text(text)
        (out / name / "events.jsonl").write_text(text)
    for name, command in {
        "hostile-task": "./inv clean --cache",
        "hostile-option": "./inv --search-root /nowhere matrix",
        "hostile-quote": "./inv matrix '",
    }.items():
        (out / name).mkdir()
        (out / name / "campaign.json").write_text(json.dumps({**_RECORD, "command": command}))
    published = Path(__file__).parents[2] / "results" / "issue-6893" / "matrix"
    (out / "good").mkdir()
    (out / "good" / "result.json").write_bytes((published / "result.json").read_bytes())
