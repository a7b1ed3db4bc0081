"""The groups of the products of a collapsed list: what an entry of the list says about its group."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.domain.product_groups import fold

GROUP_COLUMNS = """,
           listed_group.*"""
# LIMIT forces nested loops, so that the list keeps its order: a group by its key, its variants by an index in the order of the group, the
# stock of each by its key. Text takes PostgreSQL and the driver less time than arrays.
GROUP_JOIN = """
      LEFT JOIN LATERAL (
           SELECT product_groups.name AS group_name, min_price_minor, max_price_minor, variants, variant_ids, in_stock, options_in_stock
             FROM product_groups
            CROSS JOIN LATERAL (
                 SELECT string_agg(id::text, ',') AS variant_ids, count(*) FILTER (WHERE on_hand > 0) AS in_stock,
                        string_agg(options::text, ',') FILTER (WHERE on_hand > 0) AS options_in_stock
                   FROM (SELECT id, options,
                                (SELECT on_hand FROM stock_levels WHERE product_id = variant.id AND location_id = 1) AS on_hand
                           FROM products AS variant
                          WHERE variant.group_id = product_groups.id AND deleted_at IS NULL
                          ORDER BY position, id) AS stored) AS variant
            WHERE product_groups.id = listed.group_id
            LIMIT 1) AS listed_group ON TRUE"""


_fold = lru_cache(maxsize=4_096)(fold)
"""Lists fold the same few values again and again."""


class ListedGroup(NamedTuple):
    """A group that a product of a collapsed list represents. Prices are in minor units."""

    id: UUID
    name: str
    min_price_minor: int
    max_price_minor: int
    """The range of the prices of all variants on sale, also of those that do not match the list."""
    variants: int
    """The number of variants on sale."""
    in_stock: int
    """How many of them have stock."""
    values_in_stock: Mapping[str, Sequence[str]]
    """The values of each option that some variant in stock has, in the order of the group."""
    variant_ids: frozenset[str]
    """The variants on sale, on whose stock the above depends."""


def read(rows: Iterable[asyncpg.Record]) -> list[ListedGroup]:
    """Return the groups of rows that have the columns above; a row of a product without a group has none."""
    return [
        ListedGroup(
            row["group_id"],
            row["group_name"],
            row["min_price_minor"],
            row["max_price_minor"],
            row["variants"],
            row["in_stock"],
            _values(row["options_in_stock"]),
            frozenset(row["variant_ids"].split(",")),
        )
        for row in rows
        if row["group_id"]
    ]


def _values(stored: str | None) -> dict[str, list[str]]:
    """Return the values by option of several options as stored, separated by commas; of values that differ only in case the first one."""
    found: dict[str, dict[str, str]] = {}
    for options in json.loads(f"[{stored or ''}]"):
        for name, value in options:
            found.setdefault(name, {}).setdefault(_fold(value), value)
    return {name: list(values.values()) for name, values in found.items()}
