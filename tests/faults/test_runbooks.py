"""The commands and statements of docs/runbooks.md, in a shop that is in the state of which each section speaks."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from faults.buyers import Goods, market, stock_up
from faults.conftest import Scale
from faults.processes import HOST, Edge, Worker, open_channel, running
from faults.releases import ROOT
from faults.test_disk import disk  # noqa: F401 - a fixture
from mercato.v1 import auth_pb2, auth_pb2_grpc, user_pb2, user_pb2_grpc
from mercato_server.config.settings import Limits, Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.domain.jobs import JobKind
from mercato_server.embedded.postgres import Postgres
from mercato_server.feed.consumers import Consumer, Follower
from mercato_server.jobs.queues import Job, Queue
from mercato_server.jobs.runner import Runner
from mercato_server.rpc.headers import CLIENT_ADDRESS
from mercato_server.store import jobs
from mercato_server.store.events import Entry, Event, append
from support import needs
from support.certificates import certificate
from support.disks import fill
from support.documentation import blocks
from support.patience import patient, until
from support.runbooks import PAGE, of, replaced, sh

CLIENT = "203.0.113.9"
TESTED = {
    "Runbooks": "test_a_database_that_is_away",
    "Disk full": "test_a_full_disk",
    "Feed stuck": "test_a_feed_that_a_transaction_holds",
    "Quarantined jobs": "test_quarantined_events_and_held_jobs",
    "Signing keys": "test_a_leaked_signing_key",
    "SECRET_KEY": "test_a_leaked_secret_key",
    "Pepper": "test_sessions_and_passwords_of_the_database",
    "Database password": "test_sessions_and_passwords_of_the_database",
    "Database away": "test_a_database_that_is_away",
    "Slow": "test_statements_that_wait_for_a_lock",
    "Overload or attack": "test_refused_logins",
    "A worker that does not start": "test_a_worker_that_does_not_start",
    "Certificate": "test_a_certificate_has_a_last_day",
    "A buyer disputes an order": "test_a_disputed_order",
}
PAYMENTS = "payments/test_restored_shops.py"
ELSEWHERE = {
    "Restore": {
        "embedded/test_backups.py": "test_a_destroyed_shop_is_restored_to_a_second_and_to_its_last_order",
        PAYMENTS: "test_the_commands_of_the_runbooks_settle_what_a_restored_shop_has_forgotten",
    },
    "Payments": {PAYMENTS: "test_the_commands_of_the_runbooks_settle_what_a_restored_shop_has_forgotten"},
}
"""Sections whose commands tests of other files run."""
QUICK = Limits(feed_tries=1, feed_pause_s=0.001, feed_upkeep_s=0.01)
LOCAL = "http://127.0.0.1:8080"
CANNOT = "the handler fails"


def test_every_block_of_the_page_has_a_test() -> None:
    assert {block.heading for block in blocks(PAGE)} == TESTED.keys() | ELSEWHERE.keys()
    assert set(TESTED.values()) <= globals().keys()
    for path, test in ((path, test) for tests in ELSEWHERE.values() for path, test in tests.items()):
        assert f"async def {test}(" in (ROOT / "tests" / path).read_text()


async def sql(code: str, database_url: str) -> list[list[asyncpg.Record]]:
    """Run statements; return the rows of each."""
    connection = await asyncpg.connect(database_url)
    try:
        return [await connection.fetch(statement) for statement in code.split(";") if statement.strip()]
    finally:
        await connection.close()


def lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


async def happen(pool: "Pool") -> uuid.UUID:
    """Write an event, and return its subject."""
    subject = uuid.uuid4()
    async with pool.acquire() as conn:
        await append(conn, [Event(EventKind.ORDER_PLACED, subject)])
    return subject


async def no_gap(_conn: "Conn", _since: object) -> None:
    raise AssertionError("nothing was lost")


@asynccontextmanager
async def following(pool: "Pool", handled: list[uuid.UUID], failing: asyncio.Event) -> AsyncIterator[None]:
    """Run the consumer of order mails, whose handler fails while an event is set."""

    async def handle(_conn: "Conn", news: Sequence[Entry]) -> None:
        if failing.is_set():
            raise ValueError(CANNOT)
        handled.extend(each.subject_id for each in news)

    consumer = Consumer(name=ConsumerName.ORDER_MAILS, kinds=(EventKind.ORDER_PLACED,), handle=handle, on_gap=no_gap)
    follower = Follower(pool, consumer, QUICK)
    await follower.open()
    task = asyncio.create_task(follower.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_quarantined_events_and_held_jobs(database: str, pool: "Pool") -> None:
    look, mend = of("Quarantined jobs", "sh", "--held").code, of("Quarantined jobs", "sh", "--retry").code
    handled: list[uuid.UUID] = []
    failing, done = asyncio.Event(), asyncio.Event()
    failing.set()
    row_id = uuid.uuid4()
    await jobs.queue(pool, JobKind.MAIL, [row_id])
    await pool.execute("UPDATE pgqueuer SET status = 'failed'")
    async with following(pool, handled, failing):
        subject = await happen(pool)
        await until(lambda: pool.fetchval("SELECT count(*) FROM feed_quarantine"))
        event, queue, job = lines(await sh(look, database))
        assert (event["subject_id"], event["failure"]) == (str(subject), "ValueError")
        assert (queue["kind"], queue["queued"], queue["held"]) == ("mail", 0, 1)
        assert job["row_id"] == str(row_id)
        failing.clear()
        events, queued = mend.splitlines()
        await sh(replaced(events, **{"7": str(event["id"])}), database)
        await until(lambda: handled == [subject])
        await until(lambda: pool.fetchval("SELECT count(*) = 0 FROM feed_quarantine"))

    async def finish(job: Job) -> None:
        assert job.row_id == row_id
        done.set()

    async def none_due(_pool: "Pool", _limit: int) -> Sequence[uuid.UUID]:
        return []

    await sh(replaced(queued, **{"7": str(job["id"])}), database)
    runner = Runner(pool, [Queue(kind=JobKind.MAIL, handle=finish, due=none_due, per_second=1000, pause_max_s=1)])
    task = asyncio.create_task(runner.run())
    await asyncio.wait_for(done.wait(), patient())
    await until(lambda: pool.fetchval("SELECT count(*) = 0 FROM pgqueuer"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    actions = await pool.fetch("SELECT action FROM audit_log ORDER BY id")
    assert [row["action"] for row in actions] == ["event.retried", "job.retried"]
    await sql(of("Quarantined jobs", "sql").code, database)


async def test_a_feed_that_a_transaction_holds(database: str, pool: "Pool") -> None:
    show, end = of("Feed stuck", "sql", "pg_stat_activity").code, of("Feed stuck", "sql", "terminate").code
    consumers = of("Feed stuck", "sh").code
    holder = await asyncpg.connect(database)
    handled: list[uuid.UUID] = []
    async with following(pool, handled, asyncio.Event()):
        await holder.execute("BEGIN; INSERT INTO categories (name) VALUES ('never committed')")
        subject = await happen(pool)
        [state] = lines(await sh(consumers, database))
        assert (state["name"], state["failures"], state["lost_at"]) == (ConsumerName.ORDER_MAILS, 0, None)
        assert state["unread_s"] > 0
        holding, prepared = await sql(show, database)
        [pid] = [row["pid"] for row in holding if "never committed" in row["query"]]
        assert pid == holder.get_server_pid()
        assert prepared == []
        assert handled == []
        await sql(replaced(end, **{"4711": str(pid)}), database)
        await until(lambda: handled == [subject])
    await until(holder.is_closed)


async def test_statements_that_wait_for_a_lock(database: str, pool: "Pool") -> None:
    look, renew = of("Slow", "sql", "pg_blocking_pids").code, of("Slow", "sql", "ANALYZE").code
    await pool.execute("INSERT INTO categories (name) VALUES ('held')")
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("UPDATE categories SET created_at = now()")
        waiter = asyncio.create_task(pool.execute("UPDATE categories SET created_at = now() -- waits"))

        async def waits() -> bool:
            groups, blocked = await sql(look, database)
            return any(row["wait_event_type"] == "Lock" for row in groups) and [
                row["blocked_by"] for row in blocked if "waits" in row["query"]
            ] == [[holder.get_server_pid()]]

        await until(waits)
    await waiter
    await sql(renew, database)


async def test_a_disputed_order(directory: Path, goods: Goods) -> None:
    worker = Worker(directory, goods.database_url)
    async with running(worker), market(goods, worker.address) as shop:
        order = (await shop.buy(goods.buyers[0])).order
    code = replaced(
        of("A buyer disputes an order", "sql").code,
        **{"M7Q4KX2PA3D": order.number.replace("-", ""), "019aa000-0000-7000-8000-000000000000": order.id},
    )
    [head], history, payments, actions = await sql(code, goods.database_url)
    assert (str(head["id"]), head["total_minor"], head["account_id"]) == (order.id, order.total.minor_units, goods.buyers[0].id)
    assert [row["status"] for row in history] == ["placed"]
    assert payments == actions == []


@asynccontextmanager
async def session(worker: Worker) -> AsyncIterator[tuple[auth_pb2.LoginResponse, Any, Any]]:
    """Sign up and log in; yield the tokens, and stubs for sessions and accounts."""
    async with open_channel(worker.address) as channel:
        auth, users = auth_pb2_grpc.AuthServiceStub(channel), user_pb2_grpc.UserServiceStub(channel)
        email, password = "person@example.com", "a longer word 1"
        await auth.SignUp(auth_pb2.SignUpRequest(email=email, password=password, full_name="Jo Doe"), timeout=patient())
        yield await auth.Login(auth_pb2.LoginRequest(email=email, password=password), timeout=patient()), auth, users


async def is_refused(users: Any, token: str) -> bool:
    try:
        await users.GetMe(user_pb2.GetMeRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=patient())
    except grpc.aio.AioRpcError as error:
        return bool(error.code() is grpc.StatusCode.UNAUTHENTICATED)
    return False


async def test_a_leaked_signing_key(directory: Path, database: str) -> None:
    worker = Worker(directory, database, ALGORITHM="EdDSA")
    async with running(worker), session(worker) as (tokens, auth, users):
        assert not await is_refused(users, tokens.access_token)
        await sh(of("Signing keys", "sh").code, database)
        await until(lambda: is_refused(users, tokens.access_token))
        request = auth_pb2.RefreshRequest(refresh_token=tokens.refresh_token)
        new = await auth.Refresh(request, timeout=patient())
        assert not await is_refused(users, new.access_token)
    assert "KEYS_CHANGED" in worker.log.read_text()


async def test_a_leaked_secret_key(directory: Path, database: str) -> None:
    stop, rotate, start = of("SECRET_KEY", "sh").code.splitlines()
    assert (stop, start) == ("systemctl stop mercato@1 mercato@2", "systemctl start mercato@1 mercato@2")
    worker = Worker(directory, database, ALGORITHM="EdDSA")
    new_secret = hashlib.sha256(b"another secret of the tests").hexdigest()
    async with running(worker), session(worker) as (tokens, auth, users):
        await worker.stop()
        await sh(rotate, database, SECRET_KEY=new_secret)
        await worker.start(SECRET_KEY=new_secret)
        assert await is_refused(users, tokens.access_token)
        request = auth_pb2.RefreshRequest(refresh_token=tokens.refresh_token)
        new = await auth.Refresh(request, timeout=patient())
        assert not await is_refused(users, new.access_token)


async def test_sessions_and_passwords_of_the_database(directory: Path, goods: Goods) -> None:
    worker = Worker(directory, goods.database_url)
    async with running(worker), open_channel(worker.address) as channel:
        await sql(of("Pepper", "sql").code, goods.database_url)
        users = user_pb2_grpc.UserServiceStub(channel)
        await until(lambda: is_refused(users, goods.buyers[0].token))
    connection = await asyncpg.connect(goods.database_url)
    role = f"worker_{uuid.uuid4().hex}"
    await connection.execute(f"CREATE ROLE {role} LOGIN")
    before = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    await sql(replaced(of("Database password", "sql").code, mercato_worker=role), goods.database_url)
    after = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    await connection.execute(f"DROP ROLE {role}")
    await connection.close()
    assert before is None
    assert after.startswith("SCRAM-SHA-256$")


async def test_a_worker_that_does_not_start(database: str, pool: "Pool", settings: Settings) -> None:
    command = of("A worker that does not start", "sh").code
    last = await pool.fetchval("DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations) RETURNING name")
    with pytest.raises(AssertionError, match=f"the database lacks migrations .{last}.; run: mercato migrate"):
        await sh(command, database, MERCATO_LISTEN=f"{HOST}:0")


async def test_a_certificate_has_a_last_day(directory: Path) -> None:
    made = certificate(directory)
    check, reload = of("Certificate", "sh", "openssl").code, of("Certificate", "sh", "systemctl").code
    assert "notAfter=" in await sh(replaced(check, **{"/etc/mercato/certificate.pem": str(made.path)}))
    assert reload == "systemctl reload mercato-envoy\n"  # test_hot_restart does that


async def test_refused_logins(directory: Path, database: str) -> None:
    worker = Worker(directory, database)
    async with running(worker), open_channel(worker.address) as channel:
        request = auth_pb2.LoginRequest(email="person@example.com", password="wrong, wrong")
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError):
                await auth_pb2_grpc.AuthServiceStub(channel).Login(request, metadata=((CLIENT_ADDRESS, CLIENT),), timeout=patient())
    printed = await sh(replaced(of("Overload or attack", "sh").code, **{"/var/log/mercato/*.log": str(worker.log)}))
    assert printed.split() == ["2", '"client":', f'"{CLIENT}"']
    await sql(of("Overload or attack", "sql").code, database)


async def test_a_database_that_is_away(directory: Path, scale: Scale) -> None:
    if not scale(0, 1):
        needs.SOAK.skip()
    server = Postgres(directory / "data", durable=False)
    await server.start()
    try:
        await migrations.migrate(server.url())
        worker = Worker(directory, server.url())
        ready, verify = of("Runbooks", "sh").code.splitlines()
        async with running(worker), Edge(directory, [worker], 0.2) as edge:
            ready = replaced(ready, **{LOCAL: f"http://{edge.address}"})
            is_ready, asked = of("Database away", "sh").code.splitlines()
            assert replaced(asked, **{LOCAL: f"http://{edge.address}"}) == ready
            await sh(is_ready, server.url())
            await sh(verify, server.url())
            await server.stop()
            await until(lambda: says(ready, "NOT_SERVING"))
            with pytest.raises(AssertionError, match="no response"):
                await sh(is_ready, server.url())
            await server.start()
            await until(lambda: says(ready, "NOT_SERVING", present=False))
            [[row]] = await sql(of("Database away", "sql").code, server.url())
            assert 0 < row["connections"] < int(row["most"])
    finally:
        await server.stop()


async def says(command: str, word: str, *, present: bool = True) -> bool:
    """Return whether the edge is ready, and whether its answer has a word."""
    status = json.loads(await sh(command))["statuses"]
    assert status[""]["status"] == "SERVING"
    return (word in status["database"]["status"]) == present


async def test_a_full_disk(directory: Path, disk: Path, scale: Scale) -> None:  # noqa: F811 - the fixture
    if not scale(0, 1):
        needs.SOAK.skip()
    server = Postgres(disk / "data")
    await server.start()
    try:
        await migrations.migrate(server.url())
        goods = await stock_up(server.url(), buyers=1)
        worker = Worker(directory, server.url())
        async with running(worker), market(goods, worker.address) as shop:
            await shop.buy(goods.buyers[0])
            await sql("SELECT pg_create_physical_replication_slot('gone', true)", server.url())
            ballast = fill(disk)
            found = await sh(replaced(of("Disk full", "sh").code, **{"/var/lib/postgresql": str(disk)}))
            assert "100%" in found
            assert str(disk / "data") in found
            slots, _, _ = await sql(of("Disk full", "sql", "pg_replication_slots").code, server.url())
            assert [row["slot_name"] for row in slots] == ["gone"]
            ballast.unlink()
            await sql(of("Disk full", "sql", "drop").code, server.url())
            await shop.buy(goods.buyers[0])
    finally:
        await server.stop()
