"""How builds are run with a buildctl, by what it says it can do. The buildctl is a script."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from buildkit_bisect.buildctl import BuildRequest, NamedContext, Options
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.runtime import Built, UnsupportedClient, client
from buildkit_bisect.system import pipes, process

pytestmark = pytest.mark.local

#: Prints its help as a buildctl before v0.13 or a newer one does; fails to build as each would.
SCRIPT = """\
#!/bin/sh
echo "$*" >> "$0.calls"
if [ "$*" = "build --help" ]; then
  printf '   %s value\\n' '--progress (auto, plain, tty{raw})' {trace} --output --local \\
    --frontend --opt --export-cache --import-cache
  exit {status}
fi
for word; do
  case "$word" in
    --progress=rawjson)
      [ "{raw}" ] || {{ echo "error: invalid progress mode rawjson" >&2; exit 1; }}
      echo '{{"vertexes":[]}}' >&2 ;;
    --trace=*) {write} ;;
  esac
done
echo 'error: no' >&2
exit 1
"""
WRITE = """echo '{"Vertexes":null}' >> "${word#--trace=}" """
ADDRESS = "unix:///nowhere"


def script(folder: Path, *, raw: str = "", trace: str = "--trace", write: str = WRITE,
           status: int = 0) -> Path:  # fmt: skip
    program = folder / "buildctl"
    program.write_text(SCRIPT.format(raw=raw, trace=trace, write=write, status=status))
    program.chmod(0o755)
    return program


def run(program: Path, arguments: list[str], /, *, timeout: float) -> process.Completed:
    return process.run([str(program), *arguments], timeout=timeout, check=False)


def built(program: Path, options: Options | None = None) -> Built:
    scratch = program.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    request = BuildRequest(
        context=Path("/c"), dockerfile=Path("/d/Dockerfile"), args={}, timeout=9,
        options=options or Options(),
    )  # fmt: skip
    done = client.build(program, functools.partial(run, program), ADDRESS, request, scratch)
    assert list(scratch.iterdir()) == [], "no trace is left"
    return done


def test_an_old_buildctl_writes_a_trace(tmp_path: Path) -> None:
    done = built(script(tmp_path))
    assert (done.trace, done.done.stderr) == ('{"Vertexes":null}\n', "error: no\n")


def test_a_newer_one_prints_rawjson(tmp_path: Path) -> None:
    done = built(script(tmp_path, raw=", rawjson"))
    assert (done.trace, done.done.stderr) == (None, '{"vertexes":[]}\nerror: no\n')
    assert built(script(tmp_path, raw=", rawjson", trace="")).trace is None


def test_it_is_asked_once(tmp_path: Path) -> None:
    program = script(tmp_path)
    for _ in range(3):
        built(program)
    calls = program.with_name("buildctl.calls").read_text().splitlines()
    assert [call for call in calls if "--help" in call] == ["build --help"]
    traces = {word for call in calls for word in call.split() if word.startswith("--trace=")}
    assert len(traces) == 3, "buildctl appends to an existing file"


def test_one_that_lacks_an_option_is_not_supported(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedClient, match=r"has no --trace; v0\.10\.6 is the oldest release"):
        built(script(tmp_path, trace=""))


def test_one_that_lacks_what_a_step_needs_is_not_supported_for_that_step(tmp_path: Path) -> None:
    program = script(tmp_path)
    layout = NamedContext(layout=Path("/l"), digest="sha256:1")
    with pytest.raises(UnsupportedClient, match=r"has no --oci-layout, which the step needs$"):
        built(program, Options(contexts={"base": layout}))
    assert built(program, Options(platform="linux/arm64")).trace, "another step of it runs"
    calls = program.with_name("buildctl.calls").read_text().splitlines()
    assert len(calls) == 2, "it is not asked to build what it cannot"


def test_one_that_does_not_run_is_an_infrastructure_failure(tmp_path: Path) -> None:
    with pytest.raises(InfraFailed, match=r"buildctl build --help exited 7"):
        built(script(tmp_path, status=7))


def test_a_build_that_fails_before_it_begins_has_no_trace(tmp_path: Path) -> None:
    assert built(script(tmp_path, write=":")).trace == ""


def test_a_trace_that_is_too_long_is_not_whole(tmp_path: Path) -> None:
    write = f'head -c {pipes.MOST + 5} /dev/zero > "${{word#--trace=}}"'
    done = built(script(tmp_path, write=write))
    assert done.done.left_out == 5
    with pytest.raises(process.ProcessError, match="5 bytes were left out"):
        done.done.whole()
