"""Full-text search of products: its documents, its statements and the correction of typos.

A product on sale has one document in `product_search`. A search finds, filters, sorts and ranks documents, mostly through their index of
words (GIN). Then it reads the products of its page by primary key. docs/search.md explains each statement.
"""

from collections.abc import Collection
from uuid import UUID

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.catalog import ProductOrder
from mercato_server.store.product_shapes import PRODUCT_COLUMNS, Shape

RULE_VERSION = 1
"""The version of the rule below, which derives a product's words."""
_WORDS = """setweight(to_tsvector('english', fold(name)), 'A')
           || setweight(to_tsvector('simple', fold(coalesce(sku, ''))), 'B')
           || setweight(to_tsvector('english', fold(description)), 'C')"""
_CATEGORY_IDS = "array_remove(ARRAY[category_id], NULL)"

# Parts of a statement: they write the documents of the products in `changed (id, number, name, description, sku, price_minor, category_id,
# deleted_at)`, and add the words of their names to the vocabulary. It holds letters only: numbers and SKUs are as many as products, and a
# similar one is wrong.
DOCUMENTS = f"""product AS MATERIALIZED (
    SELECT id, number, price_minor, name, {_WORDS} AS words, {_CATEGORY_IDS} AS category_ids
      FROM changed
     WHERE deleted_at IS NULL
), removed AS (
    DELETE FROM product_search
     USING changed
     WHERE product_id = id AND deleted_at IS NOT NULL
), written AS (
    INSERT INTO product_search AS document (product_id, locale, number, rule_version, price_minor, name, words, category_ids)
    SELECT id, '', number, {RULE_VERSION}, price_minor, name, words, category_ids
      FROM product
        ON CONFLICT (product_id, locale) DO UPDATE
       SET rule_version = excluded.rule_version, price_minor = excluded.price_minor, name = excluded.name, words = excluded.words,
           category_ids = excluded.category_ids
     WHERE (document.rule_version, document.price_minor, document.name, document.words, document.category_ids)
           IS DISTINCT FROM (excluded.rule_version, excluded.price_minor, excluded.name, excluded.words, excluded.category_ids)
), named AS MATERIALIZED (
    SELECT DISTINCT unnest(tsvector_to_array(to_tsvector('simple', fold(name)))) AS word FROM product
), learned AS (
    INSERT INTO words (word)
    SELECT word
      FROM named
     WHERE word ~ '^[[:alpha:]]{{3,32}}$'
     ORDER BY word  -- one order for all writers, so that two writers of the same words cannot deadlock
        ON CONFLICT (word) DO NOTHING
)"""  # noqa: S608 - constants

WRITE_DOCUMENTS = f"""
WITH changed AS MATERIALIZED (
    SELECT id, number, name, description, sku, price_minor, category_id, deleted_at FROM products WHERE id = ANY($1::uuid[])
), {DOCUMENTS}
SELECT
"""  # noqa: S608 - constants

# The statement derives words only for products of the last day, because that takes 15 µs each. The backfill of a new rule updates
# documents of older rules.
WRONG_DOCUMENTS = f"""
SELECT product.id AS product_id, product.deleted_at, document.rule_version
  FROM products AS product
  LEFT JOIN (SELECT product_id, number, rule_version, price_minor, name AS title, words, category_ids
               FROM product_search
              WHERE locale = '') AS document ON document.product_id = product.id
 WHERE CASE
       WHEN deleted_at IS NOT NULL THEN document.product_id IS NOT NULL
       ELSE (document.number, document.price_minor, title, category_ids)
            IS DISTINCT FROM (product.number, product.price_minor, product.name, {_CATEGORY_IDS})
            OR rule_version = {RULE_VERSION} AND updated_at > now() - interval '1 day' AND words <> {_WORDS}
       END
"""  # noqa: S608 - constants

