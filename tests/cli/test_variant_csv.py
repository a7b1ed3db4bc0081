"""The seed of the benchmarks with groups, options and a tree is imported as it is written, at any size."""

import asyncio
import csv
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

import catalog_csv
import variant_csv
from mercato_server.store.verify import verify
from support.commands import Mercato, fetch

GROUPS = "SELECT code, variants FROM product_groups ORDER BY code"
OPTIONS = """
SELECT option ->> 0, option ->> 1, count(DISTINCT group_id)
  FROM products, jsonb_array_elements(options) AS option
 GROUP BY 1, 2
"""
LISTED = "SELECT count(*) FROM product_search WHERE category_ids @> ARRAY[(SELECT id FROM categories WHERE name = $1)]"


async def violated(database: str) -> list[str]:
    connection = await asyncpg.connect(database)
    try:
        return [each.invariant.name for each in await verify(connection) if each.violations]
    finally:
        await connection.close()


def test_the_seed_fills_a_shop_with_groups_options_and_a_tree(mercato: Mercato, database: str, file: Path) -> None:
    variant_csv.main(["450", str(file), str(file.with_name("tree.csv"))])
    assert mercato("categories", "import", "tree.csv").stdout == "14 created, 0 updated, 0 unchanged\n"
    done = mercato("import", file.name)
    assert (done.returncode, done.stdout.partition(",")[0]) == (0, "450 created"), done.stderr
    groups = asyncio.run(fetch(database, GROUPS))
    assert [variants for _, variants in groups] == [4] * 112 + [2]
    with file.open(encoding="utf-8", newline="") as rows:
        counted = Counter((*option.split("="), row["group"]) for row in csv.DictReader(rows) for option in row["options"].split(";"))
    expected = Counter((name, value) for name, value, _ in counted)
    assert {(name, value): count for name, value, count in asyncio.run(fetch(database, OPTIONS))} == expected
    assert len(expected) == len(variant_csv.SIZES) + len(variant_csv.COLOURS)
    whole = asyncio.run(fetch(database, LISTED.replace("$1", "'Sports'")))
    assert whole == [(450,)]
    assert asyncio.run(violated(database)) == []


def test_the_seed_is_the_same_each_time_and_has_the_products_of_the_plain_one() -> None:
    rows = list(variant_csv.products(1_000, 7))
    assert rows == list(variant_csv.products(1_000, 7))
    plain = list(catalog_csv.products(1_000))
    assert [(row[0], row[3], row[5]) for row in rows] == [(row[0], row[3], row[5]) for row in plain]
    assert len({(row[7], row[9]) for row in rows}) == len({row[1] for row in rows}) == 1_000
    leaves = {name for name, _, _ in variant_csv.tree()} - variant_csv.ABOVE.keys()
    assert leaves == catalog_csv.KINDS.keys()


def test_a_group_has_no_more_variants_than_there_are_options() -> None:
    with pytest.raises(ValueError, match="1 to 60 variants"):
        next(variant_csv.products(100, 61))
