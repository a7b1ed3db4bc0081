"""The stacks of errors in the log."""

import json
import subprocess
import sys

from support.patience import patient

FAIL = """
import asyncio, sys, structlog
from mercato_server.config.log_settings import LogSettings
from mercato_server.database.pool import small_pool
from mercato_server.observability import logging

async def fail():
    async with small_pool(sys.argv[1]) as pool:
        for statement, *args in (
            ("SELECT $1::text::int", "secret-text"),
            ("SELECT $1::int", "secret-argument"),
            ("INSERT INTO accounts (email, role, password_hash) VALUES ('secret-address', NULL, 'secret-hash')",),
        ):
            try:
                try:
                    await pool.execute(statement, *args)
                except Exception as error:
                    raise ExceptionGroup("a cause has a stack too", [error])
            except ExceptionGroup as error:
                structlog.get_logger().error("call failed unexpectedly", exc_info=error)
                structlog.get_logger().exception("a job failed unexpectedly")

logging.start(LogSettings())
asyncio.run(fail())
"""


def test_the_stack_of_an_error_has_no_value_that_postgresql_quotes(database: str) -> None:
    done = subprocess.run([sys.executable, "-c", FAIL, database], stderr=subprocess.PIPE, text=True, check=True, timeout=patient())
    stacks = [json.loads(line)["exception"] for line in done.stderr.splitlines()]
    for number, kept in enumerate(("SQLSTATE 22P02", "SQLSTATE 22", "violates")):
        for stack in stacks[2 * number : 2 * number + 2]:
            assert kept in stack
            assert "a cause has a stack too" in stack
    assert len(stacks) == 6
    assert "secret" not in "".join(stacks)
