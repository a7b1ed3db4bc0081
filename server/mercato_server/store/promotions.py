"""Promotions: what administrators write, and the rules that prices are computed by."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import InvalidRequest, Violation, require_etag
from mercato_server.domain.messages import LISTED_MAX
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.promotion_drafts import AUTOMATIC_MAX, FIELDS, LIVE_MAX, RECOUNT_MAX, PromotionDraft, StoredPromotion
from mercato_server.domain.promotion_errors import (
    PromotionLimit,
    PromotionNotFound,
    PromotionState,
    ScopeCategoryNotFound,
    ScopeMethodNotFound,
    ScopeProductNotFound,
)
from mercato_server.domain.promotions import Promotion, PromotionKind
from mercato_server.store import audit_log, price_rules
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

_DRAFT = ", ".join(PromotionDraft._fields)
_VALUES = ", ".join(f"${number}" for number in range(2, len(PromotionDraft._fields) + 2))
_COLUMNS = f"id, {_DRAFT}, used, codes, version, created_at, updated_at, archived_at"

GET_PROMOTION = f"SELECT {_COLUMNS} FROM promotions WHERE id = $1"  # noqa: S608 - constants

LIST_PROMOTIONS = f"""
SELECT {_COLUMNS}
  FROM promotions
 WHERE id < $1
 ORDER BY id DESC
 LIMIT $2
"""  # noqa: S608 - constants

LIST_LIVE_PROMOTIONS = f"""
SELECT {_COLUMNS}
  FROM promotions
 WHERE id < $1 AND archived_at IS NULL
 ORDER BY id DESC
 LIMIT $2
"""  # noqa: S608 - constants

LOAD_PROMOTIONS = f"""
SELECT id, {_DRAFT}
  FROM promotions
 WHERE archived_at IS NULL AND (ends_at IS NULL OR ends_at > now())
 ORDER BY id
"""  # noqa: S608 - constants

COUNT_LIVE = "SELECT count(*) FROM promotions WHERE archived_at IS NULL"

COUNT_AUTOMATIC = "SELECT count(*) FROM promotions WHERE archived_at IS NULL AND NOT needs_code"

GET_ABSENT = """
SELECT ARRAY(SELECT id FROM unnest($1::uuid[]) AS scope (id)
              WHERE NOT EXISTS (SELECT FROM products WHERE products.id = scope.id AND deleted_at IS NULL)),
       ARRAY(SELECT id FROM unnest($2::uuid[]) AS scope (id)
              WHERE NOT EXISTS (SELECT FROM categories WHERE categories.id = scope.id)),
       ARRAY(SELECT id FROM unnest($3::uuid[]) AS scope (id)
              WHERE NOT EXISTS (SELECT FROM shipping_methods AS method WHERE method.id = scope.id AND archived_at IS NULL))
"""

INSERT_PROMOTION = f"""
INSERT INTO promotions (id, {_DRAFT}, currency_code)
VALUES (coalesce($1::uuid, uuidv7()), {_VALUES}, (SELECT currency_code FROM shop))
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

LOCK_PROMOTION = f"{GET_PROMOTION} FOR NO KEY UPDATE"

UPDATE_PROMOTION = f"""
UPDATE promotions
   SET ({_DRAFT}) = ROW ({_VALUES}),
       version = version + 1, updated_at = now()
 WHERE id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

# No other transaction redeems or releases the promotion, which the caller has locked by an earlier statement.
COUNT_BUYERS = """
INSERT INTO promotion_buyers (promotion_id, subject, uses)
SELECT promotion_id, subject, count(*)
  FROM promotion_redemptions
 CROSS JOIN LATERAL unnest(subjects) AS subject
 WHERE promotion_id = $1 AND released_at IS NULL
 GROUP BY promotion_id, subject
"""

FORGET_BUYERS = "DELETE FROM promotion_buyers WHERE promotion_id = $1"

ARCHIVE_PROMOTION = f"""
UPDATE promotions
   SET archived_at = now(), version = version + 1, updated_at = now()
 WHERE id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

