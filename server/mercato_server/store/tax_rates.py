"""Tax rates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import InvalidRequest, Violation, require_etag
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.tax_errors import (
    TaxRateArchived,
    TaxRateBegun,
    TaxRateLimit,
    TaxRateNotFound,
    TaxRateOverlaps,
)
from mercato_server.domain.tax_rates import RATES_MAX, RateDraft, StoredRate
from mercato_server.domain.taxes import TaxPart, TaxRate
from mercato_server.store import audit_log, price_rules, tax_categories
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

RATE_COLUMNS = """
    id, country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, lower(valid) AS valid_from, upper(valid) AS valid_until,
    version, created_at, updated_at, archived_at
"""

GET_RATE = f"SELECT {RATE_COLUMNS} FROM tax_rates WHERE id = $1"  # noqa: S608 - constants

# A rate that ended within the last hour is valid for a checkout that began before it ended.
LOAD_RATES = f"""
SELECT {RATE_COLUMNS}, coalesce(upper(valid) <= now() - interval '1 hour', false) AS is_over
  FROM tax_rates
 WHERE archived_at IS NULL
 ORDER BY country_code, region, tax_category, id
"""  # noqa: S608 - constants

COUNT_RATES = "SELECT count(*) FROM tax_rates WHERE archived_at IS NULL"

FIND_OVERLAP = """
SELECT id
  FROM tax_rates
 WHERE country_code = $1 AND region = $2 AND tax_category = $3 AND valid && tstzrange($4, $5) AND archived_at IS NULL
   AND id IS DISTINCT FROM $6
 ORDER BY lower(valid) NULLS FIRST
 LIMIT 1
"""

INSERT_RATE = f"""
INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)
VALUES ($1, $2, $3, $4, $5, $6, $7, tstzrange($8, $9))
RETURNING {RATE_COLUMNS}
"""  # noqa: S608 - constants

LOCK_RATE = f"""
SELECT {RATE_COLUMNS}, coalesce(lower(valid) <= now(), true) AS has_begun
  FROM tax_rates
 WHERE id = $1
   FOR NO KEY UPDATE
"""  # noqa: S608 - constants

UPDATE_RATE = f"""
UPDATE tax_rates
   SET name = $2, part_names = $3, part_ppms = $4, valid = tstzrange($5, $6), version = version + 1, updated_at = now()
 WHERE id = $1
RETURNING {RATE_COLUMNS}
"""  # noqa: S608 - constants

ARCHIVE_RATE = f"""
UPDATE tax_rates
   SET archived_at = now(), version = version + 1, updated_at = now()
 WHERE id = $1
RETURNING {RATE_COLUMNS}
"""  # noqa: S608 - constants

_FIRST = UUID(int=0)
_BREAK = "\n"
"""It divides the columns of a page token's position; no region has one."""


class LiveTaxes(NamedTuple):
    """The rates that a sale may bear now or later, and the countries that have any live rate, also one that is over."""

    rates: list[TaxRate]
    countries: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to change a rate."""

    rate_id: UUID
    draft: RateDraft
    fields: Collection[str]
    """The fields of the draft that are written."""
    same: Mapping[str, str]
    """Fields of the draft that the rate must have already, with their names in the request."""
    etags: Collection[str]
    """The rate must have one of these; none if it may have any."""
    actor: Actor


async def load(conn: "Conn") -> LiveTaxes:
    """Return the live rates, without those that were over an hour ago."""
    rows = await conn.fetch(LOAD_RATES)
    rates = [_rate(row) for row in rows if not row["is_over"]]
    return LiveTaxes(rates, sorted({row["country_code"] for row in rows}))


async def get(pool: "Pool", rate_id: UUID) -> StoredRate:
    """Return a rate; raises TaxRateNotFound."""
    return stored(await pool.fetchrow(GET_RATE, rate_id), rate_id)


@cache
def list_sql(*, country: bool, archived: bool) -> str:
    """Return the statement of a list; its parameters are the four columns of the position, LIMIT, then the country."""
    return f"""
    SELECT {RATE_COLUMNS}
      FROM tax_rates
     WHERE (country_code, region, tax_category, id) > ($1, $2, $3, $4)
           {"AND country_code = $6" if country else ""} {"" if archived else "AND archived_at IS NULL"}
     ORDER BY country_code, region, tax_category, id
     LIMIT $5
    """  # noqa: S608 - constants


async def rates(pool: "Pool", country_code: str, page: Page, *, archived: bool) -> tuple[Sequence[StoredRate], Position | None]:
    """Return a page of rates, of one country unless its code is empty, and the position of its last row if more follow."""
    after = page.after or Position(_BREAK * 2, _FIRST)
    statement = list_sql(country=bool(country_code), archived=archived)
    values = (*str(after.key).split(_BREAK), after.id, page.size + 1, *([country_code] if country_code else []))
    rows = await pool.fetch(statement, *values)
    found = [stored(row) for row in rows[: page.size]]
    return found, Position(_BREAK.join(found[-1].draft.place), found[-1].rate.id) if len(rows) > page.size else None


@retry_conflicts
async def create(pool: "Pool", draft: RateDraft, actor: Actor, key: IdempotencyKey | None = None) -> StoredRate | Stored:
    """Create a rate; raises TaxCategoryNotFound, TaxCategoryArchived, TaxRateOverlaps or TaxRateLimit."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: insert(conn, draft, actor))


