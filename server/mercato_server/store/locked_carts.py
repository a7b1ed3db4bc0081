"""The first half of a checkout: the carts of a batch, locked, with their stock and the products as they are priced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.carts import CartLine
from mercato_server.domain.orders import Terms
from mercato_server.store import admission, guest_networks, inventory, price_book
from mercato_server.store.idempotency import IdempotencyKey

# The lock of an account lets its checkouts pass one at a time, whatever lines they read: the limit of its unpaid orders needs that. The ids
# of the orders are made here, so that the response of an order is known, and stored, when it is placed.
LOCK_CARTS = f"""
WITH {admission.ADMITTED}, buyer AS MATERIALIZED (
    SELECT id AS account_id, email, email_verified_at IS NOT NULL AS verified, verified_contact, network, uuidv7() AS order_id
      FROM accounts
     WHERE id = ANY(ARRAY(SELECT account_id FROM admitted)) AND disabled_at IS NULL  -- also if that happened while this waited
     ORDER BY id
       FOR NO KEY UPDATE
), header AS MATERIALIZED (
    SELECT account_id, contact_email
      FROM carts
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY account_id
       FOR NO KEY UPDATE
), wanted AS MATERIALIZED (
    SELECT account_id, product_id, quantity, unit_price_minor
      FROM cart_items
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY account_id, product_id
       FOR UPDATE
), {inventory.LOCKED}
SELECT call.account_id, {admission.UNSERVED}, buyer.order_id, buyer.email,
       buyer.verified OR coalesce(buyer.verified_contact = header.contact_email, false) AS verified, buyer.network,
       header.account_id IS NOT NULL OR call.account_id = ANY(ARRAY(SELECT account_id FROM account_taxes WHERE account_id = ANY($1)))
           AS has_choices,
       now() AS at, {admission.IS_LATE},
       {price_book.VERSION},
       wanted.product_id, product.name, wanted.quantity, product.price_minor, wanted.unit_price_minor AS added_price_minor,
       coalesce(locked.on_hand, 0) AS stock, product.deleted_at IS NULL AS on_sale, product.category_id,
       coalesce(product.tax_category, '') AS tax_category, product.needs_delivery, product.weight_grams,
       product.options_text, product.version
  FROM call
  LEFT JOIN live USING (account_id)
  LEFT JOIN admitted USING (account_id)
  LEFT JOIN buyer USING (account_id)
  LEFT JOIN header USING (account_id)
  LEFT JOIN wanted USING (account_id)
  LEFT JOIN locked USING (product_id)
  LEFT JOIN LATERAL (SELECT name, price_minor, deleted_at, category_id, tax_category, needs_delivery, weight_grams,
                            options_text, version
                       FROM products
                      WHERE id = wanted.product_id
                     OFFSET 0) AS product ON TRUE
 ORDER BY call.account_id, wanted.product_id
"""  # noqa: S608 - constants

# A statement that waits for a lock returns the new version of the locked rows, but old versions of joined rows. So LOCK_CARTS may return a
# product as it was before the wait. Transactions that change a product hold its stock level: this statement reads the last version before
# the order.
GET_PRODUCTS = f"""
SELECT id, name, price_minor AS unit_price_minor, deleted_at IS NULL AS on_sale, category_id, coalesce(tax_category, '') AS tax_category,
       needs_delivery, weight_grams, options_text, version, {price_book.VERSION}
  FROM products
 WHERE id = ANY($1::uuid[])
"""  # noqa: S608 - constants

_OPEN_ORDERS = "FROM orders AS open WHERE open.account_id = guest.id AND open.status = 'placed'"

# A statement of its own: LOCK_CARTS takes a tenth longer with it, also if no buyer is a guest.
GET_CROWDED = f"""
SELECT network
  FROM unnest($1::bytea[]) AS own (network)
 WHERE {guest_networks.is_full("own.network", _OPEN_ORDERS, "$2::integer")}
