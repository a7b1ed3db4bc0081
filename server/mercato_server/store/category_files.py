"""Import and export of categories."""

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, NamedTuple
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import Category
from mercato_server.domain.category_files import Incoming, Plan, Wanted, plan
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.refused_lines import Refused
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import audit_log, category_tree, events, name_keys, slugs
from mercato_server.store.events import Event
from mercato_server.store.spreadsheets import protected, write_csv

GET_ALL = "SELECT id, name, created_at, version, parent_id, slug, position, about, ancestors FROM categories"

NEW_IDS = "SELECT uuidv7() AS id FROM generate_series(1, $1)"

# Arrays of PostgreSQL have no rows of different lengths, so ancestors come as texts.
ADD_TREE = """
INSERT INTO categories (id, name, keyed_name, name_key, name_key_rule, parent_id, ancestors, position, about)
SELECT id, name, name, name_key, $8, parent_id, string_to_array(ancestors, ' ')::uuid[], position, about
  FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::text[], $6::integer[], $7::text[])
       AS made (id, name, name_key, parent_id, ancestors, position, about)
"""

# Waits for the writers of products of these categories, as a move does.
LOCK_PLACES = "SELECT id FROM categories WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"

# The unique index of names checks row by row, so categories that exchange names first give theirs up.
FREE_NAMES = "UPDATE categories SET name = id::text WHERE id = ANY($1::uuid[])"

CHANGE_TREE = """
UPDATE categories
   SET name = wanted.name, keyed_name = wanted.name, name_key = wanted.name_key, name_key_rule = $8, parent_id = wanted.parent_id,
       ancestors = string_to_array(wanted.ancestors, ' ')::uuid[], position = wanted.position, about = wanted.about,
       version = version + CASE WHEN categories.id = ANY($9::uuid[]) THEN 1 ELSE 0 END
  FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::text[], $6::integer[], $7::text[])
       AS wanted (id, name, name_key, parent_id, ancestors, position, about)
 WHERE categories.id = wanted.id
"""

MOVE_ALL_DOCUMENTS = "UPDATE product_search SET category_ids = category_ids[1:1] WHERE category_ids && $1::uuid[]"


def _export(shown: Callable[[str], str]) -> str:
    """Return the statement of an export that shows each text by the expression of its column; parents come before their subcategories."""
    return f"""
SELECT category.slug, {shown("category.name")} AS name, parent.slug AS parent, category.position, {shown("category.about")} AS description
  FROM categories AS category
  LEFT JOIN categories AS parent ON parent.id = category.parent_id
 ORDER BY category.ancestors || category.id
"""  # noqa: S608 - constants


EXPORT_CATEGORIES = _export(str)

EXPORT_CATEGORIES_FOR_SPREADSHEETS = _export(protected)


class Written(NamedTuple):
    """The numbers of categories that an import has created and updated."""

    created: int
    updated: int


class CategoriesRefusedError(Exception):
    """Lines of a file cannot be imported, so nothing was."""

    def __init__(self, refused: Sequence[Refused]) -> None:
        super().__init__(f"{len(refused)} lines cannot be imported")
        self.refused = refused


@retry_conflicts
async def write(pool: "Pool", incoming: Sequence[Incoming], source: str, actor: Actor) -> Written:
    """Create, change and move categories as a file has them, all or none, in one transaction. Categories that it does not name stay.

    The number of statements does not grow with the file. A file that changes nothing leaves no trace; any other appends one entry to the
    audit log, which names its source. Raises CategoriesRefusedError.
    """
    await name_keys.load()
    async with transaction(pool) as conn:
        await category_tree.lock(conn)
        known = [Category._make(row) for row in await conn.fetch(GET_ALL)]
        ids = iter([UUID(str(row["id"])) for row in await conn.fetch(NEW_IDS, len(incoming))])
        found = plan(known, incoming, lambda: next(ids))
        if found.refused:
            raise CategoriesRefusedError(found.refused)
        written = Written(len(found.created), len(found.updated))
        if any(written) or found.moved:
            await _write(conn, found, {category.id: category for category in known})
            await audit_log.append(conn, actor, "categories.imported", None, {}, {"source": source, **written._asdict()})
        return written


async def _write(conn: "Conn", found: Plan, earlier: Mapping[UUID, Category]) -> None:
    changed = {each.id: each for each in (*found.updated, *found.moved)}
    moved = [each.id for each in found.moved]
    await conn.execute(LOCK_PLACES, list(changed))
    if renamed := [each.id for each in found.updated if each.name != earlier[each.id].name]:
        await conn.execute(FREE_NAMES, renamed)
    await conn.execute(ADD_TREE, *_columns(found.created), RULE_VERSION)
    await conn.execute(CHANGE_TREE, *_columns(list(changed.values())), RULE_VERSION, [each.id for each in found.updated])
    await conn.execute(MOVE_ALL_DOCUMENTS, moved)
    slugs_before = {id_: category.slug for id_, category in earlier.items()}
    renamed_slugs = [each for each in changed.values() if each.slug and each.slug != slugs_before.get(each.id)]
    await slugs.assign(conn, SlugKind.CATEGORY, [slugs.Named(each.id, each.name, each.slug) for each in (*found.created, *renamed_slugs)])
    told = [Event(EventKind.CATEGORY_CREATED, each.id) for each in found.created]
    told += [Event(EventKind.CATEGORY_UPDATED, each.id) for each in found.updated]
    await events.append(conn, [*told, *(Event(EventKind.CATEGORY_MOVED, id_) for id_ in moved)])


def _columns(rows: Sequence[Wanted]) -> list[list[object]]:
    """Return the arguments of ADD_TREE and CHANGE_TREE: a list for each column."""
    return [
        [each.id for each in rows],
        [each.name for each in rows],
        [name_key(each.name) for each in rows],
        [each.parent_id for each in rows],
        [" ".join(map(str, each.ancestors)) for each in rows],
        [each.position for each in rows],
        [each.description for each in rows],
    ]


async def export(pool: "Pool", output: BinaryIO, *, spreadsheet_safe: bool = False) -> int:
    """Write all categories as CSV, parents before their subcategories; return their number.

    Categories of the previous release get their slugs first. With `spreadsheet_safe` a spreadsheet takes no cell for a formula.
    """
    while await slugs.give_missing(pool):
        pass
    query = EXPORT_CATEGORIES_FOR_SPREADSHEETS if spreadsheet_safe else EXPORT_CATEGORIES
    async with pool.acquire() as conn:
        return await write_csv(conn, query, output=output, force_quote=spreadsheet_safe or None)
