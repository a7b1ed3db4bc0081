"""Import and export of tax rates."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.tax_errors import TaxRateLimit
from mercato_server.domain.tax_rate_files import Incoming, Plan, Refused, plan
from mercato_server.domain.tax_rates import RATES_MAX, RateDraft
from mercato_server.store import audit_log, price_rules
from mercato_server.store.tax_categories import lock_rules
from mercato_server.store.tax_rates import RATE_COLUMNS, part_columns, stored

GET_LIVE = f"""
SELECT {RATE_COLUMNS}
  FROM tax_rates
 WHERE archived_at IS NULL
 ORDER BY country_code, region, tax_category, valid
"""  # noqa: S608 - constants

GET_CATEGORIES = "SELECT id, archived_at IS NULL AS is_live FROM tax_categories"

ADD_RATE = """
INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)
VALUES ($1, $2, $3, $4, $5, $6, $7, tstzrange($8, $9))
"""

CHANGE_RATE = """
UPDATE tax_rates
   SET name = $2, part_names = $3, part_ppms = $4, valid = tstzrange($5, $6), version = version + 1, updated_at = now()
 WHERE id = $1
"""


class Written(NamedTuple):
    """The numbers of rates that an import has created and updated."""

    created: int
    updated: int


class RatesRefusedError(Exception):
    """Lines of a file cannot be imported, so nothing was."""

    def __init__(self, refused: Sequence[Refused]) -> None:
        super().__init__(f"{len(refused)} lines cannot be imported")
        self.refused = refused


@retry_conflicts
async def write(pool: "Pool", incoming: Sequence[Incoming], fields: Collection[str], source: str, actor: Actor) -> Written:
    """Create and change rates as a file has them, all or none. Rates that the file does not name stay.

    `fields` are those of the drafts that the file has, and that can change. A file that changes nothing leaves no trace; any other appends
    one entry to the audit log, which names its source. Raises RatesRefusedError or TaxRateLimit.
    """
    async with transaction(pool) as conn:
        await lock_rules(conn)
        live = {row["id"]: stored(row).draft for row in await conn.fetch(GET_LIVE)}
        categories = {row["id"]: row["is_live"] for row in await conn.fetch(GET_CATEGORIES)}
        found = plan(live, categories, incoming, fields)
        if found.refused:
            raise RatesRefusedError(found.refused)
        if len(live) + len(found.created) > RATES_MAX:
            raise TaxRateLimit(RATES_MAX)
        written = Written(len(found.created), len(found.updated))
        if any(written):
            await _write(conn, found)
            await audit_log.append(conn, actor, "tax_rates.imported", None, {}, {"source": source, **written._asdict()})
            await price_rules.changed(conn)
        return written


async def _write(conn: "Conn", found: Plan) -> None:
    """Write the rates. Changes go first: they may end a rate where a new one begins. They move no beginning, so they overlap nothing."""
    await conn.executemany(
        CHANGE_RATE,
        [(rate_id, draft.name, *part_columns(draft), draft.valid_from, draft.valid_until) for rate_id, draft in found.updated.items()],
    )
    await conn.executemany(
        ADD_RATE,
        [(*draft.place, draft.name, draft.ppm, *part_columns(draft), draft.valid_from, draft.valid_until) for draft in found.created],
    )


async def export(pool: "Pool") -> list[RateDraft]:
    """Return the live rates by place and time."""
    return [stored(row).draft for row in await pool.fetch(GET_LIVE)]
