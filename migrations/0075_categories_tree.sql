-- phase: expand
-- The tree of categories. `ancestors` has the ids above a category, the root first, so the last one is its parent. Two moves at a time could
-- make a ring that no row shows, so moves take turns by a lock of the table. `slug` copies the live row of the table slugs; workers of the
-- previous release give none, and a task does later. `about` is the description: the export of the previous release joins products and
-- categories, and would not know which one has a column of that name.
ALTER TABLE categories
    ADD COLUMN parent_id uuid,
    ADD COLUMN ancestors uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN position integer NOT NULL DEFAULT 0,
    ADD COLUMN about text NOT NULL DEFAULT '',
    ADD COLUMN slug text COLLATE "C";

ALTER TABLE categories
    ADD CONSTRAINT categories_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES categories (id) NOT VALID,
    ADD CONSTRAINT categories_parent_check CHECK (parent_id IS NOT DISTINCT FROM ancestors[cardinality(ancestors)]) NOT VALID,
    ADD CONSTRAINT categories_ring_check CHECK (id <> ALL (ancestors)) NOT VALID,
    ADD CONSTRAINT categories_depth_check CHECK (cardinality(ancestors) <= 7) NOT VALID,
    ADD CONSTRAINT categories_position_check CHECK (position >= 0) NOT VALID;
