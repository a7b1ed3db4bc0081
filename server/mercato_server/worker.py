"""The life cycle of a worker: its start, its graceful stop and its signals."""

import asyncio
import contextlib
import functools
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import structlog

from mercato_server import failpoints
from mercato_server.background.supervisor import FatalError
from mercato_server.composition import Parts, StartupError, has_jobs
from mercato_server.config.settings import Settings
from mercato_server.database import migrations, session_settings
from mercato_server.database.pool import Pool, check_currency, create_pool, refusal
from mercato_server.observability import supervision
from mercato_server.security import keyrings
from mercato_server.security.keys import WrongSecretError
from mercato_server.security.tokens import Keyring

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from mercato_server.observability.exposition import Server

log = structlog.get_logger(__name__)

GARBAGE_MAX = 10_000
"""New objects after which Python's garbage collector runs. Its default of 700 is less than one batch of checkouts creates."""


class Worker:
    """A running worker. If `stop_now` is set, `stop` does not wait for the edge."""

    def __init__(self, parts: Parts, stop_now: asyncio.Event | None = None) -> None:
        self.parts = parts
        self.settings = parts.settings
        self._stop_now = stop_now or asyncio.Event()

    @asynccontextmanager
    async def observed(self) -> AsyncIterator[None]:
        """Tell metrics during a block, where the settings have an address or a socket; raises StartupError if it cannot be bound."""
        address, socket = self.settings.metrics_listen, self.settings.metrics_socket
        if address is None and not socket:
            yield
            return
        from mercato_server.observability import exposition

        registry = exposition.registry(*self._collectors())
        async with AsyncExitStack() as servers:
            if address is not None:
                host, port = address
                place = f"{host} port {port}: {{}}; set MERCATO_METRICS_LISTEN"
                await _observe(servers, place, functools.partial(exposition.serve_http, address, registry))
            if socket:
                place = f"{socket}: {{}}; set MERCATO_METRICS_SOCKET"
                await _observe(servers, place, functools.partial(exposition.serve_socket, socket, registry))
            yield

    def _collectors(self) -> tuple["Collector", ...]:
        from mercato_server.observability import call_metrics, metrics, shop_metrics

        parts = self.parts
        return (
            metrics.WorkerMetrics(parts.cache, parts.listener, parts.followers, parts.coalescers, parts.supervisor),
            call_metrics.CallMetrics(parts.calls, [pool.tally for pool in parts.pools.values()]),
            metrics.PoolMetrics(parts.pools, parts.passwords),
            shop_metrics.TradeMetrics(parts.orders_placed, self.settings.currency, parts.refused, parts.changes, parts.mails),
            shop_metrics.PaymentMetrics(parts.payment_tally, parts.payment_watch),
            shop_metrics.ShopMetrics(parts.job_watch, parts.stock_watch),
            shop_metrics.VerifyMetrics(parts.verification),
        )

    async def start(self) -> list[int]:
        """Listen, start the background tasks and report SERVING; return the ports. Raises StartupError if an address cannot be bound."""
        try:
            ports = [self.parts.server.add_insecure_port(address) for address in self.settings.listen]
        except RuntimeError:
            raise StartupError(f"cannot listen on {', '.join(self.settings.listen)}; is it in use? Set MERCATO_LISTEN") from None
        await self.parts.start_tasks()  # first: consumers open their cursors, so they miss no event of the first call
        await self.parts.server.start()
        await self.parts.health.set_ready(ready=True)
        return ports

    async def stop(self) -> None:
        """Report NOT_SERVING, wait until the edge sends no more calls, let the calls in flight end, and close.

        `stop_now` skips the wait for the edge and shortens the time for calls in flight.
        """
        await self.parts.health.set_ready(ready=False)
        drain, stop_now = asyncio.create_task(self._drain()), asyncio.create_task(self._stop_now.wait())
        await asyncio.wait((drain, stop_now), return_when=asyncio.FIRST_COMPLETED)
        drain.cancel()
        stop_now.cancel()
        grace_s = self.settings.grace_s
        await self.parts.server.stop(min(grace_s, self.settings.interrupt_grace_s) if self._stop_now.is_set() else grace_s)
        await self.parts.calls.wait_idle()
        for end in self.parts.logs_end:
            end()
        await self.parts.supervisor.stop()
        await self.parts.passwords.close()
        for provider in (self.parts.taxes, self.parts.payments):
            if provider is not None:
                await provider.close()
        if self.parts.export is not None:
            await self.parts.export.close()

    async def _drain(self) -> None:
        """Wait until the edge has noticed the stop, then as long again at most while calls arrive or run."""
        await asyncio.sleep(self.settings.drain_s)
        with contextlib.suppress(TimeoutError):  # the health check of a busy edge may be late; a broken edge must not block the stop
            async with asyncio.timeout(self.settings.drain_s):
                await self.parts.arrivals.until_quiet(self.parts.calls)


