"""Full-text search of products: its statements and the correction of typos.

A product on sale has one document in `product_search`. A search finds, filters, sorts and ranks documents, mostly through their index of
words (GIN). Then it reads the products of its page by primary key. docs/search.md explains each statement.
"""

import itertools
from typing import NamedTuple

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain import spelling
from mercato_server.domain.catalog import ProductOrder
from mercato_server.domain.search_queries import corrected, parse
from mercato_server.domain.spelling import Candidate
from mercato_server.store.product_shapes import Shape

_BEGINS_WITH = "word >= {0}::text AND word < {0}::text || chr(1114111) AND products > 0"

# The words of the vocabulary that may be meant by the words of a query that no document has. A beginning of a word has documents. The index
# of words returns all documents of a word before the first of them can be used, so it is asked last: most words that have documents are in
# the vocabulary, and most others that have many are on the newest shelves.
_KNOWS_WORD = "(SELECT TRUE FROM search_words WHERE word = asked.word AND products > 0)"
_HAS_WORD = "(SELECT TRUE FROM product_search WHERE locale = '' AND words @@ asked.lexemes::tsquery{} LIMIT (SELECT 1))"
_ON_NEWEST = "ARRAY[number >> 13] && ARRAY(SELECT shelf - step FROM newest, generate_series(0, 1) AS step)"
FIND_CANDIDATES = f"""
WITH newest AS MATERIALIZED (SELECT max(number) >> 13 AS shelf FROM product_search WHERE locale = ''), absent AS MATERIALIZED (
    SELECT word, keys
      FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (word, lexemes, keys)
     WHERE coalesce({_KNOWS_WORD}, {_HAS_WORD.format(f" AND {_ON_NEWEST}")}, {_HAS_WORD.format("")}) IS NULL
       AND NOT (asked.word = coalesce($4, '') AND EXISTS (SELECT FROM search_words WHERE {_BEGINS_WITH.format("asked.word")}))
)
SELECT absent.word AS typed, known.word, known.products
  FROM absent
  JOIN search_words AS known ON known.keys && string_to_array(absent.keys, ' ') AND known.products > 0
"""  # noqa: S608 - constants

_LIMITS = Limits()
# The last word also matches as a beginning: it stands for the words of most names that begin with it, and finds them in names. A prefix in
# the query itself ("ba:*") would read the matches of all such words before the first shelf. Words with the stem of the last one are found
# anyway, and would double the work of the index.
_ASKED = f"""
WITH RECURSIVE completed AS MATERIALIZED (
    SELECT string_agg(DISTINCT quote_literal(stem) || ':AB', ' | ')::tsquery AS query
      FROM (SELECT stem
              FROM search_words
             WHERE {_BEGINS_WITH.format("$4")} AND stem <> $5
             ORDER BY products DESC, word
             LIMIT {_LIMITS.completions_max}) AS word
), asked AS MATERIALIZED (
    SELECT coalesce($1::text::tsquery || coalesce($3::text::tsquery && query, query), $1::text::tsquery) AS query,
           $2::text::tsquery AS ranked
      FROM completed
)"""  # noqa: S608 - constants
# The rank of what the buyer typed: a word that was completed counts less. Of equal ranks the shorter name is first, which has less beside
# the words. It is an integer, which a page token holds exactly.
_SCORE = "(1000000 * coalesce(ts_rank('{0.2, 0.1, 0.7, 1}', words, ranked), 0))::integer - length(name)"
_DOCUMENTS = "(SELECT product_id AS id, price_minor, name_key, words FROM product_search WHERE locale = '') AS document"
"""The source of a walk or of the shelves of a sort key, unless the list is of a category."""
_PARTS = (1, 3, 9)
"""Number of the nearest shelves (of 8,192 products) that have been read after each part; a last part reads all others."""
_PARTS_COLLAPSED = (*_PARTS, 16, 23, 30)
"""Those of a collapsed list, which needs several matches for each of its entries."""


