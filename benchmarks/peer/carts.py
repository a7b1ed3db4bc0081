"""Carts."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Integer, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from peer.refusals import product_not_found, unmet
from peer.tables import CartItem, Product, StockLevel

LINE_QUANTITY_MAX = 1_000
LINES_MAX = 200

ITEM = CartItem.__table__

# One statement checks the product and the limit of lines: it is one round trip, and no other call can change a row in between.
_WANTED = insert(ITEM).from_select(
    ["account_id", "product_id", "quantity", "unit_price_minor", "currency_code"],
    select(
        bindparam("account", type_=PG_UUID), Product.id, bindparam("quantity", type_=Integer), Product.price_minor, Product.currency_code
    ).where(
        Product.id == bindparam("product", type_=PG_UUID),
        Product.deleted_at.is_(None),
        select(func.count())
        .select_from(ITEM)
        .where(ITEM.c.account_id == bindparam("account", type_=PG_UUID), ITEM.c.product_id != Product.id)
        .scalar_subquery()
        < literal(LINES_MAX),
    ),
)
ADD = _WANTED.on_conflict_do_update(
    index_elements=[ITEM.c.account_id, ITEM.c.product_id],
    set_={"quantity": ITEM.c.quantity + _WANTED.excluded.quantity},
    where=ITEM.c.quantity + _WANTED.excluded.quantity <= literal(LINE_QUANTITY_MAX),
).returning(ITEM.c.product_id)

GET_ON_SALE = select(Product.id).where(Product.id == bindparam("product"), Product.deleted_at.is_(None))

_LINES = (
    select(CartItem)
    .join(CartItem.product)
    .join(Product.level)
    .options(contains_eager(CartItem.product).contains_eager(Product.level))
    .where(CartItem.account_id == bindparam("account"))
)
LINES = _LINES.order_by(CartItem.added_at, CartItem.product_id)
# One lock order for all buyers, so that none can deadlock. Products are locked too: unlocked rows are read as of before the wait.
LOCKED_LINES = _LINES.order_by(CartItem.product_id).with_for_update(key_share=True, of=[CartItem, Product, StockLevel])


async def add(db: AsyncSession, account_id: UUID, product_id: UUID, quantity: int) -> Sequence[CartItem]:
    """Add units of a product and return the cart, its lines in the order in which they were added."""
    added = await db.execute(ADD, {"account": account_id, "product": product_id, "quantity": quantity})
    if added.first() is None:
        if (await db.execute(GET_ON_SALE, {"product": product_id})).first() is None:
            raise product_not_found(product_id)
        raise unmet("CART_LIMIT", f"a cart holds at most {LINES_MAX} lines of at most {LINE_QUANTITY_MAX} units")
    return (await db.scalars(LINES, {"account": account_id})).all()


async def lock(db: AsyncSession, account_id: UUID) -> Sequence[CartItem]:
    """Return the cart sorted by product, with its lines and products locked in that order."""
    return (await db.scalars(LOCKED_LINES, {"account": account_id})).all()
