"""Measure checkouts of 1,000 buyers at once who have all entered one code, beside those of as many buyers without one."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cases
import checkouts
import goods
import runs
from cases import GRPC, Case, Load, Run
from goods import Mismatch
from mercato_server.database.pool import Conn
from report import Goal, Part, ratios
from runs import Scale
from stage import Stage

USES = 100
RATE_MIN = 0.8
"""Goal: rate of answers with a code, as a multiple of that without one."""
FAILED_PRECONDITION = "9"
NONE, FEW, ENOUGH = "no code", f"a code for {USES} uses", "a code for enough uses"
_numbers = itertools.count(1)

# Promotions of earlier rounds are archived, as a shop would do.
ARCHIVE_PROMOTIONS = "UPDATE promotions SET archived_at = now() WHERE archived_at IS NULL"

INSERT_CODE = """
WITH promotion AS (
    INSERT INTO promotions (name, kind, percent_ppm, product_ids, category_ids, get_product_ids, get_category_ids, method_ids,
                            min_subtotal_minor, currency_code, needs_code, usage_limit, priority, combinable, codes)
    VALUES ('Ten percent', 'percent', 100000, '{}', '{}', '{}', '{}', '{}', 0, 'USD', true, $2, 0, true, 1)
    RETURNING id
)
INSERT INTO promotion_codes (code_folded, code, promotion_id) SELECT $1, $1, id FROM promotion
"""

RENEW_RULES = "UPDATE price_rules SET version = version + 1"

ENTER_CODE = """
INSERT INTO carts (account_id, codes)
SELECT account_id, ARRAY[$2] FROM unnest($1::uuid[]) AS account_id
    ON CONFLICT (account_id) DO UPDATE
   SET codes = excluded.codes, version = nextval('cart_versions')
"""

LEAVE_CODES = "DELETE FROM carts"

COUNT_USES = """
SELECT used, (SELECT count(*) FROM promotion_redemptions AS redeemed WHERE redeemed.promotion_id = code.promotion_id) AS redeemed
  FROM promotion_codes AS code
 WHERE code_folded = $1
"""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure a worker over its socket, with and without a code in turns."""
    async with runs.shop(directory, edge=False) as (running, conn):
        products = await goods.make_products(conn, checkouts.PRODUCTS)
        carts = await goods.make_carts(conn, running.secret_key, 1, checkouts.dealt(products, goods.LINES, scale.crowd))
        await goods.analyze(conn)
        load = Load(scale.crowd, checkouts.UNTIL_ALL_S)
        case = cases.checkout(GRPC, carts)
        uses = {FEW: USES, ENOUGH: scale.crowd}
        lines: dict[tuple[str, str], Callable[[], Awaitable[Run]]] = {
            (case.name, NONE): partial(_without_code, case, running, conn, load),
            **{(case.name, name): partial(_with_code, case, running, conn, load, limit) for name, limit in uses.items()},
        }
        for each in lines.values():  # pools, plans and caches are warm then
            await each()
        found = await runs.measure(lines, scale.rounds)
    base = found[case.name, NONE]
    goals = [
        Goal(what=f"{scale.crowd:,} buyers at once, {name} ÷ none", bound=RATE_MIN, found=ratios(found[case.name, name], base))
        for name in uses
    ]
    return Part(title="Checkouts with one code", goals=goals, note=NOTE, lines=found)


async def _without_code(case: Case, running: Stage, conn: "Conn", load: Load) -> Run:
    await conn.execute(LEAVE_CODES)
    return await case.run(running, conn, load)


async def _with_code(case: Case, running: Stage, conn: "Conn", load: Load, limit: int) -> Run:
    """Measure buyers of a new code; raises Mismatch unless it was redeemed as often as it may be, and all others were refused."""
    code = f"code-{next(_numbers)}"
    await conn.execute(ARCHIVE_PROMOTIONS)
    await conn.execute(INSERT_CODE, code, limit)
    await conn.execute(RENEW_RULES)
    await conn.execute(ENTER_CODE, [cart.account_id for cart in case.carts], code)
    run = await replace(case, refusal=FAILED_PRECONDITION).run(running, conn, load)
    row = await conn.fetchrow(COUNT_USES, code)
    expected = {"used": limit, "redeemed": limit}
    if dict(row or {}) != expected or run.outcome.refused != len(case.carts) - limit:
        raise Mismatch(f"a code for {limit} uses: expected {expected}, found {row} and {run.outcome.refused} refusals")
    return run


NOTE = (
    "Each buyer checks out a cart of three lines with an idempotency key over gRPC, straight at a worker. No two buyers at the same time "
    f"share a product. With a code, all carts have the same one, of ten percent: for {USES} uses, so that all others are refused with "
    "PROMOTION_EXHAUSTED, or for as many as there are buyers. The rate counts answers, orders or refusals. After every measurement the "
    "uses, redemptions and orders in the database agreed with the answers. PostgreSQL is durable (fsync on)."
)
