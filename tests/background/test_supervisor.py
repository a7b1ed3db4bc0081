"""The supervisor logs, counts and restarts background tasks that fail; a fatal error ends the worker."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import structlog

from faults.processes import Worker, running
from mercato_server.background.supervisor import Supervisor
from mercato_server.background.sweeper import keep_sweeping
from mercato_server.config.settings import Limits
from mercato_server.database import migrations
from mercato_server.database.pool import Pool
from support.patience import patient, until

HIDE, SHOW = "ALTER TABLE login_attempts RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO login_attempts"
OLD_EVENT = "INSERT INTO events (kind, subject_id, created_at) VALUES ('product.created', uuidv7(), now() - interval '8 days')"
FAST = Limits(task_pause_s=0.001, task_pause_max_s=0.01)


def supervisor(pool: "Pool", limits: Limits = FAST) -> Supervisor:
    async def require_schema() -> None:
        async with pool.acquire() as conn:
            await migrations.require(conn)

    return Supervisor(limits, require_schema)


async def test_a_sweep_with_an_unknown_error_is_logged_counted_and_goes_on(pool: "Pool") -> None:
    await pool.execute(HIDE)
    supervised = supervisor(pool)
    with structlog.testing.capture_logs() as logs:
        supervised.start("sweeps", partial(keep_sweeping, pool, FAST, 0.001))
        await until(lambda: supervised.failures["sweeps"] >= 2)
        await pool.execute(SHOW)
        await pool.execute(OLD_EVENT)
        await until(partial(pool.fetchval, "SELECT count(*) = 0 FROM events"))
        await supervised.stop()
    assert {(entry["event"], entry["log_level"], entry["task"]) for entry in logs} == {("a background task died", "error", "sweeps")}
    assert len(logs) == supervised.failures["sweeps"]
    assert all("login_attempts" in entry["error"] for entry in logs)


async def test_the_pauses_grow_up_to_a_limit_and_are_never_quite_the_same(pool: "Pool") -> None:
    async def fail() -> None:
        raise ValueError("always")

    supervised = supervisor(pool, Limits(task_pause_s=0.01, task_pause_max_s=0.04))
    with structlog.testing.capture_logs() as logs:
        supervised.start("failing", fail)
        await until(lambda: len(logs) >= 12)
        await supervised.stop()
    pauses = [entry["pause_s"] for entry in logs[:12]]
    for pause, longest in zip(pauses, [0.01, 0.02, *[0.04] * 10], strict=True):
        assert longest / 2 <= pause <= longest
    assert len(set(pauses[2:])) > 1


async def test_a_task_that_merely_ends_is_started_again_too(pool: "Pool") -> None:
    async def end() -> None:
        pass

    async def wait_for_what_was_cancelled() -> None:
        waiting = asyncio.ensure_future(asyncio.Event().wait())
        waiting.cancel()
        await waiting

    supervised = supervisor(pool)
    with structlog.testing.capture_logs():
        supervised.start("ending", end)
        supervised.start("cancelled", wait_for_what_was_cancelled)
        await until(lambda: supervised.failures["ending"] >= 3 and supervised.failures["cancelled"] >= 3)
        await supervised.stop()


async def test_a_stop_waits_for_the_cleanup_of_tasks(pool: "Pool") -> None:
    said = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append(await pool.fetchval("SELECT 'goodbye'"))

    supervised = supervisor(pool)
    supervised.start("waiting", wait)
    await asyncio.sleep(0)  # the task begins
    before = asyncio.all_tasks()
    await supervised.stop()
    assert said == ["goodbye"]
    assert supervised.failures == {"waiting": 0}
    assert {task.get_name() for task in before - asyncio.all_tasks()} == {"waiting"}


async def test_a_stop_ends_although_cleanups_fail(pool: "Pool") -> None:
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection is broken")

    supervised = supervisor(pool)
    with structlog.testing.capture_logs() as logs:
        supervised.start("waiting", wait)
        await asyncio.sleep(0)  # the task begins
        stopping = asyncio.create_task(supervised.stop())
        done, _ = await asyncio.wait([stopping], timeout=patient())
    assert done
    assert [(entry["event"], entry["task"]) for entry in logs] == [("a background task failed while it stopped", "waiting")]
    assert supervised.failures == {"waiting": 0}


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-background-"))
    yield directory
    shutil.rmtree(directory)


async def test_a_worker_whose_schema_is_taken_away_ends_and_says_why(directory: Path, database: str, pool: "Pool") -> None:
    worker = Worker(directory, database)
    async with running(worker):
        names = ", ".join(sorted(row["name"] for row in await pool.fetch("DELETE FROM schema_migrations RETURNING name")))
        await pool.execute("ALTER TABLE events RENAME TO elsewhere")
        assert await worker.wait() == 1
    last = worker.tail().splitlines()[-1]
    assert last == f"mercato: feed listener: the database lacks {names}; run `mercato migrate`"
    assert '"a background task cannot continue"' in worker.tail()


async def test_a_worker_that_is_told_to_stop_awaits_all_its_tasks(directory: Path, database: str) -> None:
    worker = Worker(directory, database, MERCATO_MAIL_DIR=str(directory / "mail"), PYTHONASYNCIODEBUG="1")
    async with running(worker):
        os.kill(worker.pid, signal.SIGTERM)
        assert await worker.wait() == 0
    assert "Task was destroyed" not in worker.log.read_text()
    assert "never retrieved" not in worker.log.read_text()
