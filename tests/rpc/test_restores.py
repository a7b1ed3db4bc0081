"""A shop that was set back: what it gave out in the time that was lost means nothing any more."""

from contextlib import suppress
from uuid import UUID

import grpc
from grpc import StatusCode

from mercato.v1 import auth_pb2, cart_pb2, catalog_pb2, order_pb2, user_pb2
from mercato_server.database.pool import Pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import events, restores
from mercato_server.store.events import Cursor
from support.commands import sound
from support.one_time_tokens import issue
from support.patience import until
from support.restored_shops import connected, past_shop
from support.shop import Person, Shop, refusal, settings_of, worker

NEW_PASSWORD = "another-secret-1"


async def rename(shop: Shop, admin: Person, product: catalog_pb2.Product, name: str, etag: str = "") -> catalog_pb2.Product:
    request = catalog_pb2.UpdateProductRequest(product=catalog_pb2.Product(id=product.id, name=name, etag=etag))
    request.update_mask.paths.append("name")
    return await shop.catalog.UpdateProduct(request, metadata=admin.metadata)


async def advance(shop: Shop, admin: Person, order: order_pb2.Order, status: int, etag: str = "") -> order_pb2.Order:
    request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=status, etag=etag)  # type: ignore[arg-type] # a number
    return await shop.orders.AdvanceOrder(request, metadata=admin.metadata)


async def write_note(shop: Shop, buyer: Person, note: str, etag: str = "") -> cart_pb2.CartHeader:
    request = cart_pb2.UpdateCartHeaderRequest(note=note, etag=etag)
    return await shop.carts.UpdateCartHeader(request, metadata=buyer.metadata)


async def test_an_etag_of_the_lost_time_never_matches_what_is_written_after_it(postgres: Postgres) -> None:
    async with past_shop(postgres) as past:
        async with connected(past.url) as pool, worker(settings_of(past.url), pool) as shop:
            admin, buyer = await shop.person(admin=True), await shop.person()
            ball = await shop.product(admin)
            await shop.add(buyer, ball)
            order = await shop.checkout(buyer)
            await write_note(shop, buyer, "at noon")
        await past.copy()
        async with connected(past.url) as pool, worker(settings_of(past.url), pool) as shop:
            lost_ball = await rename(shop, admin, ball, "Lost")
            lost_order = await advance(shop, admin, order, order_pb2.ORDER_STATUS_PAID)
            lost_note = await write_note(shop, buyer, "never")
        await past.mark()
        async with connected(past.restored) as pool, worker(settings_of(past.restored), pool) as shop:
            admin, buyer = await again(shop, admin), await again(shop, buyer)
            ball = await rename(shop, admin, ball, "Found")
            order = await advance(shop, admin, order, order_pb2.ORDER_STATUS_PAID)
            note = await write_note(shop, buyer, "soon")
            for call in (
                rename(shop, admin, ball, "Wrong", lost_ball.etag),
                advance(shop, admin, order, order_pb2.ORDER_STATUS_SHIPPED, lost_order.etag),
                write_note(shop, buyer, "wrong", lost_note.etag),
            ):
                assert (await refusal(call)).reason == "ETAG_MISMATCH"
            await rename(shop, admin, ball, "Right", ball.etag)
            await advance(shop, admin, order, order_pb2.ORDER_STATUS_SHIPPED, order.etag)
            await write_note(shop, buyer, "right", note.etag)
        assert await sound(past.restored)


async def again(shop: Shop, person: Person) -> Person:
    """Log a person in anew."""
    return await shop._in_session(UUID(person.id), person.email)


async def test_all_sessions_end_also_those_that_a_worker_remembers(shop: Shop, pool: "Pool") -> None:
    person, admin = await shop.person(), await shop.person(admin=True)

    async def is_refused() -> bool:
        with suppress(grpc.aio.AioRpcError):
            await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=person.metadata)
            return False
        return True

    assert not await is_refused()
    await restores.mark(pool, None, takes_payments=False)
    await until(is_refused, "the worker forgets the session")
    error = await refusal(shop.users.GetMe(user_pb2.GetMeRequest(), metadata=person.metadata))
    assert (error.code, error.reason) == (StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    error = await refusal(shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=person.id), metadata=admin.metadata))
    assert error.reason == "TOKEN_INVALID"
    error = await refusal(shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=person.refresh_token)))
    assert error.reason == "REFRESH_TOKEN_INVALID"
    known = await again(shop, person)
    assert (await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=known.metadata)).id == person.id


async def test_the_tokens_of_mails_end(shop: Shop, pool: "Pool") -> None:
    token = await issue(pool, await shop.person(), "reset_password")
    await restores.mark(pool, None, takes_payments=False)
    error = await refusal(shop.auth.ResetPassword(auth_pb2.ResetPasswordRequest(token=token, new_password=NEW_PASSWORD)))
    assert error.reason == "ONE_TIME_TOKEN_INVALID"


async def test_the_feed_tells_the_restore_and_gives_no_id_of_an_event_twice(shop: Shop, pool: "Pool") -> None:
    await shop.product(await shop.person(admin=True))
    last = max(entry.cursor.id for entry in await events.read(pool, Cursor(), 100))
    await restores.mark(pool, None, takes_payments=False)
    told = [entry for entry in await events.read(pool, Cursor(), 100) if entry.cursor.id > last]
    assert "shop.restored" in {entry.kind for entry in told}
    assert min(entry.cursor.id for entry in told) >= last + restores.NUMBER_STEP


async def test_a_shop_that_never_took_payments_is_not_paused_and_each_restore_is_audited(pool: "Pool") -> None:
    for restored in range(1, 3):
        await restores.mark(pool, None, takes_payments=False)
        assert tuple(await pool.fetchrow("SELECT restores, payments_paused_at FROM database_origin") or ()) == (restored, None)
    await restores.mark(pool, None, takes_payments=True)
    assert await pool.fetchval("SELECT payments_paused_at IS NOT NULL FROM database_origin")
    assert await pool.fetchval("SELECT count(*) FROM audit_log WHERE action = 'shop.restored' AND after ? 'uid'") == 3
