"""Turns errors into messages and exit codes; the outermost frame of every task."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable

from buildkit_bisect import __version__
from buildkit_bisect.cli import access
from buildkit_bisect.errors import BisectError, printable
from buildkit_bisect.events import Event
from buildkit_bisect.options.command import applicable, inv, resume
from buildkit_bisect.options.groups import spoken
from buildkit_bisect.options.requests import Building, Request
from buildkit_bisect.system.announce import announcing

#: Exit codes of a task; the classes in `errors` have theirs.
DONE, BUG, BAD_INPUT, NO_ANSWER, INFRA, INTERRUPTED = 0, 1, 2, 4, 5, 130

#: System errors for invalid file names, which come from the user.
_NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)

#: Hints for other system errors.
_NO_SPACE = (
    f"free some space there, then {inv('resume')}; {inv('clean', cache_size='5GB')} trims the cache"
)
_NOT_WRITTEN = "make it writable, or BKBISECT_CACHE_DIR=DIR"
_MIRROR = f"remove that mirror, which is then cloned again; or {inv('clean', cache=True)}"
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _NO_SPACE),
    **dict.fromkeys(_DENIED, _NOT_WRITTEN),
}


def guarded(command: Callable[[], int], kind: type[Request]) -> int:
    """Run *command*. Print a line for an expected error, and a report to send for a bug.

    *kind* is the request of the task: hints name only options that it has.
    """
    # runc is installed there, and a plain `su` drops it from PATH.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    for sign in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal cleans up too
        if signal.getsignal(sign) is not signal.SIG_IGN:  # nohup
            signal.signal(sign, _interrupt)
    try:
        with announcing(_Stderr()):
            code = command()
    except BrokenPipeError:  # `| head` is not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except BisectError as error:
        hint = applicable(error.hint, kind) or (error.hint and f"./inv {spoken(kind.task)} --help")
        hint = _onward(hint)
        message = str(BisectError(error.message, hint=hint))
        print(f"error: {printable(message)}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        kept = f"interrupted; completed builds and trials are kept: {_onward(inv('resume'))}"
        print(kept if issubclass(kind, Building) else "interrupted.", file=sys.stderr)
        code = INTERRUPTED
    except OSError as error:  # a full disk, an unwritable directory
        named = f"{error.filename}: " if error.filename else ""
        wrong = error.errno in _NO_NAME
        hint = "./inv --help TASK" if wrong else _REMEDIES.get(error.errno or 0, inv("doctor"))
        what = f"{named}{error.strerror or error}"
        if error.errno in _DENIED and isinstance(error.filename, str):
            what, hint = access.explained(error.filename, kind) or (what, hint)
        message = f"{what} (try: {_onward(hint)})"
        print(f"error: {printable(message)}", file=sys.stderr)
        code = BAD_INPUT if wrong else INFRA
    except Exception as error:
        # By name, as GitPython is imported late. Its errors mean that a mirror cannot be read.
        mirror = type(error).__module__ == "git.exc"
        message = f"error: {printable(f'git: {type(error).__name__}: {error}')} (try: {_MIRROR})"
        print(message if mirror else _bug_report(), file=sys.stderr)
        code = INFRA if mirror else BUG
    return code


def _onward(hint: str) -> str:
    """Return *hint* with the command that goes on: `resume` only where a campaign has begun.

    Rooms below do not know whether a campaign, a build or a download stops here.
    """
    from buildkit_bisect.campaign import record  # noqa: PLC0415 - takes long to import

    begun = record.begun()
    return hint.replace(inv("resume"), resume(begun) if begun else "the same command again")


class _Stderr:
    """Prints what tasks without a display announce."""

    def emit(self, event: Event, /) -> None:
        """Print a line if *event* has one."""
        from buildkit_bisect.live.lines import Lines  # noqa: PLC0415 - takes long to import

        Lines(sys.stderr).emit(event)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _bug_report() -> str:
    return (
        f"This is a bug in buildkit-bisect {__version__}; please report it with these lines:\n\n"
        f"    Python {sys.version.split()[0]} on {sys.platform}; {' '.join(sys.argv[1:])}\n\n"
        f"{traceback.format_exc()}"
    )