class _Shelves(NamedTuple):
    """How documents are divided by a sort key into shelves that are consecutive in its order."""

    shelf: str
    """The shelf of a document, as in the index `product_search_by_shelf`."""
    above: str
    """The condition on the keys of the shelves above one."""
    below: str
    unindexed: str
    """The key as an expression that no index has, so that PostgreSQL cannot sort the matches by a walk along the whole index."""

    def later(self, shelf: str, *, descending: bool) -> str:
        """Return the condition on the keys of the shelves that follow one in an order."""
        return (self.below if descending else self.above).format(shelf)


_KEY_SHELVES = {
    "price_minor": _Shelves(  # the first two digits of a price, such as 11,000 to 11,999
        shelf="trunc(price_minor, 2 - length(price_minor::text))::bigint",
        above="price_minor >= {0} + (10 ^ greatest(length({0}::text) - 2, 0))::bigint",
        below="price_minor < {0}",
        unindexed="+price_minor",
    ),
    "name_key": _Shelves(  # the first three letters of a name; a weight may be FFFF, but not two in a row
        shelf="substr(name_key, 1, 6)",
        above=r"name_key > CASE WHEN length({0}) < 6 THEN {0} ELSE {0} || '\xffffffff' END",
        below="name_key < {0}",
        unindexed="name_key || ''",
    ),
}


def arguments(text: str) -> list[object]:
    """Return the arguments of a query, the first ones of each statement of a search."""
    query = parse(text)
    return [query.matches, query.ranked, query.rest, query.beginning, query.stem]


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
    found = _listed(f"SELECT product_id AS id FROM product_search WHERE {_matching(shape)}", shape)  # noqa: S608 - constants
    return f"{_ASKED} SELECT count(*) FROM (SELECT FROM {found} LIMIT {shape.parameters()['limit']}) AS matching"  # noqa: S608 - constants


def _matching(shape: Shape) -> str:
    """Return the conditions on documents."""
    where = ["locale = ''", "words @@ (SELECT query FROM asked)", *shape.prices("(+price_minor)")]
    if shape.category:
        where.append(f"category_ids @> ARRAY[{shape.parameters()['category']}::uuid]")
    return " AND ".join(where)


def newest_sql(shape: Shape, columns: str, where: str) -> str:
    """Return columns of the products that match a search, the newest first, up to its limit."""
    found = _listed(_shelves(shape), shape)
    products = f"(SELECT {columns} FROM products WHERE products.id = document.id AND {where} OFFSET 0) AS product"  # noqa: S608 - constants
    return f"""{_ASKED}, start AS MATERIALIZED (SELECT max(number) AS number FROM product_search WHERE locale = ''), found AS MATERIALIZED (
    SELECT product.* FROM {found} CROSS JOIN LATERAL {products} LIMIT {shape.parameters()["limit"]}
)"""  # noqa: S608 - constants


def _listed(documents: str, shape: Shape) -> str:
    """Return documents in their order, without those that a condition leaves out which documents cannot tell: stock, options, collapse.

    LATERAL with OFFSET 0 forces a nested loop, which keeps the order and stops at a LIMIT:

        Limit
          ->  Nested Loop
                ->  the documents
                ->  Index Scan using stock_levels_pkey   (Index Cond: product_id = document.id; Filter: on_hand > 0)
    """
    found = f"({documents}) AS document"
    if shape.in_stock:
        level = "SELECT FROM stock_levels WHERE product_id = document.id AND location_id = 1 AND on_hand > 0 OFFSET 0"
        found += f" CROSS JOIN LATERAL ({level}) AS level"
    if where := shape.entries():
        found += f" CROSS JOIN LATERAL (SELECT FROM products WHERE products.id = document.id AND {where} OFFSET 0) AS entry"
    return found


