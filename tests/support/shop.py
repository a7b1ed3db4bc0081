"""A shop under test, as its clients see it: stubs, persons with tokens, and products to buy."""

import atexit
import functools
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import jwt
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from mercato.v1 import (
    audit_pb2_grpc,
    auth_pb2,
    auth_pb2_grpc,
    cart_pb2,
    cart_pb2_grpc,
    catalog_pb2,
    catalog_pb2_grpc,
    fulfillment_pb2_grpc,
    media_pb2_grpc,
    order_pb2,
    order_pb2_grpc,
    payment_pb2_grpc,
    promotion_pb2,
    promotion_pb2_grpc,
    shipping_pb2_grpc,
    shop_pb2_grpc,
    tax_pb2_grpc,
    user_pb2_grpc,
)
from mercato.v1.money_pb2 import Money
from mercato_server.config.picture_settings import PictureSettings
from mercato_server.config.settings import Hashing, Limits, OrderRules, Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Account, Device, Role
from mercato_server.security import keyrings
from mercato_server.security.passwords import hash_password
from mercato_server.security.refresh_tokens import RefreshTokens, digest
from mercato_server.security.tokens import Tokens
from mercato_server.store import accounts, sessions
from mercato_server.store.login_attempts import Counters
from mercato_server.worker import Worker, running

