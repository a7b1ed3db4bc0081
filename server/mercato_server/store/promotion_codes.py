"""Codes of promotions."""

from collections.abc import Mapping, Sequence
from typing import BinaryIO
from uuid import UUID, uuid4

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.promotion_codes import CODES_MAX, SHOP_CODES_MAX, CodeBatch, CodeDraft, PromotionCode, random_codes
from mercato_server.domain.promotion_errors import (
    PromotionCodeNotFound,
    PromotionCodeTaken,
    PromotionLimit,
    PromotionNotFound,
    PromotionState,
)
from mercato_server.domain.promotions import folded_code
from mercato_server.store import audit_log, price_rules, promotions
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.promotions import GET_PROMOTION
from mercato_server.store.spreadsheets import write_csv

_COLUMNS = "code_folded, code, promotion_id, batch_id, usage_limit, used, created_at, archived_at"

LIST_CODES = f"""
SELECT {_COLUMNS}
  FROM promotion_codes
 WHERE promotion_id = $1 AND code_folded > $2 AND ($3 OR archived_at IS NULL)
 ORDER BY code_folded
 LIMIT $4
"""  # noqa: S608 - constants

LIST_CODES_OF_BATCH = f"""
SELECT {_COLUMNS}
  FROM promotion_codes
 WHERE promotion_id = $1 AND batch_id = $5 AND code_folded > $2 AND ($3 OR archived_at IS NULL)
 ORDER BY code_folded
 LIMIT $4
"""  # noqa: S608 - constants

INSERT_CODE = f"""
INSERT INTO promotion_codes (code_folded, code, promotion_id, usage_limit)
VALUES ($1, $2, $3, $4)
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

INSERT_CODES = """
WITH added AS (
    INSERT INTO promotion_codes (code_folded, code, promotion_id, batch_id, usage_limit)
    SELECT folded, code, $1, $2, $3
      FROM unnest($4::text[], $5::text[]) AS made (folded, code)
     ORDER BY folded  -- one order for all batches, which may wait for each other's codes
        ON CONFLICT (code_folded) DO NOTHING
    RETURNING code_folded
)
SELECT count(*) FROM added
"""

# The codes are written first: a checkout that waits for the promotion waits only for the end of the transaction.
COUNT_CODES = """
UPDATE promotions
   SET codes = codes + $2
 WHERE id = $1 AND needs_code AND archived_at IS NULL AND codes + $2 <= $3
RETURNING codes
"""

COUNT_CODES_OF_SHOP = "SELECT sum(codes) FROM promotions WHERE archived_at IS NULL"

GET_CODE = f"SELECT {_COLUMNS} FROM promotion_codes WHERE promotion_id = $1 AND code_folded = $2"  # noqa: S608 - constants

ARCHIVE_CODE = f"""
UPDATE promotion_codes
   SET archived_at = now()
 WHERE promotion_id = $1 AND code_folded = $2 AND archived_at IS NULL
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

_EXPORT_OF = """
  FROM promotion_codes
 WHERE promotion_id = $1 AND ($2::uuid IS NULL OR batch_id = $2) AND archived_at IS NULL
 ORDER BY code_folded
"""

EXPORT_NEW_CODES = f"SELECT code, promotion_id AS promotion, usage_limit {_EXPORT_OF}"

EXPORT_CODES = f"SELECT code, promotion_id AS promotion, usage_limit, used {_EXPORT_OF}"

COPY_TIMEOUT_S = 3600.0


async def codes(
    pool: "Pool", promotion_id: UUID, batch_id: UUID | None, page: Page, *, show_archived: bool
) -> tuple[Sequence[PromotionCode], Position | None]:
    """Return a page of the codes of a promotion, and the position of its last row if more follow; raises PromotionNotFound."""
    after = page.after.key if page.after else ""
    statement, more = (LIST_CODES_OF_BATCH, (batch_id,)) if batch_id else (LIST_CODES, ())
    rows = await pool.fetch(statement, promotion_id, after, show_archived, page.size + 1, *more)
    if not rows:
        await promotions.get(pool, promotion_id)
    found = [PromotionCode._make(row) for row in rows[: page.size]]
    return found, Position(found[-1].folded, promotion_id) if len(rows) > page.size else None