WRONG_RECENT_DOCUMENTS = f"""{WRONG_DOCUMENTS}
   AND product.id IN (SELECT id FROM products WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
                       UNION
                      SELECT product_id FROM product_search WHERE age(xmin) <= (SELECT age($1::text::xid8::xid)))
"""  # noqa: S608 - constants

# The correction omits excluded words ("-word") and compounds ("t-shirt"), whose parts it includes. A short word with two transposed letters
# shares few trigrams with the right one, so the statement also looks up each transposition exactly.
CORRECT = r"""
WITH asked AS (
    SELECT lexeme, lexeme ~ '^[[:alpha:]]{3,32}$' AS correctable, positions[1] AS place
      FROM unnest(to_tsvector('simple', fold(regexp_replace($1, '(^|\s)-("[^"]*"?|\S+)', ' ', 'g'))))
     WHERE numnode(plainto_tsquery('english', lexeme)) > 0 AND lexeme !~ '^[[:alpha:]]+(-[[:alpha:]]+)+$'
     ORDER BY place
     LIMIT $2
), near AS (
    SELECT place, lexeme AS word FROM asked WHERE NOT correctable
     UNION
    SELECT place, word
      FROM asked,
           LATERAL (SELECT word FROM words WHERE lexeme <% word
                     ORDER BY word_similarity(lexeme, word) DESC, similarity(lexeme, word) DESC, word LIMIT $3) AS alike
     WHERE correctable
     UNION
    SELECT place, word
      FROM asked
      JOIN words ON word = ANY(ARRAY(SELECT overlay(lexeme PLACING reverse(substr(lexeme, first, 2)) FROM first)
                                       FROM generate_series(1, length(lexeme) - 1) AS first))
     WHERE correctable
)
SELECT nullif(string_agg('(' || spelled || ')', ' & ' ORDER BY place)::tsquery, websearch_to_tsquery('english', fold($1)))::text
  FROM (SELECT place, correctable, string_agg(nullif(plainto_tsquery('english', word)::text, ''), ' | ' ORDER BY word) AS spelled
          FROM asked JOIN near USING (place)
         GROUP BY place, correctable) AS spellings
HAVING bool_or(correctable AND spelled IS NOT NULL)
"""

_LIMITS = Limits()
# The full-text query is the corrected query if there is one. Otherwise it has the typed words, both with English stemming and without it,
# because stemming would change a SKU.
_ASKED = """
WITH asked AS MATERIALIZED (
    SELECT fold($1) AS q, coalesce($2::text::tsquery, english || coalesce(nullif(simple, english), '')) AS query
      FROM websearch_to_tsquery('english', fold($1)) AS english, websearch_to_tsquery('simple', fold($1)) AS simple
)"""
# The rank of the hit; for a corrected query also the similarity of the name to the typed text. It is an integer, which a page token holds
# exactly. "query || query" is an OR: its rank depends on where and how often words occur, that of an AND on their distance.
_SCORE = "(1000000 * (ts_rank(words, query || query) + CASE WHEN $2::text IS NULL THEN 0 ELSE word_similarity(q, fold(name)) END))::integer"
_PARTS = (1, 3, 9)
"""Number of the nearest shelves (of 8,192 products) that have been read after each part; a last part reads all others."""


async def index(conn: "Conn", product_ids: Collection[UUID]) -> None:
    """Update the documents of products, and add the words of their names to the vocabulary.

    The caller's transaction must hold the locks of the products. This locks words, which come last in the lock order. It deletes the
    documents of deleted products, and does not write documents that are already right.
    """
    await conn.execute(WRITE_DOCUMENTS, list(product_ids))


async def correct(pool: "Pool", query: str) -> str | None:
    """Return a corrected query for a query without results, as the text of a tsquery; None if there is no correction.

    Each word is replaced by the most similar words of products. A word without a similar one is omitted, so that the others still find
    products. Numbers and other words that are not only letters are not corrected.
    """
    spelled: str | None = await pool.fetchval(CORRECT, query, _LIMITS.corrected_words_max, _LIMITS.corrections_max)
    return spelled


