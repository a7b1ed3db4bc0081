"""`mercato reload` and SIGHUP replace the workers of a running shop one by one, and no call fails because of it."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from embedded.conftest import Run
from embedded.test_up import QUIET, Supervisor, child, healthy, stop, until_ready
from embedded.watch import children, gone, name
from faults.buyers import Market, market, stock_up
from faults.oracle import judge, left_open
from faults.processes import SECRET, stopped
from mercato_server.embedded.database import database as lend
from mercato_server.embedded.postgres import Postgres
from support.patience import or_else, patient, slowness, until, until_sync

BUSY = QUIET | {"SECRET_KEY": SECRET, "ALGORITHM": "HS256", "MERCATO_POOL_SIZE": "4"}
CLIENTS_MAX, CLIENTS_MIN = 32, 8
"""Clients over gRPC, and as many over REST."""
FLUSH_S = 1.0
"""Envoy writes its access log this often."""
GET = b"GET /products?page_size=5 HTTP/1.1\r\nhost: shop\r\ngrpc-timeout: 5S\r\n\r\n"
"""The longest deadline that the edge allows a read: on a busy machine a call may exceed the default of two seconds without a reload."""

Up = Callable[..., Supervisor]


@pytest.fixture
def shop_dir(data_dir: Path) -> Path:
    return data_dir / "shop"


@pytest.fixture
def up(shop_dir: Path, port: int, run: Run) -> Up:
    """Start a shop and wait until it is ready."""

    def start(*options: object, environ: dict[str, str] = QUIET, workers: int = 1) -> Supervisor:
        arguments = ("--port", port, "--data-dir", shop_dir, "--workers", workers, "--no-demo", *options)
        supervisor = run("-m", "mercato_server", "up", *arguments, environ=environ)
        until_ready(supervisor, port)
        return supervisor

    return start


def reload(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mercato_server", "reload", "--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=patient())


def workers(supervisor: Supervisor) -> set[int]:
    """Return the workers that the supervisor has started and not reaped."""
    started = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
    return {int(pid) for pid in started if name(int(pid)) == name(supervisor.pid)}


def serves(pid: int) -> bool:
    """Return whether a process that the supervisor has forked runs the worker's program yet."""
    return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def read_line(supervisor: Supervisor) -> str:
    assert supervisor.stderr is not None
    with or_else(supervisor.kill):
        return supervisor.stderr.readline()


@asynccontextmanager
async def readers(port: int, clients: int) -> AsyncIterator[list[bytes]]:
    """Read the catalog over REST by a few dozen clients without pauses; collects the status lines."""
    statuses: list[bytes] = []
    closing = asyncio.Event()

    async def read() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not closing.is_set():
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(head.partition(b"\r\n")[0])
            length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            await asyncio.sleep(0.02)  # each client pauses, to leave the processors to the workers
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(read())
        try:
            yield statuses
        finally:
            closing.set()


def failed_at_edge(shop_dir: Path) -> list[str]:
    """Return Envoy's log lines of the first calls that failed between Envoy and a worker, once Envoy has written them."""
    time.sleep(2 * FLUSH_S)  # asked only after a failure
    return [line for line in (shop_dir / "log/access.log").read_text().splitlines() if '"flags":"-"' not in line.replace(" ", "")][:10]


@asynccontextmanager
async def busy(shop_dir: Path, port: int) -> AsyncIterator[Market]:
    """Load a shop with buyers and readers during a block. None of their calls may fail or leave a transaction open.

    They wait for each answer, so of fewer clients on a slower machine each waits as long. The deadlines are the product's.
    """
    clients = max(CLIENTS_MIN, round(CLIENTS_MAX / slowness()))
    goods = await stock_up(Postgres(shop_dir).url(), buyers=clients)
    async with market(goods, f"127.0.0.1:{port}") as shop, shop.crowd(), readers(port, clients) as statuses:
        yield shop
    assert set(statuses) == {b"HTTP/1.1 200 OK"}, failed_at_edge(shop_dir)
    assert shop.tally.codes == {}, (shop.tally.texts, failed_at_edge(shop_dir))
    assert shop.tally.acknowledged
    assert await left_open(goods.database_url) == 0


async def require_sound(shop_dir: Path, shop: Market) -> None:
    """Check after a shop has stopped that no order was lost or doubled and that every invariant holds."""
    async with lend(shop_dir) as url:
        verdict = await judge(url, shop.tally)
    assert verdict.findings == []


@pytest.mark.parametrize(("count", "options"), [(1, []), (2, []), (2, ["--edge-cache"])])
async def test_a_reload_under_load_replaces_all_workers_and_fails_no_call(
    count: int, options: list[str], up: Up, shop_dir: Path, port: int
) -> None:
    supervisor = await asyncio.to_thread(up, *options, environ=BUSY, workers=count)
    before = workers(supervisor)
    assert len(before) == count
    async with busy(shop_dir, port) as shop:
        done = await asyncio.to_thread(reload, shop_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"replaced {number} of {count}" for number in range(1, count + 1)]
    assert len(workers(supervisor)) == count
    assert not workers(supervisor) & before
    stop(supervisor)
    await require_sound(shop_dir, shop)


