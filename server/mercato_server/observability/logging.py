"""The log of a process, on standard error."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog

log = structlog.get_logger(__name__)


LIBRARIES = ("opentelemetry", "pgqueuer")
"""Libraries whose warnings are logged."""


class _OfLibraries(logging.Handler):
    """Logs the messages of a library without their stack traces, which may hold secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record's message."""
        log.log(record.levelno, record.getMessage(), library=record.name)


def log_to_stderr(level: str, style: str) -> None:
    """Write the log to standard error, one entry a line: JSON, or text with the style `console`."""
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.propagate = False
        library.setLevel(logging.WARNING)
        library.handlers = [_OfLibraries()]
    renderers: Sequence[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if style == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
