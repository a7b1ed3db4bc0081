"""The groups of the products of a collapsed list: what an entry of the list says about its group."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.domain.product_groups import fold

GROUP_COLUMNS = """,
           listed_group.*"""
# LIMIT forces nested loops, so that the list keeps its order: a group by its key, then the stock of its variants by one scan of
# theirs, which mostly lie side by side. Text takes the driver less time than arrays.
GROUP_JOIN = """
      LEFT JOIN LATERAL (
           SELECT product_groups.name AS group_name, min_price_minor, max_price_minor,
                  coalesce(array_to_string(variant_ids, ','), '') AS variant_ids, coalesce(variant_options, '[]') AS variant_options,
                  (SELECT string_agg(product_id::text, ',')
                     FROM stock_levels
                    WHERE product_id = ANY(variant_ids) AND location_id = 1 AND on_hand > 0) AS ids_in_stock
             FROM product_groups
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
    ids: str
    """The ids of the variants on sale in their order, separated by commas. The group's entry depends on their stock."""
    options: str
    """The options of each of these, as stored."""
    ids_in_stock: str | None
    """The ids of those that have stock; None if none has."""

    @property
    def variant_ids(self) -> Sequence[str]:
        """The variants on sale."""
        return self.ids.split(",") if self.ids else ()

    @property
    def in_stock(self) -> Collection[str]:
        """The variants that have stock."""
        return set(self.ids_in_stock.split(",")) if self.ids_in_stock else ()

    def values_in_stock(self) -> Mapping[str, Sequence[str]]:
        """Return the values of each option that some variant in stock has, in the order of the group.

        Of values that differ only in case it has the first one.
        """
        found: dict[str, dict[str, str]] = {}
        in_stock = self.in_stock
        for id_, options in zip(self.variant_ids, json.loads(self.options), strict=True):
            for name, value in options if id_ in in_stock else ():
                found.setdefault(name, {}).setdefault(_fold(value), value)
        return {name: list(values.values()) for name, values in found.items()}


_COLUMNS = len(ListedGroup._fields) - 1


def read(rows: Iterable[asyncpg.Record]) -> list[ListedGroup]:
    """Return the groups of rows that end with the columns above; a row of a product without a group has none."""
    return [ListedGroup(row["group_id"], *row[-_COLUMNS:]) for row in rows if row["group_id"]]
