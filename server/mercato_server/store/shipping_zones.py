"""Zones: the areas in which deliveries cost the same."""

import json
from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import require_etag
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.shipping import Area, Zone
from mercato_server.domain.shipping_errors import (
    ShippingAreaLimit,
    ShippingAreaTaken,
    ShippingZoneArchived,
    ShippingZoneInUse,
    ShippingZoneLimit,
    ShippingZoneNotFound,
)
from mercato_server.domain.shipping_records import AREAS_MAX, ZONES_MAX, ZoneDraft, ZoneRecord
from mercato_server.store import audit_log, name_keys, price_rules, shipping
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

_COLUMNS = f"zone.id, zone.name, {shipping.AREAS} AS areas, zone.version, zone.created_at, zone.updated_at, zone.archived_at"

GET_ZONE = f"SELECT {_COLUMNS} FROM shipping_zones AS zone WHERE zone.id = $1"  # noqa: S608 - constants

LIST_ZONES = f"""
SELECT {_COLUMNS}, zone.name_key
  FROM shipping_zones AS zone
 WHERE (zone.name_key, zone.id) > ($1::bytea, $2::uuid) AND zone.archived_at IS NULL
 ORDER BY zone.name_key, zone.id
 LIMIT $3
"""  # noqa: S608 - constants

LIST_ALL_ZONES = f"""
SELECT {_COLUMNS}, zone.name_key
  FROM shipping_zones AS zone
 WHERE (zone.name_key, zone.id) > ($1::bytea, $2::uuid)
 ORDER BY zone.name_key, zone.id
 LIMIT $3
"""  # noqa: S608 - constants

COUNT_ZONES = "SELECT count(*) FROM shipping_zones WHERE archived_at IS NULL"

COUNT_OTHER_AREAS = "SELECT count(*) FROM shipping_areas WHERE is_live AND zone_id IS DISTINCT FROM $1"

FIND_TAKEN = """
SELECT area.country_code, area.region, area.postal_prefix, area.zone_id
  FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (country_code, region, postal_prefix)
  JOIN shipping_areas AS area USING (country_code, region, postal_prefix)
 WHERE area.is_live AND area.zone_id IS DISTINCT FROM $4
 ORDER BY area.country_code, area.region, area.postal_prefix
 LIMIT 1
"""

INSERT_ZONE = """
INSERT INTO shipping_zones (id, name, name_key, name_key_rule)
VALUES (coalesce($1::uuid, uuidv7()), $2, $3, $4)
RETURNING id
"""

UPDATE_ZONE = """
UPDATE shipping_zones
   SET name = coalesce($2, name), name_key = coalesce($3, name_key), name_key_rule = CASE WHEN $2 IS NULL THEN name_key_rule ELSE $4 END,
       version = version + 1, updated_at = now()
 WHERE id = $1
"""

INSERT_AREAS = """
INSERT INTO shipping_areas (zone_id, country_code, region, postal_prefix)
SELECT $1, country_code, region, postal_prefix
  FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (country_code, region, postal_prefix)
    ON CONFLICT (zone_id, country_code, region, postal_prefix) DO NOTHING
"""

DELETE_OTHER_AREAS = """
DELETE FROM shipping_areas AS area
 WHERE area.zone_id = $1
   AND NOT EXISTS (
       SELECT
         FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (country_code, region, postal_prefix)
        WHERE (wanted.country_code, wanted.region, wanted.postal_prefix) = (area.country_code, area.region, area.postal_prefix)
       )
"""

GET_METHODS_OF_ZONE = """
SELECT method.id
  FROM shipping_rates AS rate
  JOIN shipping_methods AS method ON method.id = rate.method_id
 WHERE rate.zone_id = $1 AND method.archived_at IS NULL
 ORDER BY method.id
"""

ARCHIVE_ZONE = "UPDATE shipping_zones SET archived_at = now(), updated_at = now(), version = version + 1 WHERE id = $1"

HAS_OLD_KEYS = "SELECT EXISTS (SELECT FROM shipping_zones WHERE name_key_rule < $1)"

LOCK_OLD_KEYS = """
SELECT id, name
  FROM shipping_zones
 WHERE name_key_rule < $1
 ORDER BY id
 LIMIT $2
   FOR NO KEY UPDATE SKIP LOCKED
"""

SET_KEYS = """
UPDATE shipping_zones
   SET name_key = made.name_key, name_key_rule = $3
  FROM unnest($1::uuid[], $2::bytea[]) AS made (id, name_key)
 WHERE shipping_zones.id = made.id
"""

BATCH = 100
"""Zones whose keys are made in one transaction."""
_FIRST = UUID(int=0)


async def get(conn: "Pool | Conn", zone_id: UUID) -> ZoneRecord:
    """Return a zone, also an archived one; raises ShippingZoneNotFound."""
    row = await conn.fetchrow(GET_ZONE, zone_id)
    if row is None:
        raise ShippingZoneNotFound(zone_id)
    return _record(row)


async def zones(pool: "Pool", page: Page, *, archived: bool) -> tuple[Sequence[ZoneRecord], Position | None]:
    """Return a page of zones by name, and the position of its last row if more follow; `archived` includes archived ones."""
    after = page.after or Position(b"", _FIRST)
    rows = await pool.fetch(LIST_ALL_ZONES if archived else LIST_ZONES, after.key, after.id, page.size + 1)
    last = rows[page.size - 1] if len(rows) > page.size else None
    return [_record(row) for row in rows[: page.size]], Position(last["name_key"], last["id"]) if last else None