def _shelves(shape: Shape) -> str:
    """Return the matching documents from `start` on, by number, in parts. A LIMIT reads only as many parts as it needs.

    The index of words returns all matches before they can be sorted, unless a condition limits it to few shelves. So the statement reads
    the nearest shelves first, which fill a page if the words are common. It reads the last part only if the words are rare. For a common
    word:

        Append
          ->  Sort  ->  Bitmap Heap Scan on product_search
                          ->  Bitmap Index Scan on product_search_by_shelf   (ARRAY[number >> 13] && one shelf AND words @@ query)
          ->  the same for the next 2 and the next 6 shelves   (never executed)
          ->  the same for all other shelves                   (never executed)
    """
    sign, way, direction = ("-", "<=", "DESC") if shape.order.descending else ("+", ">=", "ASC")
    rows = f"""
    SELECT product_id AS id, number, name, words
      FROM product_search
     WHERE {_matching(shape)} AND number {way} (SELECT number FROM start)"""  # noqa: S608 - constants
    parts, near = [], 0
    for far in _PARTS_COLLAPSED if shape.collapse else _PARTS:
        shelves = f"SELECT (number >> 13) {sign} step FROM start, generate_series({near}, {far - 1}) AS step"  # noqa: S608 - constants
        parts.append(f"({rows} AND ARRAY[number >> 13] && ARRAY({shelves}) ORDER BY number {direction})")
        near = far
    others = f"number >> 13 {way} (SELECT (number >> 13) {sign} {near} FROM start)"  # noqa: S608 - constants
    parts.append(f"({rows} AND {others} ORDER BY number {direction})")
    return " UNION ALL ".join(parts)


