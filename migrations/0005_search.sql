-- Search among a million products: the newest matches first, without reading the others, and typos corrected by the words that names have.
-- It writes products anew. Calls for them wait meanwhile, and fail when their time is up: a second for 20,000 products, a minute for a
-- million. Workers of the release before go on serving all but searches, which are slow for them until they are replaced; words of
-- products that they write until then are not known to the correction of typos.

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX products_by_similar_name;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX products_by_search;

-- Products in the order of their creation, counted: search finds them by shelves of 8,192. (Ids are in that order too, but nothing tells
-- how many products lie between two of them.) Those that exist are numbered in the order of their ids.
SET LOCAL synchronize_seqscans = off;  -- a scan that begins in the middle would give the first numbers there
CLUSTER products USING products_pkey;
ALTER TABLE products SET WITHOUT CLUSTER;
-- squawk-ignore adding-field-with-default, disallowed-unique-constraint
ALTER TABLE products ADD COLUMN number bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT products_number_key UNIQUE;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX products_by_search ON products USING gin ((ARRAY[number >> 13]), search, (ARRAY[category_id])) WHERE deleted_at IS NULL;

-- Every word that a product's name has had. None is ever deleted: corrected to a word that no product has any more, a typo finds nothing,
-- as it did before.
CREATE TABLE words (
    word text PRIMARY KEY
);

WITH said AS MATERIALIZED (SELECT DISTINCT unnest(tsvector_to_array(to_tsvector('simple', fold(name)))) AS word FROM products)
INSERT INTO words (word)
SELECT word
  FROM said
 WHERE word ~ '^[[:alpha:]]{3,32}$';

CREATE INDEX words_by_similarity ON words USING gin (word gin_trgm_ops);