@retry_conflicts
async def create(pool: "Pool", draft: ZoneDraft, actor: Actor, key: IdempotencyKey | None = None) -> ZoneRecord | Stored:
    """Create a zone; raises ShippingZoneLimit, ShippingAreaLimit or ShippingAreaTaken."""
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: insert(conn, draft, actor))


async def insert(conn: "Conn", draft: ZoneDraft, actor: Actor, new_id: UUID | None = None) -> ZoneRecord:
    """Create a zone as `create` does, in the caller's transaction; with an id of None it gets a new one."""
    name, areas = draft.name or "", draft.areas or ()
    await price_rules.lock(conn)
    if await conn.fetchval(COUNT_ZONES) >= ZONES_MAX:
        raise ShippingZoneLimit(ZONES_MAX)
    await _require_free(conn, areas, None)
    zone_id = await conn.fetchval(INSERT_ZONE, new_id, name, name_key(name), RULE_VERSION)
    await conn.execute(INSERT_AREAS, zone_id, *_columns(areas))
    created = await get(conn, zone_id)
    await audit_log.append(conn, actor, "shipping_zone.created", zone_id, {}, _fields(created))
    await price_rules.changed(conn)
    return created


@retry_conflicts
async def update(
    pool: "Pool", zone_id: UUID, draft: ZoneDraft, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> ZoneRecord | Stored:
    """Change a zone.

    Raises ShippingZoneNotFound, ShippingZoneArchived, EtagMismatch, ShippingAreaLimit or ShippingAreaTaken.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, zone_id, draft, etags, actor))


async def _update(conn: "Conn", zone_id: UUID, draft: ZoneDraft, etags: Collection[str], actor: Actor) -> ZoneRecord:
    await price_rules.lock(conn)
    before = await get(conn, zone_id)
    if before.archived_at:
        raise ShippingZoneArchived(zone_id)
    require_etag("shipping zone", etags, before.etag)
    if draft.areas is not None:
        await _require_free(conn, draft.areas, zone_id)
        await conn.execute(DELETE_OTHER_AREAS, zone_id, *_columns(draft.areas))
        await conn.execute(INSERT_AREAS, zone_id, *_columns(draft.areas))
    await conn.execute(UPDATE_ZONE, zone_id, draft.name, None if draft.name is None else name_key(draft.name), RULE_VERSION)
    after = await get(conn, zone_id)
    await audit_log.append(conn, actor, "shipping_zone.updated", zone_id, _fields(before), _fields(after))
    await price_rules.changed(conn)
    return after


@retry_conflicts
async def archive(
    pool: "Pool", zone_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> ZoneRecord | Stored:
    """Archive a zone, which frees its areas; one that is archived already stays as it is.

    Raises ShippingZoneNotFound, EtagMismatch, or ShippingZoneInUse if methods that are not archived have rates for it.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _archive(conn, zone_id, etags, actor))


async def _archive(conn: "Conn", zone_id: UUID, etags: Collection[str], actor: Actor) -> ZoneRecord:
    await price_rules.lock(conn)
    before = await get(conn, zone_id)
    if before.archived_at:
        return before
    require_etag("shipping zone", etags, before.etag)
    if used_by := await conn.fetch(GET_METHODS_OF_ZONE, zone_id):
        raise ShippingZoneInUse([row["id"] for row in used_by])
    await conn.execute(ARCHIVE_ZONE, zone_id)
    after = await get(conn, zone_id)
    await audit_log.append(conn, actor, "shipping_zone.archived", zone_id, {"archived_at": None}, {"archived_at": after.archived_at})
    await price_rules.changed(conn)
    return after


@retry_conflicts
async def renew_keys(pool: "Pool") -> int:
    """Make the sort keys of a batch of zones that have one of an older rule; return how many."""
    if not await pool.fetchval(HAS_OLD_KEYS, RULE_VERSION):
        return 0
    async with transaction(pool) as conn:
        rows = await conn.fetch(LOCK_OLD_KEYS, RULE_VERSION, BATCH)
        if rows:
            await name_keys.load()
            await conn.execute(SET_KEYS, [row["id"] for row in rows], [name_key(row["name"]) for row in rows], RULE_VERSION)
        return len(rows)


async def _require_free(conn: "Conn", areas: Sequence[Area], zone_id: UUID | None) -> None:
    """Raise ShippingAreaLimit or ShippingAreaTaken unless a zone can have these areas beside those of the others."""
    if await conn.fetchval(COUNT_OTHER_AREAS, zone_id) + len(areas) > AREAS_MAX:
        raise ShippingAreaLimit(AREAS_MAX)
    if row := await conn.fetchrow(FIND_TAKEN, *_columns(areas), zone_id):
        *place, other = row
        raise ShippingAreaTaken(Area(*place), other)


def _columns(areas: Sequence[Area]) -> tuple[list[str], list[str], list[str]]:
    """Return the countries, regions and prefixes of areas."""
    return [area.country_code for area in areas], [area.region for area in areas], [area.postal_prefix for area in areas]


def _fields(found: ZoneRecord) -> dict[str, object]:
    """Return the fields that the audit log compares."""
    return {"name": found.zone.name, "areas": [{key: value for key, value in area._asdict().items() if value} for area in found.zone.areas]}


def _record(row: asyncpg.Record) -> ZoneRecord:
    zone = Zone(row["id"], row["name"], shipping.areas_of(json.loads(row["areas"] or "[]")))
    return ZoneRecord(zone, row["version"], row["created_at"], row["updated_at"], row["archived_at"])
