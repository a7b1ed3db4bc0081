"""Full-text search of products: its statements and the correction of typos.

A product on sale has one document in `product_search`. A search finds, filters, sorts and ranks documents, mostly through their index of
words (GIN). Then it reads the products of its page by primary key. docs/search.md explains each statement.
"""

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain import spelling
from mercato_server.domain.catalog import ProductOrder
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.search_queries import corrected, parse
from mercato_server.domain.spelling import Candidate
from mercato_server.store.product_shapes import Shape

_BEGINS_WITH = "word >= {0}::text AND word < {0}::text || chr(1114111) AND products > 0"

# The words of the vocabulary that may be meant by the words of a query that no document has. A beginning of a word has documents.
FIND_CANDIDATES = f"""
SELECT asked.word AS typed, known.word, known.products
  FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (word, lexemes, keys)
  JOIN search_words AS known ON known.keys && string_to_array(asked.keys, ' ') AND known.products > 0
 WHERE NOT EXISTS (SELECT FROM product_search WHERE locale = '' AND words @@ asked.lexemes::tsquery)
   AND NOT (asked.word = coalesce($4, '') AND EXISTS (SELECT FROM search_words WHERE {_BEGINS_WITH.format("asked.word")}))
"""  # noqa: S608 - constants

_LIMITS = Limits()
# The last word also matches as a beginning: it stands for the words of most names that begin with it, and finds them in names. A prefix in
# the query itself ("ba:*") would read the matches of all such words before the first shelf. While there are documents of the rule before,
# the query also has the words that this rule makes of it; docs/search.md says when that ends.
_ASKED = f"""
WITH completed AS MATERIALIZED (
    SELECT string_agg(quote_literal(stem) || ':AB', ' | ')::tsquery AS query
      FROM (SELECT stem
              FROM search_words
             WHERE {_BEGINS_WITH.format("$4")}
             ORDER BY products DESC, word
             LIMIT {_LIMITS.completions_max}) AS word
), asked AS MATERIALIZED (
    SELECT CASE WHEN EXISTS (SELECT FROM product_search WHERE rule_version < {RULE_VERSION})
                THEN query || websearch_to_tsquery('english', fold($5))
                           || websearch_to_tsquery(CASE WHEN $5 ~ '(^| )-' THEN 'english' ELSE 'simple' END::regconfig, fold($5))
                ELSE query
           END AS query, $2::text::tsquery AS ranked
      FROM (SELECT coalesce($1::text::tsquery || coalesce($3::text::tsquery && query, query), $1::text::tsquery) AS query FROM completed)
)"""  # noqa: S608 - constants
# The rank of what the buyer typed: a word that was completed counts less. Of equal ranks the shorter name is first, which has less beside
# the words. It is an integer, which a page token holds exactly.
_SCORE = "(1000000 * coalesce(ts_rank('{0.2, 0.1, 0.7, 1}', words, ranked), 0))::integer - length(name)"
_PARTS = (1, 3, 9)
"""Number of the nearest shelves (of 8,192 products) that have been read after each part; a last part reads all others."""


def arguments(text: str) -> list[object]:
    """Return the arguments of a query, the first ones of each statement of a search."""
    query = parse(text)
    return [query.matches, query.ranked, query.rest, query.beginning, query.plain]


async def correct(pool: "Pool", text: str) -> str | None:
    """Return a query without results with its misspelled words corrected; None if no word has a correction.

    Misspelled is a word that no document has. It is corrected to the word of a product's name that has the fewest edits.
    """
    query = parse(text)
    asked = query.words[: _LIMITS.corrected_words_max]
    if not asked:
        return None
    rows = await pool.fetch(
        FIND_CANDIDATES,
        [each.word for each in asked],
        [each.lexemes for each in asked],
        [" ".join(spelling.keys(each.word)) for each in asked],
        query.beginning,
    )
    candidates: dict[str, list[Candidate]] = {}
    for row in rows:
        candidates.setdefault(row["typed"], []).append(Candidate(row["word"], row["products"]))
    spelled = {typed: word for typed, found in candidates.items() if (word := spelling.nearest(typed, found))}
    return corrected(text, spelled) if spelled else None


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
    where = ["locale = ''", "words @@ (SELECT query FROM asked)", *shape.prices("(+price_minor)")]
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
    SELECT {shape.columns}
      FROM (SELECT id, score
              FROM (SELECT id, {_SCORE} AS score FROM asked, ({newest}) AS newest) AS found
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
    SELECT {shape.columns}
      FROM (SELECT id, number FROM {_in_stock(_shelves(shape), shape)} {shape.page()}) AS page
      JOIN products USING (id)
     ORDER BY page.number {direction}
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
      FROM (SELECT product_id AS id, price_minor, name_key
              FROM product_search
             WHERE {_matching(shape)} AND NOT (SELECT yes FROM enough)) AS matching
     WHERE {shape.place()}
     ORDER BY {shape.order_by()}"""  # noqa: S608 - constants
    return f"""{_ASKED}, walked AS MATERIALIZED (
        {_walk(shape)}
        {shape.page()}
    ), enough AS MATERIALIZED (SELECT count(*) = {shape.parameters()["limit"]} AS yes FROM walked)
    SELECT {shape.columns}
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
              FROM (SELECT product_id AS id, price_minor, name_key, words FROM product_search WHERE locale = '') AS listed
             WHERE {" AND ".join([shape.place(), *shape.prices()])}
             ORDER BY {shape.order_by()}
             LIMIT {_LIMITS.search_walked_max}) AS nearest
     WHERE words @@ (SELECT query FROM asked)"""  # noqa: S608 - constants
    return f"SELECT id FROM {_in_stock(matches, shape)}"  # noqa: S608 - constants