@asynccontextmanager
async def running(settings: Settings, stop_now: asyncio.Event | None = None) -> AsyncIterator[tuple[Worker, list[int]]]:
    """Connect, check the schema and serve during a block; yield the worker and its ports. `stop_now` shortens the stop.

    Raises StartupError, migrations.SchemaError or environment.ConfigError.
    """
    async with AsyncExitStack() as stack:
        pool = await _connect(stack, settings)
        async with pool.acquire() as conn:
            await session_settings.require(conn, settings.database_url, settings.limits)
            if missing := await migrations.pending(conn):
                names = ", ".join(path.name for path in missing)
                raise migrations.SchemaError(f"the database lacks migrations ({names}); run: mercato migrate")
            await check_currency(conn, settings.currency)
        keyring = await _keyring(pool, settings)
        background = replace(settings, pool_size=settings.limits.background_connections)
        parts = Parts(settings, pool, await _connect(stack, background) if has_jobs(settings) else None, keyring)
        worker = Worker(parts, stop_now)
        async with worker.observed():
            ports = await worker.start()
            try:
                yield worker, ports
            finally:
                await worker.stop()


async def _observe(servers: AsyncExitStack, place: str, serve: Callable[[], "Server"]) -> None:
    """Start a server of metrics, which the stack stops; raises StartupError with its place."""
    try:
        server = serve()
    except OSError as error:
        raise StartupError(f"cannot answer Prometheus on {place.format(error.strerror)}") from None
    servers.push_async_callback(asyncio.to_thread, server.stop)


async def _connect(stack: AsyncExitStack, settings: Settings) -> "Pool":
    """Return a new pool, which the stack closes; raises StartupError if the database cannot be reached."""
    try:
        pool = await create_pool(settings)
    except asyncpg.ProtocolViolationError as error:  # PgBouncer, of one parameter at a time
        needed = ", ".join(session_settings.session_settings(settings.limits))
        raise StartupError(f"the pooler of DATABASE_URL: {error}; name these in its ignore_startup_parameters: {needed}") from error
    except Exception as error:
        if refusal(error) is None:
            raise
        raise StartupError(f"cannot connect to the database of DATABASE_URL: {error}") from error
    stack.push_async_callback(_close, pool, settings.grace_s)
    return pool


async def _keyring(pool: "Pool", settings: Settings) -> Keyring:
    try:
        return await keyrings.load(pool, settings)
    except WrongSecretError:
        raise StartupError(
            "SECRET_KEY differs from the one that encrypted this shop's signing keys; restore it, or make new keys with: "
            "mercato keys rotate --discard"
        ) from None


async def _close(pool: "Pool", grace_s: float) -> None:
    """Close the pool when all its connections are free; terminate it after `grace_s`."""
    try:
        async with asyncio.timeout(grace_s):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    SIGTERM stops gracefully: no call fails. SIGINT does not wait for the edge; an operator may send it after SIGTERM. A fatal error of a
    background task stops the worker like SIGTERM; afterwards this raises FatalError.
    """
    if settings.failpoints:
        log.warning("failpoints are armed: this process will kill itself", failpoints=settings.failpoints)
        failpoints.arm(settings.failpoints)
    stopping, stop_now = asyncio.Event(), asyncio.Event()

    def interrupt() -> None:
        stop_now.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    async with running(settings, stop_now) as (worker, _):
        collect_rarely()
        if not settings.mail.delivers:
            log.warning("this worker sends no mail: neither MERCATO_SMTP_URL nor MERCATO_MAIL_DIR is set")
        log.info("serving", listen=settings.listen)
        supervision.tell(supervision.READY)
        fatal = await _until_stopping(worker, stopping)
        log.info("stopping")
        supervision.tell(supervision.STOPPING)
    log.info("stopped")
    if fatal is not None:
        raise fatal


async def _until_stopping(worker: Worker, stopping: asyncio.Event) -> FatalError | None:
    """Wait for a signal to stop or a fatal error of a background task; return the error, or None after a signal."""
    signalled, failed = asyncio.create_task(stopping.wait()), asyncio.create_task(worker.parts.supervisor.fatal())
    await asyncio.wait((signalled, failed), return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    failed.cancel()
    return failed.result() if failed.done() else None


def collect_rarely() -> None:
    """Exclude the objects of the start from garbage collection, and let it run rarely: reference counts free the objects of calls."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_MAX)
