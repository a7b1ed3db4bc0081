"""Methods: the ways of delivery, with their rates by zone."""

import json
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import taxes
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import require_etag
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.shipping import ShippingMethod, ShippingRate
from mercato_server.domain.shipping_errors import (
    ShippingMethodArchived,
    ShippingMethodLimit,
    ShippingMethodNotFound,
    ShippingTierLimit,
    ShippingZoneArchived,
    ShippingZoneNotFound,
)
from mercato_server.domain.shipping_records import METHODS_MAX, TIERS_MAX, MethodDraft, MethodRecord
from mercato_server.store import audit_log, price_rules, shipping, tax_categories
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

_COLUMNS = f"""
method.id, method.name, method.tax_category, {shipping.RATES} AS rates, method.description, method.position, method.version,
       method.created_at, method.updated_at, method.archived_at
"""

GET_METHOD = f"SELECT {_COLUMNS} FROM shipping_methods AS method WHERE method.id = $1"  # noqa: S608 - constants

LIST_METHODS = f"""
SELECT {_COLUMNS}
  FROM shipping_methods AS method
 WHERE (method.position, method.id) > ($1::integer, $2::uuid) AND method.archived_at IS NULL
 ORDER BY method.position, method.id
 LIMIT $3
"""  # noqa: S608 - constants

LIST_ALL_METHODS = f"""
SELECT {_COLUMNS}
  FROM shipping_methods AS method
 WHERE (method.position, method.id) > ($1::integer, $2::uuid)
 ORDER BY method.position, method.id
 LIMIT $3
"""  # noqa: S608 - constants

COUNT_METHODS = "SELECT count(*) FROM shipping_methods WHERE archived_at IS NULL"

COUNT_OTHER_TIERS = """
SELECT coalesce(sum(cardinality(rate.starts)), 0)::bigint
  FROM shipping_methods AS method
  JOIN shipping_rates AS rate ON rate.method_id = method.id
 WHERE method.archived_at IS NULL AND method.id IS DISTINCT FROM $1
"""

GET_ZONES = "SELECT id, archived_at FROM shipping_zones WHERE id = ANY($1::uuid[]) ORDER BY id"

INSERT_METHOD = """
INSERT INTO shipping_methods (id, name, description, position, tax_category)
VALUES (coalesce($1::uuid, uuidv7()), $2, $3, $4, $5)
RETURNING id
"""

UPDATE_METHOD = """
UPDATE shipping_methods
   SET name = coalesce($2, name), description = coalesce($3, description), position = coalesce($4, position),
       tax_category = coalesce($5, tax_category), version = version + 1, updated_at = now()
 WHERE id = $1
"""

DELETE_RATES = "DELETE FROM shipping_rates WHERE method_id = $1"

INSERT_RATES = """
INSERT INTO shipping_rates (method_id, zone_id, basis, starts, prices_minor, ends_before, free_from_minor, currency_code)
SELECT $1, rate.zone_id, rate.basis, rate.starts, rate.prices_minor, rate.ends_before, rate.free_from_minor, shop.currency_code
  FROM jsonb_to_recordset($2::jsonb)
    AS rate (zone_id uuid, basis text, starts bigint[], prices_minor bigint[], ends_before bigint, free_from_minor bigint)
 CROSS JOIN shop
"""

ARCHIVE_METHOD = "UPDATE shipping_methods SET archived_at = now(), updated_at = now(), version = version + 1 WHERE id = $1"

_FIRST = UUID(int=0)
_BELOW_ALL = -1


async def get(conn: "Pool | Conn", method_id: UUID) -> MethodRecord:
    """Return a method, also an archived one; raises ShippingMethodNotFound."""
    row = await conn.fetchrow(GET_METHOD, method_id)
    if row is None:
        raise ShippingMethodNotFound(method_id)
    return _record(row)


async def methods(pool: "Pool", page: Page, *, archived: bool) -> tuple[Sequence[MethodRecord], Position | None]:
    """Return a page of methods by position, and the position of its last row if more follow; `archived` includes archived ones."""
    after = page.after or Position(_BELOW_ALL, _FIRST)
    rows = await pool.fetch(LIST_ALL_METHODS if archived else LIST_METHODS, after.key, after.id, page.size + 1)
    last = rows[page.size - 1] if len(rows) > page.size else None
    return [_record(row) for row in rows[: page.size]], Position(last["position"], last["id"]) if last else None


@retry_conflicts
async def create(pool: "Pool", draft: MethodDraft, actor: Actor, key: IdempotencyKey | None = None) -> MethodRecord | Stored:
    """Create a method.

    Raises ShippingMethodLimit, ShippingTierLimit, ShippingZoneNotFound, ShippingZoneArchived, TaxCategoryNotFound or TaxCategoryArchived.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: insert(conn, draft, actor))


async def insert(conn: "Conn", draft: MethodDraft, actor: Actor, new_id: UUID | None = None) -> MethodRecord:
    """Create a method as `create` does, in the caller's transaction; with an id of None it gets a new one."""
    await price_rules.lock(conn)
    if await conn.fetchval(COUNT_METHODS) >= METHODS_MAX:
        raise ShippingMethodLimit(METHODS_MAX)
    rates = draft.rates or {}
    await _require_room(conn, draft, None)
    await _require_category(conn, draft)
    values = (new_id, draft.name or "", draft.description or "", draft.position or 0, draft.tax_category or "")
    method_id = await conn.fetchval(INSERT_METHOD, *values)
    await conn.execute(INSERT_RATES, method_id, _rows(rates))
    created = await get(conn, method_id)
    await audit_log.append(conn, actor, "shipping_method.created", method_id, {}, _fields(created))
    await price_rules.changed(conn)
    return created


