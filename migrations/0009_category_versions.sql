-- phase: expand
-- The number of writes to a category, which is its etag. Workers of the previous release rename a category without a new version.
ALTER TABLE categories ADD COLUMN version bigint NOT NULL DEFAULT 1;
