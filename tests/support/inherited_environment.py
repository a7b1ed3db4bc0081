"""Put the inherited process state into a known one; conftest imports this first, so that no test depends on how the run was started.

A test of such a circumstance passes it to the product explicitly: `environ`, or `umask` and `preexec_fn` of Popen.
"""

import locale
import os
import resource
import signal
import time
from contextlib import suppress
from types import FrameType

DROPPED_PREFIXES = ("MERCATO_", "OTEL_", "PG", "LC_")
DROPPED = {
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "SECRET_KEY",
    "SECRET_KEY_FILE",
    "ALGORITHM",
    "ACCESS_TOKEN_EXPIRE_MINUTES",
    "XDG_DATA_HOME",
    "LANGUAGE",
}
DROPPED |= {"PYTHONWARNINGS", "PYTHONIOENCODING", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE"}
SET = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONUTF8": "1"}
UMASK = 0o022
OPEN_FILES = 4096
"""Open files; fewer if the hard limit is lower."""
HARMLESS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def put_into_known_state() -> None:
    """Set environment, umask, signals and limits of this process and of its descendants."""
    for name in [name for name in os.environ if _is_dropped(name)]:
        del os.environ[name]
    os.environ.update(SET)
    time.tzset()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, SET["LC_ALL"])
    os.umask(UMASK)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in HARMLESS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)
    for limit, most in ((resource.RLIMIT_NOFILE, OPEN_FILES), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _is_dropped(name: str) -> bool:
    return name in DROPPED or name.startswith(DROPPED_PREFIXES) or name.lower().endswith("_proxy")


def _ignore(number: int, frame: FrameType | None) -> None:
    """Ignore a signal in this process only, as with nohup. Child programs get the default, because exec keeps no handler."""


put_into_known_state()