def list_sql(shape: Shape) -> str:
    """Return the statement of a search; its rows are products with their scores."""
    if shape.order is ProductOrder.RELEVANCE:
        return _by_relevance_sql(shape)
    if shape.order in (ProductOrder.NEWEST, ProductOrder.OLDEST):
        return _by_creation_sql(shape)
    return _by_key_sql(shape)


def count_sql(shape: Shape) -> str:
    """Return the statement that counts the matches of a search up to a limit."""
    found = _in_stock(f"SELECT product_id AS id FROM product_search WHERE {_matching(shape)}", shape)  # noqa: S608 - constants
    return f"{_ASKED} SELECT count(*) FROM (SELECT FROM {found} LIMIT {shape.parameters()['limit']}) AS matching"  # noqa: S608 - constants


def _matching(shape: Shape) -> str:
    """Return the conditions on documents."""
    where = ["locale = ''", "words @@ (SELECT query FROM asked)", *shape.prices()]
    if shape.category:
        where.append(f"category_ids @> ARRAY[{shape.parameters()['category']}::uuid]")
    return " AND ".join(where)


def _in_stock(documents: str, shape: Shape) -> str:
    """Return documents in their order; if the list has the condition, only those of products in stock. Documents do not have the stock.

    LATERAL with OFFSET 0 forces a nested loop, which keeps the order and stops at a LIMIT:

        Limit
          ->  Nested Loop
                ->  the documents
                ->  Index Scan using stock_levels_pkey   (Index Cond: product_id = document.id; Filter: on_hand > 0)
    """
    if not shape.in_stock:
        return f"({documents}) AS document"
    level = "SELECT FROM stock_levels WHERE product_id = document.id AND location_id = 1 AND on_hand > 0 OFFSET 0"
    return f"({documents}) AS document CROSS JOIN LATERAL ({level}) AS level"


def _shelves(shape: Shape) -> str:
    """Return the matching documents from `start` on, by number, in parts. A LIMIT reads only as many parts as it needs.

    The index of words returns all matches before they can be sorted, unless a condition limits it to few shelves. So the statement reads
    the nearest shelves first, which fill a page if the words are common. It reads the last part only if the words are rare. For a common
    word:

        Append
          ->  Sort  ->  Bitmap Heap Scan on product_search
                          ->  Bitmap Index Scan on product_search_by_words   (ARRAY[number >> 13] && one shelf AND words @@ query)
          ->  the same for the next 2 and the next 6 shelves   (never executed)
          ->  the same for all other shelves                   (never executed)
    """
    sign, way, direction = ("-", "<=", "DESC") if shape.order.descending else ("+", ">=", "ASC")
    rows = f"""
    SELECT product_id AS id, number, name, words
      FROM product_search
     WHERE {_matching(shape)} AND number {way} (SELECT number FROM start)"""  # noqa: S608 - constants
    parts, near = [], 0
    for far in _PARTS:
        shelves = f"SELECT (number >> 13) {sign} step FROM start, generate_series({near}, {far - 1}) AS step"  # noqa: S608 - constants
        parts.append(f"({rows} AND ARRAY[number >> 13] && ARRAY({shelves}) ORDER BY number {direction})")
        near = far
    others = f"number >> 13 {way} (SELECT (number >> 13) {sign} {near} FROM start)"  # noqa: S608 - constants
    parts.append(f"({rows} AND {others} ORDER BY number {direction})")
    return " UNION ALL ".join(parts)


def _by_relevance_sql(shape: Shape) -> str:
    """Return the statement of a search that ranks the newest matches."""
    newest = f"SELECT id, name, words FROM {_in_stock(_shelves(shape), shape)} LIMIT {_LIMITS.search_ranked_max}"  # noqa: S608 - constants
    return f"""{_ASKED}, start AS MATERIALIZED (SELECT max(number) AS number FROM product_search WHERE locale = '')
    SELECT {PRODUCT_COLUMNS}, score
      FROM (SELECT id, score
              FROM (SELECT id, {_SCORE} AS score FROM asked, ({newest}) AS newest) AS ranked
             WHERE {shape.place()}
             ORDER BY {shape.order_by()}
             {shape.page()}) AS page
      JOIN products USING (id)
     ORDER BY {shape.order_by()}
    """  # noqa: S608 - constants


