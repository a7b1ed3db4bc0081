"""The merge of a guest's cart into the cart of the account that logs in, within the transaction of the login."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.database.transactions import StaleReadError
from mercato_server.domain.accounts import SessionEnd
from mercato_server.domain.cart_merges import Cart, Line, Merge, MergeMode, merged_header, merged_lines, told
from mercato_server.domain.carts import LINE_QUANTITY_MAX
from mercato_server.store import cart_headers, guests, joined_orders, purchases, sessions

# Both accounts in one lock order, whichever of them is the guest. The guest's lock is made stronger by LOCK_GUEST.
LOCK_ACCOUNTS = f"""
SELECT id
  FROM accounts
 WHERE id = $2 OR id = (SELECT account.id FROM {guests.LIVE_GUEST})
 ORDER BY id
   FOR NO KEY UPDATE
"""  # noqa: S608 - constants

LOCK_HEADERS = """
SELECT account_id, shipping_address, billing_address, shipping_method_id, codes, contact_email, note, version
  FROM carts
 WHERE account_id = ANY($1::uuid[])
 ORDER BY account_id
   FOR NO KEY UPDATE
"""

LOCK_LINES = """
SELECT account_id, product_id, quantity, unit_price_minor, currency_code, added_at
  FROM cart_items
 WHERE account_id = ANY($1::uuid[])
 ORDER BY account_id, product_id
   FOR UPDATE
"""

REMOVE_LINES = "DELETE FROM cart_items WHERE account_id = $1 AND product_id = ANY($2::uuid[])"

# It adds units, so that a line which another call has made since the carts were locked keeps its own.
ADD_UNITS = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code, added_at)
SELECT $1, product_id, quantity, unit_price_minor, currency_code, added_at
  FROM unnest($2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::timestamptz[])
       AS merged (product_id, quantity, unit_price_minor, currency_code, added_at)
 ORDER BY product_id
    ON CONFLICT (account_id, product_id) DO UPDATE
   SET quantity = least(cart_items.quantity + excluded.quantity, $7::integer), unit_price_minor = excluded.unit_price_minor,
       added_at = excluded.added_at
"""

NO_VERSION = -1

PUT_HEADER = """
INSERT INTO carts (account_id, shipping_address, billing_address, shipping_method_id, codes, contact_email, note)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (account_id) DO UPDATE
   SET shipping_address = excluded.shipping_address, billing_address = excluded.billing_address,
       shipping_method_id = excluded.shipping_method_id, codes = excluded.codes, contact_email = excluded.contact_email,
       note = excluded.note, version = nextval('cart_versions'), updated_at = now()
 WHERE carts.version = $8  -- the one that is locked; none, if another call has made the header since
RETURNING version
"""

REMOVE_HEADER = "DELETE FROM carts WHERE account_id = $1"

GET_ORDERS_LEFT = """
SELECT EXISTS (SELECT FROM orders WHERE account_id = $1) AS has_orders,
       EXISTS (SELECT FROM orders WHERE account_id = $1 AND status = 'placed') AS has_open
"""


@dataclass(frozen=True, slots=True)
class Joining:
    """A guest that joins the account of a login or sign-up."""

    token_digest: bytes
    """Digest of the guest's refresh token."""
    mode: MergeMode = MergeMode.SUM
    units_max: int = LINE_QUANTITY_MAX
    """Most units of a line."""


async def lock(conn: "Conn", account_id: UUID, joining: Joining) -> UUID | None:
    """Lock an account, and the guest that joins it; return the guest, or None if the token is not that of a live guest."""
    await conn.execute(LOCK_ACCOUNTS, joining.token_digest, account_id)
    return await guests.lock(conn, joining.token_digest)


async def merge(conn: "Conn", account_id: UUID, guest_id: UUID | None, joining: Joining) -> Merge:
    """Merge the cart of a guest into that of an account, both of them locked, and move its orders if the account's address is verified.

    A guest that then has no orders is deleted, so that no call that began before can leave a line with it. The sessions of one with orders
    end, except while an order is unpaid: only its guest can pay or cancel it.
    """
    if guest_id is None:
        return Merge(merged=False, mode=joining.mode)
    await joined_orders.join(conn, account_id)
    account, guest = await _carts(conn, account_id, guest_id)
    after = Cart(merged_lines(joining.mode, account, guest, joining.units_max), merged_header(joining.mode, account, guest))
    await _write(conn, account_id, account, after)
    left = await conn.fetchrow(GET_ORDERS_LEFT, guest_id)
    if left is None or not left["has_orders"]:
        await guests.delete(conn, [guest_id])
    else:
        if not left["has_open"]:
            await sessions.end_others(conn, guest_id, SessionEnd.REVOKED)
        await conn.execute(REMOVE_LINES, guest_id, list(guest.lines))
        await conn.execute(REMOVE_HEADER, guest_id)
    return told(joining.mode, account, guest, after)


async def _carts(conn: "Conn", *account_ids: UUID) -> list[Cart]:
    """Lock the carts of accounts, and return them."""
    headers = {row["account_id"]: purchases.header(row) for row in await conn.fetch(LOCK_HEADERS, account_ids)}
    lines: dict[UUID, dict[UUID, Line]] = {account_id: {} for account_id in account_ids}
    for account_id, product_id, *fields in await conn.fetch(LOCK_LINES, account_ids):
        lines[account_id][product_id] = Line(product_id, *fields)
    return [Cart(lines[account_id], headers.get(account_id)) for account_id in account_ids]


async def _write(conn: "Conn", account_id: UUID, before: Cart, after: Cart) -> None:
    """Change the cart of an account by what differs."""
    gone = [product_id for product_id, line in before.lines.items() if _is_replaced(line, after.lines.get(product_id))]
    if gone:
        await conn.execute(REMOVE_LINES, account_id, gone)
    kept = {product_id: line.quantity for product_id, line in before.lines.items() if product_id not in gone}
    added = [line._replace(quantity=line.quantity - kept.get(line.product_id, 0)) for line in after.lines.values()]
    await _add(conn, account_id, [line for line in added if line.quantity])
    if after.header == before.header:
        return
    if after.header is None:
        await conn.execute(REMOVE_HEADER, account_id)
    else:
        known = before.header.version if before.header else NO_VERSION
        if await conn.fetchval(PUT_HEADER, account_id, *cart_headers.columns(after.header), known) is None:
            raise StaleReadError


def _is_replaced(line: Line, wanted: Line | None) -> bool:
    """Return whether a line is removed, maybe to be written anew with fewer units or as the guest has seen it."""
    return wanted is None or (line != wanted and wanted.quantity <= line.quantity)


async def _add(conn: "Conn", account_id: UUID, lines: Sequence[Line]) -> None:
    if lines:
        columns: Iterable[tuple[object, ...]] = zip(*lines, strict=True)
        await conn.execute(ADD_UNITS, account_id, *map(list, columns), LINE_QUANTITY_MAX)
