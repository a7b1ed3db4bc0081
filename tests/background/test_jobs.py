"""Jobs may be lost, but the rows that they are for are not; a job survives a worker that stops or does not know its queue."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import pytest
import structlog

from mercato_server.background.supervisor import Supervisor
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool, create_pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.jobs import JobKind
from mercato_server.domain.mails import AGE_MAX_S
from mercato_server.jobs import runner
from mercato_server.jobs.queues import GivenUpError, Job, LaterError, Queue
from mercato_server.jobs.runner import Runner
from mercato_server.store import jobs, mails
from mercato_server.store.sweeps import sweep
from support.patience import patient, until

JOBS = "SELECT status::text, attempts FROM pgqueuer ORDER BY id"
DAY_S = 24 * 60 * 60


async def no_rows(_pool: "Pool", _limit: int) -> Sequence[UUID]:
    return []


async def require_schema() -> None:
    pass


@asynccontextmanager
async def running(settings: Settings, handle: Callable[[Job], Awaitable[None]]) -> AsyncIterator[Supervisor]:
    """Run jobs with a handler under a supervisor for a block."""
    pool = await create_pool(settings)
    queue = Queue(kind=JobKind.MAIL, handle=handle, due=no_rows, per_second=1000, pause_max_s=0.01)
    supervisor = Supervisor(Limits(), require_schema)
    supervisor.start("jobs", Runner(pool, [queue]).run)
    try:
        yield supervisor
    finally:
        await supervisor.stop()
        pool.terminate()


async def found(pool: "Pool") -> list[tuple[str, int]]:
    return [(row["status"], row["attempts"]) for row in await pool.fetch(JOBS)]


async def test_a_job_of_a_later_release_is_left_alone(settings: Settings, pool: "Pool") -> None:
    await pool.execute("INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (9, 'rocket', 'fuel', 'queued')")
    handled = []

    async def handle(job: Job) -> None:
        handled.append(job.row_id)

    row_id = uuid4()
    async with running(settings, handle) as supervisor:
        assert await jobs.queue(pool, JobKind.MAIL, [row_id]) == 1
        await until(lambda: handled)
        await until(partial(pool.fetchval, "SELECT count(*) = 1 FROM pgqueuer"))
        assert supervisor.failures["jobs"] == 0
    assert handled == [row_id]
    assert await found(pool) == [("queued", 0)]


async def test_a_job_under_way_is_put_back_when_its_worker_stops(settings: Settings, pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LAST_S", patient())
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def handle(_job: Job) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    await jobs.queue(pool, JobKind.MAIL, [uuid4()])
    async with running(settings, handle):
        await begun.wait()
    assert cleaned.is_set()
    assert await found(pool) == [("queued", 1)]
    assert await pool.fetchval("SELECT execute_after <= now() FROM pgqueuer")


async def test_a_job_whose_effect_has_happened_is_waited_for(settings: Settings, pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STOP_S", 0.01)
    monkeypatch.setattr(runner, "LAST_S", patient())
    begun, stopping, noted = asyncio.Event(), asyncio.Event(), []

    async def handle(job: Job) -> None:
        job.keep()
        begun.set()
        await stopping.wait()
        noted.append(await pool.fetchval("SELECT pg_sleep(0.1), 1"))  # by then other jobs have been cancelled

    await jobs.queue(pool, JobKind.MAIL, [uuid4()])
    async with running(settings, handle):
        await begun.wait()
        asyncio.get_running_loop().call_soon(stopping.set)  # once the runner has been asked to end
    assert len(noted) == 1
    assert await found(pool) == []


async def test_the_error_of_a_handler_decides_the_state_of_its_job(settings: Settings, pool: "Pool") -> None:
    errors = {
        uuid4(): error for error in (GivenUpError("never"), ValueError("a bug"), LaterError("not yet", 3600), ConnectionError("away"))
    }
    tries: dict[UUID, int] = dict.fromkeys(errors, 0)

    async def handle(job: Job) -> None:
        tries[job.row_id] += 1
        raise errors[job.row_id]

    given_up, broken, later, away = errors
    with structlog.testing.capture_logs() as logs:
        async with running(settings, handle):
            await jobs.queue(pool, JobKind.MAIL, list(errors))
            await until(lambda: tries[away] >= 3)  # retries for an unreachable database have short pauses here
            await until(partial(pool.fetchval, "SELECT count(*) = 2 FROM pgqueuer WHERE status = 'failed'"))
    assert (tries[given_up], tries[broken], tries[later]) == (1, 1, 1)
    states = {
        row["row_id"]: row["status"]
        for row in await pool.fetch("SELECT encode(payload, 'hex')::uuid AS row_id, status::text FROM pgqueuer")
    }
    assert states == {given_up: "failed", broken: "failed", later: "queued", away: "queued"}
    assert [entry["row"] for entry in logs if entry["event"] == "a job failed unexpectedly"] == [str(broken)]
    lines = [(entry["row"], entry["outcome"], entry["attempt"]) for entry in logs if entry["event"] == "job"]
    assert len(lines) == sum(tries.values())
    assert {(str(given_up), "given up", 1), (str(broken), "failed", 1), (str(later), "later", 1), (str(away), "later", 2)} <= set(lines)


async def test_a_job_leaves_one_line_with_its_statements(settings: Settings, pool: "Pool") -> None:
    async def handle(_job: Job) -> None:
        async with transaction(pool) as conn:
            await conn.execute("CREATE TABLE made_by_a_job ()")

    row_id = uuid4()
    with structlog.testing.capture_logs() as logs:
        async with running(settings, handle):
            await jobs.queue(pool, JobKind.MAIL, [row_id])
            await until(partial(pool.fetchval, "SELECT NOT EXISTS (SELECT FROM pgqueuer)"))
    [line] = [entry for entry in logs if entry["event"] == "job"]
    assert 0 < line["statement_ms"] <= line["ms"]
    assert {name: line[name] for name in ("kind", "row", "outcome", "attempt", "statements")} == {
        "kind": "mail",
        "row": str(row_id),
        "outcome": "done",
        "attempt": 1,
        "statements": 4,  # BEGIN, the statement, the question for the id of the transaction, COMMIT
    }


@pytest.mark.race
async def test_a_row_has_one_job_however_many_workers_find_it_without(pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds):
        row_id = uuid4()
        counts = await asyncio.gather(*(jobs.queue(pool, JobKind.MAIL, [row_id]) for _ in range(8)))
        assert sum(counts) == 1
    assert await found(pool) == [("queued", 0)] * race_rounds


async def test_mails_that_are_due_and_have_no_job_are_found_and_no_others(pool: "Pool") -> None:
    for name in ("fine", "lost", "held", "failed", "sent", "dropped"):
        await mails.request_reset(pool, f"{name}@example.com", 5)
    ids = {row["address"].partition("@")[0]: row["id"] for row in await pool.fetch("SELECT id, address FROM mails")}
    await pool.execute("UPDATE pgqueuer SET status = 'failed' WHERE payload = $1", ids["held"].bytes)
    for name in ("lost", "failed", "sent", "dropped"):
        await pool.execute("DELETE FROM pgqueuer WHERE payload = $1", ids[name].bytes)
    await mails.release(pool, ids["failed"], "refused")
    await mails.set_sent(pool, ids["sent"])
    await mails.drop(pool, ids["dropped"])
    due = await mails.due(pool, 10)
    assert due == [ids["lost"], ids["held"]]
    assert await jobs.queue(pool, JobKind.MAIL, due) == 2
    assert await mails.due(pool, 10) == []
    assert await found(pool) == [("queued", 0)] * 3


OLD = "UPDATE {} SET {} = now() - interval '8 days'"


async def test_a_job_is_kept_until_its_mail_is_settled_and_one_of_an_unknown_queue_for_ever(pool: "Pool") -> None:
    assert max(AGE_MAX_S.values()) < 7 * DAY_S  # so a mail of a week is settled, sent or not
    for name in ("kept", "gone"):
        await mails.request_reset(pool, f"{name}@example.com", 5)
    await pool.execute("INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, 'rocket', 'fuel', 'failed')")
    await pool.execute(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) VALUES (1, 'queued', 0, 'mail'), (2, 'queued', 0, 'rocket')"
    )
    for table in ("pgqueuer", "pgqueuer_log"):
        await pool.execute(OLD.format(table, "created"))
    await pool.execute("UPDATE mails SET created_at = now() - interval '8 days' WHERE address = 'gone@example.com'")
    kept = await pool.fetchval("SELECT id FROM mails WHERE address = 'kept@example.com'")
    await sweep(pool)
    left = [(row["entrypoint"], row["payload"]) for row in await pool.fetch("SELECT entrypoint, payload FROM pgqueuer ORDER BY id")]
    assert left == [("mail", kept.bytes), ("rocket", b"fuel")]
    assert [row["entrypoint"] for row in await pool.fetch("SELECT entrypoint FROM pgqueuer_log")] == ["rocket"]
