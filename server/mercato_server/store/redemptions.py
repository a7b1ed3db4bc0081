"""Uses of promotions: the only module that locks and changes their counters; docs/promotions.md has the design.

A checkout locks limited promotions and codes first (`lock`), and the others only when it writes (`redeem`), because many buyers share them.
All transactions take these locks in this order, after those of stock levels:

1. limited promotions, by id;
2. limited codes, by folded code;
3. other promotions, by id;
4. other codes, by folded code.

The uses of buyers need no locks of their own. A promotion that limits them is limited, and only a transaction that has locked it reads or
writes them.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.domain.promotions import folded_code
from mercato_server.domain.redemptions import CodeUses, PromotionUses, Redemption, Uses

_IS_LIMITED = "(usage_limit IS NOT NULL OR per_buyer_limit IS NOT NULL)"

# The promotion is looked up for each code: a plan that was made for few promotions may not read all of them later.
GET_CODES = """
SELECT code_folded, promotion_id, usage_limit, used
  FROM promotion_codes
 WHERE code_folded = ANY($1::text[]) AND archived_at IS NULL
   AND (SELECT archived_at IS NULL FROM promotions WHERE id = promotion_id)
"""


async def resolve(conn: "Conn", codes: Collection[str]) -> dict[str, CodeUses]:
    """Return the live codes among those that buyers have entered, by folded code."""
    rows = await conn.fetch(GET_CODES, list({folded_code(code) for code in codes}))
    return {row["code_folded"]: CodeUses(*row[1:]) for row in rows}


# The uses of buyers are read by a volatile function, after the wait for the promotions: this statement itself would not see rows that were
# written meanwhile. Arrays and counts, not joins, put the parts in order: PostgreSQL checks a row again that changed during the wait, and
# the check must not run another part again.
LOCK_USES = f"""
WITH promotion AS MATERIALIZED (
    SELECT id, usage_limit, per_buyer_limit, used
      FROM promotions
     WHERE id = ANY($1::uuid[]) AND {_IS_LIMITED} AND archived_at IS NULL
     ORDER BY id
       FOR NO KEY UPDATE
), code AS MATERIALIZED (
    SELECT code_folded, promotion_id, usage_limit, used
      FROM promotion_codes
     WHERE code_folded = ANY($2::text[]) AND usage_limit IS NOT NULL AND archived_at IS NULL
       AND (SELECT count(*) FROM promotion) >= 0  -- after the promotions
     ORDER BY code_folded
       FOR NO KEY UPDATE
)
SELECT 'promotion' AS kind, id AS promotion_id, NULL AS name, usage_limit, per_buyer_limit, used FROM promotion
 UNION ALL
SELECT 'code', promotion_id, code_folded, usage_limit, NULL, used FROM code
 UNION ALL
SELECT 'buyer', promotion_id, subject, NULL, NULL, uses
  FROM uses_of_buyers(ARRAY(SELECT id FROM promotion WHERE per_buyer_limit IS NOT NULL), $3::text[])
"""  # noqa: S608 - constants


GET_USES = f"""
SELECT 'promotion' AS kind, id AS promotion_id, NULL AS name, usage_limit, per_buyer_limit, used
  FROM promotions
 WHERE id = ANY($1::uuid[]) AND {_IS_LIMITED} AND archived_at IS NULL
 UNION ALL
SELECT 'code', promotion_id, code_folded, usage_limit, NULL, used
  FROM promotion_codes
 WHERE code_folded = ANY($2::text[]) AND usage_limit IS NOT NULL AND archived_at IS NULL
 UNION ALL
SELECT 'buyer', promotion_id, subject, NULL, NULL, uses
  FROM promotion_buyers
 WHERE promotion_id = ANY($1) AND subject = ANY($3::text[])