@retry_conflicts
async def update(
    pool: "Pool", method_id: UUID, draft: MethodDraft, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> MethodRecord | Stored:
    """Change a method; its rates are replaced together.

    Raises ShippingMethodNotFound, ShippingMethodArchived, EtagMismatch, ShippingTierLimit, ShippingZoneNotFound, ShippingZoneArchived,
    TaxCategoryNotFound or TaxCategoryArchived.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, method_id, draft, etags, actor))


async def _update(conn: "Conn", method_id: UUID, draft: MethodDraft, etags: Collection[str], actor: Actor) -> MethodRecord:
    await price_rules.lock(conn)
    before = await get(conn, method_id)
    if before.archived_at:
        raise ShippingMethodArchived(method_id)
    require_etag("shipping method", etags, before.etag)
    if draft.rates is not None:
        await _require_room(conn, draft, method_id)
        await conn.execute(DELETE_RATES, method_id)
        await conn.execute(INSERT_RATES, method_id, _rows(draft.rates))
    await _require_category(conn, draft)
    await conn.execute(UPDATE_METHOD, method_id, draft.name, draft.description, draft.position, draft.tax_category)
    after = await get(conn, method_id)
    await audit_log.append(conn, actor, "shipping_method.updated", method_id, _fields(before), _fields(after))
    await price_rules.changed(conn)
    return after


@retry_conflicts
async def archive(
    pool: "Pool", method_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> MethodRecord | Stored:
    """Archive a method; one that is archived already stays as it is. Raises ShippingMethodNotFound or EtagMismatch."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _archive(conn, method_id, etags, actor))


async def _archive(conn: "Conn", method_id: UUID, etags: Collection[str], actor: Actor) -> MethodRecord:
    await price_rules.lock(conn)
    before = await get(conn, method_id)
    if before.archived_at:
        return before
    require_etag("shipping method", etags, before.etag)
    await conn.execute(ARCHIVE_METHOD, method_id)
    after = await get(conn, method_id)
    await audit_log.append(conn, actor, "shipping_method.archived", method_id, {"archived_at": None}, {"archived_at": after.archived_at})
    await price_rules.changed(conn)
    return after


async def _require_room(conn: "Conn", draft: MethodDraft, method_id: UUID | None) -> None:
    """Raise a refusal unless a method can have these rates: their zones are not archived, and there is room for the tiers."""
    if await conn.fetchval(COUNT_OTHER_TIERS, method_id) + draft.tiers > TIERS_MAX:
        raise ShippingTierLimit(TIERS_MAX)
    wanted = sorted(draft.rates or {})
    found = {row["id"]: row["archived_at"] for row in await conn.fetch(GET_ZONES, wanted)}
    if absent := [zone_id for zone_id in wanted if zone_id not in found]:
        raise ShippingZoneNotFound(*absent)
    for zone_id in wanted:
        if found[zone_id]:
            raise ShippingZoneArchived(zone_id)


async def _require_category(conn: "Conn", draft: MethodDraft) -> None:
    if draft.tax_category != taxes.AS_GOODS:
        await tax_categories.require_live(conn, draft.tax_category or "")


def _rows(rates: Mapping[UUID, ShippingRate]) -> str:
    """Return the parameter of INSERT_RATES."""
    rows = [
        {
            "zone_id": str(zone_id),
            "basis": rate.basis,
            "starts": [tier.start for tier in rate.tiers],
            "prices_minor": [tier.price_minor for tier in rate.tiers],
            "ends_before": rate.end,
            "free_from_minor": rate.free_from_minor,
        }
        for zone_id, rate in rates.items()
    ]
    return json.dumps(rows)


def _fields(found: MethodRecord) -> dict[str, object]:
    """Return the fields that the audit log compares: each rate is one, so that an entry has only those that changed."""
    method = found.method
    described = {"name": method.name, "description": found.description, "position": found.position, "tax_category": method.tax_category}
    return described | {f"rates.{zone_id}": _summary(rate) for zone_id, rate in method.rates.items()}


def _summary(rate: ShippingRate) -> str:
    """Return a rate as a short text: it may have 50 tiers, and a method 200 rates."""
    tiers = " ".join(f"{tier.start}:{tier.price_minor}" for tier in rate.tiers)
    end = "" if rate.end is None else f" end {rate.end}"
    free = "" if rate.free_from_minor is None else f" free from {rate.free_from_minor}"
    return f"{rate.basis} {tiers}{end}{free}"


def _record(row: asyncpg.Record) -> MethodRecord:
    method = ShippingMethod(row["id"], row["name"], row["tax_category"], shipping.rates_of(json.loads(row["rates"] or "[]")))
    return MethodRecord(
        method, row["description"], row["position"], row["version"], row["created_at"], row["updated_at"], row["archived_at"]
    )
