-- phase: expand
-- The live row of the table slugs. Workers of the previous release give none, and a task does later.
ALTER TABLE products ADD COLUMN slug text COLLATE "C";
