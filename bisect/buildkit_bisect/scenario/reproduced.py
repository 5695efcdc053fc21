"""Parts of the script of `reproduction` for options of builds and for programs. Pure."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from buildkit_bisect.buildctl import Options
from buildkit_bisect.scenario import build_step, script_step
from buildkit_bisect.scenario.definition import Step

#: A secret for whoever runs the script without it.
_STAND_IN = "no secret"

#: Prints its input with ``[secret ID]`` for each secret, as evidence has it.
_HIDE = """\
hide() {
  local text file
  text=$(cat)
  for file in private/secret-*; do
    text=${text//"$(cat "$file")"/"[secret ${file#private/secret-}]"}
  done
  printf '%s\\n' "$text"
}"""


def functions(steps: Iterable[Step]) -> str:
    """Return the bash functions that `hiding` uses; "" if none."""
    return _HIDE if any(step.secrets for step in steps) else ""


def hiding(step: Step) -> str:
    """Return the part of a pipe through which *step* prints; "" if it has no secrets."""
    return " | hide" if step.secrets else ""


def needs(steps: Iterable[Step]) -> Iterator[str]:
    """Yield what the script needs for *steps*, as lines of its head."""
    steps = list(steps)
    if any(step.ssh for step in steps):
        yield "- in PATH: ssh-keygen, to make a key"
    for name in sorted({name for step in steps for name in step.secrets}):
        yield f"- in {_variable(name)}: the secret {name}; otherwise it is {_STAND_IN!r}"


def places(text: Callable[[str], str]) -> build_step.Places:
    """Return where builds of the script find things; *text* replaces placeholders.

    What stands for the digest of a layout is replaced by `with_digests`.
    """
    return build_step.Places(
        output=lambda dest: Path(text(dest)),
        context=Path("context"),
        digest=lambda folder: hashlib.sha256(str(folder).encode()).hexdigest(),
        secret=lambda name, _: Path("private", f"secret-{name}"),
        key=lambda name: Path("private", f"key-{name}"),
    )


def with_digests(command: str, options: Options) -> str:
    """Return a build's *command* that reads the digest of each OCI layout when it runs."""
    for context in options.contexts.values():
        if context.layout is not None:
            found = f'"$(digest {shlex.quote(str(context.layout))})"'
            command = command.replace(context.digest, found)
    return command


def private(step: Step) -> Iterator[str]:
    """Yield commands that write secrets and keys; the script has no text of a secret."""
    if step.secrets or step.ssh:
        yield "mkdir -p private && chmod 700 private"
    for name in step.secrets:
        yield f"rm -f private/secret-{name}"  # not through a link that a build left there
        yield f'printf %s "${{{_variable(name)}:-{_STAND_IN}}}" > private/secret-{name}'
    for name in step.ssh:
        key = f"private/key-{name}"
        yield f"[ -f {key} ] || ssh-keygen -q -t ecdsa -m PEM -N '' -f {key}"


def _variable(secret: str) -> str:
    """Return the environment variable of the script that has the text of a secret."""
    return f"SECRET_{re.sub('[^A-Za-z0-9]', '_', secret)}"


def program(step: Step, env: Mapping[str, str]) -> tuple[list[str], str]:
    """Return commands that export what the program of *step* finds, and one that starts it.

    *env* is that of `script_step.environment`, without directories.
    """
    exports = [
        "export BKBISECT_BUILDKITD=$(command -v buildkitd)",
        "export BKBISECT_BUILDCTL=$(command -v buildctl)",
    ]
    if not script_step.own(step):
        return exports, f'"$here"/{shlex.quote(Path(step.path).name)}'
    exports += ["export BKBISECT_CONTEXT=$PWD/context BKBISECT_WORK=$PWD"]
    exports += [f"export {name}={shlex.quote(value)}" for name, value in env.items() if value]
    return exports, shlex.quote(f"scripts/{step.path}")