"""  # noqa: S608 - constants


async def read(conn: "Conn", promotion_ids: Collection[UUID], folded_codes: Collection[str], subjects: Collection[str]) -> Uses:
    """Return what `lock` returns, without locks: for a price that is only shown."""
    return _uses(await conn.fetch(GET_USES, list(promotion_ids), list(folded_codes), list(subjects)))


async def lock(conn: "Conn", promotion_ids: Collection[UUID], folded_codes: Collection[str], subjects: Collection[str]) -> Uses:
    """Lock the limited ones of promotions and codes, and return their limits and uses as they are now.

    Those that are archived, or not limited, are neither locked nor returned.
    """
    return _uses(await conn.fetch(LOCK_USES, list(promotion_ids), list(folded_codes), list(subjects)))


def _uses(rows: Sequence[asyncpg.Record]) -> Uses:
    return Uses(
        {id_: PromotionUses(*counts) for kind, id_, _, *counts in rows if kind == "promotion"},
        {name: CodeUses(id_, limit, used) for kind, id_, name, limit, _, used in rows if kind == "code"},
        {(id_, name): used for kind, id_, name, _, _, used in rows if kind == "buyer"},
    )


# Parts of a statement that places orders with `redemption (order_id, promotion_id, code_folded, subjects, amount_minor, currency_code)`.
# HELD locks the promotions and codes that are not limited. `held.as_locked` is false if one was archived or limited since `lock`, which
# locked {promotions} and {codes}; then REDEEMED writes nothing. The UPDATEs name their rows by arrays too, so that no plan reads all codes.
HELD = """promotion AS MATERIALIZED (
    SELECT id, per_buyer_limit IS NOT NULL AS limits_buyers,
           archived_at IS NULL AND (coalesce(usage_limit, per_buyer_limit) IS NULL OR id = ANY({promotions}::uuid[])) AS is_held
      FROM promotions
     WHERE id = ANY(ARRAY(SELECT promotion_id FROM redemption))
     ORDER BY id
       FOR NO KEY UPDATE
), code AS MATERIALIZED (
    SELECT code_folded, archived_at IS NULL AND (usage_limit IS NULL OR code_folded = ANY({codes}::text[])) AS is_held
      FROM promotion_codes
     WHERE code_folded = ANY(ARRAY(SELECT code_folded FROM redemption))
       AND (SELECT count(*) FROM promotion) >= 0  -- after the promotions
     ORDER BY code_folded
       FOR NO KEY UPDATE
), held AS MATERIALIZED (
    SELECT coalesce(bool_and(is_held), true) AS as_locked
      FROM (SELECT is_held FROM promotion UNION ALL SELECT is_held FROM code) AS row
)"""

REDEEMED = """given AS MATERIALIZED (
    SELECT order_id, promotion_id, code_folded, subjects, amount_minor, currency_code FROM redemption WHERE (SELECT as_locked FROM held)
), written AS (
    INSERT INTO promotion_redemptions (order_id, promotion_id, code_folded, subjects, amount_minor, currency_code)
    SELECT order_id, promotion_id, code_folded, subjects, amount_minor, currency_code FROM given
), raised AS (
    UPDATE promotions
       SET used = promotions.used + more.uses
      FROM (SELECT promotion_id, count(*) AS uses FROM given GROUP BY promotion_id) AS more
     WHERE promotions.id = more.promotion_id AND promotions.id = ANY(ARRAY(SELECT promotion_id FROM given))
), raised_codes AS (
    UPDATE promotion_codes
       SET used = promotion_codes.used + more.uses
      FROM (SELECT code_folded, count(*) AS uses FROM given GROUP BY code_folded) AS more
     WHERE promotion_codes.code_folded = more.code_folded AND promotion_codes.code_folded = ANY(ARRAY(SELECT code_folded FROM given))
), raised_buyers AS (
    INSERT INTO promotion_buyers AS buyer (promotion_id, subject, uses)
    SELECT promotion_id, subject, count(*)
      FROM given
     CROSS JOIN LATERAL unnest(subjects) AS subject
     WHERE promotion_id = ANY(ARRAY(SELECT id FROM promotion WHERE limits_buyers))
     GROUP BY promotion_id, subject
        ON CONFLICT (promotion_id, subject) DO UPDATE SET uses = buyer.uses + excluded.uses
)"""

REDEEM = f"""
WITH redemption AS MATERIALIZED (
    SELECT order_id, promotion_id, code_folded, array_remove(ARRAY[subject, other_subject], NULL) AS subjects, amount_minor,
           $7::text AS currency_code
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[])
           AS redemption (order_id, promotion_id, code_folded, subject, other_subject, amount_minor)
), {HELD.format(promotions="$8", codes="$9")}, {REDEEMED}
SELECT as_locked FROM held
"""  # noqa: S608 - constants


async def redeem(conn: "Conn", redemptions: Sequence[Redemption], locked: Uses, currency: str) -> bool:
    """Write the redemptions of orders and raise all counters, in the transaction that places the orders.

    Returns False, and writes nothing, if a promotion or code was archived or got a limit since `lock`. Then the caller begins again, with
    new rules.
    """
    others = [redemption.subjects[1] if len(redemption.subjects) > 1 else None for redemption in redemptions]
    as_locked = await conn.fetchval(
        REDEEM,
        [redemption.order_id for redemption in redemptions],
        [redemption.promotion_id for redemption in redemptions],
        [redemption.folded_code for redemption in redemptions],
        [redemption.subjects[0] for redemption in redemptions],
        others,
        [redemption.amount_minor for redemption in redemptions],
        currency,
        list(locked.promotions),
        list(locked.codes),
    )
    return bool(as_locked)


# The insert into promotion_buyers always meets a row, which it lowers. An UPDATE would not see a row that a change of the promotion wrote
# while this statement waited.
RELEASE = f"""
WITH redemption AS MATERIALIZED (
    SELECT promotion_id, code_folded, subjects
      FROM promotion_redemptions
     WHERE order_id = ANY($1::uuid[]) AND released_at IS NULL
     ORDER BY promotion_id, order_id
       FOR NO KEY UPDATE
), limited AS MATERIALIZED (
    SELECT id, per_buyer_limit
      FROM promotions
     WHERE id = ANY(ARRAY(SELECT promotion_id FROM redemption)) AND {_IS_LIMITED}
     ORDER BY id
       FOR NO KEY UPDATE
), limited_code AS MATERIALIZED (
    SELECT code_folded
      FROM promotion_codes
     WHERE code_folded = ANY(ARRAY(SELECT code_folded FROM redemption)) AND usage_limit IS NOT NULL
       AND (SELECT count(*) FROM limited) >= 0
     ORDER BY code_folded
       FOR NO KEY UPDATE
), promotion AS MATERIALIZED (
    SELECT id, per_buyer_limit
      FROM promotions
     WHERE id = ANY(ARRAY(SELECT promotion_id FROM redemption)) AND (SELECT count(*) FROM limited_code) >= 0
     ORDER BY id
       FOR NO KEY UPDATE
), code AS MATERIALIZED (
    SELECT code_folded
      FROM promotion_codes
     WHERE code_folded = ANY(ARRAY(SELECT code_folded FROM redemption)) AND (SELECT count(*) FROM promotion) >= 0
     ORDER BY code_folded
       FOR NO KEY UPDATE
), released AS (
    UPDATE promotion_redemptions
       SET released_at = now()
     WHERE order_id = ANY($1) AND released_at IS NULL AND promotion_id = ANY(ARRAY(SELECT promotion_id FROM redemption))
), lowered AS (
    UPDATE promotions
       SET used = used - gone.uses
      FROM (SELECT promotion_id, count(*) AS uses FROM redemption GROUP BY promotion_id) AS gone
     WHERE id = gone.promotion_id AND id = ANY(ARRAY(SELECT id FROM promotion))
), lowered_codes AS (
    UPDATE promotion_codes AS lowered
       SET used = used - gone.uses
      FROM (SELECT code_folded, count(*) AS uses FROM redemption GROUP BY code_folded) AS gone
     WHERE lowered.code_folded = gone.code_folded AND lowered.code_folded = ANY(ARRAY(SELECT code_folded FROM code))
), lowered_buyers AS (
    INSERT INTO promotion_buyers AS buyer (promotion_id, subject, uses)
    SELECT promotion_id, subject, count(*)
      FROM redemption
     CROSS JOIN LATERAL unnest(subjects) AS subject
     WHERE promotion_id = ANY(ARRAY(SELECT id FROM promotion WHERE per_buyer_limit IS NOT NULL))
     GROUP BY promotion_id, subject
     ORDER BY promotion_id, subject
        ON CONFLICT (promotion_id, subject) DO UPDATE SET uses = buyer.uses - excluded.uses
)
SELECT count(*) FROM redemption
"""  # noqa: S608 - constants


async def release(conn: "Conn", order_ids: Sequence[UUID]) -> int:
    """Give the uses of cancelled orders back, in the transaction that cancels them; return their number. A second call finds none."""
    return int(await conn.fetchval(RELEASE, order_ids))
