"""Consumers of the change feed: each event has its effect once whatever fails, and no unread event is swept."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog

from mercato_server.background.supervisor import Supervisor
from mercato_server.cli.quarantine import QuarantineError, retry_event
from mercato_server.config.settings import Limits, child_environ
from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.feed import consumers
from mercato_server.feed.consumers import Consumer, Follower
from mercato_server.store import events, feed_cursors
from mercato_server.store.events import Entry, Event
from mercato_server.store.sweeps import sweep
from support.patience import patient, until

QUICK = Limits(feed_tries=3, feed_pause_s=0.001, feed_upkeep_s=0.01, task_pause_s=0.001, task_away_pause_s=0.01)
EFFECTS = """
CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, kind text, subject_id uuid);
CREATE TABLE poison (subject_id uuid);
"""
EFFECT = "INSERT INTO effects (kind, subject_id) SELECT kind, subject_id FROM unnest($1::text[], $2::uuid[]) AS news (kind, subject_id)"
POISONED = "SELECT 1 / (CASE WHEN subject_id = ANY($1::uuid[]) THEN 0 ELSE 1 END) FROM poison"
CURSOR = "SELECT name, xid::text::bigint AS xid, id, moved_at, failures, lost_at FROM feed_cursors WHERE name = 'order mails'"
AGE_CURSOR = "UPDATE feed_cursors SET moved_at = now() - $1::text::interval"
IDLE = "2 minutes"
"""A cursor that has not moved for this long is moved even if its consumer has no event."""


@pytest.fixture(autouse=True)
async def tables(pool: "Pool") -> None:
    await pool.execute(EFFECTS)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Capture the log: printing stack traces takes longer than the tests."""
    with structlog.testing.capture_logs() as entries:
        yield entries


async def handle(conn: "Conn", news: Sequence[Entry]) -> None:
    """Record each event; fails in the database for a poisoned event."""
    subjects = [each.subject_id for each in news]
    await conn.execute(EFFECT, [each.kind for each in news], subjects)
    await conn.fetch(POISONED, subjects)


async def no_gap(_conn: "Conn", _since: datetime) -> None:
    raise AssertionError("nothing was lost")


def consumer(**fields: object) -> Consumer:
    of = Consumer(name=ConsumerName.ORDER_MAILS, kinds=(EventKind.ORDER_PLACED, EventKind.ORDER_PAID), handle=handle, on_gap=no_gap)
    return replace(of, **fields)  # type: ignore[arg-type] # its fields


@asynccontextmanager
async def following(pool: "Pool", wanted: Consumer, limits: Limits = QUICK) -> AsyncIterator[tuple[Follower, Supervisor]]:
    """Run a consumer under a supervisor for a block."""

    async def require_schema() -> None:
        pass

    follower, supervisor = Follower(pool, wanted, limits), Supervisor(limits, require_schema)
    await follower.open()
    supervisor.start("consumer", follower.follow)
    try:
        yield follower, supervisor
    finally:
        await supervisor.stop()


async def happen(pool: "Pool", kind: str, count: int = 1, age: str = "0 s") -> list[UUID]:
    """Write events of a kind, each in its own transaction; return their subjects."""
    statement = "INSERT INTO events (kind, subject_id, created_at) VALUES ($1, uuidv7(), now() - $2::text::interval) RETURNING subject_id"
    return [await pool.fetchval(statement, kind, age) for _ in range(count)]


async def effects(pool: "Pool") -> list[UUID]:
    return [row["subject_id"] for row in await pool.fetch("SELECT subject_id FROM effects ORDER BY id")]


async def until_handled(pool: "Pool", subjects: list[UUID]) -> None:
    async def handled() -> bool:
        return len(await effects(pool)) >= len(subjects)

    await until(handled)
    assert await effects(pool) == subjects


