-- phase: contract
-- The vocabulary is the table search_words since 0002.
DROP TABLE words;