_PRODUCT_IDS, _CATEGORY_IDS, _METHOD_IDS = ("product_ids", "get_product_ids"), ("category_ids", "get_category_ids"), ("method_ids",)
_NO_IDS: Mapping[str, tuple[UUID, ...]] = dict.fromkeys((*_PRODUCT_IDS, *_CATEGORY_IDS, *_METHOD_IDS), ())


async def get(pool: "Pool", promotion_id: UUID) -> StoredPromotion:
    """Return a promotion; raises PromotionNotFound."""
    row = await pool.fetchrow(GET_PROMOTION, promotion_id)
    if row is None:
        raise PromotionNotFound(promotion_id)
    return stored(row)


async def promotions(pool: "Pool", page: Page, *, show_archived: bool) -> tuple[Sequence[StoredPromotion], Position | None]:
    """Return a page of promotions, newest first, and the position of its last row if more follow."""
    rows = await pool.fetch(LIST_PROMOTIONS if show_archived else LIST_LIVE_PROMOTIONS, page.below, page.size + 1)
    found = [stored(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].id) if len(rows) > page.size else None


async def load(conn: "Conn | Pool") -> list[Promotion]:
    """Return the promotions that may apply now or later, by id."""
    return [_draft(row[1:]).promotion(row["id"]) for row in await conn.fetch(LOAD_PROMOTIONS)]


@retry_conflicts
async def create(pool: "Pool", draft: PromotionDraft, actor: Actor, key: IdempotencyKey | None = None) -> StoredPromotion | Stored:
    """Create a promotion; raises PromotionLimit, ScopeProductNotFound, ScopeCategoryNotFound or ScopeMethodNotFound."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: insert(conn, draft, actor))


async def insert(conn: "Conn", draft: PromotionDraft, actor: Actor, new_id: UUID | None = None) -> StoredPromotion:
    """Create a promotion as `create` does, in the caller's transaction; with an id of None it gets a new one."""
    await price_rules.lock(conn)
    if await conn.fetchval(COUNT_LIVE) >= LIVE_MAX:
        raise PromotionLimit("the shop has {limit} promotions, the most that it may have; archive one first", limit=LIVE_MAX)
    if not draft.needs_code:
        await _require_room_for_automatic(conn)
    await _require_scope(conn, draft, _NO_IDS)
    promotion = stored(await conn.fetchrow(INSERT_PROMOTION, new_id, *draft))
    await audit_log.append(conn, actor, "promotion.created", promotion.id, {}, draft._asdict())
    await price_rules.changed(conn)
    return promotion


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to change columns of a promotion. It fails unless the promotion has one of the etags; none skips this check."""

    promotion_id: UUID
    values: Mapping[str, Any]
    kind: PromotionKind | None = None
    """The kind that the caller believes it has."""
    etags: Collection[str] = field(default=())
    actor: Actor


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> StoredPromotion | Stored:
    """Change a promotion.

    Raises PromotionNotFound, EtagMismatch, PromotionState, PromotionLimit, InvalidRequest, ScopeProductNotFound, ScopeCategoryNotFound
    or ScopeMethodNotFound.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, change))


async def _update(conn: "Conn", change: Update) -> StoredPromotion:
    current = await _lock(conn, change.promotion_id)
    require_etag("promotion", change.etags, current.etag)
    if current.archived_at is not None:
        raise PromotionState("the promotion is archived, and cannot be changed")
    if current.draft.kind is PromotionKind.UNKNOWN:
        raise PromotionState("the promotion is of a kind of a later release, which alone can change it")
    draft, violations = current.changed(change.kind, change.values)
    if violations:
        raise InvalidRequest(violations)
    if current.draft.needs_code and not draft.needs_code:
        await price_rules.lock(conn)
        await _require_room_for_automatic(conn)
    await _require_scope(conn, draft, current.draft._asdict())
    await _limit_buyers(conn, current, draft)
    promotion = stored(await conn.fetchrow(UPDATE_PROMOTION, current.id, *draft))
    await audit_log.append(conn, change.actor, "promotion.updated", current.id, current.draft._asdict(), draft._asdict())
    await price_rules.changed(conn)
    return promotion