async def insert(conn: "Conn", draft: RateDraft, actor: Actor) -> StoredRate:
    """Create a rate as `create` does, in the caller's transaction."""
    await price_rules.lock(conn)
    await tax_categories.require_live(conn, draft.category)
    await _refuse_overlap(conn, draft)
    if await conn.fetchval(COUNT_RATES) >= RATES_MAX:
        raise TaxRateLimit(RATES_MAX)
    made = stored(await conn.fetchrow(INSERT_RATE, *insert_values(draft)))
    await audit_log.append(conn, actor, "tax_rate.created", made.rate.id, {}, _fields(made))
    await price_rules.changed(conn)
    return made


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> StoredRate | Stored:
    """Change a rate; raises TaxRateNotFound, EtagMismatch, TaxRateArchived, TaxRateBegun, TaxRateOverlaps or InvalidRequest."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, change))


async def _update(conn: "Conn", change: Update) -> StoredRate:
    await price_rules.lock(conn)
    row = await conn.fetchrow(LOCK_RATE, change.rate_id)
    current = stored(row, change.rate_id)
    require_etag("tax rate", change.etags, current.etag)
    if current.archived_at:
        raise TaxRateArchived
    draft = _changed(current.draft, change)
    if draft.valid_from != current.rate.valid_from and row and row["has_begun"]:
        raise TaxRateBegun
    await _refuse_overlap(conn, draft, change.rate_id)
    changed = stored(await conn.fetchrow(UPDATE_RATE, *update_values(change.rate_id, draft)))
    await audit_log.append(conn, change.actor, "tax_rate.updated", change.rate_id, _fields(current), _fields(changed))
    await price_rules.changed(conn)
    return changed


def _changed(current: RateDraft, change: Update) -> RateDraft:
    """Return the fields that a rate will have; raises InvalidRequest."""
    violations = [
        Violation(name, "cannot be changed; end or archive the rate, and create another")
        for field, name in change.same.items()
        if getattr(change.draft, field) != getattr(current, field)
    ]
    draft = replace(current, **{field: getattr(change.draft, field) for field in change.fields})
    violations += draft.contradictions("tax_rate.")
    if violations:
        raise InvalidRequest(violations)
    return draft


@retry_conflicts
async def archive(pool: "Pool", rate_id: UUID, actor: Actor, key: IdempotencyKey | None = None) -> StoredRate | Stored:
    """Archive a rate; an archived one stays as it is. Raises TaxRateNotFound."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _archive(conn, rate_id, actor))


async def _archive(conn: "Conn", rate_id: UUID, actor: Actor) -> StoredRate:
    await price_rules.lock(conn)
    current = stored(await conn.fetchrow(LOCK_RATE, rate_id), rate_id)
    archived = current if current.archived_at else stored(await conn.fetchrow(ARCHIVE_RATE, rate_id))
    before, after = ({"archived_at": rate.archived_at} for rate in (current, archived))
    await audit_log.append(conn, actor, "tax_rate.archived", rate_id, before, after)
    if archived is not current:
        await price_rules.changed(conn)
    return archived


async def _refuse_overlap(conn: "Conn", draft: RateDraft, rate_id: UUID | None = None) -> None:
    """Raise TaxRateOverlaps if another live rate of the place is valid at the same time as a draft."""
    if other := await conn.fetchval(FIND_OVERLAP, *draft.place, draft.valid_from, draft.valid_until, rate_id):
        raise TaxRateOverlaps(other)


def _rate(row: asyncpg.Record) -> TaxRate:
    return TaxRate(
        id=row["id"],
        country_code=row["country_code"],
        region=row["region"],
        category=row["tax_category"],
        name=row["name"],
        ppm=row["rate_ppm"],
        parts=tuple(TaxPart(name, ppm) for name, ppm in zip(row["part_names"], row["part_ppms"], strict=True)),
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
    )


def stored(row: asyncpg.Record | None, rate_id: UUID = _FIRST) -> StoredRate:
    """Return the rate of a row of RATE_COLUMNS; raises TaxRateNotFound without a row."""
    if row is None:
        raise TaxRateNotFound(rate_id)
    return StoredRate(_rate(row), row["version"], row["created_at"], row["updated_at"], row["archived_at"])


def insert_values(draft: RateDraft) -> tuple[object, ...]:
    """Return the parameters of INSERT_RATE."""
    return (*draft.place, draft.name, draft.ppm, *_part_columns(draft), draft.valid_from, draft.valid_until)


def update_values(rate_id: UUID, draft: RateDraft) -> tuple[object, ...]:
    """Return the parameters of UPDATE_RATE."""
    return (rate_id, draft.name, *_part_columns(draft), draft.valid_from, draft.valid_until)


def _part_columns(draft: RateDraft) -> tuple[list[str], list[int]]:
    """Return the names and the shares of the parts of a rate."""
    return [part.name for part in draft.parts], [part.ppm for part in draft.parts]


def _fields(stored: StoredRate) -> dict[str, object]:
    """Return the fields that the audit log records."""
    rate = stored.rate
    return {
        "country_code": rate.country_code,
        "region": rate.region,
        "tax_category": rate.category,
        "name": rate.name,
        "rate_ppm": rate.ppm,
        "parts": [part._asdict() for part in rate.parts],
        "valid_from": rate.valid_from,
        "valid_until": rate.valid_until,
    }
