-- phase: expand
-- Where the name sorts (docs/search.md). '' until the key is made: the workers of the previous release write none.
ALTER TABLE products ADD COLUMN name_key bytea NOT NULL DEFAULT '';
