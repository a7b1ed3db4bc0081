"""The background task that checks the invariants of the shop, in one worker of all.

A worker that holds the advisory lock of this task checks; it holds it with a connection of its own, so another worker takes over when it
ends. See `mercato verify --watch`, which does the same for an operator.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from mercato_server.database import migrations
from mercato_server.database.connections import connect
from mercato_server.database.pool import Conn
from mercato_server.domain import backoff
from mercato_server.store.verify import claim, inspect

log = structlog.get_logger(__name__)

EVERYTHING_EVERY_S = 3600.0
"""Interval of full checks: what was deleted, and what older releases wrote, is not among the rows that changed."""
REST = 20.0
"""A pass is followed by a pause of so many times its length, so that it takes a twentieth of a core of the database at most."""
SAMPLE = 200
"""Orders whose price each pass recomputes, the newest of those that it checks."""
PASS_MAX_S = 3600.0
"""Time limit of a pass: a database that is silent for so long ends it."""


class Verification:
    """The violations that this worker has found; it has none while another worker checks."""

    def __init__(self, database_url: str, interval_s: float) -> None:
        """Check a database about once an interval, 0 for never."""
        self._database_url = database_url
        self._interval_s = interval_s
        self.violations: dict[str, int] = {}
        """By invariant. One that a full check found stays until the next one; a check of changes only adds to them."""
        self.completed_at = 0.0
        """Time of the last pass, in seconds since the epoch; 0 if this worker has completed none."""
        self.took_s = 0.0
        """Length of the last pass in seconds."""

    @property
    def is_on(self) -> bool:
        """Tell whether the shop is checked at all."""
        return self._interval_s > 0

    async def keep(self) -> None:
        """Check as long as no other worker does, until cancelled. The first check comes an interval after the start."""
        while True:
            await asyncio.sleep(backoff.jittered(self._interval_s))
            async with self._connection() as conn:
                if await claim(conn):
                    await self._check_from_now_on(conn)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["Conn"]:
        """Yield a connection that ends, with its locks, at once after the block."""
        conn = await connect(self._database_url, server_settings={"application_name": "mercato verify"})
        try:
            yield conn
        finally:
            self.violations, self.completed_at = {}, 0.0
            conn.terminate()

    async def _check_from_now_on(self, conn: "Conn") -> None:
        line, all_due = None, time.monotonic()
        while True:
            began = time.monotonic()
            if began >= all_due:
                line, all_due = None, began + EVERYTHING_EVERY_S
            async with asyncio.timeout(PASS_MAX_S), migrations.postponed(conn) as may_check:
                if may_check:
                    line = await self._check(conn, line)
                    self.took_s = time.monotonic() - began
            await asyncio.sleep(max(backoff.jittered(self._interval_s), REST * (time.monotonic() - began)))

    async def _check(self, conn: "Conn", line: str | None) -> str:
        """Make a pass, over everything or what changed since an earlier one; return where the next begins."""
        found = await inspect(conn, since=line, recompute=SAMPLE)
        earlier = self.violations if line else {}
        counts = {finding.invariant.name: finding.violations for finding in found.findings}
        self.violations = {name: max(count, earlier.get(name, 0)) for name, count in counts.items()}
        self.completed_at = time.time()
        for name, count in counts.items():
            if count > earlier.get(name, 0):
                log.error("an invariant is violated; `mercato verify` shows the rows", invariant=name, violations=count)
        return found.line
