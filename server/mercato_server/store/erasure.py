"""The erasure of accounts, and of what orders say about their buyers.

The account stays as its id and role, because orders, history and the audit log refer to it. Orders stay with their lines, amounts, and
the country and region of their taxes.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor, Role
from mercato_server.domain.erasure_errors import OrdersUnfinished
from mercato_server.domain.errors import LastAdmin, PasswordWrong, UserNotFound
from mercato_server.domain.messages import LISTED_MAX
from mercato_server.store import audit_log, belongings, login_attempts
from mercato_server.store.login_attempts import Counters

# The lock order has these before the account, and a reset holds one while it waits for the account. They are deleted later, because they
# tell which mails are those of the account.
LOCK_TOKENS = "SELECT digest FROM one_time_tokens WHERE account_id = $1 ORDER BY digest FOR UPDATE"

# Of administrators all are locked, so that two who erase themselves do not both find the other one left.
LOCK_ACCOUNTS = """
SELECT id, role, password_hash, disabled_at, erased_at
  FROM accounts
 WHERE id = $1 OR (role = 'admin' AND (SELECT role FROM accounts WHERE id = $1) = 'admin')
 ORDER BY id
   FOR UPDATE
"""

# Their goods, their money or a dispute about them may still need the buyer's address. Only orders to the contact $2, unless that is NULL.
GET_UNFINISHED = """
SELECT coalesce(number, id::text) AS name
  FROM orders
 WHERE account_id = $1 AND ($2::text IS NULL OR contact_email = $2)
   AND (status IN ('placed', 'paid')
        OR id IN (SELECT order_id FROM refunds WHERE state IN ('requested', 'pending'))
        OR id IN (SELECT order_id FROM disputes WHERE state IN ('inquiry', 'open')))
 ORDER BY orders.id
 LIMIT $3
"""

LOCK_ORDERS = """
SELECT id, erased_at
  FROM orders
 WHERE account_id = $1 AND ($2::text IS NULL OR contact_email = $2)
 ORDER BY id
   FOR NO KEY UPDATE
"""

# An order keeps its version and times: nothing has happened to it. The number of a buyer who owes the tax instead of the shop is a ground
# of the taxation, as the country is.
CLEAR_ORDERS = """
UPDATE orders
   SET contact_email = NULL, note = NULL, idempotency_key = NULL, erased_at = now(),
       shipping_address = (SELECT jsonb_object_agg(key, value)
                             FROM jsonb_each(shipping_address)
                            WHERE key IN ('country_code', 'region') OR (key = 'vat_number' AND tax_treatment = 'reverse_charge')),
       billing_address = (SELECT jsonb_object_agg(key, value)
                            FROM jsonb_each(billing_address)
                           WHERE key IN ('country_code', 'region') OR (key = 'vat_number' AND tax_treatment = 'reverse_charge'))
 WHERE id = ANY($1::uuid[])
"""

# The words of people, also those of administrators, who may have named the buyer.
CLEAR_WORDS = """
WITH history AS (
    UPDATE order_history SET reason = '' WHERE order_id = ANY($1::uuid[]) AND actor_kind IN ('buyer', 'administrator') AND reason <> ''
), refunded AS (
    UPDATE refunds SET reason = '' WHERE order_id = ANY($1::uuid[]) AND actor_kind IN ('buyer', 'administrator') AND reason <> ''
), returned AS (
    UPDATE returns SET reason = '' WHERE order_id = ANY($1::uuid[]) AND reason <> ''
), shipped AS (
    UPDATE shipments SET tracking_number = '', tracking_url = '' WHERE order_id = ANY($1::uuid[]) AND tracking_number || tracking_url <> ''
), mailed AS (
    DELETE FROM mails WHERE order_id = ANY($1::uuid[])
)
DELETE FROM order_notes WHERE order_id = ANY($1::uuid[])
"""

# Entries of earlier releases may have an address and a name.
CLEAR_ENTRIES = """
UPDATE audit_log
   SET before = before - $2::text[], after = after - $2::text[]
 WHERE subject_id = $1 AND (before ?| $2 OR after ?| $2)
