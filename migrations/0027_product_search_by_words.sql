-- phase: contract
-- The index product_search_by_shelf has the columns of the first one, also for the statements of the release before. The order by name is
-- that of the keys since 0016.
DROP INDEX product_search_by_words;
DROP INDEX product_search_by_name;
