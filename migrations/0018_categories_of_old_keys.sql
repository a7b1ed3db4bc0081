-- phase: index
-- Categories whose key is to be made, as the workers find them.
CREATE INDEX CONCURRENTLY IF NOT EXISTS categories_of_old_keys ON categories (id) WHERE name_key_rule < 2 OR keyed_name <> name;
