"""Promotions, taxes and quotes in the markets of the fault tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from faults.buyers import Buyer, Goods, Market, Purchase, Tally
from faults.processes import open_channel
from mercato.v1 import cart_pb2, order_pb2
from mercato_server.database.pool import small_pool
from support import market
from support.shop import Person, Shop

MAKE_ADMIN = "UPDATE accounts SET role = 'admin' WHERE id = $1"

# As UpdateCartHeader does, but also codes that are used up.
SET_HEADER = """
INSERT INTO carts (account_id, codes, contact_email) VALUES ($1, $2, $3)
    ON CONFLICT (account_id) DO UPDATE
   SET codes = excluded.codes, contact_email = excluded.contact_email, version = nextval('cart_versions')
"""
GET_USES = "SELECT id::text, used FROM promotions"
SET_PRODUCTS = "UPDATE products SET tax_category = $1, needs_delivery = true, weight_grams = 400"


@asynccontextmanager
async def administered(goods: Goods, address: str) -> AsyncIterator[market.Market]:
    """Yield the shop for an administrator, who is the last of the buyers."""
    boss = goods.buyers[-1]
    async with small_pool(goods.database_url) as pool, open_channel(address) as channel:
        await pool.execute(MAKE_ADMIN, boss.id)
        yield market.Market(Shop(channel, pool), Person(str(boss.id), "", boss.token))


async def charge(trade: market.Market, tax_category: str = "standard") -> None:
    """Charge tax and delivery for all products."""
    await trade.open()
    await trade.shop.pool.execute(SET_PRODUCTS, tax_category)


async def choose(shop: Market, buyer: Buyer, **header: Any) -> None:
    """Change the header of a buyer's cart at any of the workers."""
    await shop.insist(shop.carts, "UpdateCartHeader", cart_pb2.UpdateCartHeaderRequest(**header), buyer)


async def enter(trade: market.Market, buyer: Buyer, *codes: str, contact_email: str | None = None) -> None:
    """Write codes into the header of a buyer's cart, whether they have uses left or not."""
    await trade.shop.pool.execute(SET_HEADER, buyer.id, [code.casefold() for code in codes], contact_email)


async def uses(trade: market.Market) -> dict[str, int]:
    """Return the uses of each promotion, as the shop counts them."""
    return {row["id"]: row["used"] for row in await trade.shop.pool.fetch(GET_USES)}


async def quote(shop: Market, buyer: Buyer) -> cart_pb2.Quote:
    """Ask any of the workers for a quote."""
    found: cart_pb2.Quote = await shop.insist(shop.carts, "QuoteCart", cart_pb2.QuoteCartRequest(), buyer)
    return found


def given(order: order_pb2.Order) -> set[str]:
    """Return the ids of the promotions that an order was given."""
    return {discount.promotion_id for discount in order.price.discounts}


def live(tally: Tally) -> list[Purchase]:
    """Return the purchases that were acknowledged and not cancelled."""
    return [purchase for purchase in tally.acknowledged if not purchase.cancelled]
