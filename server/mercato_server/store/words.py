"""The words of product names, to which the typos of a search are corrected."""

from collections.abc import Iterable

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Conn, Pool

# Letters only: numbers and SKUs are as many as products, and one that is nearly right is another one.
ADD_WORDS = """
WITH said AS MATERIALIZED (
    SELECT DISTINCT unnest(tsvector_to_array(to_tsvector('simple', fold(name)))) AS word FROM unnest($1::text[]) AS name
)
INSERT INTO words (word)
SELECT word
  FROM said
 WHERE word ~ '^[[:alpha:]]{3,32}$'
 ORDER BY word  -- one order for everybody, so that two who add the same words cannot deadlock
    ON CONFLICT (word) DO NOTHING
"""

# What a query excludes ("-word") is left out, and a compound ("t-shirt"), whose parts are there too. Two letters that changed places
# leave a short word few trigrams, so such words are looked up as they are.
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


async def add(conn: "Conn", names: Iterable[str]) -> None:
    """Remember the words of names, in the transaction that writes the products, and after them: words are what it locks last."""
    await conn.execute(ADD_WORDS, list(names))


async def correct(pool: "Pool", query: str) -> str | None:
    """Return what to ask of full text instead of a query that found nothing, as text of a tsquery; None if that is nothing new.

    Each word stands for those of products that are spelled most like it; one that is like none is passed over, so that the others find
    what they can. Numbers and the like stay as they are.
    """
    spelled: str | None = await pool.fetchval(CORRECT, query, _LIMITS.corrected_words_max, _LIMITS.corrections_max)
    return spelled