def _by_relevance_sql(shape: Shape) -> str:
    """Return the statement of a search that ranks the newest matches."""
    newest = f"SELECT id, name, words FROM {_listed(_shelves(shape), shape)} LIMIT {_LIMITS.search_ranked_max}"  # noqa: S608 - constants
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
      FROM (SELECT id, number FROM {_listed(_shelves(shape), shape)} {shape.page()}) AS page
      JOIN products USING (id)
     ORDER BY page.number {direction}
    """  # noqa: S608 - constants


def _by_key_sql(shape: Shape) -> str:
    """Return the statement of a search by price or name.

    It walks along an index of the sort key, which fills a page if the words are common. Then it reads the shelves behind the walk:

        Append
          ->  CTE Scan on walked                                          (Filter: words @@ query)
                CTE walked  ->  Index Scan using product_search_by_price  (300 documents)
          ->  the nearest shelves                                         (never executed if the walk filled the page)
          ->  nine times as many  ->  all others

    No index of documents has a category and a sort key. So a search within a category begins with the shelves, those that an index of
    products has for the category.
    """
    key = shape.key or ""
    in_range = " AND ".join([shape.place(), *(shape.prices() if key == "price_minor" else [])])
    if shape.category:
        start = _first(shape, "*", in_range, shape.order_by())
        tables, parts, place = f"start AS MATERIALIZED ({start}), few AS (SELECT 1 AS shelves)", [], shape.place()
    else:
        listed = f"SELECT * FROM {_DOCUMENTS} WHERE {in_range} ORDER BY {shape.order_by()}"  # noqa: S608 - constants
        tables, matches = _walk(shape, listed), " AND ".join(["words @@ (SELECT query FROM asked)", *shape.prices()])
        parts = [f"(SELECT id FROM walked WHERE {matches})"]  # noqa: S608 - constants
        place = f"({key}, id) {'<' if shape.order.descending else '>'} (SELECT {key}, id FROM start)"  # noqa: S608 - constants
    parts += _key_shelves(shape, place)
    found = _listed(" UNION ALL ".join(parts), shape)
    return f"""{_ASKED}, {tables}, {_shelf_sql(shape)}
    SELECT {shape.columns}
      FROM (SELECT id FROM {found} {shape.page()}) AS page
      JOIN products USING (id)
     ORDER BY {shape.order_by()}
    """  # noqa: S608 - constants


def _first(shape: Shape, columns: str, where: str, order: str) -> str:
    """Return the query of the first document in an order, or of the first product of a category and its subcategories."""
    if not shape.category:
        return f"SELECT {columns} FROM {_DOCUMENTS} WHERE {where} ORDER BY {order} LIMIT 1"  # noqa: S608 - constants
    limited = f"category_id = {shape.parameters()['category']}::uuid AND {where} ORDER BY {order} LIMIT 1"
    own = f"SELECT id, price_minor, name_key FROM products WHERE deleted_at IS NULL AND {limited}"  # noqa: S608 - constants
    below = f"SELECT id, price_minor, name_key FROM category_listings WHERE {limited}"  # noqa: S608 - constants
    return f"SELECT {columns} FROM (({own}) UNION ALL ({below})) AS first ORDER BY {order} LIMIT 1"  # noqa: S608 - constants


def _walk(shape: Shape, listed: str) -> str:
    """Return the first documents in the order of a sort key, the last one of them, and how many shelves to read next.

    If both halves of the walk end on another shelf than they began, shelves are small here.
    """
    walked, last = _LIMITS.search_walked_max, _LIMITS.search_walked_max - 1
    shelves = [f"(SELECT {_KEY_SHELVES[shape.key or ''].shelf} FROM walked OFFSET {n} LIMIT 1)" for n in (0, last // 2, last)]  # noqa: S608
    return f"""walked AS MATERIALIZED ({listed} LIMIT {walked}),
    start AS MATERIALIZED (SELECT * FROM walked OFFSET {last}),
    few AS MATERIALIZED (
        SELECT CASE WHEN first <> middle AND middle <> last THEN 9 ELSE 1 END AS shelves
          FROM (SELECT {shelves[0]} AS first, {shelves[1]} AS middle, {shelves[2]} AS last) AS walk
    )"""  # noqa: S608 - constants


def _shelf_sql(shape: Shape) -> str:
    """Return the shelves of a sort key that have documents, the nearest first, as a table that is computed as far as it is read."""
    shelves = _KEY_SHELVES[shape.key or ""]
    later = shelves.later("shelf.value", descending=shape.order.descending)
    order = f"{shape.key} {'DESC' if shape.order.descending else 'ASC'}"
    return f"""shelf (value) AS (
        SELECT {shelves.shelf} FROM start
         UNION ALL
        SELECT ({_first(shape, shelves.shelf, later, order)})
          FROM shelf
         WHERE value IS NOT NULL
    )"""  # noqa: S608 - constants


def _key_shelves(shape: Shape, place: str) -> list[str]:
    """Return the matching documents of the shelves of a sort key in parts, of which a LIMIT reads only as many as it needs."""
    shelves = _KEY_SHELVES[shape.key or ""]
    rows = f"""(
    SELECT id
      FROM (SELECT product_id AS id, {shelves.unindexed} AS {shape.key} FROM product_search WHERE {_matching(shape)}{{}}) AS matching
     WHERE {place}{{}}
     ORDER BY {shape.order_by()})"""  # noqa: S608 - constants
    some = f" AND ARRAY[{shelves.shelf}] && ARRAY(SELECT value FROM shelf WHERE value IS NOT NULL {{}})"  # noqa: S608 - constants
    steps = (0, 1, 3, 10) if shape.collapse else (0, 1, 10)  # a collapsed list needs several matches for each of its entries
    parts = [
        rows.format(some.format(f"OFFSET (SELECT {near} * shelves FROM few) LIMIT (SELECT {far - near} * shelves FROM few)"), "")  # noqa: S608
        for near, far in itertools.pairwise(steps)
    ]
    last = "(SELECT value FROM shelf OFFSET (SELECT 10 * shelves - 1 FROM few) LIMIT 1)"
    others = shelves.later(last, descending=shape.order.descending)
    return [*parts, rows.format("", f" AND {others}")]
