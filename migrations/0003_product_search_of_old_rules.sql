-- phase: index
-- Documents of rule 1. The backfill empties it, and then a search tells by it that there are none.
CREATE INDEX CONCURRENTLY IF NOT EXISTS product_search_of_old_rules ON product_search (product_id) WHERE rule_version < 2;