def _by_creation_sql(shape: Shape) -> str:
    """Return the statement of a search in the order of creation, which is that of the numbers."""
    extreme, sign, direction = ("max", "-", "DESC") if shape.order.descending else ("min", "+", "ASC")
    start = f"SELECT {extreme}(number) AS number FROM product_search WHERE locale = ''"  # noqa: S608 - constants
    if shape.after:  # from the product: if it was deleted meanwhile, it has no document
        start = f"SELECT number {sign} 1 AS number FROM products WHERE id = {shape.parameters()['after_id']}::uuid"  # noqa: S608 - constants
    return f"""{_ASKED}, start AS MATERIALIZED ({start})
    SELECT {PRODUCT_COLUMNS}, 0 AS score
      FROM (SELECT id, number AS place FROM {_in_stock(_shelves(shape), shape)} {shape.page()}) AS page
      JOIN products USING (id)
     ORDER BY place {direction}
    """  # noqa: S608 - constants


def _by_key_sql(shape: Shape) -> str:
    """Return the statement of a search by price or name.

    For common words, the statement walks along an index of the sort key. For rare words, it reads all matches from the index of words.

        Append
          ->  Limit
                ->  Subquery Scan                                               (Filter: words @@ query)
                      ->  Limit  ->  Index Scan using product_search_by_price   (2,000 documents)
          ->  Limit  ->  Sort  ->  Bitmap Heap Scan on product_search           (never executed if the walk filled the page)
                                     ->  Bitmap Index Scan on product_search_by_words
    """
    matches = f"""
    SELECT id
      FROM (SELECT product_id AS id, price_minor, name
              FROM product_search
             WHERE {_matching(shape)} AND NOT (SELECT yes FROM enough)) AS matching
     WHERE {shape.place()}
     ORDER BY {shape.order_by()}"""  # noqa: S608 - constants
    return f"""{_ASKED}, walked AS MATERIALIZED (
        {_walk(shape)}
        {shape.page()}
    ), enough AS MATERIALIZED (SELECT count(*) = {shape.parameters()["limit"]} AS yes FROM walked)
    SELECT {PRODUCT_COLUMNS}, 0 AS score
      FROM (SELECT id FROM walked WHERE (SELECT yes FROM enough)
             UNION ALL
            (SELECT id FROM {_in_stock(matches, shape)} {shape.page()})) AS page
      JOIN products USING (id)
     ORDER BY {shape.order_by()}
    """  # noqa: S608 - constants


def _walk(shape: Shape) -> str:
    """Return the matches among the first products in the order of the sort key.

    No index of documents has a category and a sort key, so a walk within a category reads the products first.
    """
    if shape.category:
        document = f"SELECT FROM product_search WHERE product_id = nearest.id AND {_matching(shape)} OFFSET 0"
        return f"""
        SELECT id
          FROM (SELECT id
                  FROM products
                 WHERE {shape.conditions()} AND {shape.place()}
                 ORDER BY {shape.order_by()}
                 LIMIT {_LIMITS.search_walked_max}) AS nearest
         CROSS JOIN LATERAL ({document}) AS document"""  # noqa: S608 - constants
    matches = f"""
    SELECT id
      FROM (SELECT id, words
              FROM (SELECT product_id AS id, price_minor, name, words FROM product_search WHERE locale = '') AS listed
             WHERE {" AND ".join([shape.place(), *shape.prices()])}
             ORDER BY {shape.order_by()}
             LIMIT {_LIMITS.search_walked_max}) AS nearest
     WHERE words @@ (SELECT query FROM asked)"""  # noqa: S608 - constants
    return f"SELECT id FROM {_in_stock(matches, shape)}"  # noqa: S608 - constants
