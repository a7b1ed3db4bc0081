-- phase: index
-- The shelves group the documents by 8,192 consecutive products, by the first two digits of the price, and by the first three letters of
-- the key of the name.
CREATE INDEX CONCURRENTLY IF NOT EXISTS product_search_by_shelf ON product_search USING gin (
    (ARRAY[number >> 13]), words, category_ids,
    (ARRAY[trunc(price_minor, 2 - length(price_minor::text))::bigint]), (ARRAY[substr(name_key, 1, 6)])
);
