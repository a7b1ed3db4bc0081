"""The parts of a worker: a gRPC server with its handlers, the connection pools, the caches and the background tasks."""

import functools
from collections import Counter
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mercato.rpcs import services
from mercato_server.background.backfills import RENEWAL_INTERVAL_S, keep_filling, renew
from mercato_server.background.order_expiry import keep_expiring
from mercato_server.background.shop_watch import JOBS_INTERVAL_S, STOCK_INTERVAL_S, ShopWatch
from mercato_server.background.supervisor import Supervisor
from mercato_server.background.sweeper import keep_sweeping
from mercato_server.background.verification import Verification
from mercato_server.cache.catalog_cache import CatalogCache
from mercato_server.cache.epochs import Epochs, share
from mercato_server.config.settings import Batching, Settings
from mercato_server.database import migrations
from mercato_server.database.batching import Coalescers
from mercato_server.database.pool import Changes, Pool
from mercato_server.domain.events import EventKind
from mercato_server.domain.order_tally import OrderTally
from mercato_server.domain.paging import PageTokens
from mercato_server.feed.consumers import Follower
from mercato_server.feed.listener import Listener
from mercato_server.handlers.audit import AuditHandler
from mercato_server.handlers.auth import AuthHandler
from mercato_server.handlers.cart import CartHandler
from mercato_server.handlers.catalog import CatalogHandler, serialized
from mercato_server.handlers.fulfillment import FulfillmentHandler
from mercato_server.handlers.idempotency import Idempotency
from mercato_server.handlers.linked_orders import LinkedOrderHandler
from mercato_server.handlers.media import MediaHandler
from mercato_server.handlers.order import OrderHandler
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.payments import PaymentHandler
from mercato_server.handlers.promotions import PromotionHandler
from mercato_server.handlers.shipping import ShippingHandler
from mercato_server.handlers.shop import ShopHandler
from mercato_server.handlers.tax import TaxHandler
from mercato_server.handlers.users import UserHandler
from mercato_server.jobs.queues import Queue
from mercato_server.jobs.runner import Runner
from mercato_server.mail.delivery import Delivery
from mercato_server.mail.orders import ORDER_MAILS
from mercato_server.observability import logging
from mercato_server.payments.desk import Desk
from mercato_server.payments.provider import PaymentProvider
from mercato_server.pictures.inbox import Inbox
from mercato_server.pictures.storage import storage_of
from mercato_server.pictures.sweeper import keep_sweeping as keep_sweeping_pictures
from mercato_server.pictures.verifier import Verifier
from mercato_server.rpc.authentication import authenticate
from mercato_server.rpc.call_log import CallLog, through_structlog
from mercato_server.rpc.calls import Arrivals, CallsInFlight
from mercato_server.rpc.client_streams import ClientStreams
from mercato_server.rpc.deadlines import keep_deadlines
from mercato_server.rpc.errors import Errors
from mercato_server.rpc.health import Health
from mercato_server.rpc.layers import Layers
from mercato_server.rpc.pipeline import service_handler
from mercato_server.rpc.preconditions import refuse_conditions
from mercato_server.rpc.reflection import REFLECTION, Reflection
from mercato_server.rpc.streams import Streams
from mercato_server.rpc.traces import traced
from mercato_server.security import keyrings
from mercato_server.security.hasher import PasswordHasher
from mercato_server.security.order_links import OrderLinks
from mercato_server.security.session_cache import Sessions
from mercato_server.security.tokens import Keyring, Tokens
from mercato_server.store import payment_alerts, slugs
from mercato_server.store.order_numbers import give_numbers
from mercato_server.store.orders import Shop
from mercato_server.store.price_book import PriceBook
from mercato_server.store.shop_counts import count_jobs, count_out_of_stock
from mercato_server.taxes.provider import TaxProvider

if TYPE_CHECKING:
    from mercato_server.tracing.export import Export

SERVICES = tuple(services())


class StartupError(Exception):
    """The worker cannot start; the message says how the operator can correct that."""


def has_jobs(settings: Settings) -> bool:
    """Return whether a worker runs jobs, and so needs connections for them."""
    return settings.mail.delivers or (settings.pictures.directory is not None and settings.pictures.verifies)


