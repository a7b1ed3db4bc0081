"""The life of a worker: how it starts, how it stops without failing a call, and which signals it heeds."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog
from grpc_health.v1 import health_pb2

from mercato_server import failpoints
from mercato_server.background.supervisor import FatalError
from mercato_server.composition import SERVICES, Parts, StartupError
from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, check_currency, create_pool, refusal
from mercato_server.security import keyrings
from mercato_server.security.keys import WrongSecretError
from mercato_server.security.tokens import Keyring

log = structlog.get_logger(__name__)

GARBAGE_MAX = 10_000
"""Objects that are made before Python looks for cycles among the new ones; its own 700 are fewer than a batch of checkouts makes."""


class Worker:
    """A worker that runs; an event tells it to hurry when it stops."""

    def __init__(self, parts: Parts, hurry: asyncio.Event | None = None) -> None:
        self.parts = parts
        self.settings = parts.settings
        self._hurry = hurry or asyncio.Event()

    @asynccontextmanager
    async def observed(self) -> AsyncIterator[None]:
        """Answer Prometheus during a block, if that is wanted; raises StartupError if the address cannot be had."""
        address = self.settings.metrics_listen
        if address is None:
            yield
            return
        from mercato_server.observability import metrics

        parts = self.parts
        try:
            collector = metrics.WorkerMetrics(parts.cache, parts.listener, parts.followers, parts.coalescers, parts.supervisor)
            server = metrics.start(address, collector)
        except OSError as error:
            host, port = address
            raise StartupError(f"cannot answer Prometheus on {host} port {port}: {error.strerror}; set MERCATO_METRICS_LISTEN") from None
        try:
            yield
        finally:
            await asyncio.to_thread(metrics.stop, server)

    async def start(self) -> list[int]:
        """Listen and say SERVING; return the ports. Raises StartupError if an address cannot be had."""
        try:
            ports = [self.parts.server.add_insecure_port(address) for address in self.settings.listen]
        except RuntimeError:
            raise StartupError(f"cannot listen on {', '.join(self.settings.listen)}; is it in use? Set MERCATO_LISTEN") from None
        await self.parts.server.start()
        await self.parts.start_tasks()
        await self._say(health_pb2.HealthCheckResponse.SERVING)
        return ports

    async def stop(self) -> None:
        """Let the edge turn away first, unless there is no time, then let the calls in flight end, then close."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_s):
                await self._hurry.wait()
        if not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):  # an edge on a busy machine hears late; one that never does must not keep the worker
                async with asyncio.timeout(self.settings.drain_s):
                    await self.parts.arrivals.until_quiet()
        grace_s = self.settings.grace_s
        await self.parts.server.stop(min(grace_s, self.settings.hurried_grace_s) if self._hurry.is_set() else grace_s)
        await self.parts.calls.wait_idle()
        await self.parts.supervisor.stop()
        self.parts.passwords.close()

    async def _say(self, status: Any) -> None:
        for service in ("", *(service.full_name for service in SERVICES)):
            await self.parts.health.set(service, status)


@asynccontextmanager
async def running(settings: Settings, hurry: asyncio.Event | None = None) -> AsyncIterator[tuple[Worker, list[int]]]:
    """Connect, check the schema, serve, and stop at the end, at once when told to hurry; gives the worker and its ports.

    Raises StartupError, migrations.SchemaError or environment.ConfigError.
    """
    async with AsyncExitStack() as stack:
        pool = await _connect(stack, settings)
        async with pool.acquire() as conn:
            if missing := await migrations.pending(conn):
                names = ", ".join(path.name for path in missing)
                raise migrations.SchemaError(f"the database lacks migrations ({names}); run: mercato migrate")
            await check_currency(conn, settings.currency)
        keyring = await _keyring(pool, settings)
        background = replace(settings, pool_size=settings.limits.background_connections)
        parts = Parts(settings, pool, await _connect(stack, background) if settings.mail.delivers else None, keyring)
        worker = Worker(parts, hurry)
        async with worker.observed():
            ports = await worker.start()
            try:
                yield worker, ports
            finally:
                await worker.stop()


async def _connect(stack: AsyncExitStack, settings: Settings) -> "Pool":
    """Return a pool that the stack closes; raises StartupError if the database cannot be reached."""
    try:
        pool = await create_pool(settings)
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
            "SECRET_KEY is not the one that this shop's signing keys were sealed with; restore it, or make new keys with: "
            "mercato keys rotate --discard"
        ) from None


async def _close(pool: "Pool", grace_s: float) -> None:
    """Close the pool once what holds its connections has ended, or after a while all the same."""
    try:
        async with asyncio.timeout(grace_s):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM, which fails no call, or SIGINT, which does not wait for the edge to turn away; it may follow the other.

    A fatal error of a background task ends the worker as SIGTERM does, and then raises FatalError.
    """
    if settings.failpoints:
        log.warning("failpoints are armed: this process is meant to die", failpoints=settings.failpoints)
        failpoints.arm(settings.failpoints)
    stopping, hurry = asyncio.Event(), asyncio.Event()

    def interrupt() -> None:
        hurry.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    async with running(settings, hurry) as (worker, _):
        collect_rarely()
        if not settings.mail.delivers:
            log.warning("mail is not sent by this worker: neither MERCATO_SMTP_URL nor MERCATO_MAIL_DIR is set")
        log.info("serving", listen=settings.listen)
        fatal = await _end(worker, stopping)
        log.info("stopping")
    log.info("stopped")
    if fatal is not None:
        raise fatal


async def _end(worker: Worker, stopping: asyncio.Event) -> FatalError | None:
    """Wait until the worker is told to stop, or cannot go on; returns why it cannot."""
    told, failed = asyncio.create_task(stopping.wait()), asyncio.create_task(worker.parts.supervisor.fatal())
    await asyncio.wait((told, failed), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    failed.cancel()
    return failed.result() if failed.done() else None


def collect_rarely() -> None:
    """Spare the garbage collector what was made at start, and most of its runs: what calls make goes without it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_MAX)
