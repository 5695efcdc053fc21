"""``./inv``: completes a command line, or runs Invoke's program."""

from __future__ import annotations

import gc
import os
import sys

#: New objects between two searches for unreachable ones. Python's 700 are for programs that stay:
#: a report of 500 cells takes a tenth longer with them.
_OBJECTS = 50_000


def main() -> None:
    """Run the program; Invoke exits with the task's code."""
    gc.set_threshold(_OBJECTS)
    _store_bytecode()
    # Imported late: a shell that completes a word waits for it, and does not need Invoke.
    try:
        if "--complete" in sys.argv[1:4]:
            from buildkit_bisect.cli import completion  # noqa: PLC0415

            completion.main(sys.argv)
        else:
            from buildkit_bisect.cli.line import normal  # noqa: PLC0415
            from buildkit_bisect.cli.program import Inv  # noqa: PLC0415

            Inv().run(normal(sys.argv))
        sys.stdout.flush()
    except BrokenPipeError:  # `--list | head` is not an error; `guarded` catches a task's own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _store_bytecode() -> None:
    """Store compiled modules in the environment if none may be beside the sources.

    Images of containers often set ``PYTHONDONTWRITEBYTECODE``, and each start would take a second
    longer. The environment is this tool's own.
    """
    if sys.dont_write_bytecode and sys.prefix != sys.base_prefix:
        sys.pycache_prefix = sys.pycache_prefix or os.path.join(sys.prefix, "bytecode")  # noqa: PTH118 - pathlib takes long to import
        sys.dont_write_bytecode = False


if __name__ == "__main__":
    main()
