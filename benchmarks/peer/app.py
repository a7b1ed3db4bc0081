"""The routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from peer import accounts, answers, carts, catalog, keys, orders
from peer.cache import Cache
from peer.keys import Key
from peer.refusals import Refusal, invalid

PAGE_SIZE_MAX = 100
ADD_TO_CART, CHECKOUT = "/mercato.v1.CartService/AddCartItem", "/mercato.v1.OrderService/Checkout"
"""The method that each idempotency key is stored with. Mercato's names, because its `verify` checks them."""
POOL_SIZE = 16
"""Twice the connections of a Mercato worker, because each transaction keeps its connection through all of its round trips."""

# The settings of Mercato's connections, so that PostgreSQL plans alike and has the same timeouts.
SERVER_SETTINGS = {
    "application_name": "peer",
    "timezone": "UTC",
    "enable_seqscan": "off",
    "jit": "off",
    "statement_timeout": "10000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
}

Authorization = Annotated[str | None, Header()]
IdempotencyKey = Annotated[str | None, Header()]


class Units(BaseModel):
    """Body of a request that adds units."""

    model_config = ConfigDict(extra="forbid")

    quantity: int = Field(default=1, ge=1, le=carts.LINE_QUANTITY_MAX)


class Terms(BaseModel):
    """Body of a checkout, which has no fields here."""

    model_config = ConfigDict(extra="forbid")


def engine(database_url: str) -> AsyncEngine:
    """Return the pool; nothing connects before the first call."""

    async def connect() -> Any:
        return await asyncpg.connect(database_url, server_settings=SERVER_SETTINGS)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, pool_size=POOL_SIZE, max_overflow=0)


def create_app(database_url: str, secret: str, cached_s: float = 0.0) -> FastAPI:
    """Return the application; it keeps answers about products for `cached_s`."""
    pool = engine(database_url)
    products, pages = Cache(cached_s), Cache(cached_s)
    writing = async_sessionmaker(pool, expire_on_commit=False, autoflush=False)
    # A read is one statement, which needs neither BEGIN nor ROLLBACK.
    reading = async_sessionmaker(pool.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await pool.dispose()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_request)

    @app.get("/products/{product_id}")
    async def get_product(product_id: UUID) -> Response:
        async def load() -> bytes:
            async with reading() as db:
                return _serialized(answers.product(await catalog.get(db, product_id)))

        return _response(await products.get(product_id, load))

    @app.get("/products")
    async def list_products(page_size: Annotated[int, Query(ge=0)] = 20, page_token: str = "") -> Response:
        after, size = catalog.read_token(secret, page_token), min(page_size or 20, PAGE_SIZE_MAX)

        async def load() -> bytes:
            async with reading() as db:
                found, last = await catalog.newest(db, size, after)
            token = catalog.write_token(secret, last)
            return _serialized({"products": [answers.product(each) for each in found], "next_page_token": token, "corrected_q": ""})

        return _response(await pages.get((size, after), load))

    @app.post("/cart/add/{product_id}")
    async def add_to_cart(
        product_id: UUID, units: Units | None = None, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
    ) -> Response:
        caller, units = accounts.identify(authorization, secret), units or Units()
        content = product_id.bytes + units.quantity.to_bytes(4)
        key = Key.of(secret, caller.account_id, idempotency_key, ADD_TO_CART, content)
        async with writing.begin() as db:
            await accounts.require_live(db, caller)
            answer = await keys.claim(db, key)
            if answer is None:
                lines = await carts.add(db, caller.account_id, product_id, units.quantity)
                answer = orjson.dumps(answers.cart(lines))
                await keys.settle(db, key, answer)
        return _response(answer)

    @app.post("/orders/checkout")
    async def checkout(
        _terms: Terms | None = None, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
    ) -> Response:
        caller = accounts.identify(authorization, secret)
        key = Key.of(secret, caller.account_id, idempotency_key, CHECKOUT, b"")
        async with writing.begin() as db:
            await accounts.require_live(db, caller)
            answer, sold = await orders.checkout(db, caller.account_id, key)
        products.forget(sold)
        pages.clear()
        return _response(answer, 201)

    return app


def _serialized(content: answers.Content) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)


def _response(answer: bytes, status: int = 200) -> Response:
    return Response(answer, status, media_type="application/json")


async def _refuse(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)  # noqa: S101 - it is registered for this class
    return _response(_serialized(refusal.content), refusal.status)


async def _refuse_request(request: Request, error: Exception) -> Response:
    return await _refuse(request, invalid("INVALID_FIELD", str(error)))
