"""The settings of logs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mercato_server.config.environment import integer, one_of

READS_PER_LINE = 100
SECURITY_LOG = "MERCATO_SECURITY_LOG"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The level, the style and the places of a process's log."""

    level: str = "info"
    style: str = "json"
    """`json`, or `console` for people."""
    reads_per_line: int = READS_PER_LINE
    """Of so many reads of one RPC that went well, a worker logs the first; 1 logs each, 0 none."""
    security_file: str = ""
    """File of the security log; empty for standard error."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            level=one_of(env, "MERCATO_LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
            style=one_of(env, "MERCATO_LOG_FORMAT", "json", ("json", "console")),
            reads_per_line=integer(env, "MERCATO_LOG_READS", READS_PER_LINE, low=0, high=1_000_000),
            security_file=env.get(SECURITY_LOG, ""),
        )