@pytest.mark.race
async def test_two_workers_that_race_give_each_event_its_effect_once_and_in_order(pool: "Pool", race_rounds: int) -> None:
    async def write() -> None:
        for _ in range(5):
            async with pool.acquire() as conn, conn.transaction():
                kinds = (EventKind.ORDER_PLACED, EventKind.STOCK_CHANGED, EventKind.ORDER_PAID)
                await events.append(conn, [Event(kind, await conn.fetchval("SELECT uuidv7()")) for kind in kinds])

    async with following(pool, consumer()) as (_, first), following(pool, consumer()) as (_, second):
        for _ in range(race_rounds):
            await asyncio.gather(*(write() for _ in range(4)))
        wanted = "SELECT subject_id FROM events WHERE kind IN ('order.placed', 'order.paid') ORDER BY xid, id"
        await until_handled(pool, [row["subject_id"] for row in await pool.fetch(wanted)])
        assert (first.failures["consumer"], second.failures["consumer"]) == (0, 0)


async def test_a_cursor_skips_events_that_are_not_for_its_consumer_and_the_sweep_never_passes_it(pool: "Pool") -> None:
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    for kind in ("stock.changed", "order.teleported"):  # a kind of a later release is skipped too
        await happen(pool, kind, age="8 days")
    await sweep(pool)
    assert await pool.fetchval("SELECT count(*) FROM events") == 2
    await pool.execute(AGE_CURSOR, IDLE)
    async with following(pool, consumer()):

        async def swept() -> bool:
            await sweep(pool)
            return not await pool.fetchval("SELECT count(*) FROM events")

        await until(swept)
    assert await effects(pool) == []


async def test_a_cursor_without_anything_to_read_is_written_once_a_minute_not_at_every_look(pool: "Pool") -> None:
    async with following(pool, consumer()) as (follower, _):
        before = await pool.fetchrow(CURSOR)
        await happen(pool, "stock.changed", 3)
        looked = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() - follower.lag.seconds > looked)
        assert await pool.fetchrow(CURSOR) == before


async def test_unread_events_are_not_swept_until_their_consumer_is_lost(pool: "Pool") -> None:
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    await happen(pool, EventKind.ORDER_PLACED, age="8 days")
    await pool.execute(AGE_CURSOR, "29 days")
    assert await feed_cursors.mark_lost(pool, QUICK.feed_lost_s) == []
    assert await sweep(pool) == 0
    await pool.execute(AGE_CURSOR, "31 days")
    assert await feed_cursors.mark_lost(pool, QUICK.feed_lost_s) == ["order mails"]
    assert await feed_cursors.mark_lost(pool, QUICK.feed_lost_s) == []
    assert await sweep(pool) == 1


async def test_a_lost_consumer_handles_its_gap_and_goes_on_with_what_is_left(pool: "Pool", logs: list[MutableMapping[str, Any]]) -> None:
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    await happen(pool, EventKind.ORDER_PLACED, age="8 days")
    left = await happen(pool, EventKind.ORDER_PLACED, 2)
    await pool.execute(AGE_CURSOR, "31 days")
    await feed_cursors.mark_lost(pool, QUICK.feed_lost_s)
    await sweep(pool)
    gaps = []

    async def note(_conn: "Conn", since: datetime) -> None:
        gaps.append(since)

    async with following(pool, consumer(on_gap=note)) as (follower, _):
        await until_handled(pool, left)
        assert follower.gaps == 1
    [since] = gaps
    assert [(entry["log_level"], entry["since"]) for entry in logs] == [("error", since.isoformat())]
    assert abs(datetime.now(UTC) - timedelta(days=31) - since) < timedelta(hours=1)
    assert await pool.fetchval("SELECT lost_at IS NULL FROM feed_cursors")
    async with following(pool, consumer()) as (follower, _):
        await until_handled(pool, left)
        assert follower.gaps == 0


async def test_a_cursor_that_is_not_in_the_code_is_lost_after_a_day_but_not_beside_workers_of_the_next_release(pool: "Pool") -> None:
    await pool.execute("INSERT INTO feed_cursors (name, xid, id) VALUES ('of the next release', '1', 1)")
    await pool.execute(AGE_CURSOR, "23 hours")
    assert await feed_cursors.mark_lost(pool, QUICK.feed_lost_s) == []
    await pool.execute(AGE_CURSOR, "25 hours")
    assert await feed_cursors.mark_lost(pool, QUICK.feed_lost_s) == ["of the next release"]


async def mercato(database: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mercato_server", "events", *arguments]
    environ = child_environ({"DATABASE_URL": database})
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env=environ,
        capture_output=True,
        text=True,
        timeout=patient(),
        check=False,
    )