PASSWORD = "securepass123"
SOON_S = 0.25
"""Every worker sees the changes of another within this time."""
SECRET = hashlib.sha256(b"a secret of the tests").hexdigest()
TOKEN_S = 24 * 60 * 60
HERE = Device(user_agent="a test", ip_address="127.0.0.1")
NOWHERE = Counters(here=b"", everywhere=b"")
CALL_S = 30.0
"""Deadline of calls in tests that are not about deadlines, the longest of a caller: a busy machine may pause for more than 2 s."""
A_PICTURE = f"{'0' * 64}-small.webp"
"""The name of a rendition that each shop has."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """A person with an account; `metadata` carries the token."""

    id: str
    email: str
    token: str
    refresh_token: str = ""

    @property
    def session_id(self) -> str:
        return str(jwt.decode(self.token, options={"verify_signature": False})["sid"])

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)


class Shop:
    """Stubs of every service on one channel, and the steps that most tests begin with."""

    def __init__(self, channel: grpc.aio.Channel, pool: "Pool") -> None:
        self.channel = channel
        self.pool = pool
        self.auth = auth_pb2_grpc.AuthServiceStub(channel)
        for rpc, call in list(vars(self.auth).items()):  # by default they have 5 s, in which a busy machine may not start a hash process
            setattr(self.auth, rpc, functools.partial(call, timeout=CALL_S))
        self.users = user_pb2_grpc.UserServiceStub(channel)
        self.audit = audit_pb2_grpc.AuditServiceStub(channel)
        self.catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        self.media = media_pb2_grpc.MediaServiceStub(channel)
        self.carts = cart_pb2_grpc.CartServiceStub(channel)
        self.orders = order_pb2_grpc.OrderServiceStub(channel)
        self.fulfillment = fulfillment_pb2_grpc.FulfillmentServiceStub(channel)
        self.payments = payment_pb2_grpc.PaymentServiceStub(channel)
        self.shipping = shipping_pb2_grpc.ShippingServiceStub(channel)
        self.promotions = promotion_pb2_grpc.PromotionServiceStub(channel)
        self.settings = shop_pb2_grpc.ShopServiceStub(channel)
        self.taxes = tax_pb2_grpc.TaxServiceStub(channel)

    async def person(self, *, admin: bool = False) -> Person:
        """Make an account with a session, as SignUp and Login do.

        It does not make these calls, because a worker hashes passwords with idle priority: beside other work they may exceed their
        deadlines.
        """
        new = accounts.NewAccount(
            email=f"person-{next(_numbers)}@example.com", full_name="Jo Doe", role=Role.USER, password_hash=hash_of(PASSWORD)
        )
        account = await accounts.sign_up(self.pool, new, Limits().mails_per_hour)
        assert isinstance(account, Account)
        if admin:
            await self.pool.execute("UPDATE accounts SET role = 'admin' WHERE id = $1", account.id)
        return await self._in_session(account.id, account.email)

    async def login(self, person: Person, password: str = PASSWORD) -> Person:
        """Log a person in on another device."""
        login = await self.auth.Login(auth_pb2.LoginRequest(email=person.email, password=password), timeout=CALL_S)
        return Person(person.id, person.email, login.access_token, login.refresh_token)

    async def session(self, person: Person) -> str:
        """Open another session of an account, as Login does; return its id."""
        return (await self._in_session(UUID(person.id), person.email)).session_id

    async def _in_session(self, account_id: UUID, email: str) -> Person:
        refresh_token = RefreshTokens(SECRET).first()
        account = await accounts.get(self.pool, account_id)
        opened = await sessions.open_session(self.pool, account, HERE, digest(refresh_token), NOWHERE, 0)
        assert opened
        return Person(str(account_id), email, await self.token(account_id, opened.id), refresh_token)

    async def guest(self, contact_email: str = "") -> Person:
        """Make a guest by a call, with a contact address if one is given."""
        login = await self.auth.CreateGuest(auth_pb2.CreateGuestRequest())
        claims = jwt.decode(login.access_token, options={"verify_signature": False})
        guest = Person(str(claims["sub"]), "", login.access_token, login.refresh_token)
        if contact_email:
            request = cart_pb2.UpdateCartHeaderRequest(contact_email=contact_email)
            await self.carts.UpdateCartHeader(request, metadata=guest.metadata, timeout=CALL_S)
        return guest

    async def token(self, account_id: UUID, session_id: UUID) -> str:
        """Sign an access token, as Login does."""
        return Tokens(await keyrings.load(self.pool, settings_of("")), TOKEN_S).issue(account_id, session_id)

    async def product(self, admin: Person, *, name: str = "Ball", price: int = 1999, stock: int = 10, **fields: Any) -> catalog_pb2.Product:
        """Create a product."""
        product = catalog_pb2.Product(name=name, price=Money(minor_units=price), stock=stock, **fields)
        request = catalog_pb2.CreateProductRequest(product=product)
        return await self.catalog.CreateProduct(request, metadata=admin.metadata, timeout=CALL_S)

    async def promotion(self, admin: Person, **fields: Any) -> promotion_pb2.Promotion:
        """Create a promotion: 10 % with a code, unless the fields say otherwise."""
        kind = {"kind": promotion_pb2.PROMOTION_KIND_PERCENT, "percent_ppm": 100_000} if "kind" not in fields else {}
        promotion = promotion_pb2.Promotion(**{"name": "Sale", "needs_code": True, **kind, **fields})
        request = promotion_pb2.CreatePromotionRequest(promotion=promotion)
        return await self.promotions.CreatePromotion(request, metadata=admin.metadata, timeout=CALL_S)

    async def code(self, admin: Person, promotion: promotion_pb2.Promotion, code: str, **fields: Any) -> promotion_pb2.PromotionCode:
        """Create a code of a promotion."""
        request = promotion_pb2.CreatePromotionCodeRequest(promotion_id=promotion.id, code=code, **fields)
        return await self.promotions.CreatePromotionCode(request, metadata=admin.metadata, timeout=CALL_S)

    async def add(self, buyer: Person, product: catalog_pb2.Product, quantity: int = 1) -> cart_pb2.Cart:
        """Add a unit to the buyer's cart."""
        request = cart_pb2.AddCartItemRequest(product_id=product.id, quantity=quantity)
        return await self.carts.AddCartItem(request, metadata=buyer.metadata, timeout=CALL_S)

    async def checkout(self, buyer: Person, key: str | None = None, **fields: Any) -> order_pb2.Order:
        """Buy the buyer's cart."""
        metadata = (*buyer.metadata, *((("idempotency-key", key),) if key else ()))
        return await self.orders.Checkout(order_pb2.CheckoutRequest(**fields), metadata=metadata, timeout=CALL_S)

    async def stock(self, product: catalog_pb2.Product) -> int:
        """Return the units of a product that can be sold."""
        return (await self.catalog.GetProduct(catalog_pb2.GetProductRequest(product_id=product.id))).stock


