"""The composition root: what a worker is made of, how it starts, and how it stops without failing a call."""

import asyncio
import contextlib
import functools
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mercato.rpcs import services
from mercato_server import failpoints
from mercato_server.background.sweeper import keep_sweeping
from mercato_server.cache.catalog_cache import CatalogCache
from mercato_server.cache.epochs import Epochs, share
from mercato_server.config.settings import Batching, Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, check_currency, create_pool, refusal
from mercato_server.domain.paging import PageTokens
from mercato_server.feed.listener import Listener
from mercato_server.handlers.audit import AuditHandler
from mercato_server.handlers.auth import AuthHandler
from mercato_server.handlers.cart import CartHandler
from mercato_server.handlers.catalog import CatalogHandler, serialized
from mercato_server.handlers.idempotency import Idempotency
from mercato_server.handlers.order import OrderHandler
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.users import UserHandler
from mercato_server.mail.delivery import Delivery
from mercato_server.rpc.authentication import authenticate
from mercato_server.rpc.calls import Arrivals, CallsInFlight
from mercato_server.rpc.deadlines import keep_deadlines
from mercato_server.rpc.errors import map_errors
from mercato_server.rpc.pipeline import service_handler
from mercato_server.security import keyrings
from mercato_server.security.hash_pool import PasswordHasher
from mercato_server.security.keys import WrongSecretError
from mercato_server.security.session_cache import Sessions
from mercato_server.security.tokens import Keyring, Tokens

log = structlog.get_logger(__name__)

SERVICES = tuple(services())
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


GARBAGE_MAX = 10_000
"""Objects that are made before Python looks for cycles among the new ones; its own 700 are fewer than a batch of checkouts makes."""


class StartupError(Exception):
    """The worker cannot start; the message says what to do."""


class Worker:
    """One gRPC server over one pool; an event tells it to hurry when it stops."""

    def __init__(self, settings: Settings, pool: "Pool", keyring: Keyring, hurry: asyncio.Event | None = None) -> None:
        self.settings = settings
        self._hurry = hurry or asyncio.Event()
        self.health = health.aio.HealthServicer()
        self.calls = CallsInFlight(settings.limits)
        self.passwords = PasswordHasher(settings.hashing, settings.limits)
        self.server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 0),  # so that a second worker on the same address fails instead of taking half the calls
                ("grpc.max_receive_message_length", settings.limits.request_bytes),
                ("grpc.max_send_message_length", settings.limits.response_bytes),
                ("grpc.max_metadata_size", 32 * 1024),
            )
        )
        self._arrivals = Arrivals()
        self._pool = pool
        self._background: list[asyncio.Task[None]] = []
        self._listener = Listener(pool)
        # Batches of one need as many under way as there are connections, or the others would idle.
        alone = Batching(batch_max=1, in_flight_max=settings.pool_size, beside_min=1)
        self._batching = Batching(batch_max=settings.batch_max) if settings.batch_max > 1 else alone
        tokens = Tokens(keyring, settings.access_token_expire_minutes * 60)
        self._sessions = Sessions(pool, tokens, self._listener, self._batching)
        self._delivery = Delivery(settings) if settings.mail.delivers else None
        self._key_watch = keyrings.KeyWatch(pool, settings, self._sessions, self._listener)
        load = functools.partial(serialized, pool, settings.currency)
        self._cache = CatalogCache(
            load, self._listener, _epochs(settings), products_max=settings.cached_products, pages_max=settings.limits.cached_pages
        )
        pool.on_commit(self._cache.tell)
        self._handlers = self._make_handlers(pool)
        layers = (self.calls.layer, map_errors, keep_deadlines(settings.limits), authenticate(self._sessions))
        self.server.add_generic_rpc_handlers([self._arrivals])
        self.server.add_generic_rpc_handlers([service_handler(service, self._handlers[service.name], layers) for service in SERVICES])
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        _add_reflection(self.server)

    def _make_handlers(self, pool: "Pool") -> dict[str, object]:
        """Return the handler of each service, by its name."""
        settings, cache = self.settings, self._cache
        pager = Pager(PageTokens(settings.secret_key), settings.limits)
        idempotency = Idempotency(settings.secret_key)
        return {
            "AuthService": AuthHandler(pool, self._sessions, self.passwords, idempotency, settings),
            "UserService": UserHandler(pool, pager, idempotency),
            "AuditService": AuditHandler(pool, pager),
            "CatalogService": CatalogHandler(pool, pager, idempotency, settings.limits, settings.currency, cache),
            "CartService": CartHandler(pool, idempotency, settings.currency, self._batching),
            "OrderService": OrderHandler(pool, pager, idempotency, settings.currency, self._batching),
        }

    @asynccontextmanager
    async def observed(self) -> AsyncIterator[None]:
        """Answer Prometheus during a block, if that is wanted; raises StartupError if the address cannot be had."""
        address = self.settings.metrics_listen
        if address is None:
            yield
            return
        from mercato_server.observability import metrics

        parts = (self._cache, self._sessions, *self._handlers.values())
        coalescers = {kind: each for part in parts for kind, each in getattr(part, "coalescers", {}).items()}
        try:
            server = metrics.start(address, metrics.WorkerMetrics(self._cache, self._listener, coalescers))
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
            ports = [self.server.add_insecure_port(address) for address in self.settings.listen]
        except RuntimeError:
            raise StartupError(f"cannot listen on {', '.join(self.settings.listen)}; is it in use? Set MERCATO_LISTEN") from None
        await self.server.start()
        work = (keep_sweeping(self._pool), self._listener.listen(), self._key_watch.keep())
        self._background = [asyncio.create_task(each) for each in work]
        if self._delivery is not None:
            await self._delivery.start()  # before the first order
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
                    await self._arrivals.until_quiet()
        grace_s = self.settings.grace_s
        await self.server.stop(min(grace_s, self.settings.hurried_grace_s) if self._hurry.is_set() else grace_s)
        await self.calls.wait_idle()
        if self._delivery is not None:
            await self._delivery.stop()
        for task in self._background:
            task.cancel()
        self.passwords.close()

    async def _say(self, status: Any) -> None:
        for service in ("", *(service.full_name for service in SERVICES)):
            await self.health.set(service, status)