async def _require_room_for_automatic(conn: "Conn") -> None:
    """Raise PromotionLimit if the shop has as many promotions without a code as it may have; `price_rules` must be locked."""
    if await conn.fetchval(COUNT_AUTOMATIC) >= AUTOMATIC_MAX:
        raise PromotionLimit("the shop has {limit} promotions that need no code, the most that it may have", limit=AUTOMATIC_MAX)


async def _limit_buyers(conn: "Conn", current: StoredPromotion, draft: PromotionDraft) -> None:
    """Begin or end to count the uses of buyers, if the change sets a first limit or removes the last one."""
    limited = draft.per_buyer_limit is not None
    if limited == (current.draft.per_buyer_limit is not None):
        return
    if limited and current.used > RECOUNT_MAX:
        raise PromotionState(
            "the promotion has {used} uses; up to {limit}, its past uses can be counted by buyer", used=current.used, limit=RECOUNT_MAX
        )
    await conn.execute(COUNT_BUYERS if limited else FORGET_BUYERS, current.id)


@retry_conflicts
async def archive(
    pool: "Pool", promotion_id: UUID, etags: Collection[str], actor: Actor, key: IdempotencyKey | None = None
) -> StoredPromotion | Stored:
    """Archive a promotion, or return one that is archived already; raises PromotionNotFound or EtagMismatch."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _archive(conn, promotion_id, etags, actor))


async def _archive(conn: "Conn", promotion_id: UUID, etags: Collection[str], actor: Actor) -> StoredPromotion:
    current = await _lock(conn, promotion_id)
    if current.archived_at is not None:
        return current
    require_etag("promotion", etags, current.etag)
    promotion = stored(await conn.fetchrow(ARCHIVE_PROMOTION, promotion_id))
    times = {"archived_at": current.archived_at}, {"archived_at": promotion.archived_at}
    await audit_log.append(conn, actor, "promotion.archived", promotion_id, *times)
    await price_rules.changed(conn)
    return promotion


async def _lock(conn: "Conn", promotion_id: UUID) -> StoredPromotion:
    row = await conn.fetchrow(LOCK_PROMOTION, promotion_id)
    if row is None:
        raise PromotionNotFound(promotion_id)
    return stored(row)


async def _require_scope(conn: "Conn", draft: PromotionDraft, known: Mapping[str, Any]) -> None:
    """Raise a refusal if an id that is new in a promotion is not that of a product on sale, a category or a live method."""
    new = {column: [each for each in getattr(draft, column) if each not in set(known[column])] for column in _NO_IDS}
    wanted = [[id_ for column in columns for id_ in new[column]] for columns in (_PRODUCT_IDS, _CATEGORY_IDS, _METHOD_IDS)]
    if not any(wanted):
        return
    [(no_products, no_categories, no_methods)] = await conn.fetch(GET_ABSENT, *wanted)
    for kind, columns, ids, template in (
        (ScopeProductNotFound, _PRODUCT_IDS, no_products, "no product on sale has this id"),
        (ScopeCategoryNotFound, _CATEGORY_IDS, no_categories, "no category has this id"),
        (ScopeMethodNotFound, _METHOD_IDS, no_methods, "no shipping method that is not archived has this id"),
    ):
        if ids:
            raise kind(_absent(draft, columns, ids, template), resource=", ".join(map(str, ids[:LISTED_MAX])))


def _absent(draft: PromotionDraft, columns: Sequence[str], ids: Collection[UUID], template: str) -> list[Violation]:
    places = [(column, place, each) for column in columns for place, each in enumerate(getattr(draft, column))]
    return [Violation(f"promotion.{FIELDS[column]}[{place}]", template) for column, place, each in places if each in ids]


def _draft(values: Sequence[Any]) -> PromotionDraft:
    name, kind, *rest = values
    return PromotionDraft._make((name, PromotionKind(kind), *(tuple(value) if isinstance(value, list) else value for value in rest)))


def stored(row: asyncpg.Record | None) -> StoredPromotion:
    """Return the promotion of a row with all columns."""
    values = tuple(row or ())
    end = 1 + len(PromotionDraft._fields)
    return StoredPromotion(values[0], _draft(values[1:end]), *values[end:])