@dataclass(frozen=True)
class Refusal:
    """An error as a client sees it."""

    code: grpc.StatusCode
    message: str
    details: tuple[Message, ...]
    trailers: dict[str, str | bytes]

    @property
    def reason(self) -> str:
        return str(self.detail(error_details_pb2.ErrorInfo).reason)

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.detail(error_details_pb2.ErrorInfo).metadata)

    @property
    def fields(self) -> list[str]:
        """The fields that a BadRequest names."""
        return [violation.field for violation in self.detail(error_details_pb2.BadRequest).field_violations]

    def detail(self, kind: Any) -> Any:
        [found] = [detail for detail in self.details if isinstance(detail, kind)]
        return found


DETAIL_TYPES = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.RetryInfo,
    error_details_pb2.ResourceInfo,
    order_pb2.StockShortage,
    cart_pb2.QuoteChange,
)


@functools.cache
def hash_of(password: str) -> str:
    """Return a hash of a password, made once."""
    return hash_password(password, pepper="", cost=4)


def settings_of(database: str) -> Settings:
    """Return settings of a worker: quick password hashes, any free port, no wait for an absent edge, long deadlines.

    No account is limited in its orders, because most tests have few accounts.
    """
    return Settings(
        database_url=database,
        secret_key=SECRET,
        hashing=Hashing(cost=4),
        orders=OrderRules(units_per_product=1_000, open_orders=0),
        listen=("127.0.0.1:0",),
        drain_s=0,
        grace_s=1,
        limits=Limits(timeout_s=CALL_S),
        pictures=PictureSettings(directory=_pictures(), verifies=False),
    )


@functools.cache
def _pictures() -> Path:
    """Return a directory for the pictures of all shops of this process; a picture is the same in each of them."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-pictures-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    shelf = directory / "renditions" / "00"
    shelf.mkdir(parents=True)
    (shelf / A_PICTURE).write_bytes(b"a rendition")
    return directory


@asynccontextmanager
async def worker(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """Run a worker, reached through a real channel."""
    async with open_worker(settings, pool) as (_, shop):
        yield shop


@asynccontextmanager
async def open_worker(settings: Settings, pool: "Pool") -> AsyncIterator[tuple[Worker, Shop]]:
    """Run a worker and yield it beside its shop, for tests of its internals."""
    async with running(settings) as (worker, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield worker, Shop(channel, pool)


async def refusal(call: Any) -> Refusal:
    """Await a call that must fail and return its error."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        trailers = dict(iter(error.trailing_metadata()))  # in pairs: older releases of gRPC have keys() that are pairs too
        status = Status.FromString(trailers.get("grpc-status-details-bin", b""))
        return Refusal(error.code(), error.details() or "", tuple(_unpack(packed) for packed in status.details), trailers)
    raise AssertionError(f"the call was answered: {answer}")


async def waiting_in_vain(call: Callable[[float], Any], first_s: float) -> Refusal:
    """Return the server's refusal of a call that waits for a lock until shortly before its deadline.

    On a busy machine the deadline, the server's or gRPC's own, may come first; then the call is repeated with twice the time.

    Args:
        call: makes the call with a deadline in seconds.
        first_s: the first deadline.
    """
    for tries in range(5):  # more tries would exceed the limit of failed logins
        error = await refusal(call(first_s * 2**tries))
        if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            return error
    raise AssertionError("the server never answered in time")


def _unpack(packed: Any) -> Message:
    for kind in DETAIL_TYPES:
        if packed.Is(kind.DESCRIPTOR):
            message = kind()
            packed.Unpack(message)
            return message
    raise AssertionError(f"unknown detail {packed.type_url}")
