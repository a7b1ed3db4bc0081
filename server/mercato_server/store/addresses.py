"""The address books of accounts.

All changes but deletions lock the account first. So the number of its addresses, and which one is the default, do not change meanwhile
except by a deletion.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.address_book import ADDRESSES_MAX, Address
from mercato_server.domain.errors import AddressLimit, AddressNotFound, EtagMismatch, TokenInvalid
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.postal_addresses import PostalAddress
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

_COLUMNS = """id, country_code, recipient, company, street_lines, city_area, city, region, postal_code, sorting_code, phone, vat_number,
       is_default, version, created_at, updated_at"""

LIST_ADDRESSES = f"""
SELECT {_COLUMNS}
  FROM addresses
 WHERE account_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3
"""  # noqa: S608 - constants

GET_ADDRESS = f"""
SELECT {_COLUMNS}
  FROM addresses
 WHERE account_id = $1 AND id = $2
"""  # noqa: S608 - constants

LOCK_ACCOUNT = "SELECT id FROM accounts WHERE id = $1 AND disabled_at IS NULL FOR NO KEY UPDATE"

COUNT_ADDRESSES = "SELECT count(*) FROM addresses WHERE account_id = $1"

CLEAR_DEFAULT = """
UPDATE addresses
   SET is_default = FALSE, version = version + 1, updated_at = now()
 WHERE account_id = $1 AND is_default AND id IS DISTINCT FROM $2::uuid
"""

INSERT_ADDRESS = f"""
INSERT INTO addresses (account_id, is_default, country_code, recipient, company, street_lines, city_area, city, region, postal_code,
                       sorting_code, phone, vat_number)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

UPDATE_ADDRESS = f"""
UPDATE addresses
   SET is_default = coalesce($4, is_default), country_code = coalesce($5, country_code), recipient = coalesce($6, recipient),
       company = coalesce($7, company), street_lines = coalesce($8, street_lines), city_area = coalesce($9, city_area),
       city = coalesce($10, city), region = coalesce($11, region), postal_code = coalesce($12, postal_code),
       sorting_code = coalesce($13, sorting_code), phone = coalesce($14, phone), vat_number = coalesce($15, vat_number),
       version = version + 1, updated_at = now()
 WHERE account_id = $1 AND id = $2 AND ($3::text[] = '{{}}' OR to_hex(version) = ANY($3))
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

DELETE_ADDRESS = f"""
DELETE FROM addresses
 WHERE account_id = $1 AND id = $2 AND ($3::text[] = '{{}}' OR to_hex(version) = ANY($3))
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to change an address of an account; None keeps the current value."""

    account_id: UUID
    address_id: UUID
    etags: Collection[str]
    postal_address: PostalAddress | None
    is_default: bool | None


async def get(conn: "Pool | Conn", account_id: UUID, address_id: UUID) -> Address:
    """Return an address of an account; raises AddressNotFound, also for an address of another account."""
    row = await conn.fetchrow(GET_ADDRESS, account_id, address_id)
    if row is None:
        raise AddressNotFound(address_id)
    return _address(row)


async def addresses(pool: "Pool", account_id: UUID, page: Page) -> tuple[Sequence[Address], Position | None]:
    """Return a page of an account's addresses, newest first, and the position of its last row if more follow."""
    rows = await pool.fetch(LIST_ADDRESSES, account_id, page.below, page.size + 1)
    found = [_address(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].id) if len(rows) > page.size else None


@retry_conflicts
async def create(
    pool: "Pool", account_id: UUID, postal_address: PostalAddress, key: IdempotencyKey | None = None, *, is_default: bool
) -> Address | Stored:
    """Add an address to an account; the first one becomes the default. Raises AddressLimit, or TokenInvalid if the account is gone."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, account_id, postal_address, is_default=is_default))


async def _create(conn: "Conn", account_id: UUID, postal_address: PostalAddress, *, is_default: bool) -> Address:
    await _lock_account(conn, account_id)
    count = await conn.fetchval(COUNT_ADDRESSES, account_id)
    if count >= ADDRESSES_MAX:
        raise AddressLimit(ADDRESSES_MAX)
    if count and is_default:
        await conn.execute(CLEAR_DEFAULT, account_id, None)
    row = await conn.fetchrow(INSERT_ADDRESS, account_id, is_default or not count, *_values(postal_address))
    return _address(row)


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> Address | Stored:
    """Change an address; one that becomes the default replaces the one that was.

    Raises AddressNotFound, also for an address of another account, EtagMismatch, or TokenInvalid if the account is gone.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, change))


async def _update(conn: "Conn", change: Update) -> Address:
    await _lock_account(conn, change.account_id)
    if change.is_default:
        await conn.execute(CLEAR_DEFAULT, change.account_id, change.address_id)
    values = (change.is_default, *_values(change.postal_address))
    row = await conn.fetchrow(UPDATE_ADDRESS, change.account_id, change.address_id, change.etags, *values)
    if row is None:
        raise await _refusal(conn, change.account_id, change.address_id, change.etags)
    return _address(row)


@retry_conflicts
async def delete(
    pool: "Pool", account_id: UUID, address_id: UUID, etags: Collection[str], key: IdempotencyKey | None = None
) -> Address | Stored:
    """Delete an address; no other one becomes the default. Raises AddressNotFound, also for one of another account, or EtagMismatch."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _delete(conn, account_id, address_id, etags))


async def _delete(conn: "Conn", account_id: UUID, address_id: UUID, etags: Collection[str]) -> Address:
    row = await conn.fetchrow(DELETE_ADDRESS, account_id, address_id, etags)
    if row is None:
        raise await _refusal(conn, account_id, address_id, etags)
    return _address(row)


async def _lock_account(conn: "Conn", account_id: UUID) -> None:
    if await conn.fetchval(LOCK_ACCOUNT, account_id) is None:
        raise TokenInvalid("the account of this token no longer exists")


async def _refusal(conn: "Conn", account_id: UUID, address_id: UUID, etags: Collection[str]) -> AddressNotFound | EtagMismatch:
    """Return why a write has found no row. The row may be newer here than for the write, and then differs from the etag as well."""
    row = await conn.fetchrow(GET_ADDRESS, account_id, address_id)
    return EtagMismatch("address", ", ".join(etags), _address(row).etag) if row else AddressNotFound(address_id)


def _values(address: PostalAddress | None) -> list[object]:
    """Return the fields of an address in the order in which the statements take them; None for each if there is no address."""
    return [None if address is None else getattr(address, field.name) for field in fields(PostalAddress)]


def _address(row: asyncpg.Record | None) -> Address:
    columns = dict(row or {})
    own = {name: columns.pop(name) for name in ("id", "is_default", "version", "created_at", "updated_at")}
    return Address(postal_address=PostalAddress(**{**columns, "street_lines": tuple(columns["street_lines"])}), **own)
