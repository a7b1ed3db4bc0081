"""The log of a process, on standard error."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class _OfLibraries(logging.Handler):
    """Passes on what a library logs, without stacks: what they hold is not ours to tell."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass an entry on."""
        log.log(record.levelno, record.getMessage(), library=record.name)


def log_to_stderr(level: str, style: str) -> None:
    """Write the log to standard error, a line for each entry: JSON, or text for people."""
    jobs = logging.getLogger("pgqueuer")
    jobs.propagate = False
    jobs.setLevel(logging.WARNING)
    jobs.handlers = [_OfLibraries()]
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
