"""A worker is killed while it sends a mail; another worker, or its successor, sends it."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from faults.processes import Worker, running
from mercato.v1 import auth_pb2
from mercato_server.database.pool import Pool
from support.mail_server import HOST, PostOffice, token
from support.patience import until
from support.shop import Shop

ABANDONED = "UPDATE pgqueuer SET heartbeat = heartbeat - interval '1 hour'"
"""Age the heartbeats of jobs, as if no worker had run for an hour."""
PROLONGED = "UPDATE mails SET leased_until = leased_until + interval '1 hour'"
"""Keep a lease from ending while a busy machine starts the next worker."""
FORGOTTEN = "UPDATE mails SET leased_until = now()"
KILLED = -signal.SIGKILL


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-mail-"))
    yield directory
    shutil.rmtree(directory)


def worker(directory: Path, database: str, post: PostOffice, name: str = "worker") -> Worker:
    return Worker(directory, database, name=name, MERCATO_SMTP_URL=f"smtp://{HOST}:{post.port}", MERCATO_LOG_LEVEL="info")


async def signed_up(address: str, pool: "Pool") -> None:
    """Sign up at a worker, which may be killed before its answer: it takes the job as soon as the transaction has committed."""
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            await Shop(channel, pool).auth.SignUp(auth_pb2.SignUpRequest(email="jo@example.com", password="securepass123"))
        except grpc.aio.AioRpcError as error:
            assert error.code() is StatusCode.UNAVAILABLE, error  # noqa: PT017 - most often there is no error


async def until_settled(pool: "Pool") -> None:
    await until(partial(pool.fetchval, "SELECT count(*) = 0 FROM pgqueuer"))


async def test_a_mail_whose_worker_died_before_it_was_handed_in_is_sent_once(
    directory: Path, database: str, pool: "Pool", post: PostOffice
) -> None:
    jos = worker(directory, database, post)
    async with running(jos):
        await jos.kill()
        await jos.restart(MERCATO_TEST_FAILPOINTS="mail: leased=1")
        await signed_up(jos.address, pool)
        assert await jos.wait() == KILLED
        assert post.asked == []
        await pool.execute(ABANDONED)
        await pool.execute(FORGOTTEN)
        await jos.restart(MERCATO_TEST_FAILPOINTS="")
        await post.mail("jo@example.com")
        await until_settled(pool)
    assert len(post.taken) == 1
    jos.require_no_bugs_logged()


async def test_a_mail_whose_worker_died_before_it_was_noted_is_the_same_one_again(
    directory: Path, database: str, pool: "Pool", post: PostOffice
) -> None:
    jos, other = (worker(directory, database, post, name) for name in ("dies", "lives"))
    async with running(jos):
        await jos.kill()
        await jos.restart(MERCATO_TEST_FAILPOINTS="mail: accepted=1")
        await signed_up(jos.address, pool)
        assert await jos.wait() == KILLED
        await post.mail("jo@example.com")
        await pool.execute(PROLONGED)
        async with running(other):
            await pool.execute(ABANDONED)
            await until(partial(pool.fetchval, "SELECT attempts FROM pgqueuer"))  # the mail is not sent while the lease lasts
            assert len(post.taken) == 1
            await pool.execute(FORGOTTEN)
            await pool.execute("UPDATE pgqueuer SET execute_after = now()")
            await until_settled(pool)
    first, second = post.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert token(first) == token(second)
    assert await pool.fetchval("SELECT count(*) FROM one_time_tokens") == 1
    log = jos.tail() + other.tail()
    assert '"mail sent"' in log
    assert token(first) not in log
    assert "jo@example.com" not in log
