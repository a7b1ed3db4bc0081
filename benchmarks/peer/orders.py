"""Orders."""

from collections.abc import Sequence
from uuid import UUID

import orjson
from sqlalchemy import Integer, bindparam, delete, func, insert, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from peer import answers, carts, keys
from peer.keys import Key
from peer.refusals import unmet
from peer.tables import CartItem, Event, Order, OrderHistory, OrderItem, StockEntry, StockLevel

ITEM, LEVEL = CartItem.__table__, StockLevel.__table__

# One execution for all lines, which asyncpg sends at once.
TAKE_STOCK = (
    update(LEVEL)
    .where(LEVEL.c.product_id == bindparam("product", type_=PG_UUID), LEVEL.c.location_id == 1)
    .values(on_hand=LEVEL.c.on_hand - bindparam("quantity", type_=Integer), version=LEVEL.c.version + 1, updated_at=func.now())
)
EMPTY_CART = delete(ITEM).where(
    ITEM.c.account_id == bindparam("account", type_=PG_UUID), ITEM.c.product_id == bindparam("product", type_=PG_UUID)
)
INSERT_ITEMS, INSERT_HISTORY = insert(OrderItem.__table__), insert(OrderHistory.__table__)
INSERT_SALES, INSERT_EVENTS = insert(StockEntry.__table__), insert(Event.__table__)
PLACE = upsert(Order.__table__).on_conflict_do_nothing().returning(Order.__table__.c.id, Order.__table__.c.created_at)


async def checkout(db: AsyncSession, account_id: UUID, key: Key | None) -> tuple[bytes, list[UUID]]:
    """Buy the cart in the caller's transaction; return the answer, the stored one if the key was used before, and the sold products."""
    if (earlier := await keys.claim(db, key)) is not None:
        return earlier, []
    lines = await carts.lock(db, account_id)
    _require_stock(lines)
    order = await _place(db, account_id, lines, key)
    answer = orjson.dumps(order, option=orjson.OPT_UTC_Z)
    await keys.settle(db, key, answer)
    return answer, [line.product_id for line in lines]


def _require_stock(lines: Sequence[CartItem]) -> None:
    if not lines:
        raise unmet("CART_EMPTY", "the cart is empty; add a product first")
    left = {line.product_id: line.product.level.on_hand if line.product.deleted_at is None else 0 for line in lines}
    short = [line for line in lines if left[line.product_id] < line.quantity]
    if short:
        named = (f"{line.product.name} (wanted {line.quantity}, available {left[line.product_id]})" for line in short)
        raise unmet("OUT_OF_STOCK", "not enough stock: " + ", ".join(named))


async def _place(db: AsyncSession, account_id: UUID, lines: Sequence[CartItem], key: Key | None) -> answers.Content:
    """Write the order with its lines, ledger, history and event. The stock suffices and is locked."""
    total = sum(line.product.price_minor * line.quantity for line in lines)
    placed = {
        "account_id": account_id,
        "status": "placed",
        "currency_code": answers.CURRENCY,
        "total_minor": total,
        "idempotency_key": key.key if key else None,
    }
    row = (await db.execute(PLACE, placed)).first()
    if row is None:  # an order whose stored answer has expired has this key
        raise keys.reused()
    order_id, created_at = row
    history = {"order_id": order_id, "version": 1, "status": "placed", "actor_kind": "buyer", "actor_id": account_id, "reason": ""}
    items = [
        {
            "order_id": order_id,
            "product_id": line.product_id,
            "product_name": line.product.name,
            "unit_price_minor": line.product.price_minor,
            "currency_code": answers.CURRENCY,
            "quantity": line.quantity,
        }
        for line in lines
    ]
    sales = [{"product_id": line.product_id, "order_id": order_id, "kind": "sale", "delta": -line.quantity} for line in lines]
    happened = [{"kind": "order.placed", "subject_id": order_id, "payload": {"account_id": str(account_id)}}]
    happened += [{"kind": "stock.changed", "subject_id": line.product_id, "payload": {}} for line in lines]
    await db.execute(INSERT_ITEMS, items)
    await db.execute(INSERT_HISTORY, history)
    await db.execute(INSERT_SALES, sales)
    await db.execute(TAKE_STOCK, [{"product": line.product_id, "quantity": line.quantity} for line in lines])
    await db.execute(EMPTY_CART, [{"account": account_id, "product": line.product_id} for line in lines])
    await db.execute(INSERT_EVENTS, happened)
    return answers.order(order_id, account_id, created_at, lines)