async def test_sigterm_to_one_of_two_workers_under_load_fails_no_call(up: Up, shop_dir: Path, port: int) -> None:
    supervisor = await asyncio.to_thread(up, environ=BUSY, workers=2)
    drained, other = workers(supervisor)
    async with busy(shop_dir, port) as shop:
        os.kill(drained, signal.SIGTERM)
        await until(lambda: len(workers(supervisor) - {drained}) == 2)
    assert other in workers(supervisor)
    assert read_line(supervisor).endswith(" ended with exit code 0; starting it again in 0.1 s\n")
    stop(supervisor)
    await require_sound(shop_dir, shop)


def test_sighup_replaces_the_workers_and_requests_in_the_meantime_are_refused(up: Up, shop_dir: Path, port: int) -> None:
    supervisor = up()
    before = workers(supervisor)
    supervisor.send_signal(signal.SIGHUP)
    until_sync(lambda: any(map(serves, workers(supervisor) - before)))
    with stopped(workers(supervisor) - before):  # so that the reload lasts until the command has sent its request
        assert reload(shop_dir).stderr == "mercato: the workers are being replaced already; ask again when that has ended\n"
    assert read_line(supervisor) == "mercato: reloaded: 1 of 1 workers were replaced\n"
    assert not workers(supervisor) & before
    assert healthy(port)
    stop(supervisor)


def test_a_worker_that_cannot_start_ends_the_reload_and_harms_nothing(up: Up, shop_dir: Path, port: int) -> None:
    supervisor = up(workers=2)
    before = workers(supervisor)
    obstacle = shop_dir / "run/worker-2.sock"
    obstacle.mkdir()
    failed = reload(shop_dir)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("mercato: worker 2 ended with exit code 1; ")
    assert failed.stderr.endswith("The reload ends here: 0 of 2 workers were replaced, all go on as before\n")
    assert workers(supervisor) == before
    assert healthy(port)
    obstacle.rmdir()
    assert reload(shop_dir).returncode == 0
    assert not workers(supervisor) & before
    stop(supervisor)


def test_a_reload_reads_the_file_of_settings_again_and_refuses_a_wrong_one(up: Up, data_dir: Path, shop_dir: Path, port: int) -> None:
    settings = data_dir / "environment"
    settings.write_text("# ours\nMERCATO_RATE_LIMITS=off\nMERCATO_LOG_LEVEL=info\n")
    supervisor = up("--env-file", settings)
    before = workers(supervisor)
    for wrong, told in (
        ("MERCATO_LOG_LEVEL=loud", "MERCATO_LOG_LEVEL is 'loud'; it must be one of "),
        ("MERCATO LOG LEVEL", f"{settings} has a line 'MERCATO LOG LEVEL'; "),
        ("MERCATO_POOL_SIZE=50", "1 workers, and one more while they are replaced, with 52 connections each "),
        (f"SECRET_KEY={SECRET}", "worker 1 ended with exit code 1; "),
    ):
        settings.write_text(wrong)
        refused = reload(shop_dir)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"mercato: {told}")
        assert workers(supervisor) == before
        assert healthy(port)
    settings.write_text("MERCATO_LOG_LEVEL=debug\n")
    assert reload(shop_dir).returncode == 0
    [successor] = workers(supervisor)
    assert b"MERCATO_LOG_LEVEL=debug" in Path(f"/proc/{successor}/environ").read_bytes().split(b"\0")
    stop(supervisor)


def test_a_reload_without_a_running_shop_is_refused(data_dir: Path) -> None:
    (data_dir / "run").mkdir()
    told = reload(data_dir)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"mercato: no `mercato up` that is ready runs on {data_dir}; name its directory with --data-dir\n"


def test_a_stop_during_a_reload_leaves_nothing(up: Up, shop_dir: Path) -> None:
    supervisor = up()
    [worker] = workers(supervisor)
    supervisor.send_signal(signal.SIGHUP)
    until_sync(lambda: workers(supervisor) - {worker})
    stop(supervisor)
    assert gone(worker)
    assert list((shop_dir / "run").glob("*.sock")) in ([], [shop_dir / "run/envoy.sock"])


def test_a_worker_that_keeps_dying_is_started_ever_more_slowly_also_after_a_reload(up: Up, shop_dir: Path, port: int) -> None:
    supervisor = up()
    assert reload(shop_dir).returncode == 0
    read_line(supervisor)
    for delay_s in ("0.1", "0.2", "0.4"):
        [worker] = workers(supervisor)
        os.kill(worker, signal.SIGKILL)
        assert read_line(supervisor) == f"mercato: worker 1 was killed by SIGKILL; starting it again in {delay_s} s\n"
        until_sync(lambda: workers(supervisor) - {worker})  # noqa: B023 - it is called here
    until_sync(lambda: healthy(port))
    stop(supervisor)


def test_a_shop_in_a_terminal_ends_with_it(shop_dir: Path, port: int, run: Run) -> None:
    ours, theirs = pty.openpty()
    options = {"start_new_session": True, "preexec_fn": lambda: ioctl(theirs, termios.TIOCSCTTY, 0), "pass_fds": (theirs,)}
    arguments = ("--port", port, "--data-dir", shop_dir, "--workers", 1, "--no-demo")
    supervisor = run("-m", "mercato_server", "up", *arguments, environ=QUIET, options=options)
    until_ready(supervisor, port)
    family = children(supervisor.pid)
    assert child(supervisor, "envoy")
    os.close(theirs)
    os.close(ours)
    assert supervisor.wait(timeout=patient()) == 0
    assert all(map(gone, family))
