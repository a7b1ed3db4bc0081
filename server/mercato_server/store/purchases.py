"""The choices of buyers besides products, read for many buyers at once, and the prices of their carts."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.config.settings import OrderRules
from mercato_server.database.pool import Conn
from mercato_server.domain.carts import CartLine
from mercato_server.domain.orders import Basket, Sale
from mercato_server.domain.pricing import PriceRules
from mercato_server.domain.purchases import NO_CHOICES, CartHeader, Choices, PricedCart, PriceTerms
from mercato_server.domain.redemptions import NO_USES, UsesLeft, subjects
from mercato_server.domain.taxes import TaxTreatment
from mercato_server.store import quotes, redemptions
from mercato_server.store.locked_carts import Checkout, Locked
from mercato_server.store.order_prices import address
from mercato_server.store.price_book import PriceBook

GET_CHOICES = """
SELECT account.id AS account_id, account.email, shipping_address, billing_address, shipping_method_id, codes, contact_email, note, version,
       treatment
  FROM accounts AS account
  LEFT JOIN carts ON carts.account_id = account.id
  LEFT JOIN account_taxes ON account_taxes.account_id = account.id
 WHERE account.id = ANY($1::uuid[])
"""


def header(row: asyncpg.Record) -> CartHeader:
    """Return the header of a row of `carts`, which has its columns; they are NULL for a buyer without one."""
    return CartHeader(
        shipping_address=address(row["shipping_address"]),
        billing_address=address(row["billing_address"]),
        shipping_method_id=row["shipping_method_id"],
        codes=tuple(row["codes"] or ()),
        contact_email=row["contact_email"],
        note=row["note"] or "",
        version=row["version"] or 0,
    )


async def choices(conn: "Conn", account_ids: Collection[UUID]) -> dict[UUID, Choices]:
    """Return the choices of buyers, with the codes that the shop knows; one statement more if there are codes."""
    if not account_ids:
        return {}
    rows = await conn.fetch(GET_CHOICES, list(account_ids))
    entered = {code for row in rows for code in row["codes"] or ()}
    known = await redemptions.resolve(conn, entered) if entered else {}
    found = {}
    for row in rows:
        chosen = header(row)
        found[row["account_id"]] = Choices(
            header=chosen,
            treatment=TaxTreatment(row["treatment"] or TaxTreatment.NORMAL),
            codes={code: known[code] for code in chosen.codes if code in known},
            subjects=tuple(subjects(row["account_id"], chosen.contact_email or row["email"])),
        )
    return found


async def uses(conn: "Conn", rules: PriceRules, at: datetime, choosing: Collection[Choices], *, lock: bool) -> UsesLeft:
    """Return the uses of the limited promotions that buyers may use; one statement, and none without such promotions."""
    named = {entered.promotion_id for each in choosing for entered in each.codes.values()}
    promotions = [each for each in rules.promotions.values() if (not each.needs_code or each.id in named) and each.is_open(at)]
    limited = {each.id: each for each in promotions if each.is_limited}
    codes = {code for each in choosing for code, entered in each.codes.items() if entered.usage_limit is not None}
    if not limited and not codes:
        return NO_USES
    everyone = {subject for each in choosing for subject in each.subjects}
    found = await (redemptions.lock if lock else redemptions.read)(conn, limited, codes, everyone)
    return UsesLeft(found)


def _are_counted(rules: PriceRules) -> bool:
    """Return whether the uses of a promotion without a code are counted, so that each buyer matters."""
    return any(promotion.is_limited for promotion in rules.automatic)


async def offer(conn: "Conn", locked: Locked, book: PriceBook, limits: OrderRules) -> tuple[dict[Checkout, Basket], Sale]:
    """Return the baskets of locked carts, and what the shop sells to them; it locks the promotions whose uses are limited."""
    rules = await book.at(conn, locked.rules_version)
    found = await choices(conn, [request.account_id for request, buyer in locked.buyers.items() if buyer.has_choices])
    if rules.automatic:  # whose uses are written with their buyers
        others = {request.account_id: buyer.email for request, buyer in locked.buyers.items() if not buyer.has_choices}
        found |= {account_id: Choices(subjects=tuple(subjects(account_id, email))) for account_id, email in others.items()}
    left = await uses(conn, rules, locked.at, found.values(), lock=True)
    named = [(request.terms.quote_id, request.account_id) for request in locked.buyers if request.terms.quote_id]
    quoted = await quotes.read(conn, named) if named else {}
    baskets = {
        request: Basket(
            buyer.cart,
            request.terms,
            request.validate_only,
            buyer.verified,
            found.get(request.account_id, NO_CHOICES),
            quoted.get(request.account_id),
            has_contact=bool(buyer.email or found.get(request.account_id, NO_CHOICES).header.contact_email),
            crowded=buyer.crowded,
        )
        for request, buyer in locked.buyers.items()
    }
    sale = Sale(locked.stock(), rules, locked.at, left, limits.units_per_product, limits.verified_only, limits.network_orders)
    return baskets, sale


class Found(NamedTuple):
    """Carts, and what the statement that has read them has seen besides."""

    carts: Mapping[UUID, tuple[CartLine, ...]]
    choosing: AbstractSet[UUID]
    """The accounts whose cart has a header, or that are taxed otherwise."""
    at: datetime
    rules_version: int
    """The version of the price rules."""


async def price_carts(conn: "Conn", found: Found, book: PriceBook) -> tuple[dict[UUID, PricedCart], PriceTerms]:
    """Return carts with what they cost now, and what else that depends on."""
    rules = await book.at(conn, found.rules_version)
    chosen = await choices(conn, found.carts if _are_counted(rules) else found.choosing)
    terms = PriceTerms(rules, found.at, await uses(conn, rules, found.at, chosen.values(), lock=False))
    return {account_id: terms.cart(lines, chosen.get(account_id, NO_CHOICES)) for account_id, lines in found.carts.items()}, terms
