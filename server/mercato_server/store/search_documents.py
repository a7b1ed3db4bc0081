"""The documents of the search and the vocabulary of the shop, which are written in the transaction of a product's change.

domain/search_documents.py makes the words of a document. docs/search.md explains both tables.
"""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import spelling
from mercato_server.domain.events import EventKind
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.search_documents import RULE_VERSION, ProductWords, product_words
from mercato_server.domain.words import stem
from mercato_server.store import events, name_keys
from mercato_server.store.events import Event

CATEGORY_IDS = "array_remove(ARRAY[category_id], NULL)"

# Parts of a statement: they write the documents of the products in `changed (id, number, name, name_key, price_minor, category_id,
# deleted_at, lexemes, vocabulary)`, and move the counts of the words that a product has gained or lost. `spelled (word, stem, keys)` has
# what the vocabulary needs to know of these words.
DOCUMENTS = f"""product AS MATERIALIZED (
    SELECT id, number, price_minor, name, name_key, lexemes::tsvector AS words, string_to_array(vocabulary, ' ') AS vocabulary,
           {CATEGORY_IDS} AS category_ids
      FROM changed
     WHERE deleted_at IS NULL
), counted AS MATERIALIZED (
    SELECT word, sum(products)::integer AS products
      FROM (SELECT unnest(vocabulary) AS word, 1 AS products FROM product
             UNION ALL
            SELECT unnest(product_search.vocabulary), -1 FROM changed JOIN product_search ON product_id = id) AS moved
     GROUP BY word
    HAVING sum(products) <> 0
), removed AS (
    DELETE FROM product_search
     USING changed
     WHERE product_id = id AND deleted_at IS NOT NULL
), written AS (
    INSERT INTO product_search AS document (product_id, locale, number, rule_version, price_minor, name, name_key, words, vocabulary,
                                            category_ids)
    SELECT id, '', number, {RULE_VERSION}, price_minor, name, name_key, words, vocabulary, category_ids
      FROM product
        ON CONFLICT (product_id, locale) DO UPDATE
       SET rule_version = excluded.rule_version, price_minor = excluded.price_minor, name = excluded.name,
           name_key = excluded.name_key, words = excluded.words, vocabulary = excluded.vocabulary, category_ids = excluded.category_ids
     WHERE (document.rule_version, document.price_minor, document.name, document.name_key, document.words, document.vocabulary,
            document.category_ids)
           IS DISTINCT FROM
           (excluded.rule_version, excluded.price_minor, excluded.name, excluded.name_key, excluded.words, excluded.vocabulary,
            excluded.category_ids)
), learned AS (
    INSERT INTO search_words AS known (word, products, stem, keys)
    SELECT word, products, coalesce(stem, word), coalesce(string_to_array(keys, ' '), '{{}}')
      FROM counted
      LEFT JOIN spelled USING (word)
     ORDER BY word COLLATE "C"  -- one order for all writers, so that two writers of the same words cannot deadlock
        ON CONFLICT (word) DO UPDATE
       SET products = known.products + excluded.products
)"""  # noqa: S608 - constants

GET_TEXTS = "SELECT id, name, description, sku FROM products WHERE id = ANY($1::uuid[])"

# Products that have the right key are not written.
WRITE_DOCUMENTS = f"""
WITH made AS MATERIALIZED (
    SELECT id, name_key, lexemes, vocabulary
      FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[]) AS made (id, name_key, lexemes, vocabulary)
), keyed AS (
    UPDATE products SET name_key = made.name_key FROM made WHERE products.id = made.id AND products.name_key <> made.name_key
), changed AS MATERIALIZED (
    SELECT id, number, name, made.name_key, price_minor, category_id, deleted_at, lexemes, vocabulary
      FROM made
      JOIN products USING (id)
), spelled AS (
    SELECT word, stem, keys FROM unnest($5::text[], $6::text[], $7::text[]) AS spelled (word, stem, keys)
), {DOCUMENTS}
SELECT
"""  # noqa: S608 - constants

HAS_OLD = f"SELECT EXISTS (SELECT FROM product_search WHERE rule_version < {RULE_VERSION})"  # noqa: S608 - constants

# The lock comes first: without it, a batch could write the document of a name that has just been changed.
LOCK_OLD = f"""
SELECT id
  FROM products
 WHERE id IN (SELECT product_id FROM product_search WHERE rule_version < {RULE_VERSION} ORDER BY product_id LIMIT $1)
 ORDER BY id
   FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

BATCH = 100
"""Products whose documents are made anew in one transaction. Making them takes the event loop 5 ms."""

Spelled = tuple[list[str], list[str], list[str]]
"""Words of the vocabulary with their stems and keys."""


def spelled(vocabulary: Iterable[str]) -> Spelled:
    """Return what the vocabulary stores of words."""
    words = sorted(set(vocabulary))
    return words, [stem(word) for word in words], [" ".join(spelling.keys(word)) for word in words]


def arguments(words: ProductWords) -> Sequence[object]:
    """Return the words of one product as arguments of a statement that has DOCUMENTS."""
    return (words.lexemes, " ".join(words.vocabulary), *spelled(words.vocabulary))


async def index(conn: "Conn", product_ids: Collection[UUID]) -> None:
    """Update the documents of products, the counts of the words of their names, and keys of their names that are not right.

    The caller's transaction must hold the locks of the products. This locks documents and words, which come before slugs and pictures. It
    deletes the documents of deleted products, and does not write documents that are already right.
    """
    await name_keys.load()
    rows = await conn.fetch(GET_TEXTS, list(product_ids))
    made = [product_words(row["name"], row["description"], row["sku"]) for row in rows]
    await conn.execute(
        WRITE_DOCUMENTS,
        [row["id"] for row in rows],
        [name_key(row["name"]) for row in rows],
        [words.lexemes for words in made],
        [" ".join(words.vocabulary) for words in made],
        *spelled(word for words in made for word in words.vocabulary),
    )


@retry_conflicts
async def renew(pool: "Pool") -> int:
    """Make a batch of documents of older rules, and the keys of their products' names, anew; return how many.

    The caller repeats this until there are none. The event tells the caches that the order of lists by name has changed.
    """
    if not await pool.fetchval(HAS_OLD):
        return 0
    async with transaction(pool) as conn:
        product_ids = [row["id"] for row in await conn.fetch(LOCK_OLD, BATCH)]
        if product_ids:
            await index(conn, product_ids)
            await events.append(conn, [Event(EventKind.PRODUCT_UPDATED, product_ids[-1])])
        return len(product_ids)


def is_right(row: asyncpg.Record) -> bool:
    """Return whether a document has the words that the rule makes of its product, and both have the key of its name."""
    made, key = product_words(row["name"], row["description"], row["sku"]), name_key(row["name"])
    return (made.lexemes, [*made.vocabulary], key, key) == (row["words"], row["vocabulary"], row["name_key"], row["document_key"])
