"""The settings of the shop."""

from collections.abc import Collection
from dataclasses import dataclass

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import require_etag
from mercato_server.domain.shop_settings import SettingsDraft, ShopSettings
from mercato_server.domain.taxes import TaxRounding
from mercato_server.store import audit_log, price_rules
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

GET_SETTINGS = "SELECT country_code, prices_include_tax, tax_rounding, time_zone, version, updated_at FROM shop_settings"

LOCK_SETTINGS = """
SELECT country_code, prices_include_tax, tax_rounding, time_zone, version, updated_at
  FROM shop_settings
   FOR NO KEY UPDATE
"""

UPDATE_SETTINGS = """
UPDATE shop_settings
   SET country_code = $1, prices_include_tax = $2, tax_rounding = $3, time_zone = $4, version = version + 1, updated_at = now()
RETURNING country_code, prices_include_tax, tax_rounding, time_zone, version, updated_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to change settings; `fields` names those of the draft that are written."""

    draft: SettingsDraft
    fields: Collection[str]
    etags: Collection[str]
    """The settings must have one of these; none if they may have any."""
    actor: Actor


async def load(conn: "Pool | Conn") -> ShopSettings:
    """Return the settings."""
    return _settings(await conn.fetchrow(GET_SETTINGS))


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> ShopSettings | Stored:
    """Change settings; raises EtagMismatch."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: write(conn, change))


async def write(conn: "Conn", change: Update) -> ShopSettings:
    """Change settings as `update` does, in the caller's transaction."""
    current = _settings(await conn.fetchrow(LOCK_SETTINGS))
    require_etag("shop", change.etags, current.etag)
    wanted = current._replace(**{field: getattr(change.draft, field) for field in change.fields})
    row = await conn.fetchrow(UPDATE_SETTINGS, wanted.country_code, wanted.prices_include_tax, wanted.tax_rounding, wanted.time_zone)
    changed = _settings(row)
    await audit_log.append(conn, change.actor, "shop.updated", None, _fields(current), _fields(changed))
    await price_rules.changed(conn)
    return changed


def _settings(row: asyncpg.Record | None) -> ShopSettings:
    settings = ShopSettings._make(row or ())
    return settings._replace(tax_rounding=TaxRounding(settings.tax_rounding))


def _fields(settings: ShopSettings) -> dict[str, object]:
    """Return the fields that the audit log records."""
    return {name: getattr(settings, name) for name in ("country_code", "prices_include_tax", "tax_rounding", "time_zone")}
