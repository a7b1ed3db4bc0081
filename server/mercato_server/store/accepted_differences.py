"""Differences between the shop and its payment provider that an operator has settled: accepted, or given back."""

import os

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.reconciliation import Discrepancy
from mercato_server.store import audit_log

GET_ACCEPTED = "SELECT id FROM accepted_differences"

INSERT_ACCEPTED = "INSERT INTO accepted_differences (id, reason) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"


async def ids(pool: "Pool") -> frozenset[str]:
    """Return the ids of all accepted differences; each was accepted by a command of its own, so they are few."""
    return frozenset(row["id"] for row in await pool.fetch(GET_ACCEPTED))


@retry_conflicts
async def accept(pool: "Pool", found: Discrepancy, reason: str) -> None:
    """Accept a difference as it is now, with a reason of at most 500 characters; the audit log has an entry."""
    async with transaction(pool) as conn:
        await conn.execute(INSERT_ACCEPTED, found.id, reason)
        await audit_log.append(
            conn, COMMAND_LINE, "payment_difference.accepted", found.payment_id, {}, {**_fields(found), "reason": reason}
        )


@retry_conflicts
async def record_refund(pool: "Pool", found: Discrepancy) -> None:
    """Record that an operator gives the money of a payment back that the shop does not have, before the provider is asked to."""
    async with transaction(pool) as conn:
        await audit_log.append(conn, COMMAND_LINE, "payment_difference.refunded", found.payment_id, {}, _fields(found))


def _fields(found: Discrepancy) -> dict[str, object]:
    """Return what the audit log says of a difference, and who settles it."""
    of = found.difference
    about = {"difference": found.id, "kind": of.kind, "provider_ref": found.provider_ref, "shop": of.shop, "provider": of.provider}
    return {**about, "uid": os.getuid(), "host": os.uname().nodename}
