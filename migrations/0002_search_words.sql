-- phase: expand
-- The words of product names and their number of products: for the correction and the completion of queries (docs/search.md).
CREATE TABLE search_words (
    word     text COLLATE "C" PRIMARY KEY,
    products integer NOT NULL,
    stem     text NOT NULL,
    keys     text[] NOT NULL  -- a misspelled word has one of them in common with the right one
) WITH (fillfactor = 80);  -- room for counts to change in place

CREATE INDEX search_words_by_key ON search_words USING gin (keys);

-- The words that a document counts in search_words. Workers of the previous release neither read nor write it.
ALTER TABLE product_search ADD COLUMN vocabulary text[];
