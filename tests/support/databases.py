"""Create a test's own database as a copy of a template."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import search_documents

MIGRATED = "template_mercato"
EMPTY = "template0"
_numbers = itertools.count(1)

# As the release with rule 1 wrote a document: without a vocabulary and a key of its name.
WRITE_OLD_DOCUMENTS = """
INSERT INTO product_search AS document (product_id, locale, number, rule_version, price_minor, name, words, category_ids)
SELECT id, '', number, 1, price_minor, name,
       setweight(to_tsvector('english', fold(name)), 'A') || setweight(to_tsvector('simple', fold(coalesce(sku, ''))), 'B')
       || setweight(to_tsvector('english', fold(description)), 'C'), array_remove(ARRAY[category_id], NULL)
  FROM products
 WHERE deleted_at IS NULL
    ON CONFLICT (product_id, locale) DO UPDATE
   SET rule_version = excluded.rule_version, price_minor = excluded.price_minor, name = excluded.name, words = excluded.words
"""


async def create(server: Postgres, name: str, template: str) -> str:
    """Copy a template to which no connection is open; returns the URL of the copy.

    FILE_COPY copies the files. PostgreSQL's default sends every page through the WAL, which takes twice the processor time.
    """
    await execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    return server.url(name)


@asynccontextmanager
async def copied(server: Postgres, template: str = MIGRATED) -> AsyncIterator[str]:
    """Yield the URL of a copy of a template, and drop the copy at the end."""
    name = f"test_{next(_numbers)}"
    yield await create(server, name, template)
    await execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def execute(server: Postgres, statement: str) -> None:
    """Run a statement on the maintenance database."""
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def index_products(conn: "Conn | Pool") -> None:
    """Write the search documents of products that a test inserted directly."""
    ids = [row["id"] for row in await conn.fetch("SELECT id FROM products")]
    await search_documents.index(conn, ids)  # type: ignore[arg-type] # a pool runs single statements as a connection does
