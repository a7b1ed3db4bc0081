-- phase: index
-- Finds the subtree of a category.
CREATE INDEX CONCURRENTLY IF NOT EXISTS categories_by_ancestor ON categories USING gin (ancestors);