def _epochs(settings: Settings) -> Epochs:
    try:
        return Epochs(share(settings.shared_memory) if settings.shared_memory else None)
    except OSError as error:
        raise StartupError(f"cannot use the file of MERCATO_SHARED_MEMORY: {error}") from None


def _add_reflection(server: grpc.aio.Server) -> None:
    """Serve reflection under both names: the package ships v1alpha, newer clients ask for v1, and the messages are the same."""
    names = [service.full_name for service in SERVICES]
    servicer = reflection.aio.ReflectionServicer((*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, *REFLECTION))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in REFLECTION:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}),))


@asynccontextmanager
async def running(settings: Settings, hurry: asyncio.Event | None = None) -> AsyncIterator[tuple[Worker, list[int]]]:
    """Connect, check the schema, serve, and stop at the end, at once when told to hurry; gives the worker and its ports.

    Raises StartupError, migrations.SchemaError or environment.ConfigError.
    """
    try:
        pool = await create_pool(settings)
    except Exception as error:
        if refusal(error) is None:
            raise
        raise StartupError(f"cannot connect to the database of DATABASE_URL: {error}") from error
    try:
        async with pool.acquire() as conn:
            if missing := await migrations.pending(conn):
                names = ", ".join(path.name for path in missing)
                raise migrations.SchemaError(f"the database lacks migrations ({names}); run: mercato migrate")
            await check_currency(conn, settings.currency)
        worker = Worker(settings, pool, await _keyring(pool, settings), hurry)
        async with worker.observed():
            ports = await worker.start()
            try:
                yield worker, ports
            finally:
                await worker.stop()
    finally:
        await _close(pool, settings.grace_s)


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
    """Serve until SIGTERM, which fails no call, or SIGINT, which does not wait for the edge to turn away; it may follow the other."""
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
    async with running(settings, hurry):
        collect_rarely()
        if not settings.mail.delivers:
            log.warning("mail is not sent by this worker: neither MERCATO_SMTP_URL nor MERCATO_MAIL_DIR is set")
        log.info("serving", listen=settings.listen)
        await stopping.wait()
        log.info("stopping")
    log.info("stopped")


def collect_rarely() -> None:
    """Spare the garbage collector what was made at start, and most of its runs: what calls make goes without it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_MAX)
