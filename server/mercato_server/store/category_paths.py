"""Categories of paths: those of another shop's file, which become a tree."""

from collections.abc import Collection, Mapping
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import Category
from mercato_server.domain.category_paths import Placed, Plan, Wanted, plan
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import audit_log, category_tree, events, name_keys, slugs
from mercato_server.store.category_files import ADD_TREE, GET_ALL, NEW_IDS
from mercato_server.store.events import Event


@retry_conflicts
async def place(pool: "Pool", wanted: Collection[Wanted], actor: Actor) -> Mapping[Wanted, Placed]:
    """Return the categories of paths; create the missing ones, in one transaction.

    The number of statements does not grow with the number of paths. Nothing is locked if no category is missing.
    """
    if not wanted:
        return {}
    await name_keys.load()
    names = sum(len(each.path) for each in wanted)
    new_ids = [UUID(str(row["id"])) for row in await pool.fetch(NEW_IDS, names)]
    found = _planned(await pool.fetch(GET_ALL), wanted, new_ids)
    if not found.created:
        return found.placed
    async with transaction(pool) as conn:
        await category_tree.lock(conn)
        found = _planned(await conn.fetch(GET_ALL), wanted, new_ids)
        if made := found.created:
            keys, count = [name_key(each.name) for each in made], len(made)
            ancestors = [" ".join(map(str, each.ancestors)) for each in made]
            columns = ([each.id for each in made], [each.name for each in made], keys, [each.parent_id for each in made], ancestors)
            await conn.execute(ADD_TREE, *columns, [0] * count, [""] * count, RULE_VERSION)
            given = await slugs.give(conn, SlugKind.CATEGORY, [slugs.Named(each.id, each.name) for each in made])
            await events.append(conn, [Event(EventKind.CATEGORY_CREATED, each.id) for each in made])
            created: list[audit_log.Action] = [
                ("category.created", each.id, {}, {"name": each.name, "parent_id": each.parent_id, "slug": given.get(each.id)})
                for each in made
            ]
            await audit_log.append_all(conn, actor, created)
        return found.placed


def _planned(rows: Collection[asyncpg.Record], wanted: Collection[Wanted], new_ids: Collection[UUID]) -> Plan:
    known = [Category._make(row) for row in rows]
    ids = iter(new_ids)
    return plan(known, wanted, lambda: next(ids))