async def test_an_event_that_cannot_be_handled_is_put_aside_and_the_others_go_on(pool: "Pool", database: str) -> None:
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    subjects = await happen(pool, EventKind.ORDER_PLACED, 5)
    await pool.execute("INSERT INTO poison VALUES ($1)", subjects[2])
    async with following(pool, consumer()) as (follower, supervisor):
        others = [*subjects[:2], *subjects[3:]]
        await until_handled(pool, others)
        await until(lambda: follower.quarantined == 1)
        assert supervisor.failures["consumer"] == 0
        listed = await mercato(database, "--quarantined")
        [event] = map(json.loads, listed.stdout.splitlines())
        assert (event["kind"], event["subject_id"], event["consumer"]) == ("order.placed", str(subjects[2]), "order mails")
        assert (event["tries"], event["failure"], event["retry_time"]) == (QUICK.feed_tries, "DivisionByZeroError", None)
        await retry_event(database, event["id"])
        await until(partial(pool.fetchval, "SELECT tries = 4 AND retry_at IS NULL FROM feed_quarantine"))
        assert await effects(pool) == others
        await pool.execute("DELETE FROM poison")
        told = await mercato(database, "--retry", str(event["id"]))
        assert (told.returncode, told.stdout) == (0, f"event {event['id']} will be tried again\n")
        await until_handled(pool, [*others, subjects[2]])
        await until(lambda: follower.quarantined == 0)
    audited = "SELECT action, subject_id, actor_id, after->>'kind' AS kind FROM audit_log"
    assert [tuple(row) for row in await pool.fetch(audited)] == [("event.retried", subjects[2], None, "order.placed")] * 2


async def test_an_event_that_is_not_in_quarantine_cannot_be_tried_again(database: str, pool: "Pool") -> None:
    with pytest.raises(QuarantineError):
        await retry_event(database, 7)
    told = await mercato(database, "--retry", "7")
    assert (told.returncode, told.stderr) == (
        1,
        "mercato: there is no event 7 in quarantine; list them with: mercato events --quarantined\n",
    )
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 0


PASSING = [asyncpg.CannotConnectNowError, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError]


@pytest.mark.parametrize("error", PASSING)
async def test_an_unreachable_database_or_a_conflict_does_not_count_as_a_failure_of_an_event(pool: "Pool", error: type[Exception]) -> None:
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    subjects = await happen(pool, EventKind.ORDER_PLACED)
    away = asyncio.Event()

    async def fail(conn: "Conn", news: Sequence[Entry]) -> None:
        if not away.is_set():
            raise error
        await handle(conn, news)

    async with following(pool, consumer(handle=fail)) as (_, supervisor):
        await until(lambda: supervisor.failures["consumer"] > QUICK.feed_tries)
        assert await pool.fetchval("SELECT failures FROM feed_cursors") == 0
        away.set()
        await until_handled(pool, subjects)
    assert await pool.fetchval("SELECT count(*) FROM feed_quarantine") == 0


async def test_the_lag_is_that_of_events_that_wait_and_of_a_transaction_that_holds_them_up(
    pool: "Pool", database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "PAUSE_MAX_S", 0.05)
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    subjects = await happen(pool, EventKind.ORDER_PLACED, age="1 hour")
    await pool.execute("INSERT INTO poison VALUES ($1)", subjects[0])
    slow = await asyncpg.connect(database)
    try:
        async with following(pool, consumer(), Limits(feed_tries=1_000_000, feed_pause_s=0.01)) as (follower, _):
            await until(lambda: 3600 <= follower.lag.seconds < 3600 + patient())
            await pool.execute("DELETE FROM poison")
            await until(lambda: follower.lag.seconds < 1)
            await slow.execute("BEGIN; CREATE TABLE slow ()")
            subjects += await happen(pool, EventKind.ORDER_PLACED)
            await until(lambda: follower.lag.seconds > 1)
            assert await effects(pool) == subjects[:1]
            await slow.execute("COMMIT")
            await until_handled(pool, subjects)
            await until(lambda: follower.lag.seconds < 1)
    finally:
        await slow.close()
