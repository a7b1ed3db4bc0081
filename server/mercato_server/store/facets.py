"""Facets: the options of the variants that a list matches, with the number of groups that the list has with each value.

An option ignores its own choice: a value counts the groups that the list would have if it chose this value alone for the option. So a
variant counts for all of its options if all choices hold for it, and for one option if only the choice of that one leaves it out.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from typing import NamedTuple

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.domain import product_groups, variant_filters
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.variant_filters import FACET_MATCHES_MAX, FACET_VALUES_MAX, FACETS_MAX, Facet, FacetValue
from mercato_server.store import product_lists, search
from mercato_server.store.events import Snapshot
from mercato_server.store.product_shapes import Shape


class Facets(NamedTuple):
    """Facets in the order in which they are shown."""

    facets: Sequence[Facet]
    at_least: bool
    """Whether only the newest matches were counted."""
    snapshot: Snapshot
    """The snapshot in which they were counted."""


@cache
def facets_sql(shape: Shape, *, chosen: bool) -> str:
    """Return the statement of the facets of a list.

    It takes the arguments of the list's conditions, how many matches to read, and, if options are chosen, the choices as JSON.

    The statement reads the newest variants that match by the index that the list would read, then counts in memory:

        Sort
          CTE found     ->  Limit  ->  Index Scan using products_by_category   (Filter: folded_options IS NOT NULL)
          CTE matching  ->  Limit  ->  CTE Scan on found
          CTE counted   ->  HashAggregate  ->  HashAggregate  ->  Nested Loop
                                                                    ->  CTE Scan on matching
                                                                    ->  Function Scan on jsonb_each_text
    """
    choices = f"{shape.parameters()['offset']}::jsonb"
    missed = f"""ARRAY(SELECT choice.key
                         FROM jsonb_each({choices}) AS choice
                        WHERE NOT coalesce(choice.value ? (folded_options ->> choice.key), FALSE))"""  # noqa: S608 - constants
    columns, where = f"group_id, options, folded_options, {missed if chosen else 'NULL'} AS missed", "folded_options IS NOT NULL"
    counts, selected = (
        ("missed = '{}' OR missed = ARRAY[name]", f"coalesce({choices} -> name ? value, FALSE)") if chosen else ("TRUE", "FALSE")
    )
    found = search.newest_sql(shape, columns, where) if shape.query else _newest_sql(shape, columns, where)
    return f"""{found}, matching AS MATERIALIZED (
    SELECT *, row_number() OVER () AS place FROM found LIMIT {FACET_MATCHES_MAX}
    ), counted AS MATERIALIZED (
    SELECT name, value, count(*) AS groups, max(oldest) AS oldest, {selected} AS selected
      FROM (SELECT name, value, group_id, max(place) AS oldest
              FROM matching
             CROSS JOIN LATERAL jsonb_each_text(folded_options) AS option (name, value)
             WHERE {counts}
             GROUP BY name, value, group_id) AS of_group
     GROUP BY name, value
    ), placed AS (
    SELECT *, row_number() OVER (PARTITION BY name ORDER BY selected DESC, groups DESC, value) AS rank,
           sum(groups) OVER (PARTITION BY name) AS weight
      FROM counted
    ), ranked AS (
    SELECT *, dense_rank() OVER (ORDER BY weight DESC, name) AS facet FROM placed WHERE rank <= {FACET_VALUES_MAX}
    )
    SELECT pg_current_snapshot()::text AS snapshot, (SELECT count(*) FROM found) > {FACET_MATCHES_MAX} AS at_least,
           name, value, groups, selected, options
      FROM (SELECT) AS always LEFT JOIN (ranked JOIN matching ON place = oldest) ON facet <= {FACETS_MAX}
     ORDER BY facet, groups DESC, value
    """  # noqa: S608 - constants


def _newest_sql(shape: Shape, columns: str, where: str) -> str:
    """Return the part that finds the newest matches of a list without a query; a category also has the products of its listings."""
    page = f"ORDER BY id DESC {shape.limit()}"
    found = f"SELECT id, {columns} FROM products WHERE {shape.conditions()} AND {where} {page}"  # noqa: S608 - constants
    if shape.category:
        below = f"SELECT id, {columns} FROM {shape.found_listings()} AND {where} ORDER BY of_id DESC {shape.limit()}"  # noqa: S608
        if not shape.has_found_listings:
            listings = f"SELECT id FROM category_listings AS products WHERE {shape.listing_conditions()}"  # noqa: S608 - constants
            by_id = f"SELECT {columns} FROM products WHERE id = listing.id AND {where} OFFSET 0"  # noqa: S608 - constants; a nested loop
            below = f"SELECT listing.id, variant.* FROM ({listings}) AS listing CROSS JOIN LATERAL ({by_id}) AS variant {page}"  # noqa: S608
        found = f"SELECT * FROM (({found}) UNION ALL ({below})) AS listed {page}"  # noqa: S608 - constants
    return f"WITH found AS MATERIALIZED ({found})"


async def read(pool: "Pool", wanted: ProductFilter, spelling: str | None) -> Facets:
    """Count the options of the variants that match; `spelling` is the corrected query of the list."""
    choices = wanted.variants.choices
    loose = variant_filters.path_without_one(choices)
    shape = replace(product_lists.shape_of(wanted, ProductOrder.NEWEST, None), options=bool(loose), collapse=False)
    arguments = product_lists.arguments(wanted, spelling, loose)
    chosen = [variant_filters.dump(choices)] if choices else []
    rows = await pool.fetch(facets_sql(shape, chosen=bool(chosen)), *arguments, FACET_MATCHES_MAX + 1, *chosen)
    named = [row for row in rows if row["name"] is not None]
    facets = [_facet(list(found)) for _, found in groupby(named, key=lambda row: row["name"])]
    return Facets(facets, rows[0]["at_least"], Snapshot.parse(rows[0]["snapshot"]))


def _facet(rows: Sequence[asyncpg.Record]) -> Facet:
    """Return a facet of the rows of its values, each spelled as the oldest of its variants does."""
    spelled = [_spelled(row) for row in rows]
    values = [FacetValue(each.value, row["groups"], row["selected"]) for each, row in zip(spelled, rows, strict=True)]
    return Facet(spelled[0].name, values)


def _spelled(row: asyncpg.Record) -> product_groups.Option:
    [found] = [each for each in product_groups.parse(row["options"]) if product_groups.fold(each.name) == row["name"]]
    return found
