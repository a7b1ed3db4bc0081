-- phase: index
-- One variant on sale for each combination of options. The digest keeps long options below the limit of an entry of an index.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS products_options_key ON products (group_id, sha256(jsonb_send(folded_options)))
 WHERE deleted_at IS NULL AND folded_options IS NOT NULL;