"""  # noqa: S608 - constants

PRODUCT_FIELDS = ("name", "unit_price_minor", "on_sale", "category_id", "tax_category", "needs_delivery", "weight_grams", "options_text")
"""Fields of a line that are those of its product."""


@dataclass(frozen=True, slots=True, eq=False)  # identity as dict key costs nothing
class Checkout:
    """A buyer's command to order the cart. A checkout with `validate_only` has no key."""

    account_id: UUID
    session_id: UUID
    """The session that must be live."""
    key: IdempotencyKey | None = None
    terms: Terms = field(default_factory=Terms)
    validate_only: bool = False


class Buyer(NamedTuple):
    """A locked account with its cart, and what an order of it would be."""

    cart: Sequence[CartLine]
    order_id: UUID
    email: str | None
    """None for a guest."""
    verified: bool
    """Whether it has verified the e-mail address, or as a guest the contact address."""
    crowded: bool
    """Whether the guests of its network have as many unpaid orders as they may have together."""
    has_choices: bool
    """Whether the cart has a header, or the account is taxed otherwise."""


class Locked(NamedTuple):
    """The locked carts of a batch with their stock, and the products as they were priced."""

    buyers: Mapping[Checkout, Buyer]
    versions: Mapping[UUID, int]
    """By product."""
    rules_version: int
    """The version of the price rules."""
    at: datetime
    is_late: bool
    """Whether the products may have changed before their stock was locked. After that they do not."""

    def stock(self) -> dict[UUID, int]:
        """Return the units of the products that are on sale."""
        return {line.product_id: line.stock for buyer in self.buyers.values() for line in buyer.cart if line.on_sale}


async def lock(conn: "Conn", batch: Sequence[Checkout], open_orders: int) -> tuple[Locked, dict[Checkout, str | None]]:
    """Lock the accounts, their carts, then the stock of the products; return them, and why which checkouts are not admitted.

    `open_orders` is how many unpaid orders an account may have; 0 sets no limit.
    """
    requests = {request.account_id: request for request in batch}
    reasons: dict[Checkout, str | None] = {}
    carts: dict[Checkout, list[CartLine]] = {request: [] for request in batch}
    buyers: dict[Checkout, Buyer] = {}
    networks: dict[Checkout, bytes] = {}
    versions = {}
    at, rules_version, is_late = datetime.now(UTC), 0, False
    rows = await conn.fetch(LOCK_CARTS, *admission.arguments(batch))
    for row in rows:
        account_id, reason, order_id, email, verified, network, has_choices, at, is_late, rules_version, product_id, *fields, version = row
        request = requests[account_id]
        reasons[request] = reason or (None if order_id else admission.DISABLED)
        if reasons[request]:
            continue
        buyers[request] = Buyer(carts[request], order_id, email, verified, crowded=False, has_choices=has_choices)
        if network:
            networks[request] = network
        if product_id:
            carts[request].append(CartLine(product_id, *fields))
            versions[product_id] = version
    if networks and open_orders:
        crowded = {row["network"] for row in await conn.fetch(GET_CROWDED, list(set(networks.values())), open_orders)}
        buyers |= {request: buyers[request]._replace(crowded=network in crowded) for request, network in networks.items()}
    return Locked({request: buyers[request] for request in batch if request in buyers}, versions, rules_version, at, is_late), reasons


async def price_again(conn: "Conn", locked: Locked) -> Locked:
    """Return the carts with the products as they are now; while their stock is locked, they do not change."""
    products = {row["id"]: row for row in await conn.fetch(GET_PRODUCTS, list(locked.versions))}

    def now(line: CartLine) -> CartLine:
        row = products[line.product_id]
        return line._replace(**{name: row[name] for name in PRODUCT_FIELDS})

    buyers = {request: buyer._replace(cart=[now(line) for line in buyer.cart]) for request, buyer in locked.buyers.items()}
    versions = {product_id: row["version"] for product_id, row in products.items()}
    rules_version = max((row["rules_version"] for row in products.values()), default=locked.rules_version)
    return Locked(buyers, versions, rules_version, locked.at, is_late=True)
