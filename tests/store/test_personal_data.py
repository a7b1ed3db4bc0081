"""The page on personal data has each column that could hold any."""

import re
from pathlib import Path

from mercato.v1.promotion_pb2 import PROMOTION_KIND_PERCENT
from mercato_server.database.pool import Pool
from support.market import BERLIN, market
from support.shop import Shop, refusal

PAGE = Path(__file__).parents[2] / "docs/personal-data.md"
COLUMNS = """
SELECT columns.table_name, columns.column_name
  FROM information_schema.columns
  JOIN information_schema.tables USING (table_schema, table_name)
 WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND ltrim(udt_name, '_') = ANY($1::text[])
"""
OTHER_TYPES = """
SELECT DISTINCT ltrim(udt_name, '_') AS name
  FROM information_schema.columns
 WHERE table_schema = 'public' AND ltrim(udt_name, '_') <> ALL($1::text[])
"""
USES = """
SELECT (SELECT json_agg(row_to_json(used))::text FROM promotion_redemptions AS used),
       (SELECT json_agg(row_to_json(used))::text FROM promotion_buyers AS used)
"""
WITH_CONTENT = ["text", "varchar", "bpchar", "citext", "json", "jsonb", "bytea", "tsvector", "inet"]
WITHOUT = {"uuid", "int2", "int4", "int8", "bool", "timestamptz", "xid8", "tstzrange", "pgqueuer_status"}


def listed() -> list[tuple[str, str]]:
    """Return the columns of the page's tables, each with its table."""
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(table, column) for table, columns in rows for column in re.findall(r"`(\w+)`", columns)]


async def test_each_column_that_could_hold_personal_data_is_on_the_page_once(pool: "Pool") -> None:
    there = sorted(tuple(row) for row in await pool.fetch(COLUMNS, WITH_CONTENT))
    assert ("accounts", "email") in there
    assert ("addresses", "street_lines") in there
    assert sorted(listed()) == there


async def test_a_type_of_column_either_could_hold_personal_data_or_could_not(pool: "Pool") -> None:
    assert {row["name"] for row in await pool.fetch(OTHER_TYPES, WITH_CONTENT)} <= WITHOUT


def test_each_column_with_personal_data_states_how_long_it_is_kept() -> None:
    part = PAGE.read_text(encoding="utf-8").partition("## Columns with personal data")[2].partition("## ")[0]
    rows = re.findall(r"^\| `\w+` \|.*$", part, re.MULTILINE)
    assert len(rows) > 10
    assert all(len([cell for cell in row.strip("|").split("|") if cell.strip()]) == 4 for row in rows)


async def test_uses_of_promotions_count_a_buyer_without_the_address(shop: Shop) -> None:
    trade = await market(shop)
    await trade.promotion("ONCE", kind=PROMOTION_KIND_PERCENT, percent_ppm=100_000, per_buyer_limit=1)
    ball = await trade.ball()
    header = {"shipping_address": BERLIN, "shipping_method_id": trade.parcel_id, "codes": ["ONCE"]}
    first, second = [await shop.person() for _ in range(2)]
    for buyer in (first, second):
        await shop.add(buyer, ball)
    await trade.header(first, contact_email="jo@example.com", **header)
    assert (await shop.checkout(first)).price.discount.minor_units > 0
    for text in await shop.pool.fetchrow(USES) or ():
        assert first.id in text
        assert "example.com" not in text
    error = await refusal(trade.header(second, contact_email="JO@Example.com", **header))
    assert (error.reason, error.metadata["limit"]) == ("PROMOTION_EXHAUSTED", "buyer")
