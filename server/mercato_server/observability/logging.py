"""The log of a process, on standard error, and the security log, which may be a file of its own."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from select import PIPE_BUF
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from mercato_server.config.environment import ConfigError
from mercato_server.config.log_settings import LogSettings

log = structlog.get_logger(__name__)

STANDARD_ERROR = 2
SECURITY_FILE_MODE = 0o600
OF_VALUES = "22"
"""PostgreSQL's class of errors whose messages quote a value; those of other classes quote rows in their details alone."""
CAUSES_MAX = 16
"""Errors behind an error whose texts are looked at."""


LIBRARIES = ("opentelemetry", "pgqueuer")
"""Libraries whose warnings are logged."""


class _OfLibraries(logging.Handler):
    """Logs the messages of a library without their stack traces, which may hold secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record's message."""
        log.log(record.levelno, record.getMessage(), library=record.name)


class Lines:
    """Writes lines to standard error without a buffer.

    One system call writes whole lines, at most as many as a pipe takes at once, so lines of several processes in one file never mix. A line
    that cannot be written, as on a full disk, is lost; that fails no call. It is structlog's logger, and the factory that returns it.
    """

    def __call__(self, *_names: str) -> "Lines":
        """Return the logger of each module: this one."""
        return self

    def msg(self, line: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError):
            _write(STANDARD_ERROR, line)

    debug = info = warning = error = critical = msg

    def write(self, _level: str, lines: Sequence[str]) -> None:
        """Write lines that their caller has rendered."""
        together: list[str] = []
        length = 0
        for line in lines:
            if together and length + len(line) >= PIPE_BUF:  # they are ASCII
                self.msg("\n".join(together))
                together, length = [], 0
            together.append(line)
            length += len(line) + 1
        if together:
            self.msg("\n".join(together))


class SecurityFile:
    """Appends the entries of the security log to a file. If the file was renamed or removed, this makes it anew, as logrotate needs it."""

    def __init__(self, path: str) -> None:
        """Open the file; raises ConfigError."""
        self._path = Path(path)
        try:
            self._file = self._opened()
        except OSError as error:
            raise ConfigError(f"MERCATO_SECURITY_LOG cannot be written: {error}") from None

    def take(self, _logger: WrappedLogger, _name: str, entry: EventDict) -> EventDict:
        """Write an entry of the security log, and drop it from the other one. If the file cannot be written, the entry stays there."""
        if entry.get("log") != "security":
            return entry
        try:
            if not self._is_there():
                before, self._file = self._file, self._opened()
                os.close(before)
            _write(self._file, structlog.processors.JSONRenderer()(None, "", dict(entry)))
        except OSError:
            return entry
        raise structlog.DropEvent

    def _is_there(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file))

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, SECURITY_FILE_MODE)


def _with_stack(logger: WrappedLogger, name: str, entry: EventDict) -> EventDict:
    """Add the stack of an error, without the rows and values that PostgreSQL quotes: they may be personal, or a secret."""
    given = entry.get("exc_info")
    errors: list[BaseException | None] = [sys.exc_info()[1] if given is True else given]
    entry = structlog.processors.format_exc_info(logger, name, entry)
    for _ in range(CAUSES_MAX):
        if not errors or (error := errors.pop()) is None:
            continue
        if state := getattr(error, "sqlstate", None):
            quoted = str(error) if state.startswith(OF_VALUES) else getattr(error, "detail", None) or ""
            for line in filter(None, quoted.splitlines()):  # each line of a group's errors is indented
                entry["exception"] = entry["exception"].replace(line, f"[SQLSTATE {state}]")
        errors += [error.__cause__ or error.__context__, *getattr(error, "exceptions", ())]
    return entry


def _write(file: int, line: str | bytes) -> None:
    """Write a line; only a pipe or a full disk takes it in parts. Raises OSError."""
    rest = line.encode(errors="backslashreplace") if isinstance(line, str) else line
    rest += b"\n"
    while rest:
        rest = rest[os.write(file, rest) :]


def start(settings: LogSettings) -> None:
    """Write the log to standard error, one entry a line: JSON, or text with the style `console`. Raises ConfigError."""
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.propagate = False
        library.setLevel(logging.WARNING)
        library.handlers = [_OfLibraries()]
    aside = [SecurityFile(settings.security_file).take] if settings.security_file else []
    renderers: Sequence[Any] = (
        [structlog.dev.ConsoleRenderer()] if settings.style == "console" else [_with_stack, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), *aside, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=Lines() if settings.style == "json" else structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def direct() -> Callable[[str, Sequence[str]], None] | None:
    """Return the function that writes lines of JSON as they are; None if this process does not log in JSON, or a test reads its log."""
    lines = structlog.get_config()["logger_factory"]
    return lines.write if isinstance(lines, Lines) else None