"""
ENTRY_FIELDS = ["email", "full_name", "tax_number"]
"""Fields of entries of the audit log that hold personal data."""

# Disabled too, because workers of an earlier release know only that. The sweep deletes a guest without orders.
CLEAR_ACCOUNT = """
UPDATE accounts
   SET email = NULL, full_name = '', password_hash = NULL, email_verified_at = NULL, known_networks = '{}', network = NULL,
       verified_contact = NULL, disabled_at = coalesce(disabled_at, now()), erased_at = coalesce(erased_at, now()),
       guest_check_at = CASE WHEN role = 'guest' THEN now() END
 WHERE id = $1
"""

FIND_GUESTS = """
SELECT guest.id
  FROM accounts AS guest
 WHERE guest.role = 'guest' AND guest.erased_at IS NULL
   AND guest.id IN (SELECT account_id FROM orders WHERE contact_email = $1
                     UNION
                    SELECT account_id FROM carts WHERE contact_email = $1
                     UNION
                    SELECT id FROM accounts WHERE verified_contact = $1)
 ORDER BY guest.id
"""

# A guest that has also ordered for another contact is the device of several people.
HAS_OTHER_CONTACTS = """
SELECT EXISTS (SELECT FROM orders WHERE account_id = $1 AND contact_email <> $2)
       OR EXISTS (SELECT FROM carts WHERE account_id = $1 AND contact_email <> $2)
