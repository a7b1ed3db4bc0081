"""The headers of carts: where they go, how, and with which codes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import connection, retry_conflicts, transaction
from mercato_server.domain.errors import require_etag
from mercato_server.domain.postal_addresses import to_json
from mercato_server.domain.pricing import PriceRules
from mercato_server.domain.promotion_errors import PromotionExhausted, PromotionInvalid, TooManyGuesses
from mercato_server.domain.purchases import CartHeader, PriceTerms
from mercato_server.domain.shipping_errors import ShippingMethodNotFound
from mercato_server.store import addresses, price_book, purchases
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.price_book import PriceBook
from mercato_server.store.sessions import session_ended

# Locks the header, which it makes if there is none yet.
LOCK_HEADER = f"""
INSERT INTO carts AS cart (account_id)
SELECT id FROM accounts WHERE id = $1 AND disabled_at IS NULL FOR KEY SHARE  -- it may have been erased since the call began
    ON CONFLICT (account_id) DO UPDATE SET version = cart.version
RETURNING now() AS at, {price_book.VERSION}, xmax = 0 AS is_new
"""  # noqa: S608 - constants

FIND_METHOD = "SELECT EXISTS (SELECT FROM shipping_methods WHERE id = $1 AND archived_at IS NULL)"

UPDATE_HEADER = """
UPDATE carts
   SET shipping_address = $2, billing_address = $3, shipping_method_id = $4, codes = $5, contact_email = $6, note = $7,
       version = nextval('cart_versions'), updated_at = now()
 WHERE account_id = $1
   AND NOT EXISTS (SELECT  -- a guest whose cart a login has merged while LOCK_HEADER waited for it
                     FROM accounts
                    WHERE id = $1 AND role = 'guest'
                      AND NOT EXISTS (SELECT FROM sessions AS session WHERE session.account_id = $1 AND session.ended_at IS NULL))
RETURNING version
"""

GUESSES_MAX = 20
"""Codes that an account may try in vain in GUESS_WINDOW."""

# Counts codes before they are looked up, so that calls at once cannot try more than one after the other could.
COUNT_GUESSES = """
INSERT INTO promotion_guesses AS known (account_id, guesses)
SELECT id, $2 FROM accounts WHERE id = $1 AND disabled_at IS NULL FOR KEY SHARE
    ON CONFLICT (account_id) DO UPDATE
   SET guesses = CASE WHEN known.since < now() - interval '10 minutes' THEN 0 ELSE known.guesses END + excluded.guesses,
       since = CASE WHEN known.since < now() - interval '10 minutes' THEN now() ELSE known.since END
RETURNING guesses, extract(epoch FROM since + interval '10 minutes' - now())::float8 AS retry_after_s
"""

FORGET_GUESSES = "UPDATE promotion_guesses SET guesses = greatest(0, guesses - $2) WHERE account_id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to change the header of an account's cart."""

    account_id: UUID
    fields: Mapping[str, Any]
    """New values by fields of CartHeader."""
    addresses: Mapping[str, UUID]
    """Addresses of the account's address book by the field that gets a copy."""
    etags: Collection[str]

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that it enters."""
        return tuple(self.fields.get("codes", ()))


async def get(pool: "Pool", account_id: UUID) -> CartHeader:
    """Return the header of an account's cart."""
    async with connection(pool) as conn:
        found = await purchases.choices(conn, [account_id])
    return found[account_id].header if found else CartHeader()


async def update(pool: "Pool", change: Update, book: PriceBook, key: IdempotencyKey | None = None) -> CartHeader | Stored:
    """Change the header of a cart.

    Raises EtagMismatch, AddressNotFound, ShippingMethodNotFound, PromotionInvalid, PromotionExhausted, TooManyGuesses, or TokenInvalid
    if the sessions of a guest have ended meanwhile, or the account was disabled or erased.
    """
    if not change.codes:
        return await _update(pool, change, book, key)
    counted = await pool.fetchrow(COUNT_GUESSES, change.account_id, len(change.codes))
    if counted is None:
        raise session_ended()
    guesses, retry_after_s = counted
    if guesses > GUESSES_MAX:
        raise TooManyGuesses(retry_after_s)
    try:
        return await _update(pool, change, book, key)
    except (PromotionInvalid, PromotionExhausted):
        guesses = 0
        raise
    finally:
        if guesses:
            await pool.execute(FORGET_GUESSES, change.account_id, len(change.codes))


@retry_conflicts
async def _update(pool: "Pool", change: Update, book: PriceBook, key: IdempotencyKey | None) -> CartHeader | Stored:
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _change(conn, change, book))


async def _change(conn: "Conn", change: Update, book: PriceBook) -> CartHeader:
    locked = await conn.fetchrow(LOCK_HEADER, change.account_id)
    if locked is None:
        raise session_ended()
    at, rules_version, is_new = locked
    choices = (await purchases.choices(conn, [change.account_id]))[change.account_id]
    current = CartHeader() if is_new else choices.header
    require_etag("cart header", change.etags, current.etag)
    copies: dict[str, Any] = {
        name: (await addresses.get(conn, change.account_id, id_)).postal_address for name, id_ in change.addresses.items()
    }
    wanted = replace(current, **change.fields, **copies)
    if wanted.shipping_method_id and not await conn.fetchval(FIND_METHOD, wanted.shipping_method_id):
        raise ShippingMethodNotFound(wanted.shipping_method_id)
    version = await conn.fetchval(UPDATE_HEADER, change.account_id, *columns(wanted))
    if version is None:
        raise session_ended()
    if change.codes:
        await _check_codes(conn, change.account_id, await book.at(conn, rules_version), at)
    return replace(wanted, version=version)


def columns(header: CartHeader) -> tuple[object, ...]:
    """Return the columns of a header, in the order in which statements write them."""
    return (
        header.shipping_address and to_json(header.shipping_address),
        header.billing_address and to_json(header.billing_address),
        header.shipping_method_id,
        header.codes,
        header.contact_email,
        header.note,
    )


async def _check_codes(conn: "Conn", account_id: UUID, rules: PriceRules, at: datetime) -> None:
    """Raise PromotionInvalid or PromotionExhausted if a code of the header that was just written cannot be used now."""
    found = await purchases.choices(conn, [account_id])
    uses = await purchases.uses(conn, rules, at, found.values(), lock=False)
    if refusal := PriceTerms(rules, at, uses).offered(found[account_id]).refusal:
        raise refusal
