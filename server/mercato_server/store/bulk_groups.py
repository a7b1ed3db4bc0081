"""The groups of a batch of an import: their creation and locks, and the rows that do not fit into them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.database.transactions import StaleReadError
from mercato_server.domain import product_groups
from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import EventKind
from mercato_server.domain.product_groups import VARIANTS_MAX, Options
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import audit_log, events, slugs
from mercato_server.store.events import Event

FIND_GROUPS = "SELECT id, code, name, varies_by FROM product_groups WHERE code = ANY($1::text[])"

ADD_GROUPS = """
INSERT INTO product_groups (code, name, varies_by, currency_code)
SELECT code, name, string_to_array(varies_by, chr(31)), (SELECT currency_code FROM shop)
  FROM unnest($1::text[], $2::text[], $3::text[]) AS missing (code, name, varies_by)
 ORDER BY code COLLATE "C"  -- one order for every import
    ON CONFLICT (code) DO NOTHING
RETURNING id, code, name, varies_by
"""

RENAME_GROUPS = """
UPDATE product_groups
   SET name = given.name, version = version + 1, updated_at = now()
  FROM unnest($1::uuid[], $2::text[]) AS given (id, name)
 WHERE product_groups.id = ANY($1::uuid[]) AND product_groups.id = given.id AND product_groups.name <> given.name
RETURNING product_groups.id, old.name AS old_name, new.name
"""

# Rows whose options are those of a variant that this batch does not write. In another batch of the file it may come too late.
FIND_TAKEN = """
SELECT incoming.sku, coalesce(holder.sku, holder.id::text) AS holder
  FROM incoming
  JOIN products AS holder ON holder.group_id = incoming.group_id AND holder.deleted_at IS NULL
       AND sha256(jsonb_send(holder.folded_options)) = sha256(jsonb_send(incoming.folded_options))
 WHERE holder.sku IS DISTINCT FROM incoming.sku
   AND NOT EXISTS (SELECT FROM incoming AS other WHERE other.sku = holder.sku AND other.group_id IS NOT NULL)
"""

# Groups that would have too many variants on sale: those that the batch does not write, and those that it does.
FIND_FULL = """
SELECT group_id
  FROM (SELECT group_id
          FROM products
         WHERE group_id = ANY($1::uuid[]) AND deleted_at IS NULL
           AND NOT EXISTS (SELECT FROM incoming WHERE incoming.sku = products.sku AND incoming.group_id IS NOT NULL)
         UNION ALL
        SELECT group_id FROM incoming WHERE group_id = ANY($1::uuid[])) AS variant
 GROUP BY group_id
HAVING count(*) > $2
"""


class Placement(NamedTuple):
    """Where a row of a file puts its product: the code and name of a group, the options there, and the position.

    An empty code means no group. A name or position of None keeps those that exist.
    """

    code: str
    name: str | None
    options: Options
    position: int | None


class Known(NamedTuple):
    """A group that exists."""

    id: UUID
    name: str
    varies_by: Sequence[str]


Groups = Mapping[str, Known]
"""Groups by their codes."""


async def find(conn: "Conn", placements: Collection[Placement]) -> dict[str, Known]:
    """Return the groups of rows that exist, by code."""
    codes = sorted({placement.code for placement in placements if placement.code})
    rows = await conn.fetch(FIND_GROUPS, codes) if codes else []
    return {row["code"]: Known(row["id"], row["name"], row["varies_by"]) for row in rows}


async def find_or_add(conn: "Conn", placements: Collection[Placement], actor: Actor) -> dict[str, Known]:
    """Return the groups of rows, by code; create the missing ones, which vary by the options of their first rows."""
    found = await find(conn, placements)
    missing = {placement.code: placement for placement in reversed([*placements]) if placement.code and placement.code not in found}
    if not missing:
        return found
    names = ["\x1f".join(option.name for option in placement.options) for placement in missing.values()]
    rows = await conn.fetch(ADD_GROUPS, list(missing), [each.name or each.code for each in missing.values()], names)
    if len(rows) < len(missing):
        raise StaleReadError  # another transaction has just created one of them
    given = await slugs.give(conn, SlugKind.GROUP, [slugs.Named(row["id"], row["name"]) for row in rows])
    await events.append(conn, [Event(EventKind.PRODUCT_GROUP_CREATED, row["id"]) for row in rows])
    created: list[audit_log.Action] = [
        ("product_group.created", row["id"], {}, {**_fields(row), "slug": given.get(row["id"])}) for row in rows
    ]
    await audit_log.append_all(conn, actor, created)
    return found | {row["code"]: Known(row["id"], row["name"], row["varies_by"]) for row in rows}


def _fields(row: asyncpg.Record) -> dict[str, object]:
    return {"code": row["code"], "name": row["name"], "varies_by": row["varies_by"]}


async def rename(conn: "Conn", placements: Collection[Placement], groups: Groups, actor: Actor) -> None:
    """Give locked groups the names that the rows state."""
    wanted = {groups[each.code].id: each.name for each in placements if each.code and each.name and each.name != groups[each.code].name}
    if not wanted:
        return
    rows = await conn.fetch(RENAME_GROUPS, list(wanted), list(wanted.values()))
    if rows:
        await events.append(conn, [Event(EventKind.PRODUCT_GROUP_UPDATED, row["id"]) for row in rows])
        renamed: list[audit_log.Action] = [
            ("product_group.updated", row["id"], {"name": row["old_name"]}, {"name": row["name"]}) for row in rows
        ]
        await audit_log.append_all(conn, actor, renamed)


async def misfits(conn: "Conn", placed: Mapping[str, Placement], groups: Groups) -> dict[str, str]:
    """Return why which rows of `incoming`, by SKU, do not fit into groups that exist."""
    found = {
        sku: f"options: must be exactly those of the group {each.code}: {', '.join(groups[each.code].varies_by)}"
        for sku, each in placed.items()
        if each.code in groups and not _fits(each.options, groups[each.code].varies_by)
    }
    if not groups:
        return found
    for row in await conn.fetch(FIND_TAKEN):
        found.setdefault(row["sku"], f"options: are those of the product {row['holder']}; write both in rows close to each other")
    full = {row["group_id"] for row in await conn.fetch(FIND_FULL, [known.id for known in groups.values()], VARIANTS_MAX)}
    for sku, each in placed.items():
        if each.code in groups and groups[each.code].id in full:
            found.setdefault(sku, f"group: {each.code} would have more than {VARIANTS_MAX} variants on sale")
    return found


def in_order(placement: Placement, groups: Groups) -> Options:
    """Return the options of a row in the order of its group; as they are if the group does not exist, or varies by others."""
    known = groups.get(placement.code)
    return (
        product_groups.of_group(placement.options, known.varies_by)
        if known and _fits(placement.options, known.varies_by)
        else placement.options
    )


def _fits(options: Options, varies_by: Sequence[str]) -> bool:
    return sorted(product_groups.fold(option.name) for option in options) == sorted(map(product_groups.fold, varies_by))
