"""From errors to exit codes: the outermost frame of every task."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable

from buildkit_bisect import __version__
from buildkit_bisect.errors import BisectError, printable
from buildkit_bisect.options.command import inv

#: Exit codes that are no errors of ours.
DONE, BUG, BAD_INPUT, NO_ANSWER, INFRA, INTERRUPTED = 0, 1, 2, 4, 5, 130

#: What the system says of a name that cannot be one; somebody gave it to us.
_NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)

#: What helps, by what the system says.
_NO_SPACE = (
    f"free some space there, then {inv('resume')}; {inv('clean', cache_size='5GB')} frees the cache"
)
_NOT_WRITTEN = "make it writable, or BKBISECT_CACHE_DIR=DIR"
_MIRROR = f"remove the mirror that is named, it is cloned again; or {inv('clean', cache=True)}"
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _NO_SPACE),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _NOT_WRITTEN),
}


def guarded(command: Callable[[], int]) -> int:
    """Run *command*; every expected error is one message, a bug is a paste-ready report."""
    # runc lives there, and a plain `su` leaves it out of PATH.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    for sign in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal cleans up too
        if signal.getsignal(sign) is not signal.SIG_IGN:  # nohup
            signal.signal(sign, _interrupt)
    try:
        code = command()
    except BrokenPipeError:  # `| head` is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except BisectError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print(f"interrupted; what was built and run is kept: {inv('resume')}", file=sys.stderr)
        code = INTERRUPTED
    except OSError as error:  # a full disk, a directory that may not be written
        named = f"{error.filename}: " if error.filename else ""
        wrong = error.errno in _NO_NAME
        hint = "./inv --help TASK" if wrong else _REMEDIES.get(error.errno or 0, inv("doctor"))
        said = f"{named}{error.strerror or error} (try: {hint})"
        print(f"error: {printable(said)}", file=sys.stderr)
        code = BAD_INPUT if wrong else INFRA
    except Exception as error:
        # Of GitPython, which is imported late: it was a mirror of ours that could not be read.
        mirror = type(error).__module__ == "git.exc"
        said = f"error: {printable(f'git: {type(error).__name__}: {error}')} (try: {_MIRROR})"
        print(said if mirror else _bug_report(), file=sys.stderr)
        code = INFRA if mirror else BUG
    return code


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _bug_report() -> str:
    return (
        f"This is a bug in buildkit-bisect {__version__}; please report it with these lines:\n\n"
        f"    Python {sys.version.split()[0]} on {sys.platform}; {' '.join(sys.argv[1:])}\n\n"
        f"{traceback.format_exc()}"
    )