class Parts:
    """The parts of a worker, connected with each other. Nothing runs before `start_tasks`, and the worker starts the server."""

    def __init__(self, settings: Settings, pool: "Pool", background: "Pool | None", keyring: Keyring) -> None:
        """Create the parts.

        Args:
            settings: the settings of the worker.
            pool: connections for calls, for the feed listener and for sweeps.
            background: connections for jobs and consumers of the change feed; None if this worker runs none.
            keyring: the keys that sign and verify access tokens.
        """
        self.settings = settings
        self.pool = pool
        self.export = _export(settings)
        self._tracer = self.export.tracer if self.export else None
        self._streams = Streams(settings.holding)
        self.health = Health(tuple(service.full_name for service in SERVICES), self._streams)
        self.arrivals = Arrivals()
        call_log = CallLog(settings.limits, settings.log.reads_per_line, logging.direct() or through_structlog)
        self.calls = CallsInFlight(settings.limits, settings.holding, call_log)
        self._errors = Errors(settings.limits)
        self.logs_end = (call_log.end, self._errors.security_lines.end_period)
        self.refused = self._errors.refused
        self.pools = {"calls": pool} | ({"background": background} if background else {})
        self.changes: Counter[str] = Counter({kind.value: 0 for kind in EventKind})
        """Subjects of the changes that this worker has committed, by kind."""
        self.passwords = PasswordHasher(settings.hashing, settings.limits)
        self.listener = Listener(pool)
        self.supervisor = Supervisor(settings.limits, self._require_schema)
        # With batches of one call, as many batches run at once as there are connections; otherwise connections would idle.
        alone = Batching(batch_max=1, in_flight_max=settings.pool_size, beside_min=1)
        self._batching = Batching(batch_max=settings.batch_max) if settings.batch_max > 1 else alone
        tokens = Tokens(keyring, settings.access_token_expire_minutes * 60)
        self._sessions = Sessions(pool, tokens, self.listener, self._batching)
        self.followers = [Follower(background, ORDER_MAILS, settings.limits)] if background and settings.mail.delivers else []
        self._pictures = storage_of(settings.pictures)
        self.mails: Counter[str] = Counter()
        self._runner = Runner(background, self._queues(background), self._tracer) if background else None
        self._key_watch = keyrings.KeyWatch(pool, settings, self._sessions, self.listener)
        load = functools.partial(serialized, pool, settings)
        self.cache = CatalogCache(
            load, self.listener, _epochs(settings), products_max=settings.cached_products, pages_max=settings.limits.cached_pages
        )
        for each in self.pools.values():
            each.on_commit(self._count)
        pool.on_commit(self.cache.publish)
        self.taxes = _tax_provider(settings)
        self.payments = _payment_provider(settings)
        self._desk = Desk(pool, self.payments, settings.payments, self._tracer)
        self.payment_tally = self._desk.tally
        self.payment_watch = ShopWatch(pool, payment_alerts.read, JOBS_INTERVAL_S)
        self.job_watch = ShopWatch(pool, count_jobs, JOBS_INTERVAL_S)
        self.stock_watch = ShopWatch(pool, count_out_of_stock, STOCK_INTERVAL_S)
        self.verification = Verification(settings.database_url, settings.verify_s)
        self._shop = Shop(settings.currency, settings.orders, PriceBook(asks_provider=self.taxes is not None))
        self._handlers = self._make_handlers(pool)
        self.server = self._make_server()
        for kind, coalescer in self.coalescers.items():
            coalescer.kind = kind

    @property
    def coalescers(self) -> Coalescers:
        """The coalescers of all parts, by the kind of call that they batch."""
        parts = (self.cache, self._sessions, *self._handlers.values())
        return {kind: each for part in parts for kind, each in getattr(part, "coalescers", {}).items()}

    async def start_tasks(self) -> None:
        """Start the background tasks; a new consumer of the feed receives the events after this moment."""
        for follower in self.followers:
            await follower.open()
        async with self.pool.acquire() as conn:
            await self._shop.book.at(conn, 0)  # before the first call needs it
        self.supervisor.start("feed listener", self.listener.listen)
        self.supervisor.start("database watch", functools.partial(self.health.watch_database, self.listener, self.settings.limits))
        self.supervisor.start("key watch", self._key_watch.keep)
        self.supervisor.start("order expiry", functools.partial(keep_expiring, self.pool))
        if self.payments is not None:
            self.supervisor.start("payments", self._desk.keeper.keep)
        if self.settings.metrics_listen is not None or self.settings.metrics_socket:
            self.supervisor.start("payment watch", self.payment_watch.keep)
            self.supervisor.start("job watch", self.job_watch.keep)
            self.supervisor.start("stock watch", self.stock_watch.keep)
        if self.verification.is_on:
            self.supervisor.start("verification", self.verification.keep)
        self.supervisor.start("order numbers", functools.partial(keep_filling, self.pool, give_numbers))
        self.supervisor.start("slugs", functools.partial(keep_filling, self.pool, slugs.give_missing))
        self.supervisor.start(
            "sweeps",
            functools.partial(
                keep_sweeping, self.pool, self.settings.limits, guest_idle_s=self.settings.guests.idle_s, tracer=self._tracer
            ),
        )
        if self._pictures is not None:
            self.supervisor.start(
                "pictures", functools.partial(keep_sweeping_pictures, self.pool, self._pictures, self.settings.pictures.kept_days)
            )
        self.supervisor.start("search documents", functools.partial(keep_filling, self.pool, renew, RENEWAL_INTERVAL_S))
        if self._runner is not None:
            self.supervisor.start("jobs", self._runner.run)
            self.supervisor.start("due jobs", self._runner.keep_due)
        for follower in self.followers:
            self.supervisor.start(follower.consumer.name, follower.follow)

    def _queues(self, background: "Pool") -> list[Queue]:
        """Return the queues whose jobs this worker runs; it leaves the others to workers that can."""
        queues = []
        if self.settings.mail.delivers:
            delivery = Delivery(self.settings, background)
            self.mails = delivery.outcomes
            queues.append(delivery.queue)
        if self._pictures and self.settings.pictures.verifies:
            queues.append(Verifier(background, self._pictures, keep_originals=self.settings.pictures.keep_originals).queue)
        return queues

    def _make_handlers(self, pool: "Pool") -> dict[str, object]:
        """Return the handlers by the names of their services."""
        settings, cache = self.settings, self.cache
        shop = self._shop
        settle = self._desk.settle_order if self.payments else None
        pager = Pager(PageTokens(settings.secret_key), settings.limits)
        idempotency = Idempotency(settings.secret_key, settings.keys_per_account)
        orders = OrderHandler(pool, self._sessions, pager, idempotency, shop, self._batching)
        orders.GetLinkedOrder = LinkedOrderHandler(pool, OrderLinks(settings.secret_key)).GetLinkedOrder
        orders.settle = self._desk.settle_soon if self.payments else None
        return {
            "AuthService": AuthHandler(pool, self._sessions, pager, idempotency, settings),
            "UserService": UserHandler(pool, pager, idempotency),
            "AuditService": AuditHandler(pool, pager),
            "CatalogService": CatalogHandler(pool, pager, idempotency, settings, cache),
            "MediaService": MediaHandler(pool, idempotency, settings, Inbox(pool, self._pictures)),
            "CartService": CartHandler(pool, idempotency, shop, self._batching, self.taxes),
            "OrderService": orders,
            "FulfillmentService": FulfillmentHandler(pool, self._sessions, pager, idempotency, settle),
            "PaymentService": PaymentHandler(pool, self._sessions, pager, idempotency, settings.currency, self._desk),
            "ShopService": ShopHandler(pool, idempotency, settings.currency),
            "TaxService": TaxHandler(pool, pager, idempotency),
            "ShippingService": ShippingHandler(pool, pager, idempotency, settings.currency),
            "PromotionService": PromotionHandler(pool, pager, idempotency, settings.currency),
        }

    def _make_server(self) -> grpc.aio.Server:
        """Return a server with all services, health checks and reflection."""
        limits = self.settings.limits
        server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 0),  # a second worker on the same address must fail, not take half of the calls
                ("grpc.max_receive_message_length", limits.receive_bytes),
                ("grpc.max_send_message_length", limits.response_bytes),
                ("grpc.max_metadata_size", 32 * 1024),
            )
        )
        around = [self.calls.layer, self._errors.layer, keep_deadlines(limits), authenticate(self._sessions), refuse_conditions]
        layers = Layers(around, self.calls.from_memory)
        if self._tracer:
            layers = traced(self._tracer, layers, around.index(self._errors.layer))
        uploads = ClientStreams(self.settings.holding)
        server.add_generic_rpc_handlers([self.arrivals])
        server.add_generic_rpc_handlers(
            [service_handler(service, self._handlers[service.name], layers, limits, self.passwords, uploads) for service in SERVICES]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        names = [service.full_name for service in (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"])]
        if self.settings.holding.reflection:
            Reflection((*names, *REFLECTION), self._streams).add_to(server)
        return server

    @property
    def orders_placed(self) -> OrderTally:
        """The orders that this worker has placed."""
        return self._shop.tally

    def _count(self, changes: Changes) -> None:
        for kind, subjects in changes.items():
            self.changes[kind] += len(subjects)

    async def _require_schema(self) -> None:
        async with self.pool.acquire() as conn:
            await migrations.require(conn)


def _tax_provider(settings: Settings) -> TaxProvider | None:
    if settings.tax_provider is None:
        return None
    from mercato_server.taxes.http_provider import HttpTaxProvider  # shops without a provider do not load its library

    return HttpTaxProvider(settings.tax_provider, settings.currency)


def _payment_provider(settings: Settings) -> PaymentProvider | None:
    if settings.payments.stripe is None:
        return None
    from mercato_server.payments.stripe_provider import StripeProvider  # shops without Stripe do not load its SDK

    return StripeProvider(settings.payments.stripe, settings.currency)


def _export(settings: Settings) -> "Export | None":
    if settings.tracing is None:
        return None
    try:
        from mercato_server.tracing.export import Export  # an extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise StartupError(
            "MERCATO_TRACING is on, but OpenTelemetry is not installed; run: pip install 'mercato-server[tracing]'"
        ) from None
    try:
        return Export(settings.tracing)
    except (ValueError, OSError, RuntimeError) as error:
        raise StartupError(f"cannot export traces: {error}; check the OTEL_* variables") from None


def _epochs(settings: Settings) -> Epochs:
    try:
        return Epochs(share(settings.shared_memory) if settings.shared_memory else None)
    except OSError as error:
        raise StartupError(f"cannot use the file of MERCATO_SHARED_MEMORY: {error}") from None
