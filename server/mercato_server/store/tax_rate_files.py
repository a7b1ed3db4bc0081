"""Import and export of tax rates."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.refused_lines import Refused
from mercato_server.domain.tax_errors import TaxRateLimit
from mercato_server.domain.tax_rate_files import Incoming, Plan, plan
from mercato_server.domain.tax_rates import RATES_MAX, RateDraft
from mercato_server.store import audit_log, price_rules
from mercato_server.store.tax_rates import INSERT_RATE, RATE_COLUMNS, UPDATE_RATE, insert_values, stored, update_values

GET_LIVE = f"""
SELECT {RATE_COLUMNS}
  FROM tax_rates
 WHERE archived_at IS NULL
 ORDER BY country_code, region, tax_category, valid
"""  # noqa: S608 - constants

GET_CATEGORIES = "SELECT id, archived_at IS NULL AS is_live FROM tax_categories"


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
        await price_rules.lock(conn)
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
    await conn.executemany(UPDATE_RATE, [update_values(rate_id, draft) for rate_id, draft in found.updated.items()])
    await conn.executemany(INSERT_RATE, [insert_values(draft) for draft in found.created])


async def export(pool: "Pool") -> list[RateDraft]:
    """Return the live rates by place and time."""
    return [stored(row).draft for row in await pool.fetch(GET_LIVE)]
