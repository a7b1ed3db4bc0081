"""The page on personal data has each column that could hold any."""

import re
from pathlib import Path

from mercato_server.database.pool import Pool

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