@retry_conflicts
async def create(
    pool: "Pool", promotion_id: UUID, draft: CodeDraft, actor: Actor, key: IdempotencyKey | None = None
) -> PromotionCode | Stored:
    """Create a code; raises PromotionNotFound, PromotionCodeTaken, PromotionState or PromotionLimit."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: insert(conn, promotion_id, draft, actor))


async def insert(conn: "Conn", promotion_id: UUID, draft: CodeDraft, actor: Actor) -> PromotionCode:
    """Create a code as `create` does, in the caller's transaction."""
    try:
        row = await conn.fetchrow(INSERT_CODE, draft.folded, draft.code, promotion_id, draft.usage_limit)
    except asyncpg.UniqueViolationError:
        raise PromotionCodeTaken(draft.code) from None
    except asyncpg.ForeignKeyViolationError:
        raise PromotionNotFound(promotion_id) from None
    told = {"code": draft.code, "usage_limit": draft.usage_limit}
    await _count(conn, promotion_id, 1, actor, "promotion.code_created", told)
    return PromotionCode._make(row or ())


@retry_conflicts
async def generate(pool: "Pool", promotion_id: UUID, batch: CodeBatch, actor: Actor, key: IdempotencyKey | None = None) -> UUID | Stored:
    """Create random codes, all of them or none; return the id of the batch.

    Raises PromotionNotFound, PromotionState or PromotionLimit.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _generate(conn, promotion_id, batch, actor))


async def _generate(conn: "Conn", promotion_id: UUID, batch: CodeBatch, actor: Actor) -> UUID:
    batch_id, source, missing = uuid4(), random_codes(batch), batch.count
    try:
        while missing:  # it ends: there are 37,000 times more codes of the shortest length than a shop may have
            made: dict[str, str] = {}
            while len(made) < missing:
                code = next(source)
                made[folded_code(code)] = code
            missing -= await conn.fetchval(INSERT_CODES, promotion_id, batch_id, batch.usage_limit, list(made), list(made.values()))
    except asyncpg.ForeignKeyViolationError:
        raise PromotionNotFound(promotion_id) from None
    told = {"batch_id": batch_id, "count": batch.count, "usage_limit": batch.usage_limit}
    await _count(conn, promotion_id, batch.count, actor, "promotion.codes_generated", told)
    return batch_id


async def _count(conn: "Conn", promotion_id: UUID, count: int, actor: Actor, action: str, told: Mapping[str, object]) -> None:
    """Count new codes and append their entry of the audit log; raises PromotionState or PromotionLimit."""
    if await conn.fetchval(COUNT_CODES, promotion_id, count, CODES_MAX) is None:
        raise await _refusal(conn, promotion_id)
    await audit_log.append(conn, actor, action, promotion_id, {}, told)
    await price_rules.lock(conn)  # so the next statement sees the counts of all other transactions
    if await conn.fetchval(COUNT_CODES_OF_SHOP) > SHOP_CODES_MAX:
        raise PromotionLimit(
            "the promotions of the shop may have {limit} codes; archive promotions that are not needed", limit=SHOP_CODES_MAX
        )


async def _refusal(conn: "Conn", promotion_id: UUID) -> PromotionState | PromotionLimit:
    """Return why a promotion takes no more codes."""
    promotion = promotions.stored(await conn.fetchrow(GET_PROMOTION, promotion_id))
    if promotion.archived_at is not None:
        return PromotionState("the promotion is archived, and takes no more codes")
    if not promotion.draft.needs_code:
        return PromotionState("the promotion needs no code; set needs_code first")
    return PromotionLimit("a promotion may have {limit} codes, and this one has {codes}", limit=CODES_MAX, codes=promotion.codes)


@retry_conflicts
async def archive(pool: "Pool", promotion_id: UUID, code: str, actor: Actor, key: IdempotencyKey | None = None) -> PromotionCode | Stored:
    """Archive a code, or return one that is archived already; raises PromotionCodeNotFound."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _archive(conn, promotion_id, code, actor))


async def _archive(conn: "Conn", promotion_id: UUID, code: str, actor: Actor) -> PromotionCode:
    row = await conn.fetchrow(ARCHIVE_CODE, promotion_id, folded_code(code))
    if row is None:
        row = await conn.fetchrow(GET_CODE, promotion_id, folded_code(code))
        if row is None:
            raise PromotionCodeNotFound(code)
        return PromotionCode._make(row)
    archived = PromotionCode._make(row)
    await audit_log.append(conn, actor, "promotion.code_archived", promotion_id, {}, {"code": archived.code})
    return archived


async def export(pool: "Pool", promotion_id: UUID, batch_id: UUID | None, output: BinaryIO, *, with_uses: bool) -> int:
    """Write the codes of a promotion that are not archived as CSV; return their number. Memory does not grow with it."""
    async with pool.acquire() as conn:
        query = EXPORT_CODES if with_uses else EXPORT_NEW_CODES
        return await write_csv(conn, query, promotion_id, batch_id, output=output, timeout_s=COPY_TIMEOUT_S)
