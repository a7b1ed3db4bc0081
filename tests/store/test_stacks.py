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
                    raise RuntimeError("a cause has a stack too") from error
            except RuntimeError as error:
                structlog.get_logger().error("call failed unexpectedly", exc_info=error)

logging.start(LogSettings())
asyncio.run(fail())
"""


def test_the_stack_of_an_error_has_no_value_that_postgresql_quotes(database: str) -> None:
    done = subprocess.run([sys.executable, "-c", FAIL, database], stderr=subprocess.PIPE, text=True, check=True, timeout=patient())
    stacks = [json.loads(line)["exception"] for line in done.stderr.splitlines()]
    assert [stack.count("a cause has a stack too") > 0 for stack in stacks] == [True, True, True]
    assert "SQLSTATE 22P02" in stacks[0]
    assert "SQLSTATE 22" in stacks[1]
    assert "violates" in stacks[2]
    assert "secret" not in "".join(stacks)