"""

CLEAR_CONTACT = """
WITH header AS (
    UPDATE carts
       SET contact_email = NULL, note = '', shipping_address = NULL, billing_address = NULL, version = nextval('cart_versions'),
           updated_at = now()
     WHERE account_id = $1 AND contact_email = $2
)
UPDATE accounts SET verified_contact = NULL WHERE id = $1 AND verified_contact = $2
"""

DELETE_MAILS_TO = """
WITH allowances AS (DELETE FROM mail_allowances WHERE address = $1)
DELETE FROM mails WHERE address = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A command to erase an account."""

    account_id: UUID
    old_hash: str | None = field(default=None, repr=False)
    """The hash of the password that was verified, empty for an account without one; None at the command of an operator."""
    counters: Counters | None = None
    """Where the failed logins of its address are counted, to forget them; None at the command of an operator."""
    operator: Actor | None = None
    """The operator that the audit log names; None for the owner."""
    unfinished: bool = False
    """Whether orders that are not finished are erased too."""


@retry_conflicts
async def erase(pool: "Pool", wanted: Erasure) -> int:
    """Erase an account with all that belongs to it; return how many orders have been cleared.

    Of an account that is erased it removes what has been written since, such as the words of administrators about its orders.

    Raises UserNotFound, PasswordWrong if the hash has changed, LastAdmin, or OrdersUnfinished.
    """
    async with transaction(pool) as conn:
        account = await _lock(conn, wanted)
        if account["erased_at"]:
            return await _remove(conn, wanted.account_id, unfinished=True)
        return await _erase(conn, wanted)


async def _lock(conn: "Conn", wanted: Erasure) -> asyncpg.Record:
    """Lock an account that may be erased, and return it; raises what `erase` raises for accounts."""
    await conn.execute(LOCK_TOKENS, wanted.account_id)
    locked = {row["id"]: row for row in await conn.fetch(LOCK_ACCOUNTS, wanted.account_id)}
    account = locked.get(wanted.account_id)
    if account is None:
        raise UserNotFound(wanted.account_id)
    if wanted.old_hash is not None and wanted.old_hash != (account["password_hash"] or ""):
        raise PasswordWrong
    if {row["id"] for row in locked.values() if row["role"] == Role.ADMIN and row["disabled_at"] is None} == {wanted.account_id}:
        raise LastAdmin
    return account


async def _erase(conn: "Conn", wanted: Erasure) -> int:
    orders = await _remove(conn, wanted.account_id, unfinished=wanted.unfinished)
    if wanted.counters:
        await login_attempts.forget(conn, wanted.counters)
    if wanted.operator:
        await audit_log.append(conn, wanted.operator, "user.erased", wanted.account_id, {}, {"orders": orders})
    return orders


async def _remove(conn: "Conn", account_id: UUID, *, unfinished: bool) -> int:
    """Remove what the tables hold of the owner of a locked account; return the number of cleared orders. Raises OrdersUnfinished."""
    orders = await _clear_orders(conn, account_id, None, unfinished=unfinished)
    await belongings.remove(conn, [account_id])
    await conn.execute(CLEAR_ENTRIES, account_id, ENTRY_FIELDS)
    await conn.execute(CLEAR_ACCOUNT, account_id)
    return orders


async def _clear_orders(conn: "Conn", account_id: UUID, contact: str | None, *, unfinished: bool) -> int:
    """Clear the orders of a locked account, or those of one contact; return their number. Raises OrdersUnfinished."""
    if not unfinished and (open_orders := await conn.fetch(GET_UNFINISHED, account_id, contact, LISTED_MAX + 1)):
        raise OrdersUnfinished([row["name"] for row in open_orders])
    locked = await conn.fetch(LOCK_ORDERS, account_id, contact)
    whole = [row["id"] for row in locked if row["erased_at"] is None]
    if locked:
        await conn.execute(CLEAR_ORDERS, whole)
        await conn.execute(CLEAR_WORDS, [row["id"] for row in locked])  # of erased ones too: administrators may have written again
    return len(whole)


class Contact(NamedTuple):
    """The address of a person who has bought without an account."""

    address: str
    operator: Actor
    unfinished: bool


LIST_ERASED = "SELECT id, erased_at FROM accounts WHERE erased_at >= $1 ORDER BY erased_at, id"


async def erased_since(pool: "Pool", since: datetime) -> AsyncIterator[tuple[UUID, datetime]]:
    """Yield the accounts that were erased at a moment or later, the earliest first: a restore to before brings them back."""
    async with pool.acquire() as conn, conn.transaction(readonly=True):
        async for row in conn.cursor(LIST_ERASED, since):
            yield row["id"], row["erased_at"]


async def guests_of(pool: "Pool", address: str) -> Sequence[UUID]:
    """Return the guests whose orders, cart or verified contact have an e-mail address."""
    return [row["id"] for row in await pool.fetch(FIND_GUESTS, address)]


async def erase_contact(pool: "Pool", contact: Contact) -> int:
    """Erase what guests have left with an e-mail address, each guest in its own transaction; return how many orders have been cleared.

    A guest that has no other contact is erased with all that belongs to it. Raises OrdersUnfinished; guests before that one stay erased.
    """
    orders = 0
    for guest_id in await guests_of(pool, contact.address):
        orders += await _erase_guest(pool, guest_id, contact)
    await pool.execute(DELETE_MAILS_TO, contact.address)
    return orders


@retry_conflicts
async def _erase_guest(pool: "Pool", guest_id: UUID, contact: Contact) -> int:
    wanted = Erasure(account_id=guest_id, operator=contact.operator, unfinished=contact.unfinished)
    async with transaction(pool) as conn:
        account = await _lock(conn, wanted)
        if account["erased_at"] or account["role"] != Role.GUEST:  # it has signed up meanwhile
            return 0
        if not await conn.fetchval(HAS_OTHER_CONTACTS, guest_id, contact.address):
            return await _erase(conn, wanted)
        orders = await _clear_orders(conn, guest_id, contact.address, unfinished=contact.unfinished)
        await conn.execute(CLEAR_CONTACT, guest_id, contact.address)
        await conn.execute(belongings.DELETE_KEYS, [guest_id])  # a stored response may name the person
        await audit_log.append(conn, contact.operator, "user.erased", guest_id, {}, {"orders": orders})
        return orders
